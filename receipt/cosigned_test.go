package receipt_test

import (
	"fmt"
	"strings"
	"testing"

	formats "github.com/transparency-dev/formats/note"
	"golang.org/x/mod/sumdb/note"

	"github.com/terradourada/td/receipt"
)

// postQuantum is a cosigner with a key of ML-DSA-44.
func postQuantum(t *testing.T, name string) (note.Signer, string) {
	t.Helper()
	skey, vkey, err := formats.GenerateMLDSAKey(name)
	if err != nil {
		t.Fatal(err)
	}
	s, err := formats.NewMLDSASigner(skey)
	if err != nil {
		t.Fatal(err)
	}
	return s, vkey
}

func parsePolicy(t *testing.T, text string) *receipt.Policy {
	t.Helper()
	p, err := receipt.ParsePolicy([]byte(text))
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// TestPostQuantumPolicy: a policy may ask for a cosignature of ML-DSA-44, alone or beside
// one of Ed25519.
func TestPostQuantumPolicy(t *testing.T) {
	s := sharedScene()
	alice := cosigner(t, "alice.example")
	quantum, key := postQuantum(t, "alice.example")
	other, _ := postQuantum(t, "alice.example")
	keys := fmt.Sprintf("origin %s\nwitness ed %s\nwitness pq %s\ngroup both all ed pq\n", testOrigin, alice.Verifier(), key)
	epoch := s.signer(s.first)
	for name, tt := range map[string]struct {
		quorum  string
		signers []note.Signer
		ok      bool
	}{
		"both":               {"both", []note.Signer{epoch, alice, quantum}, true},
		"Ed25519 is missing": {"both", []note.Signer{epoch, quantum}, false},
		"ML-DSA is missing":  {"both", []note.Signer{epoch, alice}, false},
		"ML-DSA alone":       {"pq", []note.Signer{epoch, quantum}, true},
		"another ML-DSA key": {"pq", []note.Signer{epoch, other}, false},
	} {
		r := s.receiptFor(s.open, s.first, s.checkpoint(s.size(), tt.signers...), s.size())
		if p := verify(t, r, receipt.Options{Policy: parsePolicy(t, keys+"quorum "+tt.quorum+"\n")}); p.OK != tt.ok {
			t.Errorf("%s: %s, %+v", name, p.Verdict, p.Steps)
		}
	}
	id := strings.SplitN(key, "+", 3)[1]
	for name, text := range map[string]string{
		"twice":      "origin a\nwitness x " + key + "\nwitness y " + strings.Replace(key, "alice", "bob", 1) + "\nquorum x\n",
		"another id": "origin a\nwitness x " + strings.Replace(key, id, "00000000", 1) + "\nquorum x\n",
		"cut off":    "origin a\nwitness x " + key[:len(key)-4] + "\nquorum x\n",
		"none":       "origin a\nwitness none " + key + "\nquorum none\n",
		"name taken": "origin a\nwitness x " + key + "\ngroup x 1 x\nquorum x\n",
	} {
		if _, err := receipt.ParsePolicy([]byte(text)); err == nil {
			t.Errorf("%s: accepted", name)
		}
	}
}

// TestCosigned: a later checkpoint that satisfies the policy stands for a receipt's if
// the log proves that the receipt's is a prefix of it.
func TestCosigned(t *testing.T) {
	s := sharedScene()
	alice, eve := cosigner(t, "alice.example"), cosigner(t, "eve.example")
	policy := parsePolicy(t, fmt.Sprintf("origin %s\nwitness A %s\nquorum A\n", testOrigin, alice.Verifier()))
	early := s.size() - 1
	r := s.receiptAt(s.open, s.second, early)
	read := func(note []byte) *receipt.Checkpoint {
		t.Helper()
		c, err := receipt.ReadCheckpoint(string(note))
		if err != nil {
			t.Fatal(err)
		}
		return c
	}
	full := read(s.checkpoint(s.size(), s.signer(s.second), alice))
	fork := s.fork(early - 1)
	fork.grow(3)
	abroad := newWorld(t)
	abroad.origin = "terradourada/ffff"
	abroad.grow(int(s.size()))
	for name, tt := range map[string]struct {
		cosigned *receipt.Checkpoint
		log      receipt.Log
		detail   string // "": valid
	}{
		"later":             {full, s.world, ""},
		"the same size":     {read(s.checkpoint(early, s.signer(s.second), alice)), nil, ""},
		"no log":            {full, nil, "not this checkpoint"},
		"a log that fails":  {full, failingLog{}, "belong together"},
		"a log that forges": {full, fork, "does not verify"},
		"older":             {read(s.checkpoint(early-1, s.signer(s.second), alice)), s.world, "older"},
		"another history":   {read(fork.checkpoint(fork.size(), s.signer(s.second), alice)), fork, "another history"},
		"by a stranger":     {read(s.checkpoint(s.size(), s.signer(s.second), eve)), s.world, "does not carry"},
		"of another log":    {read(abroad.checkpoint(abroad.size(), alice)), abroad, "another log"},
		"without cosigners": {read(s.checkpoint(s.size(), s.signer(s.second))), s.world, "does not carry"},
		"none at all":       {nil, s.world, "does not carry"},
	} {
		t.Run(name, func(t *testing.T) {
			p := verify(t, r, receipt.Options{Policy: policy, Cosigned: tt.cosigned, Log: tt.log})
			step := p.Steps[len(p.Steps)-1]
			if p.OK != (tt.detail == "") || !strings.Contains(step.Detail, tt.detail) {
				t.Errorf("%s: %+v", p.Verdict, step)
			}
			if p.OK && (p.Vouched.Rule != receipt.RulePolicy || !strings.Contains(step.Detail, "by a later checkpoint")) {
				t.Errorf("%+v, %q", p.Vouched, step.Detail)
			}
		})
	}
}

// TestCosignedCopy: a cosigned copy of the log under another name stands for nothing, also
// if the policy names both.
func TestCosignedCopy(t *testing.T) {
	s := sharedScene()
	alice := cosigner(t, "alice.example")
	policy := parsePolicy(t, fmt.Sprintf("origin %s\norigin terradourada/ffff\nwitness A %s\nquorum A\n", testOrigin, alice.Verifier()))
	copied := s.fork(s.size())
	copied.origin = "terradourada/ffff"
	c, err := receipt.ReadCheckpoint(string(copied.checkpoint(copied.size(), alice)))
	if err != nil {
		t.Fatal(err)
	}
	r := s.receiptAt(s.open, s.second, s.size()-1)
	wantVerdict(t, verify(t, r, receipt.Options{Policy: policy, Cosigned: c, Log: copied}), receipt.Unvouched, "identity", "of another log")
}

// TestAddLines: of the lines that cosigners return, those are added that verify under the
// policy's keys, once each.
func TestAddLines(t *testing.T) {
	s := sharedScene()
	alice, eve := cosigner(t, "alice.example"), cosigner(t, "eve.example")
	quantum, key := postQuantum(t, "alice.example")
	policy := parsePolicy(t, fmt.Sprintf("origin %s\nwitness A %s\nwitness Q %s\ngroup both all A Q\nquorum both\n", testOrigin, alice.Verifier(), key))
	plain := s.checkpoint(s.size(), s.signer(s.second))
	c, err := receipt.ReadCheckpoint(string(plain))
	if err != nil {
		t.Fatal(err)
	}
	lines := func(size uint64, by ...note.Signer) string {
		return strings.TrimPrefix(string(s.checkpoint(size, by...)), string(s.checkpoint(size)))
	}
	now := lines(s.size(), alice, quantum)
	for name, tt := range map[string]struct {
		add  string
		want int // lines after those of the log
	}{
		"both":                 {now, 2},
		"twice":                {now + now, 2},
		"a stranger's":         {lines(s.size(), eve) + now, 2},
		"over another size":    {lines(s.size()-1, alice) + lines(s.size(), quantum), 1},
		"no lines":             {"", 0},
		"not a line":           {"x\n\n— a b\n" + now, 2},
		"without a line's end": {strings.TrimSuffix(now, "\n"), 1},
		"a text before":        {"other\n1\nx\n\n" + now, 2},
	} {
		got, err := policy.Cosigned(c, tt.add)
		if err != nil || !strings.HasPrefix(got.Note, c.Note) || strings.Count(got.Note[len(c.Note):], "\n") != tt.want {
			t.Errorf("%s: %v", name, err)
			continue
		}
		if (policy.Check(got) == nil) != (tt.want == 2) {
			t.Errorf("%s: the policy says %v", name, policy.Check(got))
		}
	}
}

// TestCosigners: keys with one URL are those of one cosigner, and only they count as its
// signatures.
func TestCosigners(t *testing.T) {
	s := sharedScene()
	alice, bob := cosigner(t, "alice.example"), cosigner(t, "bob.example")
	quantum, key := postQuantum(t, "alice.example")
	const url = "https://alice.example:8443"
	policy := parsePolicy(t, fmt.Sprintf("origin %s\nwitness A %s %s\nwitness B %s https://bob.example\nwitness Q %s %s # both\ngroup all all A B Q\nquorum all\n",
		testOrigin, alice.Verifier(), url, bob.Verifier(), key, url))
	all := policy.Cosigners()
	if len(all) != 2 || all[0].URL != url || all[1].URL != "https://bob.example" {
		t.Fatalf("%+v", all)
	}
	if !policy.Names(testOrigin) || policy.Names("terradourada/ffff") {
		t.Error("the policy is about another log")
	}
	plain := s.checkpoint(s.size(), s.signer(s.second))
	c, err := receipt.ReadCheckpoint(string(plain))
	if err != nil {
		t.Fatal(err)
	}
	lines := strings.TrimPrefix(string(s.checkpoint(s.size(), alice, bob, quantum)), string(s.checkpoint(s.size())))
	for i, want := range []int{2, 1} {
		if got, err := all[i].Cosigned(c, lines); err != nil || strings.Count(got.Note[len(c.Note):], "\n") != want {
			t.Errorf("cosigner %d has other lines than %d, %v", i, want, err)
		}
	}
	for lines, want := range map[string]bool{lines: true, lines[:strings.Index(lines, "\n")+1]: false, "": false} {
		if got, err := all[0].Cosigned(c, lines); err != nil || all[0].Complete(got) != want {
			t.Errorf("complete is not %v with %d lines, %v", want, strings.Count(lines, "\n"), err)
		}
	}
	if n := len(parsePolicy(t, fmt.Sprintf("origin a\nwitness A %s\nquorum A\n", alice.Verifier())).Cosigners()); n != 0 {
		t.Errorf("%d cosigners without a URL", n)
	}
}

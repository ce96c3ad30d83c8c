package receipt_test

import (
	"context"
	"crypto/ed25519"
	"encoding/base64"
	"encoding/binary"
	"fmt"
	"os"
	"strings"
	"testing"

	"filippo.io/torchwood"
	"golang.org/x/mod/sumdb/note"

	"github.com/terradourada/td/receipt"
)

func cosigner(t *testing.T, name string) *torchwood.CosignatureSigner {
	t.Helper()
	c, err := torchwood.NewCosignatureSigner(name, newKey(t))
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// vkey is the verifier key text of an Ed25519 note key.
func vkey(t *testing.T, name string, key ed25519.PrivateKey) string {
	t.Helper()
	s, err := note.NewEd25519VerifierKey(name, key.Public().(ed25519.PublicKey))
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func TestPolicy(t *testing.T) {
	s := sharedScene()
	alice, bob, eve := cosigner(t, "alice.example"), cosigner(t, "bob.example"), cosigner(t, "eve.example")
	operatorKey := newKey(t)
	operator := vkey(t, testOrigin, operatorKey)
	both := fmt.Sprintf("witness A %s\nwitness B %s\n", alice.Verifier(), bob.Verifier())
	origin := "origin " + testOrigin + "\n"
	epoch := s.signer(s.first)
	byOperator := noteSigner(t, testOrigin, operatorKey)
	for name, tt := range map[string]struct {
		policy  string
		signers []note.Signer
		ok      bool
	}{
		"one cosigner":                 {origin + both + "quorum A\n", []note.Signer{epoch, alice}, true},
		"the other cosigner":           {origin + both + "quorum A\n", []note.Signer{epoch, bob}, false},
		"the log alone":                {origin + both + "quorum A\n", []note.Signer{epoch}, false},
		"all of two":                   {origin + both + "group g all A B\nquorum g\n", []note.Signer{epoch, alice, bob}, true},
		"all of two, one there":        {origin + both + "group g all A B\nquorum g\n", []note.Signer{epoch, alice}, false},
		"any of two":                   {origin + both + "group g any A B\nquorum g\n", []note.Signer{epoch, bob, eve}, true},
		"any of two, a stranger there": {origin + both + "group g any A B\nquorum g\n", []note.Signer{epoch, eve}, false},
		"threshold":                    {origin + both + "witness E " + eve.Verifier().String() + "\ngroup g 2 A B E\nquorum g\n", []note.Signer{epoch, eve, bob}, true},
		"another origin":               {"origin terradourada/ffff\n" + both + "quorum A\n", []note.Signer{epoch, alice}, false},
		"one of two origins":           {"origin terradourada/ffff\n" + origin + both + "quorum A\n", []note.Signer{epoch, alice}, true},
		"operator key":                 {"log " + operator + "\nquorum none\n", []note.Signer{epoch, byOperator}, true},
		"operator key, not there":      {"log " + operator + "\nquorum none\n", []note.Signer{epoch}, false},
		"operator key and cosigner":    {"log " + operator + " https://log.example/\n" + both + "quorum B\n", []note.Signer{epoch, byOperator, bob}, true},
		"operator key, no cosigner":    {"log " + operator + "\n" + both + "quorum B\n", []note.Signer{epoch, byOperator}, false},
		"two logs, one signed":         {"log " + vkey(t, "other.example", newKey(t)) + "\nlog " + operator + "\nquorum none\n", []note.Signer{epoch, byOperator}, true},
		"comments and spaces":          {"# whom we trust\n\n" + origin + "\t" + both + "quorum A # alone\n", []note.Signer{epoch, alice}, true},
	} {
		t.Run(name, func(t *testing.T) {
			policy, err := receipt.ParsePolicy([]byte(tt.policy))
			if err != nil {
				t.Fatal(err)
			}
			r := s.receiptFor(s.open, s.first, s.checkpoint(s.size(), tt.signers...), s.size())
			p := verify(t, r, receipt.Options{Policy: policy})
			if !tt.ok {
				wantVerdict(t, p, receipt.Unvouched, "identity", "self-asserted")
				// The policy is a requirement: records of this machine do not replace it.
				o := pinned(t, r)
				o.Policy = policy
				wantVerdict(t, verify(t, r, o), receipt.Unvouched, "identity", "self-asserted")
				return
			}
			wantValid(t, p)
			if p.Identity != receipt.Pinned || p.Vouched.Rule != receipt.RulePolicy || p.Vouched.How != receipt.VouchPolicy {
				t.Errorf("identity is %q, vouched for by %+v, want pinned by the policy", p.Identity, p.Vouched)
			}
			// The policy decides alone: records that show nothing do not matter.
			o := recorded(t, s.at(s.size()-1, s.second))
			o.Policy = policy
			o.Live = func(context.Context) (*receipt.Checkpoint, receipt.Source, error) {
				t.Error("the server was asked")
				return nil, file, errLog
			}
			wantValid(t, verify(t, r, o))
			o.Log = failingLog{}
			p = verify(t, r, o)
			wantValid(t, p)
			if len(p.Warnings) != 1 || !strings.Contains(p.Warnings[0], "was not compared") {
				t.Errorf("warnings are %q", p.Warnings)
			}
		})
	}
	t.Run("a satisfied policy does not excuse a fork", func(t *testing.T) {
		policy, err := receipt.ParsePolicy([]byte(origin + both + "quorum A\n"))
		if err != nil {
			t.Fatal(err)
		}
		fork := newScene(t)
		o := pinned(t, s.receipt(s.open, s.first))
		o.Policy = policy
		r := fork.receiptFor(fork.open, fork.first, fork.checkpoint(fork.size(), fork.signer(fork.first), alice), fork.size())
		wantVerdict(t, verify(t, r, o), receipt.Contradicted, "identity", "possible split view")
	})
	t.Run("a contradiction without the policy accuses no one", func(t *testing.T) {
		policy, err := receipt.ParsePolicy([]byte(origin + both + "quorum A\n"))
		if err != nil {
			t.Fatal(err)
		}
		fork := newScene(t)
		o := pinned(t, s.receipt(s.open, s.first))
		o.Policy, o.AllowSelfAsserted = policy, true
		wantVerdict(t, verify(t, fork.receipt(fork.open, fork.first), o), receipt.Unvouched, "identity", "nothing ties to this log")
	})
	t.Run("a damaged store with a satisfied policy", func(t *testing.T) {
		policy, err := receipt.ParsePolicy([]byte(origin + both + "quorum A\n"))
		if err != nil {
			t.Fatal(err)
		}
		r := s.receiptFor(s.open, s.first, s.checkpoint(s.size(), epoch, alice), s.size())
		o := receipt.Options{Policy: policy, Trust: openTrust(t, t.TempDir()), AllowSelfAsserted: true}
		if err := os.WriteFile(o.Trust.Path(testOrigin), []byte("\x00"), 0o600); err != nil {
			t.Fatal(err)
		}
		wantVerdict(t, verify(t, r, o), receipt.Unavailable, "identity", "line 1")
	})
	t.Run("a forged cosignature", func(t *testing.T) {
		policy, err := receipt.ParsePolicy([]byte(origin + both + "quorum A\n"))
		if err != nil {
			t.Fatal(err)
		}
		cp := string(s.checkpoint(s.size(), epoch, alice))
		i := strings.LastIndex(cp, "— ")
		sig, err := base64.StdEncoding.DecodeString(strings.TrimSuffix(cp[i+len("— alice.example "):], "\n"))
		if err != nil {
			t.Fatal(err)
		}
		sig[40] ^= 1
		cp = cp[:i] + "— alice.example " + base64.StdEncoding.EncodeToString(sig) + "\n"
		r := s.receiptFor(s.open, s.first, []byte(cp), s.size())
		wantVerdict(t, verify(t, r, receipt.Options{Policy: policy}), receipt.Unvouched, "identity", "self-asserted")
	})
}

// signerAt signs with the time at, whatever the clock says.
type signerAt struct {
	*torchwood.CosignatureSigner
	key ed25519.PrivateKey
	at  uint64
}

func (s signerAt) Sign(msg []byte) ([]byte, error) {
	signature := ed25519.Sign(s.key, fmt.Appendf(nil, "cosignature/v1\ntime %d\n%s", s.at, msg))
	return append(binary.BigEndian.AppendUint64(nil, s.at), signature...), nil
}

// TestPolicyTime: a cosignature whose time is above 2^63 - 1 does not count.
func TestPolicyTime(t *testing.T) {
	s, key := sharedScene(), newKey(t)
	alice, err := torchwood.NewCosignatureSigner("alice.example", key)
	if err != nil {
		t.Fatal(err)
	}
	policy := parsePolicy(t, fmt.Sprintf("origin %s\nwitness A %s\nquorum A\n", testOrigin, alice.Verifier()))
	for at, ok := range map[uint64]bool{1: true, 1<<63 - 1: true, 1 << 63: false, 1<<64 - 1: false} {
		c, err := receipt.ReadCheckpoint(string(s.checkpoint(s.size(), s.signer(s.first), signerAt{alice, key, at})))
		if err != nil {
			t.Fatal(err)
		}
		if err := policy.Check(c); (err == nil) != ok {
			t.Errorf("at %d: %v", at, err)
		}
	}
}

func TestParsePolicyRefuses(t *testing.T) {
	alice := cosigner(t, "alice.example").Verifier().String()
	key := newKey(t)
	twin, err := torchwood.NewCosignatureSigner("alias.example", key)
	if err != nil {
		t.Fatal(err)
	}
	other, err := torchwood.NewCosignatureSigner("other.example", key)
	if err != nil {
		t.Fatal(err)
	}
	logKey, err := note.NewEd25519VerifierKey("a", key.Public().(ed25519.PublicKey))
	if err != nil {
		t.Fatal(err)
	}
	// Each group names the one above it twice, so a check of the last one would not end.
	nested := "origin a\nwitness A " + alice + "\ngroup g0 any A A\n"
	for i := range 60 {
		nested += fmt.Sprintf("group g%d any g%d g%d\n", i+1, i, i)
	}
	for name, tt := range map[string]struct{ policy, want string }{
		"empty":                 {"", "names no log"},
		"no log":                {"witness A " + alice + "\nquorum A\n", "names no log"},
		"no quorum":             {"origin a\nwitness A " + alice + "\n", "no quorum"},
		"no key at all":         {"origin a\nquorum none\n", "no key at all"},
		"no key, other order":   {"quorum none\norigin a\n", "no key at all"},
		"unknown keyword":       {"origin a\nwitnes A " + alice + "\nquorum A\n", "line 2"},
		"words after the URL":   {"origin a\nwitness A " + alice + " https://a.example b\nquorum A\n", "line 2"},
		"malformed key":         {"origin a\nwitness A alice.example+00000000+AAAA\nquorum A\n", "line 2"},
		"malformed log key":     {"log a+b\nquorum none\n", "line 1"},
		"wrong kind of log key": {"log " + alice + "\nquorum none\n", "line 1"},
		"one key, two names":    {fmt.Sprintf("origin a\nwitness A %s\nwitness B %s\ngroup g 2 A B\nquorum g\n", twin.Verifier(), other.Verifier()), "line 3: this key is named twice"},
		"unknown member":        {"origin a\nwitness A " + alice + "\ngroup g 1 B\nquorum g\n", "line 3"},
		"threshold too low":     {"origin a\nwitness A " + alice + "\ngroup g 0 A\nquorum g\n", "line 3"},
		"a witness called none": {"log " + logKey + "\nwitness none " + alice + "\nquorum none\n", "line 2: this name is taken"},
		"empty key":             {"origin a\nwitness A a+00000000+\nquorum A\n", "line 2"},
		"unknown quorum":        {"origin a\nwitness A " + alice + "\nquorum B\n", "neither a witness nor a group"},
		"threshold too high":    {"origin a\nwitness A " + alice + "\ngroup g 2 A\nquorum g\n", "line 3"},
		"two quorums":           {"origin a\nwitness A " + alice + "\nquorum A\nquorum A\n", "line 4"},
		"groups that double":    {nested + "quorum g60\n", "line 15: the group names more than 4096 keys"},
		"huge":                  {strings.Repeat("#", 1<<17), "larger"},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := receipt.ParsePolicy([]byte(tt.policy))
			if err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("got %v, want something about %q", err, tt.want)
			}
		})
	}
}

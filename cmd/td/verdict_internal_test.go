package main

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/terradourada/td/internal/fault"
	"github.com/terradourada/td/internal/testdata/logtest"
	"github.com/terradourada/td/protocol"
	"github.com/terradourada/td/receipt"
)

// remember records the present checkpoint of a log as the operator's word.
func (w *world) remember(store string, by *logtest.Epoch) {
	w.t.Helper()
	td(w.t, 0, []string{"trust", "add", "--trust", store, "--from-operator", w.file("checkpoint", []byte(w.Note(w.Size(), by))), "--log", w.dir(by)}, "how     operator", "server  -")
}

// TestVerifyExitCodes: each verdict has its words and its exit code.
func TestVerifyExitCodes(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	e := w.Epochs[0]
	index := w.accept(e)
	store := t.TempDir()
	w.remember(store, e)
	valid := w.receiptFile(index, e, e)
	args := func(more ...string) []string { return append([]string{"verify", "--trust", store}, more...) }

	td(t, fault.OK, args(valid), "ok   issued", "withdrawals: complete by the log's count", "  valid, in a log that is bound to no server here\n")
	unknown := []string{"verify", "--trust", t.TempDir(), valid}
	td(t, fault.Unvouched, unknown, "UNVOUCHED: step identity failed", "hint: td trust add")
	td(t, fault.OK, append(unknown, "--allow-self-asserted"), "valid, if this is the right log")
	td(t, fault.OK, append(unknown, "--policy", w.policy(e)), "  valid, under the keys of the policy file\n")

	// Later in the same log: proofs make up for what is not recorded.
	later := w.accept(e)
	grown := w.receiptFile(later, e, e)
	dir := w.dir(e)
	td(t, fault.Unvouched, args(grown), "UNVOUCHED")
	td(t, fault.OK, args("--log", dir, grown), "  valid")
	td(t, fault.Unavailable, args("--log", "http://127.0.0.1:1", grown), "UNAVAILABLE")

	// Under a key that nothing ties to the log.
	next := w.Open(nil)
	stray := w.receiptFile(w.accept(next), next, next)
	td(t, fault.Unvouched, args("--log", w.dir(next), stray), "UNVOUCHED: step identity failed")
	// Under one that was handed over to.
	heir := w.fork(w.Size() - 2)
	handed := heir.Open(e)
	inherited := heir.receiptFile(heir.accept(handed), handed, handed)
	td(t, fault.OK, args("--log", heir.dir(handed), inherited), "  valid")

	// The same key over another history.
	fork := w.fork(2)
	forked := fork.receiptFile(fork.accept(e), e, e)
	td(t, fault.Contradicted, args(forked), "CONTRADICTED: step identity failed", "hint: keep the trust store")
	td(t, fault.Contradicted, args("--allow-self-asserted", forked), "CONTRADICTED")

	// Withdrawn.
	revoked := w.fork(w.Size() - 2)
	var target protocol.Digest
	copy(target[:], e.Open.ID[:])
	flag := revoked.Add(&protocol.Control{Action: protocol.ActionRevokeEpoch, Target: target})
	source := revoked.dir(e)
	flagged := revoked.receiptFile(index, e, e, flag)
	td(t, fault.OK, args("--log", source, flagged), "  flagged, in a log")
	td(t, fault.Flagged, args("--log", source, "--strict", flagged), "FLAGGED, and --strict counts that as negative")

	// The last leaf counts one withdrawal, which the receipt leaves out.
	revoked.Add(&protocol.Incident{})
	source = revoked.dir(e)
	stripped := revoked.receiptFile(index, e, e)
	td(t, fault.OK, args("--log", source, stripped), "withdrawals: as presented", "  valid")
	td(t, fault.Unavailable, args("--log", source, "--strict", stripped), "UNAVAILABLE")
	td(t, fault.OK, args("--log", source, "--scan", stripped), "withdrawals: complete by scan", "  flagged")
	td(t, fault.Flagged, args("--log", source, "--scan", "--strict", stripped), "FLAGGED")
	td(t, fault.Usage, args("--scan", valid), "--log URL|DIR names it")

	// Of several files the worst counts.
	broken := w.file("broken.json", []byte("{}"))
	log := []string{"--log", source, "--strict"}
	for _, tt := range []struct {
		exit  int
		files []string
	}{
		{fault.Contradicted, []string{valid, broken, forked, flagged, stray}},
		{fault.Negative, []string{flagged, stray, broken, valid}},
		{fault.Flagged, []string{stray, flagged, valid}},
		{fault.Unvouched, []string{valid, stray, stripped}},
		{fault.Unavailable, []string{valid, stripped}},
	} {
		out := td(t, tt.exit, args(append(log, tt.files...)...))
		if strings.Count(out, ".json\n") != len(tt.files) {
			t.Errorf("not every file has its verdict:\n%s", out)
		}
	}

	// A damaged store is never read as empty.
	damaged := t.TempDir()
	w.must(os.CopyFS(damaged, os.DirFS(store)))
	names, err := filepath.Glob(filepath.Join(damaged, "*.trust"))
	if err != nil || len(names) != 1 {
		t.Fatalf("%q, %v", names, err)
	}
	w.must(os.Truncate(names[0], 0))
	td(t, fault.Unavailable, []string{"verify", "--trust", damaged, valid}, "UNAVAILABLE", "cannot be used")
}

// TestVerifyJSON: a program finds what it needs without reading sentences.
func TestVerifyJSON(t *testing.T) {
	w := newWorld(t)
	e := w.Epochs[0]
	index := w.accept(e)
	store := t.TempDir()
	w.remember(store, e)
	var v map[string]any
	out := td(t, 0, []string{"verify", "-o", "json", "--trust", store, w.receiptFile(index, e, e)})
	if err := json.Unmarshal([]byte(out), &v); err != nil {
		t.Fatal(err)
	}
	for member, want := range map[string]any{
		"ok": true, "verdict": receipt.Valid, "failed_step": "", "claim": "open/1", "epoch": 1., "index": 2., "log": testOrigin,
		"size": 3., "time": "2027-01-15T08:00:00.002Z", "identity": receipt.Pinned, "withdrawals": receipt.CompleteByCount,
	} {
		if v[member] != want {
			t.Errorf("%s is %v, want %v", member, v[member], want)
		}
	}
	if vouched, _ := v["vouched"].(map[string]any); vouched["rule"] != receipt.RuleRecorded || vouched["how"] != string(receipt.VouchOperator) || vouched["server"] != "" {
		t.Errorf("vouched is %v", v["vouched"])
	}
}

// TestTrustAdd: what is believed, by which way, and what is not.
func TestTrustAdd(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	e := w.Epochs[0]
	r := w.receiptFile(w.accept(e), e, e)
	url, other := serveDir(t, w.dir(e))
	store := t.TempDir()
	with := func(words ...string) []string { return append(words, "--trust", store) }

	td(t, 0, with("trust", "list"))
	td(t, fault.Usage, with("trust", "add", "--log", url), "--log supplies proofs only")
	if out := td(t, fault.Unvouched, with("trust", "add", "--server", "http://192.0.2.1:1"), "nothing was sent", "plain HTTP over a network"); strings.Contains(out, "--allow") {
		t.Errorf("the hint names a flag that the command lacks:\n%s", out)
	}
	td(t, fault.Usage, with("trust", "add", "--server", url, "--server-user", "no such user"), "there is no user")
	td(t, fault.Unvouched, with("verify", r), "UNVOUCHED")
	td(t, 0, with("trust", "add", "--server", url), "origin  "+testOrigin, "size    3", "how     live", "server  "+url)
	td(t, 0, with("verify", r), "valid, in the log of "+url)
	td(t, 0, with("trust", "list"), testOrigin+"  ", "live", url)
	td(t, 0, with("trust", "list", "-o", "json"), `"origin":"`+testOrigin+`"`, `"server":"`+url+`"`, `"size":3`, `"how":"live"`, `"vouched":1`)

	// The server has grown: read live, its new key is believed.
	next := w.Open(nil)
	grown := w.receiptFile(w.accept(next), next, next)
	other(w.dir(next))
	td(t, fault.Unvouched, with("verify", grown), "UNVOUCHED")
	td(t, fault.Unvouched, with("verify", "--log", w.dir(next), grown), "UNVOUCHED")
	td(t, 0, with("verify", "--log", url, grown), "valid, in the log of "+url)
	td(t, 0, with("trust", "add", "--server", url, "-o", "json"), `"size":5`)
	td(t, 0, with("verify", grown), "valid, in the log of "+url)

	// A history that contradicts it is not believed, by no way of vouching.
	fork := w.fork(2)
	fork.accept(e)
	note := w.file("fork", []byte(fork.Note(3, e)))
	other(fork.dir(e))
	for _, args := range [][]string{{"--server", url}, {"--from-operator", note, "--log", url}, {"--policy", w.policy(e), "--log", fork.dir(e)}} {
		out := td(t, fault.Unvouched, with(append([]string{"trust", "add"}, args...)...))
		if !strings.Contains(out, "contradicts") {
			t.Errorf("%q:\n%s", args, out)
		}
	}
}

// TestTrustAddPolicy: the signatures that a policy asks for, or nothing.
func TestTrustAddPolicy(t *testing.T) {
	w := newWorld(t)
	e := w.Epochs[0]
	r := w.receiptFile(w.accept(e), e, e)
	dir, store := w.dir(e), t.TempDir()
	foreign := w.fork(w.Size()).Open(nil)
	td(t, fault.Unvouched, []string{"trust", "add", "--trust", store, "--policy", w.policy(foreign), "--log", dir}, "the signatures that the policy file asks for")
	td(t, fault.Unvouched, []string{"verify", "--trust", store, r})
	td(t, 0, []string{"trust", "add", "--trust", store, "--policy", w.policy(e), "--log", dir}, "how     policy")
	td(t, 0, []string{"verify", "--trust", store, r}, "  valid")
	td(t, fault.Usage, []string{"trust", "add", "--policy", "a", "--from-operator", "b"})
	td(t, fault.NotFound, []string{"trust", "add", "--trust", store, "--from-operator", "nowhere", "--log", dir})
}

// TestTrustImport: records of version 1 vouch for nothing.
func TestTrustImport(t *testing.T) {
	w := newWorld(t)
	e := w.Epochs[0]
	r := w.receiptFile(w.accept(e), e, e)
	line := strings.Fields(w.Note(w.Size(), e))
	old := w.file("old.trust", []byte("terradourada-trust/1 "+testOrigin+"\n"+strings.Join([]string{line[1], line[2], base64Of(e.Open.CheckpointKey), line[5], "1700000000"}, " ")+"\n"))
	store := t.TempDir()
	td(t, 0, []string{"trust", "import", "--trust", store, old}, "1 checkpoint of log "+testOrigin)
	td(t, fault.Unvouched, []string{"verify", "--trust", store, r}, "UNVOUCHED")
	td(t, 0, []string{"trust", "list", "--trust", store, "-o", "json"}, `"size":0`, `"how":"unauthenticated"`, `"unauthenticated":1`)
	td(t, fault.NotFound, []string{"trust", "import", "--trust", store, "nowhere"}, "does not exist")
	td(t, fault.Unavailable, []string{"trust", "import", "--trust", store, r}, "cannot be imported")
}

// TestAuditVerdicts: a log that keeps all rules may still be another log.
func TestAuditVerdicts(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	e := w.Epochs[0]
	w.accept(e)
	store := t.TempDir()
	w.remember(store, e)
	w.accept(e)
	good := w.dir(e)
	audit := func(dir string, more ...string) []string {
		return append([]string{"log", "audit", "--progress", "none", "--trust", store, "--dir", dir}, more...)
	}
	td(t, 0, audit(good, "--proofs"), "2 proofs verified", "identity pinned", "valid")
	td(t, 0, audit(good, "-o", "json"), `"ok":true,"verdict":"valid"`, `"vouched":{"rule":"same_key","how":"operator"`, `"faults":[]`)
	unknown := []string{"log", "audit", "--progress", "none", "--trust", t.TempDir(), "--dir", good}
	td(t, fault.Unvouched, unknown, "the log is unvouched", "identity self_asserted")
	td(t, 0, append(unknown, "--allow-self-asserted"), "identity self_asserted")

	fork := w.fork(2)
	fork.accept(e)
	td(t, fault.Contradicted, audit(fork.dir(e)), "the log is contradicted")
	td(t, fault.Contradicted, audit(fork.dir(e), "--allow-self-asserted"), "the log is contradicted")
	fork.Add(fork.Epochs[0].Open) // which breaks a rule besides
	td(t, fault.Contradicted, audit(fork.dir(e)), "FAULT", "the log is contradicted")

	rewritten := w.fork(2)
	theirs := rewritten.Open(nil)
	rewritten.accept(theirs)
	td(t, fault.Unvouched, audit(rewritten.dir(theirs), "--allow-self-asserted"), "nothing ties")

	w.Add(w.Epochs[0].Open)
	td(t, fault.Negative, audit(w.dir(e)), "FAULT  entry 4 opens an epoch that was opened before", "the log breaks its rules: 1 faults")

	// Damaged files.
	for name, spoil := range map[string]func(path string) error{
		"checkpoint":             func(path string) error { return os.WriteFile(path, []byte("x"), 0o600) },
		"tile/entries/000.p/5":   func(path string) error { return os.Truncate(path, 100) },
		"tile/0/000.p/5":         func(path string) error { return os.Truncate(path, 100) },
		"checkpoint of no epoch": nil,
	} {
		dir := w.dir(e)
		if spoil == nil {
			name, spoil = "checkpoint", func(path string) error {
				return os.WriteFile(path, []byte(w.Note(5, w.fork(5).Open(nil))), 0o600)
			}
		}
		if err := spoil(filepath.Join(dir, filepath.FromSlash(name))); err != nil {
			t.Fatal(err)
		}
		td(t, fault.Negative, audit(dir), "FAULT")
	}
}

// TestSubmitRefusesStrangers: nothing is sent to a server that nothing shows to
// be the right one.
func TestSubmitRefusesStrangers(t *testing.T) {
	w := newWorld(t)
	event := w.file("event.json", []byte(`{"lot":1}`))
	for _, args := range [][]string{
		{"submit", "--claim", "open/1", "--progress", "none", "--out", t.TempDir(), "--trust", t.TempDir(), "--server", "http://192.0.2.1:1", event},
		{"submit", "--push", "--claim", "open/1", "--progress", "none", "--out", t.TempDir(), "--trust", t.TempDir(), "--server", "http://192.0.2.1:1", event},
	} {
		td(t, fault.Unvouched, args, "nothing was sent", "plain HTTP over a network", "hint: use https, or its loopback address on this machine; --allow-self-asserted")
	}
}

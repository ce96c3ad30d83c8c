package cosign_test

import (
	"fmt"
	"strings"
	"testing"

	"filippo.io/torchwood"
	formats "github.com/transparency-dev/formats/note"
	"golang.org/x/mod/sumdb/note"

	"github.com/terradourada/td/internal/cosign"
	"github.com/terradourada/td/internal/testdata/logtest"
	"github.com/terradourada/td/receipt"
)

// TestSign: a cosignature has one line of each algorithm, and the libraries verify both
// with the published keys, over this checkpoint only.
func TestSign(t *testing.T) {
	k, err := cosign.ParseKey(newKey(t, "alice.example").Encode())
	if err != nil {
		t.Fatal(err)
	}
	l := logtest.New()
	cp, err := receipt.ReadCheckpoint(l.Note(2, l.Epochs[0]))
	if err != nil {
		t.Fatal(err)
	}
	lines, err := k.Sign(cp)
	if err != nil || strings.Count(lines, "\n") != 2 || strings.Count(lines, "— alice.example ") != 2 {
		t.Fatalf("%q, %v", lines, err)
	}
	ed, err := torchwood.NewCosignatureVerifier(k.Verifiers()[0])
	if err != nil {
		t.Fatal(err)
	}
	pq, err := formats.NewMLDSAVerifier(k.Verifiers()[1])
	if err != nil {
		t.Fatal(err)
	}
	n, err := note.Open([]byte(cp.Note+lines), note.VerifierList(ed, pq))
	if err != nil || len(n.Sigs) != 2 || n.Sigs[0].Hash != ed.KeyHash() || n.Sigs[1].Hash != pq.KeyHash() {
		t.Fatalf("%+v, %v", n, err)
	}
	if _, err := receipt.ReadCheckpoint(cp.Note + lines); err != nil {
		t.Errorf("the checkpoint with the lines: %v", err)
	}
	for _, v := range []note.Verifier{ed, pq} {
		if _, err := note.Open([]byte(l.Note(1, l.Epochs[0])+lines), note.VerifierList(v)); err == nil {
			t.Error("a line verifies for another checkpoint")
		}
	}
}

// TestKeyFile: a key file that was changed is refused, and a key does not print.
func TestKeyFile(t *testing.T) {
	k, other := newKey(t, "alice.example"), newKey(t, "alice.example")
	text := string(k.Encode())
	lines, others := strings.Split(text, "\n"), strings.Split(string(other.Encode()), "\n")
	for name, changed := range map[string]string{
		"empty":               "",
		"another version":     strings.Replace(text, "/1", "/2", 1),
		"another name":        strings.Replace(text, "alice", "bob", 1),
		"all names":           strings.ReplaceAll(text, "alice", "bob"),
		"no public key":       strings.Join([]string{lines[0], lines[1], lines[2], ""}, "\n"),
		"another public key":  strings.Join([]string{lines[0], lines[1], lines[2], others[3], ""}, "\n"),
		"a line more":         text + "\n",
		"the keys reversed":   strings.Join([]string{lines[0], lines[2], lines[1], lines[3], ""}, "\n"),
		"a short Ed25519 key": strings.Replace(text, lines[1], lines[1][:len(lines[1])-4], 1),
		"a short ML-DSA key":  strings.Replace(text, lines[2], lines[2][:len(lines[2])-4], 1),
	} {
		if _, err := cosign.ParseKey([]byte(changed)); err == nil {
			t.Errorf("%s: accepted", name)
		}
	}
	secret := lines[1][len(lines[1])-20:]
	for _, printed := range []string{fmt.Sprintf("%v %+v %#v %s %q %x", k, k, k, k, k, k), k.LogValue().String()} {
		if !strings.Contains(printed, "redacted") || strings.Contains(printed, secret) {
			t.Errorf("it prints %q", printed)
		}
	}
	for _, name := range []string{"", "a b", "a+b", "a\n", strings.Repeat("a", 129), "ü"} {
		if _, err := cosign.NewKey(name); err == nil {
			t.Errorf("the name %q was accepted", name)
		}
	}
}

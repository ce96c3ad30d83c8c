package receipt_test

import (
	"context"
	"crypto/ed25519"
	"encoding/base64"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/mod/sumdb/note"

	"github.com/terradourada/td/claim"
	"github.com/terradourada/td/protocol"
	"github.com/terradourada/td/receipt"
)

// Lists that were kept are read again; a file that was changed is an error.
func TestKeptLists(t *testing.T) {
	trust := openTrust(t, filepath.Join(t.TempDir(), "trust"))
	if lists, err := trust.Lists(); err != nil || len(lists) != 0 {
		t.Fatalf("a new store has lists %v, %v", lists, err)
	}
	list, err := claim.NewList("Orchard council", []protocol.Member{claim.NewMemberSecret().Member()})
	if err != nil {
		t.Fatal(err)
	}
	for range 2 {
		if err := trust.AddList(list); err != nil {
			t.Fatal(err)
		}
	}
	lists, err := trust.Lists()
	if err != nil || len(lists) != 1 || lists[0].ID() != list.ID() {
		t.Fatalf("got lists %v, %v", lists, err)
	}
	file := filepath.Join(filepath.Dir(trust.Path(testOrigin)), "lists", list.ID().String()+".json")
	if err := os.WriteFile(file, []byte(strings.Replace(string(list.Encode()), "Orchard", "Forged", 1)), 0o600); err != nil {
		t.Fatal(err)
	}
	if lists, err := trust.Lists(); err == nil {
		t.Errorf("a changed list came back: %v", lists)
	}
}

func TestParseCheckpoint(t *testing.T) {
	log := newWorld(t)
	log.grow(2)
	by := log.openEpoch(nil, 0)
	log.grow(4)
	leaf, path := log.leaves[by.index], log.path(by.index, 6)
	signed := string(log.checkpoint(6, log.signer(by)))
	c, err := receipt.VerifyCheckpoint(signed, leaf, path)
	if err != nil {
		t.Fatal(err)
	}
	if c.Origin != testOrigin || c.Size != 6 || c.Root != log.root(6) || c.Key != by.open.CheckpointKey || c.Note != signed ||
		c.Epoch.ID != by.open.ID || c.EpochIndex != by.index {
		t.Errorf("got %+v", c)
	}
	if c, err := receipt.ParseCheckpoint(signed, by.open.CheckpointKey); err != nil || c.Epoch != nil {
		t.Errorf("by the key alone: %+v, %v", c, err)
	}
	other := newKey(t)
	line := signLines(t, signed)
	flipped := []byte(line)
	flipped[len(flipped)-10] ^= 1
	second := string(log.checkpoint(6, noteSigner(t, testOrigin, other)))
	for name, tt := range map[string]struct {
		signed string
		leaf   []byte
		path   [][32]byte
	}{
		"signed by another":    {second, leaf, path},
		"signed as another":    {string(log.checkpoint(6, noteSigner(t, "somebody", by.key))), leaf, path},
		"another text":         {strings.Replace(signed, "\n6\n", "\n5\n", 1), leaf, path},
		"text after it":        {signed + "more\n", leaf, path},
		"nothing":              {"", leaf, path},
		"larger than allowed":  {signed + strings.Repeat("— a AAAAAAA=\n", 10000), leaf, path},
		"a signature twice":    {signed + line, leaf, path},
		"two signatures":       {signed + string(flipped), leaf, path},
		"two of a stranger":    {second + signLines(t, second) + line, leaf, path},
		"too many signatures":  {signed + strangers(t, log, 32), leaf, path},
		"no dash":              {strings.Replace(signed, "— ", "", 1), leaf, path},
		"a signature of 0":     {signed + "— a AAAAAA==\n", leaf, path},
		"path of another leaf": {signed, leaf, log.path(by.index+1, 6)},
		"path in another tree": {signed, leaf, log.path(by.index, 5)},
		"no path":              {signed, leaf, nil},
		"a leaf of other type": {signed, log.leaves[0], log.path(0, 6)},
		"no leaf":              {signed, nil, path},
		"a leaf not in it":     {signed, newWorldWith(t, by).leaves[by.index], path},
	} {
		t.Run(name, func(t *testing.T) {
			if c, err := receipt.VerifyCheckpoint(tt.signed, tt.leaf, tt.path); err == nil {
				t.Errorf("was accepted: %+v", c)
			}
		})
	}
	t.Run("beside other signatures", func(t *testing.T) {
		for name, both := range map[string]string{
			"two": string(log.checkpoint(6, noteSigner(t, testOrigin, other), log.signer(by), note.Signer(cosigner(t, "alice.example")))),
			"32":  signed + strangers(t, log, 31),
		} {
			if _, err := receipt.VerifyCheckpoint(both, leaf, path); err != nil {
				t.Errorf("%s: %v", name, err)
			}
		}
	})
	t.Run("without its leaf it is not recorded", func(t *testing.T) {
		c, err := receipt.ParseCheckpoint(signed, by.open.CheckpointKey)
		if err != nil {
			t.Fatal(err)
		}
		trust := openTrust(t, t.TempDir())
		for _, c := range []*receipt.Checkpoint{c, {Origin: testOrigin, Size: 3}} {
			_, checked := trust.Check(t.Context(), c, nil, live)
			_, recorded := trust.Record(t.Context(), c, nil, live, now)
			_, trusted := trust.Trust(t.Context(), c, nil, live, receipt.VouchLive, now)
			if checked == nil || recorded == nil || trusted == nil {
				t.Errorf("got %v, %v, %v, want errors", checked, recorded, trusted)
			}
		}
		if known, err := trust.List(); err != nil || len(known) != 0 {
			t.Errorf("the store has %+v, %v", known, err)
		}
	})
}

// TestReadCheckpoint: the form is checked where no signature is verified.
func TestReadCheckpoint(t *testing.T) {
	w := newWorld(t)
	w.grow(5)
	good := string(w.checkpoint(5, cosigner(t, "alice.example")))
	if c, err := receipt.ReadCheckpoint(good); err != nil || c.Size != 5 || c.Note != good {
		t.Fatalf("%+v, %v", c, err)
	}
	text := strings.TrimSuffix(good, signLines(t, good))
	for name, signed := range map[string]string{
		"one line too large": text + "— a " + base64.StdEncoding.EncodeToString(make([]byte, receipt.MaxLogSize)) + "\n",
		"not UTF-8":          text + "— \xff AAAAAAAA\n",
		"a tree too large":   strings.Replace(good, "\n5\n", fmt.Sprintf("\n%d\n", protocol.MaxTreeSize+1), 1),
		"no dash":            strings.Replace(good, "— ", "", 1),
		"a signature of 0":   text + "— a AAAAAA==\n",
		"CR in a signature":  text + "— a AAAA\rAAAA\n",
	} {
		if c, err := receipt.ReadCheckpoint(signed); err == nil {
			t.Errorf("%s: %+v", name, c)
		}
	}
}

// TestEpochOfOtherKeys: a leaf whose epoch has not the id of its keys announces no key.
func TestEpochOfOtherKeys(t *testing.T) {
	w := newWorld(t)
	e := &epochKey{key: newKey(t), open: protocol.EpochOpen{Number: 1, ID: protocol.EpochID{1}}}
	copy(e.open.CheckpointKey[:], e.key.Public().(ed25519.PublicKey))
	e.index = w.append(&e.open)
	w.grow(2)
	if c, err := receipt.VerifyCheckpoint(string(w.checkpoint(3, w.signer(e))), w.leaves[e.index], w.path(e.index, 3)); err == nil {
		t.Errorf("was accepted: %+v", c)
	}
}

// newWorldWith makes another log in which the same key signs.
func newWorldWith(tb testing.TB, by *epochKey) *world {
	tb.Helper()
	w := newWorld(tb)
	w.grow(2)
	open := by.open
	open.Number++
	w.append(&open)
	return w
}

// strangers is n signature lines of as many keys.
func strangers(tb testing.TB, w *world, n int) string {
	tb.Helper()
	var lines strings.Builder
	for range n {
		note := string(w.checkpoint(6, noteSigner(tb, "stranger.example", newKey(tb))))
		lines.WriteString(signLines(tb, note))
	}
	return lines.String()
}

func BenchmarkVerify(b *testing.B) {
	s := sharedScene()
	r := s.receipt(s.open, s.second, s.withdrawals...)
	o := pinned(b, r)
	for b.Loop() {
		if p := receipt.Verify(context.Background(), r, o); !p.OK {
			b.Fatal(p)
		}
	}
}

// signLines returns the signature lines of a signed note.
func signLines(tb testing.TB, signed string) string {
	tb.Helper()
	_, lines, ok := strings.Cut(signed, "\n\n")
	if !ok {
		tb.Fatalf("not a signed note: %q", signed)
	}
	return lines
}

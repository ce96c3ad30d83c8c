package protocol_test

import (
	"testing"

	"golang.org/x/mod/sumdb/tlog"

	"github.com/terradourada/td/protocol"
)

// TestRange compares root and nodes at every size with the tree of x/mod. It
// then continues from the nodes of an existing tree.
func TestRange(t *testing.T) {
	var whole protocol.Range
	var hashes []tlog.Hash
	reader := tlog.HashReaderFunc(func(indexes []int64) ([]tlog.Hash, error) {
		out := make([]tlog.Hash, len(indexes))
		for i, x := range indexes {
			out[i] = hashes[x]
		}
		return out, nil
	})
	for n := range 70 {
		want, err := tlog.TreeHash(int64(n), reader)
		if err != nil {
			t.Fatal(err)
		}
		resumed, err := protocol.NewRange(whole.Size(), whole.Nodes())
		if err != nil {
			t.Fatal(err)
		}
		if whole.Size() != uint64(n) || whole.Root() != protocol.Digest(want) || resumed.Root() != protocol.Digest(want) {
			t.Fatalf("size %d: roots %v and %v, want %v", n, whole.Root(), resumed.Root(), protocol.Digest(want))
		}
		d := protocol.D("test", []byte{byte(n)})
		more, err := tlog.StoredHashes(int64(n), d[:], reader)
		if err != nil {
			t.Fatal(err)
		}
		hashes = append(hashes, more...)
		before, apart := whole.Root(), whole.Clone()
		whole.Append(protocol.LeafHash(d[:]))
		if apart.Root() != before {
			t.Fatalf("size %d: a clone changes with its original", n)
		}
	}
	for _, wrong := range []int{0, 1, 3, 64} {
		if _, err := protocol.NewRange(5, make([]protocol.Digest, wrong)); protocol.CodeOf(err) != protocol.CodeMalformedRequest {
			t.Errorf("a tree of 5 leaves with %d nodes: error = %v", wrong, err)
		}
	}
}

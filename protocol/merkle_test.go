package protocol_test

import (
	"testing"

	"golang.org/x/mod/sumdb/tlog"

	"github.com/terradourada/td/protocol"
)

// TestMerkleRoot holds the tree hash against the one of x/mod.
func TestMerkleRoot(t *testing.T) {
	var digests []protocol.Digest
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
		if got := protocol.MerkleRoot(digests); n > 0 && got != protocol.Digest(want) {
			t.Fatalf("%d digests: got root %v, want %v", n, got, protocol.Digest(want))
		}
		d := protocol.D("test", []byte{byte(n)})
		more, err := tlog.StoredHashes(int64(n), d[:], reader)
		if err != nil {
			t.Fatal(err)
		}
		hashes = append(hashes, more...)
		digests = append(digests, d)
	}
}

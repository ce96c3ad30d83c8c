package tiles

import (
	"fmt"

	"filippo.io/torchwood"
	"golang.org/x/mod/sumdb/tlog"

	"github.com/terradourada/td/protocol"
)

// Inclusion returns the inclusion path of a leaf in the tree of a size, index < size:
// PATH of RFC 6962 section 2.1.1.
func Inclusion(r tlog.HashReader, index, size uint64) ([][32]byte, error) {
	p, err := tlog.ProveRecord(int64(size), int64(index), r)
	return plain[[32]byte](p), err
}

// Prefix returns the hashes that show the tree of size from as the front part of the
// tree of size to, 0 < from <= to: SUBPROOF(from, D[0:to], false) of RFC 6962 section
// 2.1.2. Unlike the consistency proof of that section they hold the root of the
// smaller tree also where from is a power of two, so that both roots can be computed.
func Prefix(r tlog.HashReader, from, to uint64) ([][32]byte, error) {
	if from == 0 || from > to {
		return nil, fmt.Errorf("there is no proof from size %d to size %d", from, to)
	}
	p, err := tlog.ProveTree(int64(to), int64(from), r)
	if err == nil && (from == to || from&(from-1) == 0) {
		var root tlog.Hash
		root, err = tlog.TreeHash(int64(from), r)
		p = append(tlog.TreeProof{root}, p...)
	}
	return plain[[32]byte](p), err
}

// Range returns the compact range of the first n leaves.
func Range(r tlog.HashReader, n uint64) (protocol.Range, error) {
	if n >= protocol.MaxTreeSize { // torchwood would not return
		return protocol.Range{}, Malformed("no log has %d leaves", n)
	}
	hashes, err := r.ReadHashes(torchwood.RightEdge(int64(n)))
	if err != nil {
		return protocol.Range{}, err
	}
	return protocol.NewRange(n, plain[protocol.Digest](hashes))
}

// Leaves returns the hashes of the leaves from, from+1, ... of the tree of a size.
func Leaves(r tlog.HashReader, from, size uint64) ([]protocol.Digest, error) {
	indexes := make([]int64, 0, size-from)
	for ; from < size; from++ {
		indexes = append(indexes, tlog.StoredHashIndex(0, int64(from)))
	}
	hashes, err := r.ReadHashes(indexes)
	return plain[protocol.Digest](hashes), err
}

func plain[H ~[32]byte](hashes []tlog.Hash) []H {
	out := make([]H, len(hashes))
	for i, h := range hashes {
		out[i] = H(h)
	}
	return out
}

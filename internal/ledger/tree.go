package ledger

import (
	"math/bits"
	"slices"

	"golang.org/x/mod/sumdb/tlog"
)

// compactRange is the RFC 6962 tree over a prefix of the log, kept as the roots
// of its perfect subtrees, largest first. The zero value is the empty tree.
type compactRange struct {
	size  uint64
	nodes []tlog.Hash
}

// add appends one leaf hash.
func (r *compactRange) add(h tlog.Hash) {
	for range bits.TrailingZeros64(^r.size) { // as many merges as trailing ones
		last := len(r.nodes) - 1
		h = tlog.NodeHash(r.nodes[last], h)
		r.nodes = r.nodes[:last]
	}
	r.nodes = append(r.nodes, h)
	r.size++
}

// extended is a copy of r with the leaf hashes appended.
func (r *compactRange) extended(hashes []tlog.Hash) compactRange {
	c := compactRange{size: r.size, nodes: slices.Clone(r.nodes)}
	for _, h := range hashes {
		c.add(h)
	}
	return c
}

// root is the tree head hash of section 2.1 of RFC 6962.
func (r *compactRange) root() tlog.Hash {
	if r.size == 0 {
		h, _ := tlog.TreeHash(0, nil) // the hash of no bytes
		return h
	}
	last := len(r.nodes) - 1
	h := r.nodes[last]
	for _, n := range slices.Backward(r.nodes[:last]) {
		h = tlog.NodeHash(n, h)
	}
	return h
}

package protocol

import (
	"math/bits"
	"slices"

	"golang.org/x/mod/sumdb/tlog"
)

// Range is the compact range of an RFC 6962 tree: its size and the roots of its
// perfect subtrees, largest first. Nothing else is needed to append leaves and
// to compute the root. The zero value is the empty tree.
type Range struct {
	size  uint64
	nodes []Digest
}

// NewRange returns the range of a tree of this size with these nodes. It refuses
// a size above [MaxTreeSize], and any number of nodes but one for each bit set in
// the size.
func NewRange(size uint64, nodes []Digest) (Range, error) {
	if size > MaxTreeSize || len(nodes) != bits.OnesCount64(size) {
		return Range{}, Fail(CodeMalformedRequest, "a compact range has one node for each bit of its size")
	}
	return Range{size, slices.Clone(nodes)}, nil
}

// Size is the number of leaves.
func (r *Range) Size() uint64 { return r.size }

// Nodes returns the roots of the perfect subtrees, largest first.
func (r *Range) Nodes() []Digest { return slices.Clone(r.nodes) }

// Clone returns a copy that shares nothing with r.
func (r *Range) Clone() Range { return Range{r.size, slices.Clone(r.nodes)} }

// Append appends one leaf by its hash, see [LeafHash].
func (r *Range) Append(leafHash Digest) {
	h := tlog.Hash(leafHash)
	for range bits.TrailingZeros64(^r.size) { // as many merges as trailing ones
		last := len(r.nodes) - 1
		h = tlog.NodeHash(tlog.Hash(r.nodes[last]), h)
		r.nodes = r.nodes[:last]
	}
	r.nodes = append(r.nodes, Digest(h))
	r.size++
}

// Root is the tree head of RFC 6962 section 2.1.
func (r *Range) Root() Digest {
	if r.size == 0 {
		h, _ := tlog.TreeHash(0, nil) // the hash of no bytes
		return Digest(h)
	}
	last := len(r.nodes) - 1
	h := tlog.Hash(r.nodes[last])
	for _, n := range slices.Backward(r.nodes[:last]) {
		h = tlog.NodeHash(tlog.Hash(n), h)
	}
	return Digest(h)
}

// LeafHash is the hash of a leaf of an RFC 6962 tree: of the log, whose leaves
// are the encoded ones, and of the issued tree, whose leaves are digests.
func LeafHash(leaf []byte) Digest { return Digest(tlog.RecordHash(leaf)) }

// Package merkle is a SHA-256 tree over salted leaves whose number is a power of
// two, and the shortest common proof for a set of them.
//
// A leaf is SHA-256(0 ‖ salt[32] ‖ data), a node SHA-256(1 ‖ left ‖ right). The
// tree is heap-ordered: node 1 is the root, node i has the children 2i and 2i+1,
// and leaf j of n is node n+j.
//
// A proof for a set of leaves is the list of nodes that cannot be computed from
// the leaves: level by level, the leaves' own level first, ascending in each, the
// sibling of every known node whose sibling is not known. The set determines how
// many there are, so a verifier knows the length of a proof before it reads it.
package merkle

import (
	"crypto/sha256"
	"slices"
)

// Size is the length of a hash in bytes.
const Size = sha256.Size

// SaltSize is the length of a salt in bytes: it hides a leaf also against an
// attacker who tries all leaves of many proofs at once.
const SaltSize = 32

// Hash is a leaf or a node.
type Hash [Size]byte

// The first byte of a preimage says what is hashed. A caller builds the
// preimages of leaves in its own memory, where it can wipe them.
const (
	LeafPrefix = 0
	nodePrefix = 1
)

func node(left, right Hash) Hash {
	var b [1 + 2*Size]byte
	b[0] = nodePrefix
	copy(b[1:], left[:])
	copy(b[1+Size:], right[:])
	return sha256.Sum256(b[:])
}

// Tree is a tree with all its nodes.
type Tree []Hash

// New returns the tree over the leaves, whose number is a power of two.
func New(leaves []Hash) Tree {
	n := len(leaves)
	if n == 0 || n&(n-1) != 0 {
		panic("merkle: internal error: the number of leaves is no power of two")
	}
	t := make(Tree, 2*n)
	copy(t[n:], leaves)
	for i := n - 1; i >= 1; i-- {
		t[i] = node(t[2*i], t[2*i+1])
	}
	return t
}

// Root returns the root.
func (t Tree) Root() Hash { return t[1] }

// Prove returns the proof for a set of leaves, in any order.
func (t Tree) Prove(leaves []int) []Hash {
	var proof []Hash
	walk(len(t)/2, leaves, func(known, sibling int, both bool) {
		if !both {
			proof = append(proof, t[sibling])
		}
	})
	return proof
}

// ProofLength returns the number of nodes of the proof for a set of leaves of n.
func ProofLength(n int, leaves []int) int {
	length := 0
	walk(n, leaves, func(_, _ int, both bool) {
		if !both {
			length++
		}
	})
	return length
}

// Root returns the root of the tree of n leaves that has the given leaves at the
// given positions and the proof for them. It reports false if the proof is
// shorter or longer than the set determines. Positions are below n and differ.
func Root(n int, positions []int, leaves, proof []Hash) (Hash, bool) {
	known := make(map[int]Hash, 2*len(positions))
	for i, p := range positions {
		known[n+p] = leaves[i]
	}
	complete := true
	walk(n, positions, func(i, sibling int, both bool) {
		if !both {
			if len(proof) == 0 {
				complete = false
				return
			}
			known[sibling], proof = proof[0], proof[1:]
		}
		known[i/2] = node(known[i&^1], known[i|1])
	})
	return known[1], complete && len(proof) == 0 && len(positions) > 0
}

// walk visits the pairs of nodes below every node that the leaves determine, in
// the order of a proof. Of a pair, i is the smaller known node, and both says
// whether its sibling is known as well.
func walk(n int, leaves []int, visit func(i, sibling int, both bool)) {
	level := make([]int, len(leaves))
	for i, j := range leaves {
		if j < 0 || j >= n {
			panic("merkle: internal error: no such leaf")
		}
		level[i] = n + j
	}
	slices.Sort(level)
	if len(slices.Compact(slices.Clone(level))) != len(level) {
		panic("merkle: internal error: a leaf is named twice")
	}
	for len(level) > 0 && level[0] > 1 {
		above := level[:0]
		for i := 0; i < len(level); i++ {
			at := level[i]
			both := i+1 < len(level) && level[i+1] == at^1
			visit(at, at^1, both)
			if both {
				i++
			}
			above = append(above, at/2)
		}
		level = above
	}
}

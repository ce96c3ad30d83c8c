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

import "crypto/sha256"

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
	for _, i := range missing(len(t)/2, leaves) {
		proof = append(proof, t[i])
	}
	return proof
}

// ProofLength returns the number of nodes of the proof for a set of leaves of n.
func ProofLength(n int, leaves []int) int { return len(missing(n, leaves)) }

// Root returns the root of the tree of n leaves that has the given leaves at the
// given positions and the proof for them. It reports false if the proof is
// shorter or longer than the set determines. Positions are below n and differ.
func Root(n int, positions []int, leaves, proof []Hash) (Hash, bool) {
	path := missing(n, positions)
	if len(proof) != len(path) || len(positions) == 0 {
		return Hash{}, false
	}
	known := make(map[int]Hash, 2*len(positions))
	for i, p := range positions {
		known[n+p] = leaves[i]
	}
	for i, at := range path {
		known[at] = proof[i]
	}
	for i := 2*n - 1; i > 1; i -= 2 { // the right children, from the leaves up
		if right, ok := known[i]; ok {
			known[i/2] = node(known[i-1], right)
		}
	}
	return known[1], true
}

// missing returns the nodes of the proof for a set of leaves of n.
func missing(n int, leaves []int) (nodes []int) {
	known := make([]bool, 2*n)
	for _, j := range leaves {
		if j < 0 || j >= n || known[n+j] {
			panic("merkle: internal error: no such leaf, or one that is named twice")
		}
		known[n+j] = true
	}
	for level := n; level > 1; level /= 2 {
		for i := level; i < 2*level; i++ {
			if known[i^1] && !known[i] {
				nodes = append(nodes, i)
			}
			known[i/2] = known[i/2] || known[i]
		}
	}
	return nodes
}

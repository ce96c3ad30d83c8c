package claims

import (
	"slices"

	"github.com/terradourada/td/proof/circuit"
	"github.com/terradourada/td/proof/field"
	"github.com/terradourada/td/proof/poseidon"
)

const (
	memberID = "group/1"
	// MaxDepth is the greatest depth of a list: 131,072 members.
	MaxDepth = 17
)

// Member says: I hold the secret sk of a member C(sk, 1) of the list with this
// root, and Nullifier = C(sk, Scope). The commitment is bound, not opened.
type Member struct {
	Commitment, Root, Scope, Nullifier Digest
	Depth                              int
}

// one is the digest 1, 0, .. 0.
var one = Digest{field.One}

// MemberOf returns the member of a secret.
func MemberOf(sk Digest) Digest { return poseidon.Compress(sk, one) }

// Tree is the Merkle tree over members. Places behind the last one are empty: a
// digest of zeros, of which no secret is known.
type Tree struct {
	depth  int
	levels [][]Digest
}

// NewTree returns the tree over these members, up to 2^17, in any order.
func NewTree(members []Digest) (*Tree, error) {
	l := &Tree{depth: 1}
	for ; 1<<l.depth < len(members); l.depth++ {
		if l.depth == MaxDepth {
			return nil, ErrStatement
		}
	}
	level := append(slices.Clone(members), make([]Digest, 1<<l.depth-len(members))...)
	for ; ; level = above(level) {
		l.levels = append(l.levels, level)
		if len(level) == 1 {
			return l, nil
		}
	}
}

func above(level []Digest) []Digest {
	nodes := make([]Digest, len(level)/2)
	for i := range nodes {
		nodes[i] = poseidon.Compress(level[2*i], level[2*i+1])
	}
	return nodes
}

// Root returns the root.
func (l *Tree) Root() Digest { return l.levels[l.depth][0] }

// NewMember returns the witness of a member of a tree. Its place shows in the
// memory that is read.
func NewMember(cm, scope, sk Digest, l *Tree) (*Witness, error) {
	place := -1
	member := MemberOf(sk)
	for i, m := range l.levels[0] {
		if m == member {
			place = i
		}
	}
	if place < 0 {
		return nil, ErrStatement
	}
	s := Member{cm, l.Root(), scope, poseidon.Compress(sk, scope), l.depth}
	secrets := flat(nil, sk)
	for level := range l.depth {
		at := place >> level
		secrets = append(secrets, field.New(uint64(at&1)))
		secrets = flat(secrets, l.levels[level][at^1])
	}
	return newWitness(s, secrets), nil
}

// Check wants a depth that lists can have, and a scope whose nullifiers are not
// the members themselves.
func (s Member) Check() error {
	if s.Depth < 1 || s.Depth > MaxDepth || s.Scope == one {
		return ErrStatement
	}
	return nil
}

func (s Member) commitment() Digest { return s.Commitment }

func (s Member) shape() shape { return shape{memberID, s.Depth, 0} }

func (s Member) public() []field.Element {
	return flat(nil, s.Commitment, s.Root, s.Scope, s.Nullifier)
}

func (s Member) define(b *circuit.Builder) {
	b.PublicDigest() // the commitment is bound by the transcript
	root, scope, nullifier := b.PublicDigest(), b.PublicDigest(), b.PublicDigest()
	sk := b.SecretDigest()
	node := b.Compress(sk, circuit.Digest{circuit.Constant(field.One)})
	for range s.Depth {
		right := b.Bit()
		sibling := b.SecretDigest()
		left := b.Select(right, node, sibling)
		node = b.Compress(left, node.Plus(sibling).Minus(left))
	}
	b.EqualDigests(node, root)
	b.EqualDigests(b.Compress(sk, scope), nullifier)
}

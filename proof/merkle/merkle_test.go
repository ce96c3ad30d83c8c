package merkle_test

import (
	"crypto/sha256"
	"fmt"
	"math/bits"
	"slices"
	"strings"
	"testing"

	"github.com/terradourada/td/proof/merkle"
)

func leaves(n int) []merkle.Hash {
	l := make([]merkle.Hash, n)
	for i := range l {
		l[i] = sha256.Sum256([]byte{byte(i), byte(i >> 8)})
	}
	return l
}

// naive is the root by the definition.
func naive(l []merkle.Hash) merkle.Hash {
	if len(l) == 1 {
		return l[0]
	}
	left, right := naive(l[:len(l)/2]), naive(l[len(l)/2:])
	return sha256.Sum256(slices.Concat([]byte{1}, left[:], right[:]))
}

func members(set uint) (m []int) {
	for ; set != 0; set &= set - 1 {
		m = append(m, bits.TrailingZeros(set))
	}
	return m
}

func of(l []merkle.Hash, positions []int) (some []merkle.Hash) {
	for _, p := range positions {
		some = append(some, l[p])
	}
	return some
}

func TestTreeRoot(t *testing.T) {
	for n := 1; n <= 64; n *= 2 {
		if l := leaves(n); merkle.New(l).Root() != naive(l) {
			t.Errorf("n = %d: another root", n)
		}
	}
}

// TestEverySet proves every set of leaves of small trees, in two orders, and
// refuses every proof that is too short, too long, or has a node changed.
func TestEverySet(t *testing.T) {
	for n := 1; n <= 8; n *= 2 {
		l := leaves(n)
		tree := merkle.New(l)
		for set := uint(1); set < 1<<n; set++ {
			p := members(set)
			proof := tree.Prove(p)
			if got := merkle.ProofLength(n, p); got != len(proof) {
				t.Fatalf("n = %d, set %b: length %d, want %d", n, set, got, len(proof))
			}
			if len(proof) != minimal(n, set) {
				t.Fatalf("n = %d, set %b: %d nodes, want %d", n, set, len(proof), minimal(n, set))
			}
			reversed := slices.Clone(p)
			slices.Reverse(reversed)
			if !slices.Equal(tree.Prove(reversed), proof) {
				t.Fatalf("n = %d, set %b: the order of the positions changes the proof", n, set)
			}
			accepted := func(positions []int, some, proof []merkle.Hash) bool {
				root, ok := merkle.Root(n, positions, some, proof)
				return ok && root == tree.Root()
			}
			if !accepted(p, of(l, p), proof) || !accepted(reversed, of(l, reversed), proof) {
				t.Fatalf("n = %d, set %b: refused", n, set)
			}
			if accepted(p, of(l, p), append(slices.Clone(proof), merkle.Hash{})) {
				t.Fatalf("n = %d, set %b: a node too many is accepted", n, set)
			}
			// A root of zeros would be that of a tree whose computation was given up.
			for short := range proof {
				if _, ok := merkle.Root(n, p, of(l, p), proof[:short]); ok {
					t.Fatalf("n = %d, set %b: %d nodes are accepted", n, set, short)
				}
			}
			for i := range proof {
				bad := slices.Clone(proof)
				bad[i][7] ^= 1
				if accepted(p, of(l, p), bad) {
					t.Fatalf("n = %d, set %b: node %d changed is accepted", n, set, i)
				}
			}
			for i := range p {
				bad := of(l, p)
				bad[i][7] ^= 1
				if accepted(p, bad, proof) {
					t.Fatalf("n = %d, set %b: leaf %d changed is accepted", n, set, i)
				}
			}
		}
	}
}

// minimal is the number of maximal subtrees without a leaf of the set.
func minimal(n int, set uint) int {
	if set == 0 {
		return 1
	}
	if n == 1 {
		return 0
	}
	half := n / 2
	low := set & (1<<half - 1)
	return minimal(half, low) + minimal(half, set>>half)
}

func TestEmptySet(t *testing.T) {
	tree := merkle.New(leaves(4))
	if _, ok := merkle.Root(4, nil, nil, nil); ok || len(tree.Prove(nil)) != 0 {
		t.Error("a proof for no leaf")
	}
}

func TestRefuses(t *testing.T) {
	for name, f := range map[string]func(){
		"no leaves":    func() { merkle.New(nil) },
		"three leaves": func() { merkle.New(leaves(3)) },
		"position 4":   func() { merkle.ProofLength(4, []int{4}) },
		"position -1":  func() { merkle.ProofLength(4, []int{-1}) },
		"twice":        func() { merkle.ProofLength(4, []int{1, 2, 1}) },
	} {
		t.Run(name, func(t *testing.T) {
			defer func() {
				if text := fmt.Sprint(recover()); !strings.HasPrefix(text, "merkle: internal error: ") {
					t.Errorf("panic: %s", text)
				}
			}()
			f()
		})
	}
}

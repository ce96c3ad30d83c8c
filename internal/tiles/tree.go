// Package tiles reads the tiles and entry bundles of a log (C2SP tlog-tiles), makes
// the proofs of its Merkle tree (RFC 6962), and computes that tree from the leaves.
//
// [Reader] reads files wherever [Files] finds them: in a directory, on a server, or in
// a copy that is still being made. [Inclusion], [Prefix], [Range] and [Leaves] use the
// hashes that it returns, verified against a root by [Reader.Verified] or as they are
// by [Reader.Hashes]. [Tree] is the tree of a log that is read leaf by leaf.
package tiles

import "github.com/terradourada/td/protocol"

// Tree is the tree of a log that is read leaf by leaf. It computes the roots of all
// its earlier sizes, and keeps about 35 bytes for each leaf. The zero value is the
// empty tree.
type Tree struct {
	leaves []protocol.Digest
	now    protocol.Range
	marks  []protocol.Range // after every Width leaves, from 0
}

// Size returns the number of leaves.
func (t *Tree) Size() uint64 { return t.now.Size() }

// Append appends one leaf by its hash, see [protocol.LeafHash].
func (t *Tree) Append(leafHash protocol.Digest) {
	if t.Size()%Width == 0 {
		t.marks = append(t.marks, t.now.Clone())
	}
	t.leaves = append(t.leaves, leafHash)
	t.now.Append(leafHash)
}

// Root returns the root of the tree.
func (t *Tree) Root() protocol.Digest { return t.now.Root() }

// RootAt returns the root that the tree had with its first size leaves. The size is
// at most [Tree.Size].
func (t *Tree) RootAt(size uint64) protocol.Digest {
	if size == t.Size() {
		return t.Root()
	}
	r := t.marks[size/Width].Clone()
	for _, h := range t.leaves[r.Size():size] {
		r.Append(h)
	}
	return r.Root()
}

// Tiles calls each with the hashes of every tile, level by level from the leaves. It
// stops at the first error and returns it.
func (t *Tree) Tiles(each func(level int, n uint64, hashes []protocol.Digest) error) error {
	for level, row := 0, t.leaves; len(row) > 0; level++ {
		var up []protocol.Digest
		for i := 0; i < len(row); i += Width {
			tile := row[i:min(i+Width, len(row))]
			if err := each(level, uint64(i/Width), tile); err != nil {
				return err
			}
			if len(tile) == Width {
				up = append(up, Root(tile))
			}
		}
		row = up
	}
	return nil
}

// Root returns the hash over nodes of one level.
func Root(nodes []protocol.Digest) protocol.Digest {
	var r protocol.Range
	for _, n := range nodes {
		r.Append(n)
	}
	return r.Root()
}

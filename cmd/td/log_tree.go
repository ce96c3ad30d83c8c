package main

import "github.com/terradourada/td/protocol"

// leafTree is the tree of a log (RFC 6962) that is read leaf by leaf, with the roots
// of all its earlier sizes. It takes some 35 bytes for each leaf.
type leafTree struct {
	leaves []protocol.Digest
	now    protocol.Range
	marks  []protocol.Range // after every bundleWidth leaves, from 0
}

func (t *leafTree) size() uint64 { return t.now.Size() }

func (t *leafTree) add(leafHash protocol.Digest) {
	if t.size()%bundleWidth == 0 {
		t.marks = append(t.marks, t.now.Clone())
	}
	t.leaves = append(t.leaves, leafHash)
	t.now.Append(leafHash)
}

func (t *leafTree) root() protocol.Digest { return t.now.Root() }

// rootAt is the root when the tree had size leaves, at most as many as now.
func (t *leafTree) rootAt(size uint64) protocol.Digest {
	if size == t.size() {
		return t.root()
	}
	r := t.marks[size/bundleWidth].Clone()
	for _, h := range t.leaves[r.Size():size] {
		r.Append(h)
	}
	return r.Root()
}

// tiles calls each with the hashes of every tile (C2SP tlog-tiles), level by
// level from the leaves.
func (t *leafTree) tiles(each func(level int, n uint64, hashes []protocol.Digest) error) error {
	for level, row := 0, t.leaves; len(row) > 0; level++ {
		var up []protocol.Digest
		for i := 0; i < len(row); i += bundleWidth {
			tile := row[i:min(i+bundleWidth, len(row))]
			if err := each(level, uint64(i/bundleWidth), tile); err != nil {
				return err
			}
			if len(tile) == bundleWidth {
				up = append(up, rootOf(tile))
			}
		}
		row = up
	}
	return nil
}

// rootOf is the hash over nodes of one level.
func rootOf(nodes []protocol.Digest) protocol.Digest {
	var r protocol.Range
	for _, n := range nodes {
		r.Append(n)
	}
	return r.Root()
}

package tiles_test

import (
	"crypto/sha256"
	"fmt"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/terradourada/td/internal/tiles"
	"github.com/terradourada/td/protocol"
)

// TestTree compares the roots of all sizes and the tiles with the definition
// of RFC 6962.
func TestTree(t *testing.T) {
	var tr tiles.Tree
	var hashes []protocol.Digest
	at := map[int]protocol.Digest{}
	for size := range 66_001 {
		switch size {
		case 0, 1, 2, 3, 255, 256, 257, 511, 512, 513, 1000, 65_536, 65_537, 66_000:
			if got, want := tr.Root(), slowRoot(hashes); got != want {
				t.Errorf("size %d: root %s, want %s", size, got, want)
			}
			at[size] = tr.Root()
		}
		hashes = append(hashes, protocol.LeafHash(fmt.Append(nil, size)))
		tr.Append(hashes[size])
	}
	for size, want := range at {
		if got := tr.RootAt(uint64(size)); got != want {
			t.Errorf("size %d of %d: root %s, want %s", size, tr.Size(), got, want)
		}
	}
	counts := map[string]int{}
	err := tr.Tiles(func(level int, n uint64, tile []protocol.Digest) error {
		counts[fmt.Sprintf("%d:%d", level, len(tile))]++
		first := int(n) * tiles.Width << (8 * level)
		width := 1 << (8 * level)
		if got, want := tile[0], slowRoot(hashes[first:first+width]); got != want {
			t.Errorf("tile %d of level %d begins with %s, want %s", n, level, got, want)
		}
		return nil
	})
	if want := map[string]int{"0:256": 257, "0:209": 1, "1:256": 1, "1:1": 1, "2:1": 1}; err != nil || !cmp.Equal(counts, want) {
		t.Errorf("tiles %v, %v", counts, err)
	}
}

func slowRoot(hashes []protocol.Digest) protocol.Digest {
	switch len(hashes) {
	case 0:
		return sha256.Sum256(nil)
	case 1:
		return hashes[0]
	}
	k := 1
	for 2*k < len(hashes) {
		k *= 2
	}
	left, right := slowRoot(hashes[:k]), slowRoot(hashes[k:])
	return sha256.Sum256(append(append([]byte{1}, left[:]...), right[:]...))
}

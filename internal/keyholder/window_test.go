package keyholder_test

import (
	"testing"

	"pgregory.net/rapid"

	"github.com/terradourada/td/internal/keyholder"
)

// The window against a set of everything that was ever taken.
func TestWindow(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var w keyholder.Window
		taken := make(map[uint64]bool)
		highest := uint64(0)
		near := rapid.Uint64Range(0, 8)
		for range rapid.IntRange(1, 200).Draw(t, "steps") {
			seq := rapid.OneOf(
				rapid.Map(near, func(n uint64) uint64 { return highest + n }),
				rapid.Map(near, func(n uint64) uint64 { return highest - n }),
				rapid.Map(near, func(n uint64) uint64 { return highest - keyholder.WindowSize + 4 - n }),
				rapid.Map(near, func(n uint64) uint64 { return highest + keyholder.WindowSize - 4 + n }),
				rapid.Uint64Range(0, 3*keyholder.WindowSize),
				rapid.Uint64(),
			).Draw(t, "seq")
			old := seq <= highest && highest-seq >= keyholder.WindowSize
			want := seq != 0 && !taken[seq] && !old
			if got := w.Take(seq); got != want {
				t.Fatalf("Take(%d) = %t after %d, want %t", seq, got, highest, want)
			}
			if want {
				taken[seq] = true
				highest = max(highest, seq)
			}
		}
	})
}

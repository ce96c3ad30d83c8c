package server

import (
	"slices"
	"testing"
)

// TestLine compares the line of connections without work with a slice.
func TestLine(t *testing.T) {
	var l line
	var want []*seat
	seats := make([]seat, 5)
	for _, step := range []int{0, 1, 2, 1, 3, 0, 4, 4, 2, 3, 1, 0, 2, 0, 2, 1} { // pushes a seat, or removes one that is in the line
		s := &seats[step]
		if at := slices.Index(want, s); at >= 0 {
			l.remove(s)
			want = slices.Delete(want, at, at+1)
		} else {
			l.push(s)
			want = append(want, s)
		}
		var forth, back []*seat
		for s := l.first; s != nil; s = s.after {
			forth = append(forth, s)
		}
		for s := l.last; s != nil; s = s.before {
			back = append(back, s)
		}
		slices.Reverse(back)
		if !slices.Equal(forth, want) || !slices.Equal(back, want) {
			t.Fatalf("after %d: %p and %p, want %p", step, forth, back, want)
		}
		for i := range seats {
			if seats[i].waits != slices.Contains(want, &seats[i]) {
				t.Fatalf("after %d: seat %d waits: %v", step, i, seats[i].waits)
			}
		}
	}
}

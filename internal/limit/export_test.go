package limit

import (
	"slices"
	"time"
)

// Live counts the buckets that are not full.
func Live(l *Limits, now time.Time) (n int) {
	for _, t := range slices.Concat(l.prefixes[:], l.failed[:], l.totals[:], []*table{l.keys, l.global}) {
		for _, set := range t.sets {
			for _, b := range set {
				if b.until > l.at(now) {
					n++
				}
			}
		}
	}
	return n
}

// FillAddresses fills the table of addresses with live buckets.
func FillAddresses(l *Limits, now time.Time) {
	for i := range l.prefixes[0].sets {
		for j := range l.prefixes[0].sets[i] {
			l.prefixes[0].sets[i][j] = bucket{key: uint64(i*ways + j), until: l.at(now.Add(time.Hour))}
		}
	}
}

package limit

import "time"

// FillAddresses fills the table of addresses with live buckets.
func FillAddresses(l *Limits, now time.Time) {
	for i := range l.prefixes[0].sets {
		for j := range l.prefixes[0].sets[i] {
			l.prefixes[0].sets[i][j] = bucket{key: uint64(i*ways + j), until: l.at(now.Add(time.Hour))}
		}
	}
}

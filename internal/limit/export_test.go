package limit

import (
	"net/netip"
	"time"
)

// SubjectOf returns the subject that a source itself is: its client or its address.
func SubjectOf(s Source) Subject {
	if s.Client != "" {
		return Subject{Client: s.Client}
	}
	a := plain(s.Addr)
	if !a.IsValid() {
		return Subject{}
	}
	return Subject{Prefix: netip.PrefixFrom(a, prefixBits(a)[0]).Masked()}
}

// FillAddresses fills the table of addresses with live buckets.
func FillAddresses(l *Limits, now time.Time) {
	for i := range l.prefixes[0].sets {
		for j := range l.prefixes[0].sets[i] {
			l.prefixes[0].sets[i][j] = bucket{key: uint64(i*ways + j), until: l.at(now.Add(time.Hour))}
		}
	}
}

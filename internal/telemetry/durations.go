package telemetry

import (
	"math/bits"
	"time"
)

// Durations counts durations in buckets, eight for each doubling of a microsecond, so that a
// quantile is right within a tenth. The last bucket has all that are longer than 19 hours.
type Durations struct {
	buckets [8 * 36]uint32
	n       int
}

// Add counts a duration.
func (d *Durations) Add(took time.Duration) {
	us := uint64(max(took.Microseconds(), 1))
	power := bits.Len64(us) - 1
	eighth := int(us<<3>>power) & 7
	d.buckets[min(8*power+eighth, len(d.buckets)-1)]++
	d.n++
}

// Count returns how many durations were added.
func (d *Durations) Count() int { return d.n }

// Quantile returns a quantile in seconds: the middle of its bucket, and 0 without durations.
func (d *Durations) Quantile(q float64) float64 {
	rank := int(q * float64(d.n))
	for i, n := range d.buckets {
		if rank -= int(n); rank < 0 {
			return float64(uint64(1)<<(i/8)) * (1 + (float64(i%8)+0.5)/8) / 1e6
		}
	}
	return 0
}

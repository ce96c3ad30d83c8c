package anomaly

import (
	"cmp"
	"math"
	"math/bits"
	"slices"
)

// heavy counts how often keys occur, for the keys that occur most, by the Space-Saving
// algorithm: a newcomer replaces the key with the lowest count and takes that count over.
// No count is too low. One is too high by the count that was taken over at most, and each
// key with more than total/size occurrences is kept. The key 0 means that no value is known;
// it is counted in total alone.
type heavy struct {
	total uint32
	keys  []uint64
	count []uint32
	over  []uint32 // by how much a count may be too high
}

// add adds occurrences of a key to the size most frequent.
func (h *heavy) add(key uint64, n uint32, size int) { h.merge(key, n, 0, size) }

func (h *heavy) merge(key uint64, n, over uint32, size int) {
	h.total += n
	if key == 0 {
		return
	}
	if i := slices.Index(h.keys, key); i >= 0 {
		h.count[i] += n
		h.over[i] += over
		return
	}
	if len(h.keys) < size {
		h.keys, h.count, h.over = append(h.keys, key), append(h.count, n), append(h.over, over)
		return
	}
	least := 0
	for i, c := range h.count {
		if c < h.count[least] {
			least = i
		}
	}
	h.keys[least], h.over[least] = key, h.count[least]+over
	h.count[least] += n
}

// join adds what another one has counted.
func (h *heavy) join(o *heavy, size int) {
	named := uint32(0)
	for i, key := range o.keys {
		h.merge(key, o.count[i], o.over[i], size)
		named += o.count[i]
	}
	// Occurrences without a key.
	if o.total > named {
		h.total += o.total - named
	}
}

// scale multiplies all counts, and drops the keys of which none is left.
func (h *heavy) scale(factor float64) {
	h.total = uint32(float64(h.total) * factor)
	kept := 0
	for i := range h.keys {
		if n := uint32(math.Round(float64(h.count[i]) * factor)); n > 0 {
			h.keys[kept], h.count[kept], h.over[kept] = h.keys[i], n, min(n, uint32(float64(h.over[i])*factor))
			kept++
		}
	}
	h.keys, h.count, h.over = h.keys[:kept], h.count[:kept], h.over[:kept]
}

// most returns the count of a key that it has at the least and at the most.
func (h *heavy) of(key uint64, size int) (least, most uint32) {
	if i := slices.Index(h.keys, key); i >= 0 {
		return h.count[i] - h.over[i], h.count[i]
	}
	if len(h.keys) < size {
		return 0, 0
	}
	return 0, slices.Min(h.count)
}

// top returns the key of which most occurrences are certain, and their number.
func (h *heavy) top() (key uint64, least uint32) {
	for i := range h.keys {
		if n := h.count[i] - h.over[i]; n > least {
			key, least = h.keys[i], n
		}
	}
	return key, least
}

// distinct estimates how many different hashes it has seen, by HyperLogLog with 2048
// registers: the standard error is 2.3 %. Up to 128 hashes are kept, and the number is
// exact. The hashes must be keyed: with a public hash a client could choose inputs that
// inflate the estimate.
type distinct struct {
	few       []uint64 // in order; unused once there are registers
	registers []uint8
}

const (
	registerBits = 11
	registers    = 1 << registerBits
	mostFew      = 128
)

func (d *distinct) add(hash uint64) {
	if d.registers != nil {
		d.register(hash)
		return
	}
	i, known := slices.BinarySearch(d.few, hash)
	if known {
		return
	}
	if len(d.few) < mostFew {
		d.few = slices.Insert(d.few, i, hash)
		return
	}
	d.dense()
	d.register(hash)
}

// dense replaces the hashes by registers.
func (d *distinct) dense() {
	d.registers = make([]uint8, registers)
	for _, h := range d.few {
		d.register(h)
	}
	d.few = nil
}

func (d *distinct) register(hash uint64) {
	r := &d.registers[hash>>(64-registerBits)]
	*r = max(*r, uint8(bits.LeadingZeros64(hash<<registerBits|1<<(registerBits-1))+1))
}

// join adds what another one has seen.
func (d *distinct) join(o *distinct) {
	for _, h := range o.few {
		d.add(h)
	}
	if o.registers == nil {
		return
	}
	if d.registers == nil {
		d.dense()
	}
	for i, r := range o.registers {
		d.registers[i] = max(d.registers[i], r)
	}
}

// estimate returns the number of different hashes.
func (d *distinct) estimate() float64 {
	if d.registers == nil {
		return float64(len(d.few))
	}
	const m = float64(registers)
	sum, empty := 0.0, 0
	for _, r := range d.registers {
		sum += math.Ldexp(1, -int(r))
		if r == 0 {
			empty++
		}
	}
	e := 0.7213 / (1 + 1.079/m) * m * m / sum
	if e < 2.5*m && empty > 0 {
		return m * math.Log(m/float64(empty))
	}
	return e
}

// surprise returns the G-statistic of k of n against a share, 0 unless k is more than that
// share. It is twice the log-likelihood ratio, and about a squared normal deviate.
func surprise(k, n, share float64) float64 {
	share = min(max(share, 1e-9), 1-1e-9)
	if n == 0 || k/n <= share {
		return 0
	}
	g := k * math.Log(k/(n*share))
	if k < n {
		g += (n - k) * math.Log((n-k)/(n*(1-share)))
	}
	return 2 * g
}

// chance returns the probability of a G-statistic at least this large by accident, among a
// number of comparisons (Bonferroni).
func chance(g float64, comparisons float64) float64 {
	return min(1, comparisons*math.Erfc(math.Sqrt(g/2))/2)
}

// excess returns by how many standard deviations a number of failures is above what is
// expected, if the variance is a multiple of the mean.
func excess(seen, expected, dispersion float64) float64 {
	if seen <= expected {
		return 0
	}
	// Of Poisson's likelihood rather than the normal one: it does not overstate small means.
	expected = max(expected, 1e-9)
	return math.Sqrt(2 * (seen*math.Log(seen/expected) - (seen - expected)) / dispersion)
}

// ranked returns the indexes of the largest values first.
func ranked(values []float64) []int {
	order := make([]int, len(values))
	for i := range order {
		order[i] = i
	}
	slices.SortStableFunc(order, func(a, b int) int { return cmp.Compare(values[b], values[a]) })
	return order
}

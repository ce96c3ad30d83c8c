package claims

import (
	"github.com/terradourada/td/proof/circuit"
	"github.com/terradourada/td/proof/field"
	"github.com/terradourada/td/proof/poseidon"
)

const (
	rangeID = "range/1"
	sumID   = "sum/1"

	valueBits    = 32
	sumCarryBits = 4
	sumBits      = valueBits + sumCarryBits // of the sum and its bounds
	packedBits   = 28                       // in an element

	// RangeValues is the greatest number of values of a [Range]: as many as a
	// digest holds.
	RangeValues = 7
	// SumValues is the greatest number of values of a [Sum].
	SumValues = 2 * RangeValues
)

// Range says: each value behind the commitment lies in its own interval. Further
// values are 0.
type Range struct {
	Commitment Digest
	Intervals  []Interval
}

// Interval has the values from Lo to Hi.
type Interval struct{ Lo, Hi uint32 }

// Sum says: the sum of the first Count values behind the commitment lies in [Lo,
// Hi]. Further values are 0.
type Sum struct {
	Commitment Digest
	Count      int
	Lo, Hi     uint64
}

// NewRange commits to the event element e and as many values as there are
// intervals, with the blind r.
func NewRange(e, r Digest, values []uint32, intervals []Interval) *Witness {
	s := Range{Intervals: intervals}
	if s.Check() != nil || len(values) != len(intervals) { // nothing can be proved
		return newWitness(s, nil)
	}
	var secrets []field.Element
	for i, v := range values {
		secrets = circuit.BitSecrets(secrets, uint64(v), valueBits)
		secrets = circuit.AtMostSecrets(secrets, uint64(intervals[i].Lo), uint64(v), valueBits)
		secrets = circuit.AtMostSecrets(secrets, uint64(v), uint64(intervals[i].Hi), valueBits)
	}
	h := poseidon.Compress(e, r)
	s.Commitment = commit(rangeID, h, pack(values))
	return newWitness(s, flat(secrets, h))
}

// NewSum is [NewRange] for the sum of the values.
func NewSum(e, r Digest, values []uint32, lo, hi uint64) *Witness {
	s := Sum{Count: len(values), Lo: lo, Hi: hi}
	if s.Check() != nil {
		return newWitness(s, nil)
	}
	var secrets []field.Element
	wide, sum := make([]uint64, len(values)), uint64(0)
	for i, v := range values {
		secrets = circuit.BitSecrets(secrets, uint64(v), valueBits)
		wide[i] = uint64(v)
		sum += wide[i]
	}
	secrets = circuit.SumSecrets(secrets, wide, 2, sumCarryBits)
	secrets = circuit.AtMostSecrets(secrets, lo, sum, sumBits)
	secrets = circuit.AtMostSecrets(secrets, sum, hi, sumBits)
	h := poseidon.Compress(e, r)
	split := min(len(values), RangeValues)
	s.Commitment = commit(sumID, h, poseidon.Compress(pack(values[:split]), pack(values[split:])))
	return newWitness(s, flat(secrets, h))
}

// pack returns the digest of up to 7 values: their bits one after another, the
// lowest first, of which each element has 28.
func pack(values []uint32) (d Digest) {
	bits := make([]field.Element, 0, packedBits*len(d))
	for _, v := range values {
		bits = circuit.BitSecrets(bits, uint64(v), valueBits)
	}
	for i, bit := range bits {
		d[i/packedBits] = d[i/packedBits].Add(bit.Mul(field.New(1 << (i % packedBits))))
	}
	return d
}

// packBits is pack in a circuit.
func packBits(bits []circuit.Value) (d circuit.Digest) {
	for i := range d {
		n := min(packedBits, len(bits))
		d[i], bits = circuit.Number(bits[:n]), bits[n:]
	}
	return d
}

// Check wants 1 to 7 intervals, none of them empty.
func (s Range) Check() error {
	if len(s.Intervals) < 1 || len(s.Intervals) > RangeValues {
		return ErrStatement
	}
	for _, i := range s.Intervals {
		if i.Lo > i.Hi {
			return ErrStatement
		}
	}
	return nil
}

func (s Range) commitment() Digest { return s.Commitment }

func (s Range) shape() shape { return shape{rangeID, len(s.Intervals), 0} }

func (s Range) public() []field.Element {
	public := flat(nil, s.Commitment)
	for _, i := range s.Intervals {
		public = circuit.LimbPublics(public, uint64(i.Lo), valueBits)
		public = circuit.LimbPublics(public, uint64(i.Hi), valueBits)
	}
	return public
}

func (s Range) define(b *circuit.Builder) {
	cm := b.PublicDigest()
	var all []circuit.Value
	for range s.Intervals {
		lo, hi := b.PublicLimbs(valueBits), b.PublicLimbs(valueBits)
		bits := b.Bits(valueBits)
		v := circuit.ToLimbs(bits)
		b.AtMost(lo, v, valueBits)
		b.AtMost(v, hi, valueBits)
		all = append(all, bits...)
	}
	constrainCommitment(b, rangeID, b.SecretDigest(), packBits(all), cm)
}

// Check wants 1 to 14 values, and an interval of sums that is not empty.
func (s Sum) Check() error {
	if s.Count < 1 || s.Count > SumValues || s.Lo > s.Hi || s.Hi >= 1<<sumBits {
		return ErrStatement
	}
	return nil
}

func (s Sum) commitment() Digest { return s.Commitment }

func (s Sum) shape() shape { return shape{sumID, s.Count, 0} }

func (s Sum) public() []field.Element {
	return circuit.LimbPublics(circuit.LimbPublics(flat(nil, s.Commitment), s.Lo, sumBits), s.Hi, sumBits)
}

func (s Sum) define(b *circuit.Builder) {
	cm, lo, hi := b.PublicDigest(), b.PublicLimbs(sumBits), b.PublicLimbs(sumBits)
	bits := b.Bits(valueBits * s.Count)
	var values []circuit.Limbs
	for i := range s.Count {
		values = append(values, circuit.ToLimbs(bits[valueBits*i:valueBits*(i+1)]))
	}
	sum := b.Sum(values, sumCarryBits)
	b.AtMost(lo, sum, sumBits)
	b.AtMost(sum, hi, sumBits)
	split := min(len(bits), valueBits*RangeValues)
	f := b.Compress(packBits(bits[:split]), packBits(bits[split:]))
	constrainCommitment(b, sumID, b.SecretDigest(), f, cm)
}

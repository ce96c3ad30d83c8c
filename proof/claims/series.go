package claims

import (
	"math/bits"

	"github.com/terradourada/td/proof/circuit"
	"github.com/terradourada/td/proof/field"
	"github.com/terradourada/td/proof/poseidon"
)

const (
	seriesID        = "series-range/1"
	seriesCarryBits = 10

	// MaxReadings is the greatest number of readings of a [Series], and of all
	// series of a batch.
	MaxReadings = 1 << seriesCarryBits
	// MaxReading is the greatest reading, so that one element holds one.
	MaxReading = 1<<30 - 1
)

// Series says: behind the commitment are exactly Count readings, each of them lies
// in [Lo, Hi], and their sum in [SumLo, SumHi]. Count·Lo and Count·Hi bound the sum
// by nothing.
type Series struct {
	Commitment   Digest
	Count        int
	Lo, Hi       uint32
	SumLo, SumHi uint64
}

// NewSeries commits to the event element e and the readings with the blind r. The
// statement is about all of them; its commitment and count are filled in.
func NewSeries(e, r Digest, readings []uint32, s Series) *Witness {
	s.Count = len(readings)
	if s.Check() != nil { // nothing can be proved
		return newWitness(s, nil)
	}
	var secrets []field.Element
	f := Digest{field.New(uint64(s.Count))}
	var block Digest
	above, sum := make([]uint64, len(readings)), uint64(0) // readings minus Lo
	for i, v := range readings {
		above[i] = uint64(v) - uint64(s.Lo)
		sum += above[i]
		secrets = circuit.BitSecrets(secrets, above[i], s.width())
		secrets = circuit.BitSecrets(secrets, uint64(s.Hi)-uint64(v), s.width())
		block[i%len(block)] = field.New(uint64(v))
		if i%len(block) == len(block)-1 || i == len(readings)-1 {
			f, block = poseidon.Compress(f, block), Digest{}
		}
	}
	lo, hi := s.sums()
	secrets = circuit.SumSecrets(secrets, above, s.limbs(), seriesCarryBits)
	secrets = circuit.AtMostSecrets(secrets, lo, sum, s.sumBits())
	secrets = circuit.AtMostSecrets(secrets, sum, hi, s.sumBits())
	clear(above)
	h := poseidon.Compress(e, r)
	s.Commitment = commit(seriesID, h, f)
	return newWitness(s, flat(secrets, h))
}

// width is the number of bits of a reading minus Lo.
func (s Series) width() int { return max(1, bits.Len32(s.Hi-s.Lo)) }

// limbs is the number of limbs of a reading minus Lo.
func (s Series) limbs() int { return (s.width() + 15) / 16 }

// sumBits is the number of bits of the sum of the readings minus Lo.
func (s Series) sumBits() int { return 16*s.limbs() + seriesCarryBits }

// sums are the bounds of the sum of the readings minus Lo.
func (s Series) sums() (lo, hi uint64) {
	all := uint64(s.Count) * uint64(s.Lo)
	return s.SumLo - all, s.SumHi - all
}

// Check wants 1 to 1,024 readings, and an interval of sums that is not empty and
// within what such readings can have. Then that of the readings is not empty either.
func (s Series) Check() error {
	n := uint64(s.Count)
	switch {
	case s.Count < 1 || s.Count > MaxReadings,
		s.Hi > MaxReading,
		n*uint64(s.Lo) > s.SumLo || s.SumLo > s.SumHi || s.SumHi > n*uint64(s.Hi):
		return ErrStatement
	}
	return nil
}

func (s Series) commitment() Digest { return s.Commitment }

func (s Series) shape() shape { return shape{seriesID, s.Count, s.width()} }

func (s Series) public() []field.Element {
	public := append(flat(nil, s.Commitment), field.New(uint64(s.Lo)), field.New(uint64(s.Hi)))
	lo, hi := s.sums()
	return circuit.LimbPublics(circuit.LimbPublics(public, lo, s.sumBits()), hi, s.sumBits())
}

// define has, for each reading v, two integers below 2^w that add up to Hi - Lo, of
// which the first is v - Lo. Their sum is below p + Hi - Lo, so that the equation holds
// for integers.
func (s Series) define(b *circuit.Builder) {
	cm, lo, hi := b.PublicDigest(), b.Public(), b.Public()
	sumLo, sumHi := b.PublicLimbs(s.sumBits()), b.PublicLimbs(s.sumBits())
	f := circuit.Digest{circuit.Constant(field.New(uint64(s.Count)))}
	var block circuit.Digest
	var all []circuit.Limbs
	for i := range s.Count {
		above := b.Bits(s.width())
		below := circuit.Number(b.Bits(s.width()))
		v := lo.Plus(circuit.Number(above))
		b.Equal(v.Plus(below), hi)
		all = append(all, circuit.ToLimbs(above))
		block[i%len(block)] = v
		if i%len(block) == len(block)-1 || i == s.Count-1 {
			f, block = b.Compress(f, block), circuit.Digest{}
		}
	}
	sum := b.Sum(all, seriesCarryBits)
	b.AtMost(sumLo, sum, s.sumBits())
	b.AtMost(sum, sumHi, s.sumBits())
	constrainCommitment(b, seriesID, b.SecretDigest(), f, cm)
}

package claims

import (
	"github.com/terradourada/td/proof/circuit"
	"github.com/terradourada/td/proof/field"
	"github.com/terradourada/td/proof/poseidon"
)

const (
	recordRangeID = "record-range/1"
	recordDepth   = 3
	// RecordFields is the number of fields of a record.
	RecordFields = 1 << recordDepth
)

// RecordRange says: field number Field of the record behind the commitment is an
// integer in [Lo, Hi].
type RecordRange struct {
	Commitment Digest
	Field      int
	Lo, Hi     uint64
}

// NewRecordRange commits to the event element e and the values of the record with
// the blind r. The value of the field must be that of [Integer] for v; it is
// replaced by it.
func NewRecordRange(e, r Digest, record [RecordFields]Digest, number int, v, lo, hi uint64) *Witness {
	s := RecordRange{Field: number, Lo: lo, Hi: hi}
	if s.Check() != nil { // nothing can be proved
		return newWitness(s, nil)
	}
	record[number] = Integer(v)
	var level []Digest
	for i, value := range record {
		level = append(level, poseidon.Compress(value, salt(r, i)))
	}
	h := poseidon.Compress(e, r)
	secrets := circuit.LimbSecrets(nil, v)
	secrets = circuit.AtMostSecrets(secrets, lo, v)
	secrets = circuit.AtMostSecrets(secrets, v, hi)
	secrets = flat(secrets, salt(r, number))
	for at := number; len(level) > 1; at /= 2 {
		secrets = flat(secrets, level[at^1])
		for i := range len(level) / 2 {
			level[i] = poseidon.Compress(level[2*i], level[2*i+1])
		}
		level = level[:len(level)/2]
	}
	s.Commitment = commit(recordRangeID, h, level[0])
	return newWitness(s, flat(secrets, h))
}

// Check wants a field of the record and an interval that is not empty.
func (s RecordRange) Check() error {
	if s.Field < 0 || s.Field >= RecordFields || s.Lo > s.Hi {
		return ErrStatement
	}
	return nil
}

func (s RecordRange) shape() shape { return shape{recordRangeID, s.Field} }

func (s RecordRange) public() []field.Element {
	return circuit.LimbPublics(circuit.LimbPublics(flat(nil, s.Commitment), s.Lo), s.Hi)
}

func (s RecordRange) define(b *circuit.Builder) {
	cm, lo, hi := b.PublicDigest(), b.PublicLimbs(), b.PublicLimbs()
	v := b.SecretLimbs()
	b.AtMost(lo, v)
	b.AtMost(v, hi)
	var value circuit.Digest
	copy(value[:], v[:])
	node := b.Compress(value, b.SecretDigest())
	for level := range recordDepth {
		if sibling := b.SecretDigest(); s.Field>>level&1 == 0 {
			node = b.Compress(node, sibling)
		} else {
			node = b.Compress(sibling, node)
		}
	}
	constrainCommitment(b, recordRangeID, b.SecretDigest(), node, cm)
}

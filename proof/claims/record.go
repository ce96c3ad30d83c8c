package claims

import (
	"github.com/terradourada/td/proof/circuit"
	"github.com/terradourada/td/proof/field"
	"github.com/terradourada/td/proof/poseidon"
)

const (
	recordRangeID  = "record-range/1"
	recordEqualsID = "record-equals/1"
	recordOneOfID  = "record-oneof/1"

	recordDepth = 3
	choiceDepth = 3
	recordBits  = 64 // of an integer in a record

	// RecordFields is the number of fields of a record.
	RecordFields = 1 << recordDepth
	// Choices is the number of values of a [RecordOneOf].
	Choices = 1 << choiceDepth
)

// Record has the values of all fields.
type Record [RecordFields]Digest

// RecordRange says: field number Field of the record behind the commitment is an
// integer in [Lo, Hi].
type RecordRange struct {
	Commitment Digest
	Field      int
	Lo, Hi     uint64
}

// RecordEquals says: field number Field of the record behind the commitment is
// Value.
type RecordEquals struct {
	Commitment Digest
	Field      int
	Value      Digest
}

// RecordOneOf says: field number Field of the record behind the commitment is one
// of Values, which may repeat.
type RecordOneOf struct {
	Commitment Digest
	Field      int
	Values     [Choices]Digest
}

// NewRecordRange commits to the event element e and a record with the blind r. The
// value of the field must be that of [Integer] for v; it is replaced by it.
func NewRecordRange(e, r Digest, record Record, number int, v, lo, hi uint64) *Witness {
	s := RecordRange{Field: number, Lo: lo, Hi: hi}
	if s.Check() != nil { // nothing can be proved
		return newWitness(s, nil)
	}
	record[number] = Integer(v)
	secrets := circuit.BitSecrets(nil, v, recordBits)
	secrets = circuit.AtMostSecrets(secrets, lo, v, recordBits)
	secrets = circuit.AtMostSecrets(secrets, v, hi, recordBits)
	s.Commitment, secrets = commitRecord(secrets, recordRangeID, e, r, record, number)
	return newWitness(s, secrets)
}

// NewRecordEquals is [NewRecordRange] for the value that the field has.
func NewRecordEquals(e, r Digest, record Record, number int) *Witness {
	s := RecordEquals{Field: number}
	if s.Check() != nil {
		return newWitness(s, nil)
	}
	s.Value = record[number]
	var secrets []field.Element
	s.Commitment, secrets = commitRecord(nil, recordEqualsID, e, r, record, number)
	return newWitness(s, secrets)
}

// NewRecordOneOf is [NewRecordRange] for several values. The place of the value among
// them shows in the time that it takes. There is no proof if it is none of them.
func NewRecordOneOf(e, r Digest, record Record, number int, values [Choices]Digest) *Witness {
	s := RecordOneOf{Field: number, Values: values}
	if s.Check() != nil {
		return newWitness(s, nil)
	}
	place := uint64(0)
	for i, v := range values {
		if v == record[number] {
			place = uint64(i)
		}
	}
	secrets := circuit.BitSecrets(nil, place, choiceDepth)
	s.Commitment, secrets = commitRecord(secrets, recordOneOfID, e, r, record, number)
	return newWitness(s, secrets)
}

// commitRecord returns the commitment to a record, and appends the secrets with which
// one field is opened: its salt, the siblings from the leaf up, and h.
func commitRecord(secrets []field.Element, id string, e, r Digest, record Record, number int) (Digest, []field.Element) {
	var level []Digest
	for i, value := range record {
		level = append(level, poseidon.Compress(value, salt(r, i)))
	}
	secrets = flat(secrets, salt(r, number))
	for at := number; len(level) > 1; at /= 2 {
		secrets = flat(secrets, level[at^1])
		level = above(level)
	}
	h := poseidon.Compress(e, r)
	return commit(id, h, level[0]), flat(secrets, h)
}

// constrainField is commitRecord in a circuit.
func constrainField(b *circuit.Builder, id string, number int, value, cm circuit.Digest) {
	node := b.Compress(value, b.SecretDigest())
	for level := range recordDepth {
		if sibling := b.SecretDigest(); number>>level&1 == 0 {
			node = b.Compress(node, sibling)
		} else {
			node = b.Compress(sibling, node)
		}
	}
	constrainCommitment(b, id, b.SecretDigest(), node, cm)
}

// checkField wants a field of the record.
func checkField(number int) error {
	if number < 0 || number >= RecordFields {
		return ErrStatement
	}
	return nil
}

// Check wants a field of the record and an interval that is not empty.
func (s RecordRange) Check() error {
	if s.Lo > s.Hi {
		return ErrStatement
	}
	return checkField(s.Field)
}

func (s RecordRange) commitment() Digest { return s.Commitment }

func (s RecordRange) shape() shape { return shape{recordRangeID, s.Field, 0} }

func (s RecordRange) public() []field.Element {
	return circuit.LimbPublics(circuit.LimbPublics(flat(nil, s.Commitment), s.Lo, recordBits), s.Hi, recordBits)
}

func (s RecordRange) define(b *circuit.Builder) {
	cm, lo, hi := b.PublicDigest(), b.PublicLimbs(recordBits), b.PublicLimbs(recordBits)
	v := b.SecretLimbs(recordBits)
	b.AtMost(lo, v, recordBits)
	b.AtMost(v, hi, recordBits)
	var value circuit.Digest
	copy(value[:], v)
	constrainField(b, recordRangeID, s.Field, value, cm)
}

// Check wants a field of the record.
func (s RecordEquals) Check() error { return checkField(s.Field) }

func (s RecordEquals) commitment() Digest { return s.Commitment }

func (s RecordEquals) shape() shape { return shape{recordEqualsID, s.Field, 0} }

func (s RecordEquals) public() []field.Element { return flat(nil, s.Commitment, s.Value) }

func (s RecordEquals) define(b *circuit.Builder) {
	cm, value := b.PublicDigest(), b.PublicDigest()
	constrainField(b, recordEqualsID, s.Field, value, cm)
}

// Check wants a field of the record.
func (s RecordOneOf) Check() error { return checkField(s.Field) }

func (s RecordOneOf) commitment() Digest { return s.Commitment }

func (s RecordOneOf) shape() shape { return shape{recordOneOfID, s.Field, 0} }

func (s RecordOneOf) public() []field.Element {
	return flat(flat(nil, s.Commitment), s.Values[:]...)
}

// define selects one of the values by three secret bits: whatever they are, the
// field is one of them.
func (s RecordOneOf) define(b *circuit.Builder) {
	cm := b.PublicDigest()
	values := make([]circuit.Digest, Choices)
	for i := range values {
		values[i] = b.PublicDigest()
	}
	for len(values) > 1 {
		bit := b.Bit()
		for i := range len(values) / 2 {
			values[i] = b.Select(bit, values[2*i], values[2*i+1])
		}
		values = values[:len(values)/2]
	}
	constrainField(b, recordOneOfID, s.Field, values[0], cm)
}

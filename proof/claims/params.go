package claims

import (
	"encoding/hex"

	"github.com/terradourada/td/internal/rules"
	"github.com/terradourada/td/protocol"
)

// MaxParamsSize bounds the canonical form of parameters in bytes.
const MaxParamsSize = rules.MaxParamsSize

// IDs lists every claim.
func IDs() []string {
	return []string{openID, rangeID, sumID, recordRangeID, recordEqualsID, recordOneOfID, memberID, seriesID}
}

// Params are the public parameters of a claim. They follow every native rule that needs no
// member list, and do not change.
type Params struct{ native *rules.Params }

// ParseParams reads parameters, a JSON object that must be its own canonical form. An
// unknown id is refused with code unknown_claim, a breach of a native rule with
// malformed_request.
func ParseParams(id string, jcs []byte) (*Params, error) {
	native, err := rules.Parse(rules.ID(id), jcs, func(text string) error {
		_, err := parseText(text)
		return err
	})
	if err != nil {
		return nil, err
	}
	return &Params{native}, nil
}

// Claim is the id of the claim.
func (p *Params) Claim() string { return string(p.native.Claim()) }

// Bytes are the exact canonical bytes, in a fresh slice.
func (p *Params) Bytes() []byte { return p.native.Bytes() }

// Statement returns what a proof for a commitment has to show. The list is for group/1
// alone and may be nil otherwise; parameters of another list are refused with code
// malformed_request.
func (p *Params) Statement(cm Digest, l *List) (Statement, error) {
	switch r := p.native.Rule().(type) {
	case *rules.Ranges:
		return Range{cm, intervals(r)}, nil
	case *rules.Total:
		return Sum{cm, r.Count, r.Lo, r.Hi}, nil
	case *rules.Record:
		return p.recordStatement(r, cm), nil
	case *rules.Membership:
		return memberStatement(r, cm, l)
	case *rules.Series:
		return Series{cm, r.Count, r.Lo, r.Hi, r.SumLo, r.SumHi}, nil
	default:
		return Open{cm}, nil
	}
}

func intervals(r *rules.Ranges) []Interval {
	all := make([]Interval, len(r.Lo))
	for i := range all {
		all[i] = Interval{r.Lo[i], r.Hi[i]}
	}
	return all
}

func (p *Params) recordStatement(r *rules.Record, cm Digest) Statement {
	switch p.native.Claim() {
	case rules.RecordRange:
		return RecordRange{cm, r.Field, r.Lo, r.Hi}
	case rules.RecordEquals:
		return RecordEquals{cm, r.Field, valueDigest(r.Values[0])}
	default:
		return RecordOneOf{cm, r.Field, choicesOf(r)}
	}
}

func choicesOf(r *rules.Record) (values [Choices]Digest) {
	for i, v := range r.Values {
		values[i] = valueDigest(v)
	}
	return values
}

// valueDigest is the value of a field of a record. The kinds have labels of their own, so
// that no text equals a literal or the JSON of another field; a field that is not listed
// is 0.
func valueDigest(v rules.Value) Digest {
	switch v.Kind {
	case rules.Number:
		return Integer(v.Number)
	case rules.Text:
		return HashToDigest("TD-V2-text", []byte(v.Bytes))
	case rules.Literal:
		return HashToDigest("TD-V2-literal", []byte(v.Bytes))
	case rules.JSON:
		return HashToDigest("TD-V2-value", []byte(v.Bytes))
	default: // absent
		return Digest{}
	}
}

// parseText reads the text of a digest: 64 lower-case hexadecimal digits of 8 elements.
func parseText(text string) (Digest, error) {
	b, err := protocol.Parse[protocol.ListID](text) // any 32 bytes
	if err != nil {
		return Digest{}, err
	}
	d, err := ParseDigest(b[:])
	if err != nil {
		return Digest{}, protocol.Wrap(protocol.CodeMalformedRequest, "value is not a canonical digest", err)
	}
	return d, nil
}

// textOf is the text of a digest.
func textOf(d Digest) string { return hex.EncodeToString(AppendDigest(nil, d)) }

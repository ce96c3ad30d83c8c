package claims

import (
	"github.com/terradourada/td/internal/rules"
	"github.com/terradourada/td/proof/poseidon"
	"github.com/terradourada/td/protocol"
)

// EventOf returns e, the digest of an event in canonical form.
func EventOf(canonical []byte) Digest { return HashToDigest("TD-V2-event", canonical) }

// Commit fixes an event, in canonical form, with a blind for parameters of any claim but
// group/1, and returns the witness; its statement holds the commitment. Refused are an
// event that is not canonical, with code event_not_canonicalisable; one without encoding,
// with event_not_encodable; one that does not satisfy the claim, with statement_false; and
// parameters of group/1, with malformed_request.
func Commit(p *Params, event []byte, blind Digest) (*Witness, error) {
	if err := rules.CheckEvent(event); err != nil {
		return nil, err
	}
	w, err := p.commit(event, EventOf(event), blind)
	if err != nil {
		return nil, err
	}
	if why := p.native.Rule().Falsity(event); why != "" {
		w.Wipe()
		return nil, errFalse(why)
	}
	return w, nil
}

// commit returns the witness of an event, which need not satisfy the claim.
func (p *Params) commit(event []byte, e, blind Digest) (*Witness, error) {
	switch r := p.native.Rule().(type) {
	case rules.Anything:
		return NewOpen(e, blind), nil
	case *rules.Ranges:
		values, err := r.Encode(event)
		if err != nil {
			return nil, err
		}
		defer clear(values)
		return NewRange(e, blind, values, intervals(r)), nil
	case *rules.Total:
		values, err := r.Encode(event)
		if err != nil {
			return nil, err
		}
		defer clear(values)
		return NewSum(e, blind, values, r.Lo, r.Hi), nil
	case *rules.Record:
		fields, err := r.Encode(event)
		if err != nil {
			return nil, err
		}
		return p.commitFields(r, fields, e, blind), nil
	case *rules.Series:
		readings, err := r.Encode(event)
		if err != nil {
			return nil, err
		}
		defer clear(readings)
		return NewSeries(e, blind, readings, Series{Lo: r.Lo, Hi: r.Hi, SumLo: r.SumLo, SumHi: r.SumHi}), nil
	default:
		return nil, rules.Malformed("claim needs the secret of a member")
	}
}

// errFalse refuses an event that does not satisfy the claim; why is for its holder.
func errFalse(why string) error {
	public := protocol.Fail(protocol.CodeStatementFalse, "the private values do not satisfy the claim")
	return rules.Explained(public, func() string { return why })
}

// commitFields makes the witness of a claim about a record.
func (p *Params) commitFields(r *rules.Record, fields *[rules.RecordFields]rules.Value, e, blind Digest) *Witness {
	var record Record
	for i, v := range fields {
		record[i] = valueDigest(v)
	}
	switch p.native.Claim() {
	case rules.RecordRange:
		return NewRecordRange(e, blind, record, r.Field, fields[r.Field].Number, r.Lo, r.Hi)
	case rules.RecordEquals:
		return NewRecordEquals(e, blind, record, r.Field)
	default:
		return NewRecordOneOf(e, blind, record, r.Field, choicesOf(r))
	}
}

// CommitMember is [Commit] for group/1. Parameters of another list are refused with code
// malformed_request. A secret whose member is not listed, or whose nullifier is another,
// is refused with statement_false.
func CommitMember(p *Params, event []byte, blind Digest, l *List, sk Digest) (*Witness, error) {
	r, ok := p.native.Rule().(*rules.Membership)
	if !ok {
		return nil, rules.ErrOtherList()
	}
	if err := r.CheckList(l.id, l.name); err != nil {
		return nil, err
	}
	if err := rules.CheckEvent(event); err != nil {
		return nil, err
	}
	cm := commit(memberID, poseidon.Compress(EventOf(event), blind), Digest{})
	w, err := NewMember(cm, ScopeOf(r.Name, r.Scope), sk, l.tree)
	if err != nil {
		return nil, errNotListed()
	}
	want, err := memberStatement(r, cm, l)
	if err != nil {
		return nil, err
	}
	if w.Statement() != want {
		w.Wipe()
		return nil, protocol.Fail(protocol.CodeStatementFalse, "the nullifier is not of this secret")
	}
	return w, nil
}

func errNotListed() error {
	return protocol.Fail(protocol.CodeStatementFalse, "the member of this secret is not on the list")
}

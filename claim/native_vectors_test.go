package claim_test

import (
	"encoding/hex"
	"encoding/json"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/terradourada/td/claim"
	"github.com/terradourada/td/protocol"
)

// statementVector is one statement of the vectors, from the event to its public
// values, with everything between.
type statementVector struct {
	Claim, Params, Event     string
	Blind, E, H, Cm          string
	S                        []string
	Statement                string
	Values                   []uint64 // range/1, sum/1
	FieldValues              []string `json:"field_values"` // record-*/1
	Salts, Siblings, Members []string
	Secret, Member           string // group/1
}

// refusalVector is input that one rule of section 6 refuses.
type refusalVector struct {
	Rule, Claim, Params, Event string
	Code                       protocol.Code
}

func hexElements(t *testing.T, texts []string) []protocol.Element {
	t.Helper()
	out := make([]protocol.Element, len(texts))
	for i, text := range texts {
		out[i] = hexElement(t, text)
	}
	return out
}

// TestStatementVectors computes commitment, public values, private values and
// statement digest of every vector.
func TestStatementVectors(t *testing.T) {
	var file struct{ Statements []statementVector }
	readVectors(t, "claims.json", &file)
	seen := make(map[string]bool)
	for _, v := range file.Statements {
		seen[v.Claim] = true
		t.Run(v.Claim, func(t *testing.T) { v.check(t) })
	}
	for _, id := range claim.IDs() {
		if !seen[id.String()] {
			t.Errorf("no vector of %s", id)
		}
	}
}

func (v *statementVector) check(t *testing.T) {
	t.Helper()
	p, err := claim.ParseParams(claim.ID(v.Claim), []byte(v.Params))
	if err != nil {
		t.Fatal(err)
	}
	cm, a := v.commit(t, p)
	if cm != protocol.Commitment(hexElement(t, v.Cm)) {
		t.Errorf("cm = %x, want %s", cm, v.Cm)
	}
	s, err := claim.NewStatement(p, cm)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(hexElements(t, v.S), s.Public()); diff != "" {
		t.Errorf("public values (-want +got):\n%s", diff)
	}
	if digest := s.Digest(); hex.EncodeToString(digest[:]) != v.Statement {
		t.Errorf("statement digest %x, want %s", digest, v.Statement)
	}
	if diff := cmp.Diff(v.private(t, p.Claim()), a.Values()); diff != "" {
		t.Errorf("private values (-want +got):\n%s", diff)
	}
	if err := s.Check(a); err != nil {
		t.Error(err)
	}
	if again, err := claim.Recommit(p, []byte(v.Event), hexElement(t, v.Blind)); err != nil || again != cm {
		t.Errorf("computed again, cm = %x, %v", again, err)
	}
}

// commit calls the function for the claim.
func (v *statementVector) commit(t *testing.T, p *claim.Params) (protocol.Commitment, *claim.Assignment) {
	t.Helper()
	if v.Secret != "" {
		return v.commitMember(t, p)
	}
	cm, a, err := claim.Commit(p, []byte(v.Event), hexElement(t, v.Blind))
	if err != nil {
		t.Fatal(err)
	}
	return cm, a
}

func (v *statementVector) commitMember(t *testing.T, p *claim.Params) (protocol.Commitment, *claim.Assignment) {
	t.Helper()
	secret, err := claim.ParseMemberSecret([]byte(v.Secret))
	if err != nil {
		t.Fatal(err)
	}
	if secret.Member().String() != v.Member {
		t.Errorf("member %v, want %s", secret.Member(), v.Member)
	}
	var members []protocol.Member
	for _, m := range hexElements(t, v.Members) {
		members = append(members, protocol.Member(m))
	}
	var named struct{ Name, Scope string }
	if err := json.Unmarshal([]byte(v.Params), &named); err != nil {
		t.Fatal(err)
	}
	l, err := claim.NewList(named.Name, members)
	if err != nil {
		t.Fatal(err)
	}
	if raw, err := claim.GroupParams(l, named.Scope, secret); err != nil || string(raw) != v.Params {
		t.Errorf("parameters %s, %v; want %s", raw, err, v.Params)
	}
	cm, a, err := claim.CommitMember(p, []byte(v.Event), hexElement(t, v.Blind), l, secret)
	if err != nil {
		t.Fatal(err)
	}
	return cm, a
}

// private lays out the private values of the vector as an assignment does.
func (v *statementVector) private(t *testing.T, id claim.ID) []protocol.Element {
	t.Helper()
	switch id {
	case claim.Open:
		return hexElements(t, []string{v.E, v.Blind})
	case claim.Group:
		return hexElements(t, []string{v.Secret})
	case claim.Range, claim.Sum:
		values := make([]uint64, claim.PrivateCount(id)-1)
		copy(values, v.Values)
		return append(hexElements(t, []string{v.H}), smalls(values...)...)
	}
	var named struct{ Field int }
	if err := json.Unmarshal([]byte(v.Params), &named); err != nil {
		t.Fatal(err)
	}
	field := []string{v.H, v.FieldValues[named.Field], v.Salts[named.Field]}
	return hexElements(t, slices.Concat(field, v.Siblings))
}

// TestLiteralVectors reads the elements of true, false and null off the public
// value of record-equals/1.
func TestLiteralVectors(t *testing.T) {
	var file struct {
		Literals []struct {
			Literal, Element string
			Wrong            []string
		}
	}
	readVectors(t, "claims.json", &file)
	if len(file.Literals) != 3 {
		t.Fatalf("%d literals, want 3", len(file.Literals))
	}
	for _, v := range file.Literals {
		p := mustParams(t, claim.RecordEquals, `{"field":0,"offset":0,"scale":0,"schema":["/a"],"value":`+v.Literal+`}`)
		s, err := claim.NewStatement(p, protocol.Commitment{})
		if err != nil {
			t.Fatal(err)
		}
		got := s.Public()[4]
		if got != hexElement(t, v.Element) {
			t.Errorf("%s = %x, want %s", v.Literal, got, v.Element)
		}
		if slices.Contains(hexElements(t, v.Wrong), got) {
			t.Errorf("%s is computed wrongly", v.Literal)
		}
	}
}

// TestRefusalVectors: for each rule of section 6 there are parameters or
// events that only this rule refuses.
func TestRefusalVectors(t *testing.T) {
	var file struct{ Params, Events, False []refusalVector }
	readVectors(t, "claims.json", &file)
	if len(file.Params) < 100 || len(file.Events) < 30 || len(file.False) < 10 {
		t.Fatalf("%d, %d and %d refusals are too few", len(file.Params), len(file.Events), len(file.False))
	}
	for _, r := range file.Params {
		if _, err := claim.ParseParams(claim.ID(r.Claim), []byte(r.Params)); protocol.CodeOf(err) != r.Code {
			t.Errorf("%s, %s: got %v, want %v: %s", r.Claim, r.Rule, err, r.Code, r.Params)
		}
	}
	for _, r := range file.Events {
		p := mustParams(t, claim.ID(r.Claim), r.Params)
		if _, _, err := claim.Commit(p, []byte(r.Event), claim.NewBlind()); protocol.CodeOf(err) != r.Code {
			t.Errorf("%s, %s: got %v, want %v: %s", r.Claim, r.Rule, err, r.Code, r.Event)
		}
	}
	for _, r := range file.False {
		p := mustParams(t, claim.ID(r.Claim), r.Params)
		cm, a, err := claim.Commit(p, []byte(r.Event), claim.NewBlind())
		if err != nil {
			t.Errorf("%s, %s: %v", r.Claim, r.Rule, err)
			continue
		}
		checkHolds(t, p, cm, a, r.Code)
	}
}

package claim_test

import (
	"encoding/hex"
	"encoding/json"
	"os"
	"slices"
	"testing"

	"github.com/terradourada/td/claim"
	"github.com/terradourada/td/protocol"
)

// readVectors reads a file of docs/spec/vectors, which a program that shares no
// code with this one has written.
func readVectors(t *testing.T, name string, v any) {
	t.Helper()
	b, err := os.ReadFile("../docs/spec/vectors/" + name)
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(b, v); err != nil {
		t.Fatal(err)
	}
}

// hexElement is an element as the vectors write it.
func hexElement(t *testing.T, s string) protocol.Element {
	t.Helper()
	b, err := hex.DecodeString(s)
	if err != nil || len(b) != protocol.ElementSize {
		t.Fatalf("%q is no element", s)
	}
	return protocol.Element(b)
}

func TestCompressVectors(t *testing.T) {
	var file struct {
		C     []struct{ X, Y, C string }
		Wrong struct {
			X, Y   string
			Values []struct{ Name, C string }
		}
	}
	readVectors(t, "poseidon2.json", &file)
	if len(file.C) == 0 || len(file.Wrong.Values) == 0 {
		t.Fatal("no vectors")
	}
	for _, v := range file.C {
		if got := claim.Compress(hexElement(t, v.X), hexElement(t, v.Y)); got != hexElement(t, v.C) {
			t.Errorf("C(%s, %s) = %x, want %s", v.X, v.Y, got, v.C)
		}
	}
	got := claim.Compress(hexElement(t, file.Wrong.X), hexElement(t, file.Wrong.Y))
	for _, v := range file.Wrong.Values {
		if got == hexElement(t, v.C) {
			t.Errorf("C is computed wrongly: %s", v.Name)
		}
	}
}

// claimVector is a statement of the vectors.
type claimVector struct {
	Rule, Claim, Params, Event, Blind string
	S                                 []string
	Secret, Member                    string   // group/1
	Members                           []string // group/1
}

// commit is the statement and its private values.
func (v *claimVector) commit(t *testing.T) (*claim.Statement, []protocol.Element, []protocol.Member) {
	t.Helper()
	p, err := claim.ParseParams(claim.ID(v.Claim), []byte(v.Params))
	if err != nil {
		t.Fatalf("%s: %v", v.Params, err)
	}
	blind := number(1)
	if v.Blind != "" {
		blind = hexElement(t, v.Blind)
	}
	if p.Claim() == claim.Group {
		return v.commitMember(t, p, blind)
	}
	cm, a, err := claim.Commit(p, []byte(v.Event), blind)
	if err != nil {
		t.Fatalf("%s: %v", v.Params, err)
	}
	s, err := claim.NewStatement(p, cm)
	if err != nil {
		t.Fatal(err)
	}
	return s, a.Values(), nil
}

func (v *claimVector) commitMember(t *testing.T, p *claim.Params, blind protocol.Element) (*claim.Statement, []protocol.Element, []protocol.Member) {
	t.Helper()
	cm, err := claim.Recommit(p, []byte(v.Event), blind)
	if err != nil {
		t.Fatal(err)
	}
	s, err := claim.NewStatement(p, cm)
	if err != nil {
		t.Fatal(err)
	}
	var members []protocol.Member
	for _, m := range v.Members {
		members = append(members, protocol.Member(hexElement(t, m)))
	}
	return s, []protocol.Element{hexElement(t, v.Secret)}, members
}

// TestCircuitsAcceptVectors: the circuits hold for the commitments and public
// values of the other program, and not for the statements it calls false.
func TestCircuitsAcceptVectors(t *testing.T) {
	var file struct{ Statements, False []claimVector }
	readVectors(t, "claims.json", &file)
	if len(file.Statements) == 0 || len(file.False) == 0 {
		t.Fatal("no vectors")
	}
	for _, v := range file.Statements {
		s, w, members := v.commit(t)
		var want []protocol.Element
		for _, e := range v.S {
			want = append(want, hexElement(t, e))
		}
		if !slices.Equal(s.Public(), want) {
			t.Errorf("%s %s: public values %x, want %x", v.Claim, v.Params, s.Public(), want)
		}
		check(t, v.Claim+" "+v.Params, circuitOf(t, s.Claim(), members...), inputs(want...), w, true)
	}
	for _, v := range file.False {
		if claim.ID(v.Claim) == claim.Group {
			continue
		}
		s, w, _ := v.commit(t)
		check(t, v.Rule, circuitOf(t, s.Claim()), inputs(s.Public()...), w, false)
	}
}

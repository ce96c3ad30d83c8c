package claim_test

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"strconv"
	"testing"

	"github.com/terradourada/td/claim"
	"github.com/terradourada/td/proof/claims"
	"github.com/terradourada/td/proof/ligero"
	"github.com/terradourada/td/protocol"
)

// codes returns the code with which each of the two proof systems refuses an event under
// parameters, or none.
func codes(id claim.ID, params, event []byte) (plonk, suite2 protocol.Code) {
	return protocol.CodeOf(tryPlonk(id, params, event)), protocol.CodeOf(trySuite2(string(id), params, event))
}

func tryPlonk(id claim.ID, params, event []byte) error {
	p, err := claim.ParseParams(id, params)
	if err != nil {
		return err
	}
	cm, a, err := claim.Commit(p, event, claim.NewBlind())
	if err != nil {
		return err
	}
	s, err := claim.NewStatement(p, cm)
	if err != nil {
		return err
	}
	return s.Check(a)
}

// trySuite2 makes the statement again as a verifier does, from the parameters alone.
func trySuite2(id string, params, event []byte) error {
	p, err := claims.ParseParams(id, params)
	if err != nil {
		return err
	}
	w, err := claims.Commit(p, event, claims.NewBlind())
	if err != nil {
		return err
	}
	return w.Statement().Check()
}

// TestSuite2Vectors: what the vectors of TD/1 accept and refuse, suite 2 accepts and
// refuses, with the same code. Of group/1 only refusals are compared: nullifiers differ.
func TestSuite2Vectors(t *testing.T) {
	var file struct {
		Statements            []statementVector
		Params, Events, False []refusalVector
	}
	readVectors(t, "claims.json", &file)
	for _, v := range file.Statements {
		if claim.ID(v.Claim) == claim.Group {
			continue
		}
		if err := trySuite2(v.Claim, []byte(v.Params), []byte(v.Event)); err != nil {
			t.Errorf("%s: %v: %s", v.Claim, err, v.Params)
		}
	}
	for _, r := range file.Params {
		if _, err := claims.ParseParams(r.Claim, []byte(r.Params)); protocol.CodeOf(err) != r.Code {
			t.Errorf("%s, %s: got %v, want %v: %s", r.Claim, r.Rule, err, r.Code, r.Params)
		}
	}
	for _, r := range append(file.Events, file.False...) {
		if err := trySuite2(r.Claim, []byte(r.Params), []byte(r.Event)); protocol.CodeOf(err) != r.Code {
			t.Errorf("%s, %s: got %v, want %v: %s", r.Claim, r.Rule, err, r.Code, r.Event)
		}
	}
}

// drawn has random JSON that is often, but not always, well-formed.
type drawn struct{ *rand.Rand }

func (d drawn) oneOf(texts ...string) string { return texts[d.IntN(len(texts))] }

// scalar is mostly a small number, so that some are within bounds.
func (d drawn) scalar() json.RawMessage {
	switch d.IntN(12) {
	case 0:
		return json.RawMessage(d.oneOf("true", "false", "null", `"a"`, `"true"`, `""`, `"5"`, `"18446744073709551615"`, "[]", "{}", "[1]", `{"a":1}`))
	case 1:
		return json.RawMessage(strconv.FormatInt(d.Int64N(1<<54)-1<<53, 10))
	case 2:
		return fmt.Appendf(nil, "%d.%d", d.IntN(40), d.IntN(10))
	default:
		return fmt.Appendf(nil, "%d", d.IntN(40)-3)
	}
}

func (d drawn) scalars(n int) []json.RawMessage {
	all := make([]json.RawMessage, n)
	for i := range all {
		all[i] = d.scalar()
	}
	return all
}

func (d drawn) pointers() []string {
	at := make([]string, d.IntN(4))
	for i := range at {
		at[i] = d.oneOf("/a", "/b", "/c", "/d/0", "/d/1", "/a", "/b", "/c", "/d/0", "/d/1", "/d", "/e", "/a/0", "/~1", "", "/01")
	}
	return at
}

// params are parameters of a claim.
func (d drawn) params(id claim.ID) map[string]any {
	p := map[string]any{"scale": d.IntN(4) - d.IntN(2), "offset": d.IntN(10) - d.IntN(4)}
	lo, hi := json.RawMessage(strconv.Itoa(d.IntN(9))), json.RawMessage(strconv.Itoa(20+d.IntN(20)))
	if d.IntN(4) == 0 {
		lo, hi = d.scalar(), d.scalar()
	}
	switch id {
	case claim.Open:
		p = map[string]any{}
	case claim.Range:
		values := []map[string]any{}
		for _, at := range d.pointers() {
			values = append(values, map[string]any{"at": at, "lo": lo, "hi": hi})
		}
		p["values"] = values
	case claim.Sum:
		delete(p, "offset")
		p["at"], p["lo"], p["hi"] = d.pointers(), lo, hi
	default:
		p["schema"], p["field"] = d.pointers(), d.IntN(3)
		switch id {
		case claim.RecordRange:
			p["lo"], p["hi"] = lo, hi
		case claim.RecordEquals:
			p["value"] = d.scalar()
		default:
			p["values"] = d.scalars(d.IntN(10))
		}
	}
	switch d.IntN(40) {
	case 0:
		p["unknown"] = 1
	case 1:
		delete(p, "scale")
	}
	return p
}

// TestSuite2Agrees: for random parameters and events both proof systems give the same
// verdict with the same code, and each verdict occurs for each claim that can have it.
func TestSuite2Agrees(t *testing.T) {
	d := drawn{rand.New(rand.NewChaCha8([32]byte{5}))}
	seen := map[string]int{}
	for range 12_000 {
		ids := claim.IDs()
		id := ids[d.IntN(len(ids)-1)] // group/1 is the last one
		params := canonicalOf(t, d.params(id))
		event := canonicalOf(t, map[string]any{"a": d.scalar(), "b": d.scalar(), "c": d.scalar(), "d": d.scalars(2)})
		plonk, suite2 := codes(id, params, event)
		if plonk != suite2 {
			t.Fatalf("%s: PLONK %v, suite 2 %v\n%s\n%s", id, plonk, suite2, params, event)
		}
		seen[fmt.Sprint(id, " ", plonk)]++
	}
	t.Log(seen)
	for _, id := range claim.IDs()[1:6] {
		for _, c := range []protocol.Code{protocol.CodeNone, protocol.CodeMalformedRequest, protocol.CodeEventNotEncodable, protocol.CodeStatementFalse} {
			if seen[fmt.Sprint(id, " ", c)] == 0 {
				t.Errorf("no case of %v with %v", id, c)
			}
		}
	}
}

// TestSuite2ProvesVectors proves the statements of the vectors from their JSON, verifies
// them with statements that a verifier makes from parameters and commitment, and refuses
// them for other parameters.
func TestSuite2ProvesVectors(t *testing.T) {
	var file struct{ Statements []statementVector }
	readVectors(t, "claims.json", &file)
	var suite claims.Suite
	in := claims.Session{Tag: claims.TagOf(nil)}
	for _, v := range file.Statements {
		if claim.ID(v.Claim) == claim.Group {
			continue
		}
		p, err := claims.ParseParams(v.Claim, []byte(v.Params))
		if err != nil {
			t.Fatal(err)
		}
		w, err := claims.Commit(p, []byte(v.Event), claims.NewBlind())
		if err != nil {
			t.Fatal(err)
		}
		proof, err := suite.Prove(ligero.NewCoins(), w.In(in))
		if err != nil {
			t.Fatal(v.Claim, err)
		}
		s, err := p.Statement(claims.CommitmentOf(w.Statement()), nil)
		if err != nil {
			t.Fatal(err)
		}
		if err := suite.Verify(proof, claims.Bound{Session: in, Statement: s}); err != nil {
			t.Errorf("%s: %v", v.Params, err)
		}
	}
}

package claim_test

import (
	"slices"
	"testing"

	"github.com/terradourada/td/claim"
	"github.com/terradourada/td/protocol"
)

// sample is a statement that holds, with all that proves it.
type sample struct {
	id         claim.ID
	list       *claim.List // group/1
	statement  *claim.Statement
	x          []protocol.Element
	assignment *claim.Assignment
}

// sampleEvent fits the parameters of every claim in sampleParams.
const sampleEvent = `{"batch":"K-17","grade":"A","months":[12,0,7],"readings":[20.5,21,21.25],"weight":1250.5}`

var sampleParams = map[claim.ID]string{
	claim.Open:         `{}`,
	claim.Range:        `{"offset":0,"scale":2,"values":[{"at":"/readings/0","hi":21,"lo":20},{"at":"/readings/1","hi":21,"lo":21},{"at":"/readings/2","hi":30,"lo":0}]}`,
	claim.Sum:          `{"at":["/months/0","/months/1","/months/2"],"hi":20,"lo":19,"scale":0}`,
	claim.RecordRange:  `{"field":2,"hi":1300,"lo":1250,"offset":0,"scale":1,"schema":["/batch","/grade","/weight"]}`,
	claim.RecordEquals: `{"field":1,"offset":0,"scale":0,"schema":["/batch","/grade","/weight"],"value":"A"}`,
	claim.RecordOneOf:  `{"field":0,"offset":0,"scale":0,"schema":["/batch","/grade"],"values":["K-16","K-17","K-18"]}`,
}

// newSample makes the sample of a claim, with a fresh blind.
func newSample(tb testing.TB, id claim.ID) *sample {
	tb.Helper()
	if id == claim.Group {
		return newGroupSample(tb, 5)
	}
	p, err := claim.ParseParams(id, []byte(sampleParams[id]))
	if err != nil {
		tb.Fatal(err)
	}
	cm, a, err := claim.Commit(p, []byte(sampleEvent), claim.NewBlind())
	if err != nil {
		tb.Fatal(err)
	}
	return finishSample(tb, p, cm, a)
}

// newGroupSample is the sample of group/1 with a list of n members.
func newGroupSample(tb testing.TB, n int) *sample {
	tb.Helper()
	secret := claim.NewMemberSecret()
	l, err := claim.NewList("growers", append(testMembers(n-1), secret.Member()))
	if err != nil {
		tb.Fatal(err)
	}
	raw, err := claim.GroupParams(l, "vote-1", secret)
	if err != nil {
		tb.Fatal(err)
	}
	p, err := claim.ParseParams(claim.Group, raw)
	if err != nil {
		tb.Fatal(err)
	}
	cm, a, err := claim.CommitMember(p, []byte(sampleEvent), claim.NewBlind(), l, secret)
	if err != nil {
		tb.Fatal(err)
	}
	s := finishSample(tb, p, cm, a)
	s.list = l
	return s
}

func finishSample(tb testing.TB, p *claim.Params, cm protocol.Commitment, a *claim.Assignment) *sample {
	tb.Helper()
	st, err := claim.NewStatement(p, cm)
	if err != nil {
		tb.Fatal(err)
	}
	anchor := protocol.Anchor(protocol.H2F("test", []byte("anchor")))
	c, tag := protocol.H2F("test", []byte("context")), protocol.H2F("test", []byte("tag"))
	return &sample{id: p.Claim(), statement: st, x: st.Inputs(anchor, c, tag), assignment: a}
}

// key is the verifying key of the sample.
func (s *sample) key(tb testing.TB) *claim.VerifyingKey {
	tb.Helper()
	if s.list == nil {
		vk, ok := claim.KnownKey(s.id)
		if !ok {
			tb.Fatalf("%s has no known key", s.id)
		}
		return vk
	}
	vk, err := s.list.VerifyingKey()
	if err != nil {
		tb.Fatal(err)
	}
	return vk
}

// prove proves the sample with a prover that has loaded its claim.
func (s *sample) prove(tb testing.TB, p *claim.Prover) []byte {
	tb.Helper()
	proof, err := p.Prove(tb.Context(), s.statement, s.x, s.assignment)
	if err != nil {
		tb.Fatal(err)
	}
	return proof
}

// load adds the sample's list, if it has one.
func (s *sample) load(tb testing.TB, p *claim.Prover) {
	tb.Helper()
	if s.list == nil {
		return
	}
	if err := p.AddList(s.list); err != nil {
		tb.Fatal(err)
	}
}

// shifted is x with element i replaced by another one.
func shifted(x []protocol.Element, i int) []protocol.Element {
	x = slices.Clone(x)
	x[i] = plus(x[i], protocol.SmallElement(1))
	return x
}

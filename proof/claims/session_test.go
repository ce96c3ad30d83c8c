package claims_test

import (
	"errors"
	"testing"

	"github.com/terradourada/td/proof/claims"
	"github.com/terradourada/td/proof/field"
	"github.com/terradourada/td/proof/ligero"
	"github.com/terradourada/td/proof/transcript"
)

// otherSessions differ from one in a single element.
func otherSessions(s claims.Session) (o []claims.Session) {
	for i := range s.Anchor {
		a, c, t := s, s, s
		a.Anchor[i] = a.Anchor[i].Add(field.One)
		c.Context[i] = c.Context[i].Add(field.One)
		t.Tag[i] = t.Tag[i].Add(field.One)
		o = append(o, a, c, t)
	}
	return append(o, claims.Session{}, claims.Session{Anchor: s.Context, Context: s.Anchor, Tag: s.Tag}, claims.Session{Anchor: s.Anchor, Context: s.Tag, Tag: s.Context})
}

// TestSessions: a proof of every claim is valid in its session and in no other one.
func TestSessions(t *testing.T) {
	for name, w := range witnesses(t) {
		proof := prove(t, w)
		for _, o := range otherSessions(session("")) {
			if suite.Verify(proof, claims.Bound{Session: o, Statement: w.Statement()}) == nil {
				t.Errorf("%s: accepted in the session %+v", name, o)
			}
		}
	}
}

// TestSessionsChangeNothingElse: the length of a proof does not depend on the session but by
// the positions that are drawn, and its coins make the rows, which are the same.
func TestSessionsChangeNothingElse(t *testing.T) {
	seed := transcript.Digest("sessions")
	var columns [2][]byte
	for i, name := range []string{"one", "two"} {
		proof, err := suite.Prove(ligero.FixedCoins(seed), claims.NewOpen(digest("e"), digest("r")).In(session(name)))
		if err != nil {
			t.Fatal(err)
		}
		columns[i] = proof[:32]
	}
	if string(columns[0]) != string(columns[1]) {
		t.Error("the root depends on the session, so a row does")
	}
}

func TestUnbound(t *testing.T) {
	w := claims.NewOpen(digest("e"), digest("r"))
	if _, err := suite.Prove(ligero.NewCoins(), w); !errors.Is(err, claims.ErrUnbound) {
		t.Errorf("without a session: %v", err)
	}
	one := w.In(session("one"))
	if b, err := one.In(session("two")).Bound(); err != nil || b.Session != session("two") {
		t.Errorf("bound twice: %+v, %v", b, err)
	}
	if b, err := one.Bound(); err != nil || b.Session != session("one") {
		t.Errorf("bound once: %+v, %v", b, err)
	}
}

func TestContextAndTag(t *testing.T) {
	m := []byte("message")
	if got := claims.ContextOf(m); got != claims.HashToDigest("TD-V2-context", m) {
		t.Errorf("c = %v", got)
	}
	if got := claims.TagOf(m); got != claims.HashToDigest("TD-V2-tag", m) {
		t.Errorf("t = %v", got)
	}
}

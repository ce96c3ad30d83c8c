package claim_test

import (
	"testing"

	"github.com/terradourada/td/claim"
)

// TestDescribe: every claim is described, and its example is one: the parameters hold for
// the event.
func TestDescribe(t *testing.T) {
	for _, id := range claim.IDs() {
		d := claim.Describe(id)
		if d.Says == "" || d.Shape == "" || d.Params == "" || d.Event == "" {
			t.Errorf("%s: %+v", id, d)
		}
		if id == claim.Group {
			continue // its parameters need a list and a member
		}
		p, err := claim.Prepare(id, []byte(d.Params), []byte(d.Event))
		if err != nil {
			t.Errorf("%s: %v", id, err)
			continue
		}
		cm, assignment, err := claim.Commit(p.Params(), p.Event(), claim.NewBlind())
		if err != nil {
			t.Errorf("%s: %v", id, err)
			continue
		}
		if s, err := claim.NewStatement(p.Params(), cm); err != nil || s.Check(assignment) != nil {
			t.Errorf("%s: the example does not hold: %v", id, err)
		}
	}
}

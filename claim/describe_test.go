package claim_test

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/terradourada/td/claim"
	"github.com/terradourada/td/protocol"
)

// TestDescribe: every claim is described, and each of its examples is one: the
// parameters hold for the event.
func TestDescribe(t *testing.T) {
	secret := claim.NewMemberSecret()
	list, err := claim.NewList("board", []protocol.Member{secret.Member()})
	if err != nil {
		t.Fatal(err)
	}
	for _, id := range claim.IDs() {
		d := claim.Describe(id)
		if d.Says == "" || d.Shape == "" {
			t.Errorf("%s: %+v", id, d)
		}
		examples := append([]claim.Note{{Topic: "claim", Text: d.Says, Params: d.Params, Event: d.Event}}, d.Notes...)
		for _, n := range examples {
			if n.Text == "" {
				t.Errorf("%s: %s has no text", id, n.Topic)
			}
			if id != claim.Group {
				if err := refuse(id, n.Params, n.Event); err != nil {
					t.Errorf("%s: the example of %s does not hold: %v, %s", id, n.Topic, err, explain(err))
				}
				continue
			}
			var scope struct{ Scope string }
			if err := json.Unmarshal([]byte(n.Params), &scope); err != nil {
				t.Fatal(err)
			}
			if _, err := claim.GroupParams(list, scope.Scope, secret); err != nil || len(jcs(t, n.Event)) == 0 {
				t.Errorf("%s: the example of %s does not hold: %v", id, n.Topic, err)
			}
		}
	}
}

// TestNotesAreExact: without the scale or the offset that a note explains, its example
// is refused.
func TestNotesAreExact(t *testing.T) {
	for _, id := range claim.IDs() {
		topics := map[string]bool{}
		for _, n := range claim.Describe(id).Notes {
			topics[n.Topic] = true
			if n.Topic != "scale" && n.Topic != "offset" || id == claim.Sum && n.Topic == "offset" {
				continue
			}
			if err := refuse(id, edit(t, n.Params, n.Topic, "0"), n.Event); err == nil {
				t.Errorf("%s: the example of %s holds without it", id, n.Topic)
			}
		}
		for _, member := range []string{"scale", "offset", "field"} {
			if strings.Contains(claim.Describe(id).Shape, member) && !topics[member] {
				t.Errorf("%s: %s is not explained", id, member)
			}
		}
		if !topics["batch"] {
			t.Errorf("%s: batching is not explained", id)
		}
	}
}

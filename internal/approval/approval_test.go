package approval_test

import (
	"errors"
	"strconv"
	"testing"
	"time"

	"github.com/terradourada/td/internal/approval"
	"github.com/terradourada/td/protocol"
)

var (
	start = time.Unix(1_700_000_000, 0)
	thaw  = approval.Action{Name: "thaw", Target: "accept all"}
)

// ask asks some minutes after the start.
func ask(t *testing.T, a *approval.Approvals, minutes int, action approval.Action, actor string) (approval.Request, bool) {
	t.Helper()
	first, ok, err := a.Ask(start.Add(time.Duration(minutes)*time.Minute), action, actor)
	if err != nil {
		t.Fatal(err)
	}
	return first, ok
}

// TestTwoPeople: only a different actor, the same action and target, and the window
// approve, and each approval is used once.
func TestTwoPeople(t *testing.T) {
	for name, c := range map[string]struct {
		actor   string
		action  approval.Action
		minutes int
		want    bool
	}{
		"a second person":         {"uid 2", thaw, 29, true},
		"the same person":         {"uid 1", thaw, 1, false},
		"another target":          {"uid 2", approval.Action{Name: "thaw", Target: "issue all"}, 1, false},
		"another action":          {"uid 2", approval.Action{Name: "rotate", Target: thaw.Target}, 1, false},
		"when the window is over": {"uid 2", thaw, 30, false},
	} {
		t.Run(name, func(t *testing.T) {
			var a approval.Approvals
			if _, ok := ask(t, &a, 0, thaw, "uid 1"); ok {
				t.Fatal("one person is enough")
			}
			first, ok := ask(t, &a, c.minutes, c.action, c.actor)
			if ok != c.want || ok && first.Actor != "uid 1" {
				t.Fatalf("got %+v, %t", first, ok)
			}
			if _, again := ask(t, &a, c.minutes, c.action, c.actor); again {
				t.Error("an approval is used twice")
			}
		})
	}
}

// TestAskedAgain: the window of a person who asks again begins again.
func TestAskedAgain(t *testing.T) {
	var a approval.Approvals
	ask(t, &a, 0, thaw, "uid 1")
	ask(t, &a, 20, thaw, "uid 1")
	if _, ok := ask(t, &a, 49, thaw, "uid 2"); !ok {
		t.Error("not approved")
	}
}

func TestWaiting(t *testing.T) {
	var a approval.Approvals
	other := approval.Action{Name: "thaw", Target: "issue all"}
	ask(t, &a, 5, thaw, "uid 1")
	ask(t, &a, 0, other, "uid 2")
	if w := a.Waiting(start.Add(29 * time.Minute)); len(w) != 2 || w[0].Action != other || w[1].Actor != "uid 1" {
		t.Errorf("got %+v", w)
	}
	if w := a.Waiting(start.Add(30 * time.Minute)); len(w) != 1 || w[0].Action != thaw {
		t.Errorf("after the first window: %+v", w)
	}
	if now := start.Add(6 * time.Minute); a.Withdraw(now, thaw, "uid 2") || !a.Withdraw(now, thaw, "uid 1") || a.Withdraw(now, thaw, "uid 1") {
		t.Error("a request is withdrawn by another person, not at all, or twice")
	}
}

func TestBounded(t *testing.T) {
	var a approval.Approvals
	for i := range 256 {
		ask(t, &a, 0, approval.Action{Name: "thaw", Target: strconv.Itoa(i)}, "uid 1")
	}
	if _, _, err := a.Ask(start, thaw, "uid 1"); !errors.Is(err, protocol.CodeOverloaded) {
		t.Errorf("one more: %v", err)
	}
	if _, ok := ask(t, &a, 1, approval.Action{Name: "thaw", Target: "7"}, "uid 2"); !ok {
		t.Error("the bound keeps a second person out")
	}
	if _, ok := ask(t, &a, 40, thaw, "uid 1"); ok || len(a.Waiting(start.Add(40*time.Minute))) != 1 {
		t.Error("places of the past are taken")
	}
}

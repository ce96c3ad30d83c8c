// Package approval holds the actions that need two people: one asks, and another one asks
// for the same within the window.
//
// The requests that wait are in memory only, so a restart ends them. The package knows
// neither roles nor what an action does. Both people must be allowed to take it, and the
// caller checks that before.
package approval

import (
	"cmp"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/terradourada/td/protocol"
)

// Window is how long a request waits for the second person.
const Window = 30 * time.Minute

// Action is what two people must ask for in the same words.
type Action struct {
	Name   string // such as "thaw"
	Target string // what it is about
}

// Request is a request that waits for a second person.
type Request struct {
	Action
	Actor string // who asked, as an audit row names them
	Until time.Time
}

// Approvals are the requests that wait. The zero value holds none.
type Approvals struct {
	mu      sync.Mutex // guards waiting
	waiting map[Action]Request
}

// most bounds the requests that wait.
const most = 256

// Ask asks for an action at a time. If a different actor has asked for the same action
// within the window, the result is their request, which is used up by that. Else the
// request waits, and ok is false: the same actor twice is one person, whose window begins
// again. The code overloaded means that too many requests wait.
func (a *Approvals) Ask(now time.Time, action Action, actor string) (first Request, ok bool, err error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.expire(now)
	first, waits := a.waiting[action]
	if waits && first.Actor != actor {
		delete(a.waiting, action)
		return first, true, nil
	}
	if !waits && len(a.waiting) >= most {
		return Request{}, false, protocol.Fail(protocol.CodeOverloaded, "too many requests wait for a second person")
	}
	if a.waiting == nil {
		a.waiting = make(map[Action]Request)
	}
	first = Request{Action: action, Actor: actor, Until: now.Add(Window)}
	a.waiting[action] = first
	return first, false, nil
}

// Withdraw ends a request of an actor that waits, and reports whether there was one.
func (a *Approvals) Withdraw(now time.Time, action Action, actor string) bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.expire(now)
	r, waits := a.waiting[action]
	if !waits || r.Actor != actor {
		return false
	}
	delete(a.waiting, action)
	return true
}

// Forget ends every request that waits: what was asked for before something new happened
// does not approve of anything after it.
func (a *Approvals) Forget() {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.waiting = nil
}

// Waiting lists the requests that wait, the next to end first.
func (a *Approvals) Waiting(now time.Time) []Request {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.expire(now)
	all := make([]Request, 0, len(a.waiting))
	for _, r := range a.waiting {
		all = append(all, r)
	}
	slices.SortFunc(all, func(x, y Request) int {
		return cmp.Or(x.Until.Compare(y.Until), strings.Compare(x.Name, y.Name), strings.Compare(x.Target, y.Target))
	})
	return all
}

// expire drops the requests whose window is over. The lock is held.
func (a *Approvals) expire(now time.Time) {
	for action, r := range a.waiting {
		if !now.Before(r.Until) {
			delete(a.waiting, action)
		}
	}
}

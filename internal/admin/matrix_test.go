package admin_test

import (
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/terradourada/td/internal/admin"
	"github.com/terradourada/td/internal/journal"
	"github.com/terradourada/td/internal/principal"
	"github.com/terradourada/td/protocol"
)

// bodies hold a body for every action that changes something, and whether it has an
// effect besides the row.
var bodies = map[string]string{
	"audit/verify":       `{"reason":"r"}`,
	"freeze":             `{"reason":"r","operation":"both"}`,
	"thaw":               `{"reason":"r","operation":"issue"}`,
	"seal":               `{"reason":"r"}`,
	"rotate":             `{"reason":"r","how":"now"}`,
	"retire":             `{"reason":"r","fingerprint":"` + vk1.String() + `"}`,
	"revoke":             `{"reason":"r","epoch":"` + epochID.String() + `"}`,
	"invalidate":         `{"reason":"r","all":true}`,
	"clients/add":        `{"reason":"r","client":"north","scopes":"challenge"}`,
	"clients/key":        `{"reason":"r","client":"south","scopes":"challenge"}`,
	"clients/revoke-key": `{"reason":"r","key":"0102030405"}`,
	"clients/disable":    `{"reason":"r","client":"south"}`,
	"incident/open":      `{"reason":"r","kind":"key-compromise"}`,
	"incident/close":     `{"reason":"r","incident":5,"confirmed":["clients-checked","rates-normal"]}`,
	"reload":             `{"reason":"r"}`,
	"backup":             `{"reason":"r","name":"nightly"}`,

	"alerts/silence":      `{"reason":"r","rule":"WrongTags","scope":"*","for_ms":3600000}`,
	"alerts/unsilence":    `{"reason":"r","id":"0011"}`,
	"alerts/feedback":     `{"reason":"r","alert":"0011","verdict":"useless"}`,
	"anomalies/feedback":  `{"reason":"r","id":7,"verdict":"expected"}`,
	"alerts/test":         `{"reason":"r","id":"0011"}`,
	"alerts/sinks/add":    `{"reason":"r","kind":"webhook","url":"https://alerts.example.org/secret"}`,
	"alerts/sinks/remove": `{"reason":"r","id":"0011"}`,
	"responses/lift":      `{"reason":"r","subject":"network:192.0.2.0/24"}`,
}

// TestMatrix: every action, by every role, with a journal that takes writes and with one
// that does not, over the socket and over TCP. What is not allowed is refused with a row
// and without an effect. What is allowed has its row before its effect. Without a journal
// only reading works, and what stops.
func TestMatrix(t *testing.T) {
	t.Parallel()
	for _, writable := range []bool{true, false} {
		for _, transport := range []string{"socket", "TCP"} {
			t.Run(fmt.Sprintf("writable %v over %s", writable, transport), func(t *testing.T) {
				t.Parallel()
				for _, role := range []principal.Role{principal.NoRole, principal.Viewer, principal.Operator, principal.Commander} {
					w := start(t, ready(), nil)
					connect := w.as
					if transport == "TCP" {
						connect = w.over
					}
					conn := connect(role)
					for _, a := range admin.Actions() {
						w.prepare(!writable)
						try(t, w, conn, a, role, writable, transport)
					}
					w.stop()
				}
			})
		}
	}
}

// ready returns a core with what the bodies name.
func ready() *core {
	c := newCore()
	seq := uint64(5)
	c.rows = []journal.AuditRow{{ID: 1, Action: "incident/open", Target: "abnormal-traffic", Seq: &seq, Outcome: journal.Done}}
	return c
}

// prepare puts the core into the state that every try begins with.
func (w *world) prepare(held bool) {
	w.pass(2 * admin.Window)
	w.mu.Lock()
	defer w.mu.Unlock()
	w.held, w.done, w.late = held, nil, nil
	w.state = journal.State{By: map[journal.Hold]journal.Entry{}}
	w.clients = []principal.Client{{Index: 1, ID: "south"}}
	w.keys = []principal.Record{{ID: principal.KeyID{1, 2, 3, 4, 5}, Client: 1, Scopes: principal.AllScopes()}}
	w.registry = principal.NewRegistry(slices.Clone(w.clients), slices.Clone(w.keys))
}

func try(t *testing.T, w *world, conn *admin.Conn, a admin.ActionInfo, role principal.Role, writable bool, transport string) {
	t.Helper()
	method, body := http.MethodGet, ""
	if !a.Read {
		method, body = http.MethodPost, bodies[a.Name]
		if body == "" {
			t.Fatalf("there is no body for %s", a.Name)
		}
	}
	before := w.lastRow().ID
	err := conn.Raw(t.Context(), method, a.Name, body)
	what := fmt.Sprintf("%s by %s", a.Name, role)
	done, last := w.take(), w.lastRow()
	if len(done) > 1 && a.Stop && done[0] == "effect now" {
		done = done[1:] // keys are destroyed before anything is written
	}
	actor := map[string]string{"socket": "uid ", "TCP": "certificate "}[transport]
	if last.ID > before && (!strings.HasPrefix(last.Actor, actor) || last.Role != role.String()) {
		t.Errorf("%s: the row names %s as %s", what, last.Actor, last.Role)
	}
	effect := slices.ContainsFunc(done, func(s string) bool { return !strings.HasPrefix(s, "row ") })
	switch {
	case role < a.Least:
		want(t, what, err, protocol.CodeForbidden)
		if effect || writable && !slices.Equal(done, []string{"row " + a.Name + " refused"}) || !writable && len(done) != 0 {
			t.Errorf("%s, refused: %q", what, done)
		}
		if writable && (last.Code != "forbidden" || last.Seq != nil) {
			t.Errorf("%s: %+v", what, last)
		}
	case a.Read:
		want(t, what, err, protocol.CodeNone)
		if len(done) != 0 {
			t.Errorf("%s reads, and leaves %q", what, done)
		}
	case writable:
		want(t, what, err, protocol.CodeNone)
		if len(done) == 0 || !strings.HasPrefix(done[0], "row ") || last.Outcome != journal.Done || last.Reason != "r" {
			t.Errorf("%s: %q, %+v", what, done, last)
		}
	case a.Stop:
		want(t, what, err, protocol.CodeNone)
		if len(done) == 0 || !strings.HasPrefix(done[0], "held ") {
			t.Errorf("%s without a journal: %q", what, done)
		}
		w.release()
		if rows := w.take(); len(rows) == 0 || !strings.HasSuffix(rows[0], " not durable") {
			t.Errorf("%s when the journal is back: %q", what, rows)
		}
	default:
		want(t, what, err, protocol.CodeLedgerUnavailable)
		if len(done) != 0 {
			t.Errorf("%s without a journal: %q", what, done)
		}
	}
}

// TestMatrixIsWhole: the table names only known roles, and each action once.
func TestMatrixIsWhole(t *testing.T) {
	t.Parallel()
	seen := map[string]bool{}
	for _, a := range admin.Actions() {
		if seen[a.Name] || a.Least < principal.Viewer || a.Least > principal.Commander || a.Read && a.Stop {
			t.Errorf("%+v", a)
		}
		seen[a.Name] = true
	}
	for name := range bodies {
		if !seen[name] {
			t.Errorf("there is no action %s", name)
		}
	}
}

package main

import (
	"bufio"
	"bytes"
	"context"
	"strings"
	"testing"
	"time"

	"github.com/terradourada/td/api"
	"github.com/terradourada/td/internal/admin"
	"github.com/terradourada/td/internal/fault"
	"github.com/terradourada/td/protocol"
)

// TestAdminStatus: the first lines say whether it accepts, and if not, who stopped it,
// why, since when, until when, and what starts it again.
func TestAdminStatus(t *testing.T) {
	now := time.Date(2026, 11, 29, 3, 0, 0, 0, time.UTC)
	before, later := now.Add(-90*time.Second), now.Add(time.Hour)
	at := func(index uint64) *uint64 { return &index }
	print := protocol.Digest{1}
	names := map[protocol.Digest]string{print: "range/1"}
	rows := map[uint64]admin.Row{
		41: {Actor: "uid 7", Reason: "looking\x1b[2J", Action: "freeze", Time: before},
		42: {Actor: "uid 7", Reason: "looking\x1b[2J", Action: "freeze", Time: before},
		50: {Actor: "uid 0", Reason: "the end", Action: "seal", Time: before},
	}
	ok := api.Condition{State: "ok"}
	tests := map[string]struct {
		change             func(*admin.Status)
		issuing, accepting bool
		want               string
	}{
		"open": {func(*admin.Status) {}, true, true, "accepting\n\n"},
		"frozen": {func(s *admin.Status) {
			s.Server.Holds = []api.Hold{
				{Kind: "issue", By: "operator", Index: at(42), Since: &before},
				{Kind: "accept", By: "operator", Index: at(41), Since: &before},
				{Kind: "accept", By: "operator", Index: at(41), Since: &before, Claim: &print},
			}
		}, false, false, `NOT ACCEPTING: nothing is issued, and nothing is accepted
  acceptance and issuing are frozen, by uid 7, since 2026-11-29T02:58:30Z (1m30s ago)
    why: looking\x1b[2J
    starts again with: td admin thaw --reason "…"
  acceptance is frozen for range/1 (AQAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA), by uid 7, since 2026-11-29T02:58:30Z (1m30s ago)
    why: looking\x1b[2J
    starts again with: td admin thaw --accept --fingerprint AQAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA --reason "…"

`},
		"frozen apart": {func(s *admin.Status) {
			s.Server.Holds = []api.Hold{
				{Kind: "accept", By: "operator", Index: at(41), Since: &before},
				{Kind: "issue", By: "operator", Index: at(43), Since: &before},
			}
			s.Ends = []admin.End{{Scope: admin.Scope{Operation: "accept"}, Until: later}}
		}, false, false, `NOT ACCEPTING: nothing is issued, and nothing is accepted
  acceptance is frozen, by uid 7, since 2026-11-29T02:58:30Z (1m30s ago), until 2026-11-29T04:00:00Z (in 1h0m0s)
    why: looking\x1b[2J
    starts again with: td admin thaw --accept --reason "…"
  issuing is frozen, by operator, since 2026-11-29T02:58:30Z (1m30s ago)
    starts again with: td admin thaw --issue --reason "…"

`},
		"by the core": {func(s *admin.Status) {
			s.Server.Holds = []api.Hold{{Kind: "accept", By: "core", Why: "journal and log disagree", Index: at(9), Since: &before}}
		}, true, false, `NOT ACCEPTING: requests are issued, but nothing is accepted
  acceptance is frozen, by core, since 2026-11-29T02:58:30Z (1m30s ago)
    why: journal and log disagree
    starts again with: td admin thaw --accept --reason "…", after a restart that finds journal and log equal

`},
		"issuing": {func(s *admin.Status) {
			s.Server.Holds = []api.Hold{{Kind: "issue", By: "operator"}}
		}, false, true, `NOT ISSUING: no new requests; pending ones are accepted
  issuing is frozen, by operator
    starts again with: td admin thaw --issue --reason "…"

`},
		"one claim": {func(s *admin.Status) {
			s.Server.Holds = []api.Hold{{Kind: "accept", By: "operator", Claim: &print}}
			s.Ends = []admin.End{{Scope: admin.Scope{Operation: "both", Claim: "range/1"}, Until: later}}
		}, true, true, `accepting, but not everything
  acceptance is frozen for range/1 (AQAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA), by operator, until 2026-11-29T04:00:00Z (in 1h0m0s)
    starts again with: td admin thaw --accept --fingerprint AQAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA --reason "…"

`},
		"disk full": {func(s *admin.Status) {
			s.Server.Journal = api.Condition{State: "failing", Since: &before, Why: "disk full"}
			s.NotDurable = 1
		}, true, false, `NOT ACCEPTING: requests are issued, but nothing is accepted
  the journal: failing, since 2026-11-29T02:58:30Z (1m30s ago)
    why: disk full
    starts again with: by itself when the cause is gone; docs/operate.md explains it
  HELD IN MEMORY: 1 action is in force, not durable; do not end the server before the journal is mended

`},
		"sealed": {func(s *admin.Status) { s.Server.Sealed = true }, false, false, `NOT ACCEPTING, permanently: the log is sealed
  the log is sealed, by uid 0, since 2026-11-29T02:58:30Z (1m30s ago)
    why: the end
    it stays so

`},
	}
	for name, tt := range tests {
		s := admin.Status{Time: now, Started: before, Server: api.Status{Journal: ok, Ledger: ok, Epochs: ok}}
		tt.change(&s)
		r := newReport(&s, nil, names, rows)
		var b bytes.Buffer
		if err := r.table(&b); err != nil {
			t.Fatal(err)
		}
		got, _, _ := strings.Cut(b.String(), "log  ")
		if got != tt.want || r.Issuing != tt.issuing || r.Accepting != tt.accepting {
			t.Errorf("%s: issuing %v, accepting %v\n%s\nwant\n%s", name, r.Issuing, r.Accepting, got, tt.want)
		}
	}
}

// TestAdminStatusRest: below it stands what an operator asks next.
func TestAdminStatusRest(t *testing.T) {
	now := time.Date(2026, 11, 29, 3, 0, 0, 0, time.UTC)
	minute := now.Add(-time.Minute)
	s := admin.Status{
		Time: now, Started: now.Add(-time.Hour), Actor: "uid 0", Role: "commander", Pending: 4,
		Server: api.Status{
			Origin: "o", Size: 9, Published: 8, Version: "v1", Journal: api.Condition{State: "ok"},
			Ledger: api.Condition{State: "ok"}, Epochs: api.Condition{State: "ok"},
		},
		Incidents: []admin.Incident{{Index: 7, Kind: "operator-error", Opened: now.Add(-time.Minute), Actor: "uid 0", Reason: "wrong claim", Left: []admin.Check{{ID: "cause", Text: "find it"}}}},
		Alerts:    admin.AlertState{Firing: 2, Dropped: 3, Notifier: admin.NotifierDown, Since: &minute, Exits: 1, How: "exited with status 1"},
		Cosigners: []admin.Cosigner{{URL: "https://a", Size: 8}, {URL: "https://b", Failing: &minute, Why: "connection\nrefused"}},
		Waiting:   []admin.Waiting{{Action: "thaw", Target: "accept", Actor: "uid 7", Until: now.Add(time.Minute)}},
	}
	epochs := []admin.Epoch{{Number: 2, Phase: "ACTIVE", Since: now.Add(-time.Hour), Issued: 5, Pending: 4}}
	var b bytes.Buffer
	if err := newReport(&s, epochs, nil, nil).table(&b); err != nil {
		t.Fatal(err)
	}
	want := `accepting

log       o, size 9, published 8
epoch     2 ACTIVE, since 2026-11-29T02:00:00Z (1h0m0s ago), 5 issued, 4 pending, 00000000000000000000000000000000
pending   4 requests
journal   ok
ledger    ok
keys      ok
alerts    2 firing; td admin alerts lists them; 3 times one found no place
notifier  DOWN: alerts are not delivered, and are in the log and td admin alerts only, since 2026-11-29T02:59:00Z (1m0s ago), 1 exit, the last one: exited with status 1
cosigner  https://a, cosigned size 8
cosigner  https://b, none cosigned since the start, FAILS since 2026-11-29T02:59:00Z (1m0s ago): connection\nrefused
incident  7 operator-error, since 2026-11-29T02:59:00Z (1m0s ago), by uid 0: wrong claim
            cause: find it
            td admin incident close 7 --confirmed cause --reason …
approval  thaw accept, asked for by uid 7, for another commander until 2026-11-29T03:01:00Z (in 1m0s)
you       uid 0, commander
server    v1, since 2026-11-29T02:00:00Z (1h0m0s ago)
`
	if b.String() != want {
		t.Errorf("%s\nwant\n%s", &b, want)
	}
}

// TestQuestions: a terminal is asked for the reason and for the word, in this order.
func TestQuestions(t *testing.T) {
	word := func(context.Context) (string, error) { return "origin/1", nil }
	tests := map[string]struct {
		typed, given, reason string
		confirmed            bool
	}{
		"both":           {"because\norigin/1\n", "", "because", true},
		"given":          {"origin/1\n", "why", "why", true},
		"another word":   {"yes\n", "why", "why", false},
		"end of input":   {"", "why", "why", false},
		"without reason": {"\n", "", "", false},
	}
	for name, tt := range tests {
		var out bytes.Buffer
		q := &questions{in: bufio.NewReader(strings.NewReader(tt.typed)), out: &out, terminal: true, command: "td admin seal"}
		reason, err := q.reason(t.Context(), tt.given)
		if reason != tt.reason || (err == nil) != (tt.reason != "") {
			t.Errorf("%s: reason %q, %v", name, reason, err)
		}
		if err == nil {
			err = q.confirm(t.Context(), "it ends", word)
		}
		if (err == nil) != tt.confirmed || err != nil && fault.Of(err).Exit != fault.Usage {
			t.Errorf("%s: %v", name, err)
		}
		if tt.confirmed && !strings.HasSuffix(out.String(), "td admin seal: it ends\ntype origin/1 to confirm: ") {
			t.Errorf("%s: %q", name, &out)
		}
	}
}

package watch_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/terradourada/td/internal/watch"
)

// TestTeaches: a page, or a ticket about the whole server, stops learning. A ticket about one
// network does not, and neither does one of a series.
func TestTeaches(t *testing.T) {
	t.Parallel()
	now := time.Date(2026, 11, 24, 12, 0, 0, 0, time.UTC)
	for _, c := range []struct {
		rule, scope string
		want        bool
	}{
		{"AnomalyRate", "network:192.0.2.0/24", true},
		{"AnomalyPattern", "client:north", true},
		{"AnomalySeries", "server", true},
		{"AnomalyRate", "server", false},
		{"AnomalyConfirmed", "network:192.0.2.0/24", false},
		{"ImpossibleEvent", "client:north", false},
	} {
		e := watch.New(now, watch.Options{})
		for i := range 3 {
			e.Tick(now.Add(time.Duration(i)*15*time.Second), &watch.Input{
				Window: time.Minute, Gauges: watch.NoGauges(), Findings: []watch.Finding{{Rule: c.rule, Scope: c.scope, Score: 2, Sentence: "s"}},
			})
		}
		if len(e.Alerts(now)) != 1 || e.Teaches() != c.want {
			t.Errorf("%s of %s: learning %t, want %t; %+v", c.rule, c.scope, e.Teaches(), c.want, e.Alerts(now))
		}
	}
}

// TestRoomForServer: alerts about many clients leave room for one about the server.
func TestRoomForServer(t *testing.T) {
	t.Parallel()
	now := time.Date(2026, 11, 24, 12, 0, 0, 0, time.UTC)
	e := watch.New(now, watch.Options{})
	in := &watch.Input{Window: time.Minute, Gauges: watch.NoGauges()}
	for i := range 100 {
		in.Findings = append(in.Findings, watch.Finding{Rule: "ImpossibleEvent", Scope: fmt.Sprint("client:", i), Score: 1})
	}
	e.Tick(now, in)
	in.Findings = append(in.Findings, watch.Finding{Rule: "ImpossibleEvent", Scope: watch.ScopeServer, Score: 1})
	e.Tick(now.Add(15*time.Second), in)
	server := false
	for _, a := range e.Alerts(now) {
		server = server || a.Scope == watch.ScopeServer
	}
	if n := len(e.Alerts(now)); n != 65 || !server {
		t.Errorf("%d alerts, of the server: %t", n, server)
	}
}

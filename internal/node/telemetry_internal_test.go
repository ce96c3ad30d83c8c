package node

import (
	"bytes"
	"flag"
	"net/http/httptest"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/terradourada/td/internal/gate"
	"github.com/terradourada/td/internal/journal"
	"github.com/terradourada/td/internal/telemetry"
	"github.com/terradourada/td/internal/telemetry/metrics"
	"github.com/terradourada/td/protocol"
)

var update = flag.Bool("update", false, "write docs/reference/metrics.md")

//go:generate go test -count=1 -run ^TestMetricsReference$ -update .

// TestMetricsReference: docs/reference/metrics.md is what the table says, with the labels
// of this program.
func TestMetricsReference(t *testing.T) {
	const file = "../../docs/reference/metrics.md"
	want := []byte(metrics.Reference(metricLabels()))
	if *update {
		if err := os.WriteFile(file, want, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	if got, err := os.ReadFile(file); err != nil || !bytes.Equal(got, want) {
		t.Errorf("%s is not what the table says: make docs (%v)", file, err)
	}
}

// TestSeries: a server has no more than 2,000 series.
func TestSeries(t *testing.T) {
	m := metrics.New(metrics.Options{Labels: metricLabels(), Version: "1.0", Process: true})
	w := httptest.NewRecorder()
	m.Handler().ServeHTTP(w, httptest.NewRequest("GET", "/metrics", nil))
	text := w.Body.String()
	if n := strings.Count(text, "\n") - strings.Count(text, "# "); n > 2000 || n < 500 {
		t.Errorf("%d series", n)
	}
}

// changes keeps the changes that are reported.
type changes []telemetry.Change

func (c *changes) Request(telemetry.Request) {}

func (c *changes) Change(one telemetry.Change) {
	one.At = time.Time{}
	*c = append(*c, one)
}

// take returns what was reported since the last call.
func (c *changes) take() []telemetry.Change {
	taken := *c
	*c = nil
	return taken
}

// TestReporting: what has changed is reported once: values and states, leaves, and what the
// gate has come to. A clock that goes as it should is no news.
func TestReporting(t *testing.T) {
	var got changes
	p := &reporting{events: telemetry.NewEvents([]telemetry.Observer{&got}, nil), told: make(map[telemetry.Kind]telemetry.Change)}
	want := func(what string, all ...telemetry.Change) {
		t.Helper()
		if taken := got.take(); !slices.Equal(taken, all) {
			t.Errorf("%s: reported %v, want %v", what, taken, all)
		}
	}
	for _, size := range []float64{0, 0, 7, 7} {
		p.measured(telemetry.JournalSize, size)
	}
	want("values", telemetry.Change{Kind: telemetry.JournalSize}, telemetry.Change{Kind: telemetry.JournalSize, Value: 7})
	p.state(telemetry.LedgerFailing, stateFailing, true)
	p.state(telemetry.LedgerFailing, "diverged", true)
	p.state(telemetry.LedgerFailing, "diverged", true)
	want("states", telemetry.Change{Kind: telemetry.LedgerFailing, Subject: stateFailing, Value: 1}, telemetry.Change{Kind: telemetry.LedgerFailing, Subject: "diverged", Value: 1})

	at := time.Now()
	p.lookAtClock(at)
	p.lookAtClock(at.Add(time.Second))
	want("clock")

	leaf := func(body protocol.LeafBody) journal.Entry {
		raw, err := (&protocol.Leaf{Seq: 3, Body: body}).Encode()
		if err != nil {
			t.Fatal(err)
		}
		return journal.Entry{Seq: 3, Leaf: raw}
	}
	p.committed([]journal.Entry{
		leaf(&protocol.Control{Action: protocol.ActionFreezeAccept, Reason: reasonDeaths}),
		leaf(&protocol.Control{Action: protocol.ActionThawIssue}),
		leaf(&protocol.Control{Action: protocol.ActionRotate}),
		{Leaf: []byte("no leaf")},
	})
	want("leaves", telemetry.Change{Kind: telemetry.HoldSet, Subject: "accept core", Value: 1}, telemetry.Change{Kind: telemetry.HoldLifted, Subject: "issue operator", Value: 1})

	id := protocol.RequestID{1}
	p.observeGate(gate.Outcome{Operation: "open", Claim: "open/1", RequestID: id})
	p.observeGate(gate.Outcome{Operation: "push", Claim: "open/1", Err: protocol.CodeOverloaded})
	want("answers that requests report")
	p.observeGate(gate.Outcome{Operation: "expire", Claim: "open/1", RequestID: id})
	p.observeGate(gate.Outcome{Operation: "push", Claim: "open/1", RequestID: id, Err: protocol.CodeProverTimeout})
	p.observeGate(gate.Outcome{Operation: "push", Claim: "sum/1", RequestID: id})
	p.observeGate(gate.Outcome{Operation: "accept", Claim: "sum/1", RequestID: id, Err: telemetry.Because(telemetry.Disagreement, protocol.CodeInvalidated)})
	want("the gate",
		telemetry.Change{Kind: telemetry.ChallengeExpired, Subject: "open/1", Value: 1},
		telemetry.Change{Kind: telemetry.PushDecided, Subject: "open/1", Value: float64(telemetry.ProverLate)},
		telemetry.Change{Kind: telemetry.ProverFailed, Subject: "prover_late", Value: 1},
		telemetry.Change{Kind: telemetry.PushDecided, Subject: "sum/1"},
		telemetry.Change{Kind: telemetry.TaggerDisagreed, Subject: "sum/1", Value: 1},
	)
}

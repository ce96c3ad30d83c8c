package metrics_test

import (
	"fmt"
	"net/http/httptest"
	"os/exec"
	"slices"
	"strings"
	"testing"

	"github.com/prometheus/client_golang/prometheus/testutil/promlint"

	"github.com/terradourada/td/internal/telemetry"
	"github.com/terradourada/td/internal/telemetry/metrics"
	"github.com/terradourada/td/protocol"
)

// asServed are as many labels as a server has.
func asServed() metrics.Labels {
	rules := make([]string, 40)
	for i := range rules {
		rules[i] = fmt.Sprintf("Rule%d", i)
	}
	return metrics.Labels{
		Operations: []string{
			"openChallenge", "sendProof", "pushEvent", "getReceipt", "verifyReceipt", "listClaims", "getClaim", "listEpochs",
			"getEpoch", "getAttestation", "getStatus", "getCheckpoint", "getTile", "getSpec", "getDocs",
		},
		Claims: []string{"open/1", "range/1", "sum/1", "record-range/1", "record-equals/1", "record-oneof/1", "group/1"},
		Scopes: []string{
			"address", "subnet", "network", "provider", "client", "client_day", "claim", "class", "global", "failures", "penalty", "no_address",
		},
		Tables:    []string{"addresses", "clients", "failures"},
		Rules:     rules,
		Sinks:     []string{"log", "alertmanager", "webhook"},
		Responses: []string{"cost", "slow", "block"},

		Detectors:    []string{"series", "rate", "correlate", "impossible", "prover", "behaviour"},
		Suppressions: []string{"hold", "rotation", "start", "deploy", "feedback"},
	}
}

// TestCardinality: a server has no more than 2,000 series, and no event adds one.
func TestCardinality(t *testing.T) {
	m := metrics.New(metrics.Options{Labels: asServed(), Version: "1.0", Process: true})
	before := scrape(t, m)
	if n := strings.Count(before, "\n") - strings.Count(before, "# "); n > 2000 || n < 500 {
		t.Errorf("%d series", n)
	}
	for _, text := range []string{"", "x", strings.Repeat("\x00\"\n", 50)} {
		for _, cause := range append(telemetry.Causes(), telemetry.NoCause, 200) {
			for _, op := range []string{"openChallenge", "sendProof", "pushEvent", text} {
				m.Request(telemetry.Request{Operation: op, Claim: text, Client: text, Code: protocol.CodeInternal, Cause: cause, Waited: 1, Answered: 1, Verified: 1, ID: protocol.RequestID{1}})
			}
		}
		for _, kind := range append(telemetry.Kinds(), 0, 200) {
			m.Change(telemetry.Change{Kind: kind, Subject: text, Value: 1})
		}
	}
	if got, want := seriesOf(scrape(t, m)), seriesOf(before); !slices.Equal(got, want) {
		t.Errorf("there were %d series, and now %d", len(want), len(got))
	}
}

// seriesOf returns the series of this program in a scrape.
func seriesOf(text string) (all []string) {
	for line := range strings.Lines(text) {
		if strings.HasPrefix(line, metrics.Prefix) {
			series, _, _ := strings.Cut(line, " ")
			all = append(all, series)
		}
	}
	slices.Sort(all)
	return all
}

func scrape(t *testing.T, m *metrics.Metrics) string {
	t.Helper()
	w := httptest.NewRecorder()
	m.Handler().ServeHTTP(w, httptest.NewRequest("GET", "/metrics", nil))
	if w.Code != 200 {
		t.Fatalf("%d: %s", w.Code, w.Body)
	}
	return w.Body.String()
}

// TestLint: names and helps follow the rules of Prometheus.
func TestLint(t *testing.T) {
	m := metrics.New(metrics.Options{Labels: asServed(), Version: "1.0"})
	problems, err := promlint.New(strings.NewReader(scrape(t, m))).Lint()
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range problems {
		t.Errorf("%s: %s", p.Metric, p.Text)
	}
	promtool, err := exec.LookPath("promtool")
	if err != nil {
		t.Skip("promtool is not installed: what it checks beyond the above was not checked")
	}
	check := exec.Command(promtool, "check", "metrics")
	check.Stdin = strings.NewReader(scrape(t, m))
	if out, err := check.CombinedOutput(); err != nil || len(out) > 0 {
		t.Errorf("promtool: %v\n%s", err, out)
	}
}

// TestCounts: events are counted under their labels.
func TestCounts(t *testing.T) {
	m := metrics.New(metrics.Options{Labels: asServed(), Version: "1.0"})
	id := protocol.RequestID{1}
	m.Request(telemetry.Request{Operation: "openChallenge", Claim: "range/1", Status: 201, ID: id})
	m.Request(telemetry.Request{Operation: "sendProof", Claim: "range/1", Status: 403, Code: protocol.CodeSubmissionRejected, Cause: telemetry.WrongTag, Answered: 5e9})
	m.Request(telemetry.Request{Operation: "sendProof", Code: protocol.CodeSubmissionRejected, Cause: telemetry.UnknownID})
	m.Request(telemetry.Request{Operation: "sendProof", Claim: "range/1", Received: 700, Sent: 90, Verified: 2e6})
	m.Request(telemetry.Request{Operation: "sendProof", Claim: "range/1", Code: protocol.CodeOverloaded, Cause: telemetry.Overloaded})
	m.Change(telemetry.Change{Kind: telemetry.PushDecided, Subject: "open/1"})
	m.Change(telemetry.Change{Kind: telemetry.PushDecided, Subject: "open/1", Value: float64(telemetry.ProverWrong)})
	m.Change(telemetry.Change{Kind: telemetry.ProverFailed, Subject: "prover_wrong"})
	m.Change(telemetry.Change{Kind: telemetry.HoldSet, Subject: "issue operator", Value: 1})
	m.Change(telemetry.Change{Kind: telemetry.EpochOpened, Value: 7})
	m.Change(telemetry.Change{Kind: telemetry.DiskFree, Value: 5e9})
	scraped := 0.0
	m.OnScrape(func() { scraped++; m.Set(metrics.LimitDecisions, scraped, "address", "refused") })
	text := scrape(t, m)
	for _, line := range []string{
		`terradourada_http_requests_total{code="none",operation="openChallenge"} 1`,
		`terradourada_http_requests_total{code="submission_rejected",operation="sendProof"} 2`,
		`terradourada_http_received_bytes_total{operation="sendProof"} 700`,
		`terradourada_challenges_issued_total{claim="range/1"} 1`,
		`terradourada_refusals_total{cause="wrong_tag",class="submit"} 1`,
		`terradourada_proof_rejections_total{cause="wrong_tag",claim="range/1"} 1`,
		`terradourada_proof_rejections_total{cause="unknown_id",claim="none"} 1`,
		`terradourada_proof_submissions_total{claim="range/1",outcome="accepted"} 1`,
		`terradourada_proof_submissions_total{claim="range/1",outcome="rejected"} 1`,
		`terradourada_proof_submissions_total{claim="range/1",outcome="error"} 1`,
		`terradourada_proof_submissions_total{claim="open/1",outcome="accepted"} 1`,
		`terradourada_proof_submissions_total{claim="open/1",outcome="error"} 1`,
		`terradourada_prover_errors_total{cause="prover_wrong"} 1`,
		`terradourada_hold_changes_total{actor="operator",change="set"} 1`,
		`terradourada_epoch_number 7`,
		`terradourada_disk_free_bytes 5e+09`,
		`terradourada_ratelimit_decisions_total{decision="refused",scope="address"} 1`,
		`terradourada_proof_verify_duration_seconds_count{claim="range/1"} 1`,
		`terradourada_prover_response_seconds_bucket{claim="range/1",le="10"} 1`,
		`terradourada_ratelimit_decisions_total{decision="refused",scope="address"} 1`,
	} {
		if !strings.Contains(text, line+"\n") {
			t.Errorf("the scrape lacks %s", line)
		}
	}
}

// TestRequestAllocatesNothing: counting a request takes no memory, however it ended.
func TestRequestAllocatesNothing(t *testing.T) {
	m := metrics.New(metrics.Options{Labels: asServed(), Version: "1.0"})
	for _, r := range []telemetry.Request{
		{Operation: "openChallenge", Claim: "range/1", Took: 1e6, Waited: 1e3, ID: protocol.RequestID{1}},
		{Operation: "openChallenge", Took: 1e6, Code: protocol.CodeOverloaded, Cause: telemetry.Overloaded},
		{Operation: "sendProof", Claim: "range/1", Took: 1e6, Answered: 1e9, Verified: 1e6, Code: protocol.CodeProofRejected, Cause: telemetry.FalseProof},
	} {
		if n := testing.AllocsPerRun(100, func() { m.Request(r) }); n != 0 {
			t.Errorf("%s, %v: %v allocations", r.Operation, r.Cause, n)
		}
	}
}

func BenchmarkRequest(b *testing.B) {
	m := metrics.New(metrics.Options{Labels: asServed(), Version: "1.0"})
	r := telemetry.Request{Operation: "openChallenge", Claim: "range/1", Took: 1e6, Received: 200, Sent: 900, ID: protocol.RequestID{1}}
	b.ReportAllocs()
	for b.Loop() {
		m.Request(r)
	}
}

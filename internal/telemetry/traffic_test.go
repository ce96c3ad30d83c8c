package telemetry_test

import (
	"bytes"
	"log/slog"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/terradourada/td/internal/telemetry"
	"github.com/terradourada/td/protocol"
)

// TestTraffic: each minute has one line for each class with requests, and a refusal that
// may be an attack has one of its own.
func TestTraffic(t *testing.T) {
	var b bytes.Buffer
	traffic := telemetry.NewTraffic(slog.New(slog.NewJSONHandler(&b, nil)), nil)
	start := time.Date(2026, 11, 29, 12, 0, 0, 0, time.UTC)
	traffic.Flush(start)
	source := netip.MustParseAddr("192.0.2.7")
	for i := range 1000 {
		traffic.Request(telemetry.Request{Operation: "sendProof", Took: time.Duration(i) * time.Millisecond})
	}
	traffic.Request(telemetry.Request{Operation: "sendProof", Code: protocol.CodeSubmissionRejected, Cause: telemetry.WrongTag, Source: source, Client: "lab", Claim: "open/1", ID: protocol.RequestID{1}})
	traffic.Request(telemetry.Request{Operation: "sendProof", Code: protocol.CodeExpired, Cause: telemetry.Late})
	traffic.Request(telemetry.Request{Operation: "getTile", Took: time.Millisecond})
	traffic.Flush(start.Add(59 * time.Second))
	got := objects(t, b.String())
	if len(got) != 1 || got[0]["cause"] != "wrong_tag" || got[0]["source"] != "192.0.2.7" || got[0]["client"] != "lab" || got[0]["request_id"] == nil {
		t.Error(got)
	}
	b.Reset()
	traffic.Flush(start.Add(time.Minute))
	got = objects(t, b.String())
	if len(got) != 2 || got[0]["class"] != "read" || got[1]["class"] != "submit" || got[1]["requests"] != 1002.0 || got[1]["refused"] != 2.0 || got[1]["codes"] != "submission_rejected=1 expired=1" {
		t.Fatal(got)
	}
	for key, want := range map[string]float64{"p50_ms": 500, "p99_ms": 990} {
		if v := got[1][key].(float64); v < 0.94*want || v > 1.07*want {
			t.Errorf("%s is %v, want %v", key, v, want)
		}
	}
	b.Reset()
	traffic.Flush(start.Add(3 * time.Minute))
	if b.Len() > 0 {
		t.Errorf("a minute without requests has %q", b.String())
	}
}

// TestPseudonyms: an address has one pseudonym, another one after a start, and appears
// nowhere.
func TestPseudonyms(t *testing.T) {
	var b bytes.Buffer
	private := telemetry.NewPseudonyms()
	traffic := telemetry.NewTraffic(slog.New(slog.NewJSONHandler(&b, nil)), private)
	source := netip.MustParseAddr("2001:db8::7%eth0")
	for range 2 {
		traffic.Request(telemetry.Request{Operation: "sendProof", Code: protocol.CodeSubmissionRejected, Cause: telemetry.WrongTag, Source: source})
	}
	got := objects(t, b.String())
	of := private.Of(source)
	if got[0]["source"] != of.String() || got[1]["source"] != of.String() || strings.Contains(b.String(), "2001:db8") {
		t.Error(got)
	}
	if !netip.MustParsePrefix("fd00::/8").Contains(of) || telemetry.NewPseudonyms().Of(source) == of || private.Of(netip.MustParseAddr("2001:db8::8")) == of {
		t.Error(of)
	}
	if private.Of(netip.Addr{}).IsValid() {
		t.Error("no address has a pseudonym")
	}
}

// TestPseudonymsOfScopes: the scope of a network has its pseudonym, other scopes are as
// they are, and so is each without pseudonyms.
func TestPseudonymsOfScopes(t *testing.T) {
	private := telemetry.NewPseudonyms()
	for _, scope := range []string{"network:192.0.2.0/24", "network:2001:db8:7::/48"} {
		got := private.Scope(scope)
		a, err := netip.ParseAddr(strings.TrimPrefix(got, "network:"))
		if err != nil || !netip.MustParsePrefix("fd00::/8").Contains(a) || got != private.Scope(scope) || got == telemetry.NewPseudonyms().Scope(scope) {
			t.Errorf("%s is %s, %v", scope, got, err)
		}
	}
	if got := private.Scope("network:192.0.2.9"); strings.Contains(got, "192") {
		t.Errorf("what is no network is %s", got)
	}
	for _, scope := range []string{"server", "client:north", "many networks"} {
		if got := private.Scope(scope); got != scope {
			t.Errorf("%s is %s", scope, got)
		}
	}
	if got := (*telemetry.Pseudonyms)(nil).Scope("network:192.0.2.0/24"); got != "network:192.0.2.0/24" {
		t.Error(got)
	}
}

package bench

import (
	"context"
	"log/slog"
	"net/netip"
	"time"

	"github.com/terradourada/td/claim"
	httpserver "github.com/terradourada/td/internal/server"
	"github.com/terradourada/td/internal/telemetry"
	"github.com/terradourada/td/internal/telemetry/metrics"
	"github.com/terradourada/td/protocol"
)

// telemetryShare is what telemetry and limits may add to an issue, as a share of its
// processor time.
const telemetryShare = 0.03

// reports is how many requests are reported: enough for the clock of processor time.
const reports = 200_000

// telemetryOfIssue measures what the reports about a challenge add to an issue that costs
// so many microseconds: that of its request, and that of its end.
func (b *run) telemetryOfIssue(issue float64) (Budget, error) {
	labels := metrics.Labels{Operations: httpserver.OperationIDs()}
	for _, id := range claim.IDs() {
		labels.Claims = append(labels.Claims, id.String())
	}
	m := metrics.New(metrics.Options{Labels: labels, Version: b.Version})
	traffic := telemetry.NewTraffic(slog.New(slog.DiscardHandler), nil)
	events := telemetry.NewEvents(nil, []telemetry.Observer{m, traffic})
	source := netip.MustParseAddr("192.0.2.7")
	used, _, err := thisProcess().spent(func() error {
		for i := range reports {
			var d telemetry.Details
			of := telemetry.DetailsOf(telemetry.WithDetails(context.Background(), &d))
			of.Claim, of.ID = claim.Open.String(), protocol.RequestID{1}
			r := telemetry.Request{At: time.Now(), Operation: "openChallenge", Source: source, Status: 201, Took: time.Millisecond, Received: 200, Sent: 1200}
			d.Into(&r)
			events.Request(r)
			events.Change(telemetry.Change{At: r.At, Kind: telemetry.ChallengeExpired, Subject: r.Claim, Value: 1})
			if i%1000 == 0 {
				events.Read()
			}
		}
		events.Read()
		return nil
	})
	each := micros(used, reports)
	return Budget{
		Name: "telemetry_issue", Bound: atMost, Limit: telemetryShare, Unit: "of issue",
		How:     "processor time of the reports of a challenge and of its end, with metrics and lines about traffic, over that of a challenge over HTTP",
		Figures: map[string]float64{"telemetry_us": each, "issue_us": issue, "lost": float64(events.Lost()), "operations": reports},
	}.judge(each / issue), err
}

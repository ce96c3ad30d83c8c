package main_test

import (
	"slices"
	"testing"
	"time"

	"github.com/terradourada/td/protocol"
	"github.com/terradourada/td/receipt"
)

// TestOuterLayers: limits, alerts, anomaly detection, measures, metrics and the audits of
// the server can be switched off, or be as strict as they go, and neither what is accepted
// nor what a verifier finds changes. TestInnerLayers in the root shows that formats, claims
// and verifiers do not even contain them.
func TestOuterLayers(t *testing.T) {
	t.Parallel()
	limits := func(of string) (args []string) {
		for _, name := range []string{"read", "issue", "submit", "verify", "failures", "client", "client-day", "claim", "all"} {
			args = append(args, "--limit-"+name, of)
		}
		return append(args, "--limit-loopback")
	}
	var first []string
	for _, tt := range []struct {
		name string
		args []string
	}{
		{"as delivered", nil},
		{"all switched off", append(limits("off"), "--conns-per-address", "0", "--anomaly", "off", "--response", "off", "--ops", "off", "--audit-every", "0s", "--alert-heartbeat", "0s", "--rotation", "manual", "--log-level", "error")},
		{"all at work", append(limits("100/s burst 100"), "--anomaly", "on", "--response", "on", "--ops", "127.0.0.1:0", "--audit-every", "1s", "--alert-every", "1s", "--log-format", "json")},
	} {
		t.Run(tt.name, func(t *testing.T) {
			b := startBackend(t, t.TempDir(), append(tt.args, "--prover", "none")...)
			accepted := b.wantAccepted(t.Context(), b.mustAnswer(t.Context()))
			pending := b.mustAnswer(t.Context())
			pending.ch.Tag[0] ^= 1
			b.wantCode(t.Context(), pending, protocol.CodeSubmissionRejected)
			b.stop(20 * time.Second) // verification needs no server
			report := receipt.Verify(t.Context(), accepted.Receipt, receipt.Options{AllowSelfAsserted: true})
			var steps []string
			for _, s := range report.Steps {
				if s.OK {
					steps = append(steps, s.Step)
				}
			}
			if report.Verdict != receipt.Valid || len(steps) != 9 {
				t.Errorf("the verdict is %s, steps %v", report.Verdict, steps)
			}
			if first == nil {
				first = steps
			}
			if !slices.Equal(steps, first) || report.Withdrawals != receipt.CompleteByCount {
				t.Errorf("the verifier finds %v, and %v as delivered", steps, first)
			}
		})
	}
}

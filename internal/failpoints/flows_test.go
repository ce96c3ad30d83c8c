package failpoints_test

import (
	"context"
	"testing"
	"time"

	"github.com/terradourada/td/internal/epochs"
)

// TestAccept: section 10, for a request that its client has proved.
func TestAccept(t *testing.T) {
	matrix(t, flow{
		prepare: func(w *world) { w.proved() },
		run:     func(ctx context.Context, w *world) { _ = w.accept(ctx, w.requests[0]) },
		section: "## 10. ",
		silent: map[string]string{
			"1": "the size of a slice", "2": "before the gate", "3": "the session table is in memory", "4": "in memory", "5": "in memory", "6": "in memory",
		},
		steps: map[string]string{
			"holds.Check":       "7",
			"holds.Writable":    "7",
			"ledger.Admit":      "7",
			"tagger.Redeem":     "8",
			"epochs.Find":       "8 9 10",
			"signer.Issued":     "9",
			"journal.Accept":    "10",
			"epoch.Ended":       "10",
			"source.Leaves":     "11",
			"signer.Extend":     "11",
			"signer.Checkpoint": "11 12",
		},
	})
}

// TestRotate: a graceful rotation, of an epoch with a pending request that is answered
// while it drains.
func TestRotate(t *testing.T) {
	matrix(t, flow{
		prepare: func(w *world) { w.proved() },
		run: func(ctx context.Context, w *world) {
			ctx, cancel := context.WithTimeout(ctx, time.Minute)
			defer cancel()
			_, _ = w.core.epochs.Rotate(ctx, epochs.Drain)
			_ = w.accept(context.Background(), w.requests[0])
		},
		section: "**Opening and rotation**",
		steps: map[string]string{
			"journal.OpenEpochs":         "1",
			"journal.LastEpoch":          "1",
			"StartSigner":                "1",
			"StartTagger":                "1",
			"signer.Wipe":                "2 5",
			"signer.IssuedRoot":          "3",
			"ledger.UnsetSigner":         "4 7",
			"signer.Checkpoint":          "4 7",
			"signer.Handover":            "5",
			"journal.Append epoch-open":  "6",
			"ledger.SetSigner":           "7",
			"signer.Begin":               "7",
			"signer.Extend":              "7",
			"signer.Close":               "7",
			"tagger.Close":               "7",
			"journal.Append epoch-close": "7",

			"source.Leaves":  elsewhere,
			"holds.Check":    elsewhere,
			"holds.Writable": elsewhere,
			"ledger.Admit":   elsewhere,
			"tagger.Redeem":  elsewhere,
			"epochs.Find":    elsewhere,
			"signer.Issued":  elsewhere,
			"journal.Accept": elsewhere,
			"epoch.Ended":    elsewhere,
		},
	})
}

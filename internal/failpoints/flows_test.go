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

// TestOpen: a request is issued (section 11: open and issued).
func TestOpen(t *testing.T) {
	matrix(t, flow{
		prepare: func(w *world) { w.align() },
		run: func(ctx context.Context, w *world) {
			if r, err := w.open(ctx); err == nil {
				r.prove(w)
			}
		},
		steps: map[string]string{
			"holds.Check": "", "holds.Writable": "", "epochs.Begin": "", "tagger.Issue": "", "signer.Anchor": "", "epochs.Find": "",
		},
	})
}

// TestPush: an event is pushed, proved and accepted (section 9).
func TestPush(t *testing.T) {
	matrix(t, flow{
		prepare: func(w *world) { w.align() },
		run:     func(ctx context.Context, w *world) { w.push(ctx) },
		steps: map[string]string{
			"holds.Check": "", "holds.Writable": "", "ledger.Admit": "", "prover.Prove": "", "signer.Issued": "", "tagger.Redeem": "", "journal.Accept": "",
			"epochs.Begin": elsewhere, "tagger.Issue": elsewhere, "signer.Anchor": elsewhere, "epochs.Find": elsewhere, "epoch.Ended": elsewhere,
			"source.Leaves": elsewhere, "signer.Extend": elsewhere, "signer.Checkpoint": elsewhere,
		},
	})
}

// TestExpire: a request is not answered in time.
func TestExpire(t *testing.T) {
	matrix(t, flow{
		prepare: func(w *world) { w.proved() },
		run:     func(context.Context, *world) { time.Sleep(clockStep + time.Second) },
		without: []fault{cancelled},
		steps:   map[string]string{"epochs.Find": "", "epoch.Ended": "", "tagger.Cancel": ""},
	})
}

// TestUnknownCommit: the outcome of a COMMIT is read until it is known (section 10,
// step 10).
func TestUnknownCommit(t *testing.T) {
	matrix(t, flow{
		prepare: func(w *world) { w.proved() },
		run: func(ctx context.Context, w *world) {
			w.core.p.plant("journal.Accept", failedDone)
			_ = w.accept(ctx, w.requests[0])
		},
		steps: map[string]string{
			"journal.Accepted": "", "epochs.Find": "", "epoch.Ended": "", "journal.Accept": elsewhere,
			"holds.Check": elsewhere, "holds.Writable": elsewhere, "ledger.Admit": elsewhere, "tagger.Redeem": elsewhere, "signer.Issued": elsewhere,
			"source.Leaves": elsewhere, "signer.Extend": elsewhere, "signer.Checkpoint": elsewhere,
		},
	})
}

// TestDisagreement: core and tagger disagree, the epoch is destroyed and replaced
// (section 11).
func TestDisagreement(t *testing.T) {
	matrix(t, flow{
		prepare: func(w *world) {
			w.proved()
			other, err := w.open(w.Context())
			if err != nil {
				w.Fatal(err)
			}
			other.prove(w)
			_, taggers := w.core.children()
			taggers[0].forget()
		},
		run: func(ctx context.Context, w *world) {
			_ = w.accept(ctx, w.requests[0])
			if e, err := w.core.epochs.Active(); err == nil && e.Number() == 1 && !w.core.p.isDead() {
				_ = w.accept(context.Background(), w.requests[1]) // the first one was not redeemed
			}
			time.Sleep(clockStep / 2)
		},
		steps: replaced("", map[string]string{
			"holds.Check": elsewhere, "holds.Writable": elsewhere, "ledger.Admit": elsewhere,
			"tagger.Redeem": "", "epochs.Find": "", "epoch.Ended": "", "epoch.Destroy": "",
		}),
	})
}

// replaced returns the calls of the end of an epoch that failed, and those of the opening
// of the next one, with these steps.
func replaced(opening string, more map[string]string) map[string]string {
	for _, call := range []string{
		"ledger.UnsetSigner", "signer.Close", "tagger.Close", "sessions of an epoch end", "journal.Append epoch-close",
	} {
		more[call] = ""
	}
	for _, call := range []string{
		"journal.OpenEpochs", "journal.LastEpoch", "StartSigner", "StartTagger", "journal.Append epoch-open",
		"ledger.SetSigner", "signer.Begin", "signer.Extend", "signer.Checkpoint",
	} {
		more[call] = opening
	}
	more["source.Leaves"] = elsewhere
	return more
}

// TestForced: a forced rotation, with one request that is pending (section 11).
func TestForced(t *testing.T) {
	matrix(t, flow{
		prepare: func(w *world) { w.proved() },
		run: func(ctx context.Context, w *world) {
			ctx, cancel := context.WithTimeout(ctx, clockStep/2)
			defer cancel()
			_, _ = w.core.epochs.Rotate(ctx, epochs.Now)
			time.Sleep(clockStep / 2)
		},
		steps: replaced(elsewhere, map[string]string{}),
	})
}

// TestShutdown: the core stops in order, with one request that is pending (section 11).
func TestShutdown(t *testing.T) {
	matrix(t, flow{
		prepare: func(w *world) { w.proved() },
		run:     func(_ context.Context, w *world) { w.restart() },
		without: []fault{stopped},
		steps: map[string]string{
			"signer.Wipe": "", "sessions of an epoch end": "", "signer.IssuedRoot": "", "journal.Append epoch-close": "",
			"tagger.Close": "", "ledger.Await": "", "ledger.UnsetSigner": "", "signer.Close": "",
			"source.Leaves": "", "signer.Extend": "", "signer.Checkpoint": "",
		},
	})
}

// TestStart: a core starts where one was killed that had an epoch and a pending request
// (sections 11 and 12).
func TestStart(t *testing.T) {
	matrix(t, flow{
		prepare: func(w *world) {
			w.proved()
			w.core.p.kill()
		},
		run: func(_ context.Context, w *world) {
			w.stop()
			w.start(true)
			time.Sleep(clockStep)
		},
		steps: map[string]string{
			"journal.OpenEpochs": "", "journal.LastEpoch": "", "journal.Append epoch-close": "", "journal.Append epoch-open": "",
			"StartSigner": "", "StartTagger": "", "ledger.SetSigner": "", "signer.Begin": "", "signer.Extend": "", "signer.Checkpoint": "",
			"source.Size": elsewhere, "source.Leaves": elsewhere,
		},
	})
}

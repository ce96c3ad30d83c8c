package epochs_test

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/terradourada/td/internal/epochs"
	"github.com/terradourada/td/protocol"
)

// hardware is a device that returns evidence about epochs.
type hardware struct {
	asked []protocol.EpochOpen
	fail  int           // how many calls fail
	hangs bool          // it ignores the context
	takes time.Duration // how long each call takes
}

func (h *hardware) attest(ctx context.Context, e *protocol.EpochOpen) ([]byte, string, error) {
	h.asked = append(h.asked, *e)
	if h.hangs {
		<-ctx.Done()
		time.Sleep(time.Hour)
	}
	time.Sleep(h.takes)
	if h.fail > 0 {
		h.fail--
		return nil, "", errors.New("no quote today")
	}
	return append([]byte("about "), e.ID[:]...), "usable", nil
}

// attested returns the config of a manager with hardware.
func (w *world) attested(h *hardware, must bool, logged *bytes.Buffer) epochs.Config {
	cfg := w.config()
	cfg.Attest, cfg.MustAttest = h.attest, must
	cfg.Log = slog.New(slog.NewTextHandler(logged, nil))
	return cfg
}

// stored returns the number of epochs with stored evidence; about returns the evidence
// of one epoch.
func (w *world) stored() int {
	w.mu.Lock()
	defer w.mu.Unlock()
	return len(w.evidence)
}

func (w *world) about(id protocol.EpochID) []byte {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.evidence[id]
}

// run runs a manager for some time.
func run(t *testing.T, cfg epochs.Config, until time.Duration) (m *epochs.Manager, stop func()) {
	t.Helper()
	m = epochs.New(cfg)
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- m.Run(ctx) }()
	time.Sleep(until)
	synctest.Wait()
	return m, func() {
		cancel()
		if err := <-done; err != nil {
			t.Errorf("Run: %v", err)
		}
	}
}

// TestAttestedBeside: evidence that is not required is obtained once the epoch is
// active, about the committed leaf, and stored.
func TestAttestedBeside(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var logged bytes.Buffer
		w, h := &world{}, &hardware{takes: 5 * time.Second}
		m, stop := run(t, w.attested(h, false, &logged), time.Second)
		e, err := m.Active()
		if err != nil || w.stored() != 0 {
			t.Fatalf("an epoch waits for its evidence: %v, %d stored", err, w.stored())
		}
		time.Sleep(5 * time.Second)
		synctest.Wait()
		if got := w.about(e.ID()); !bytes.HasSuffix(got, w.signers[0].id[:]) {
			t.Errorf("stored %q", got)
		}
		if leaf := w.leaves[0].(*protocol.EpochOpen); len(h.asked) != 1 || h.asked[0] != *leaf {
			t.Errorf("asked %d times, about another leaf than the one committed", len(h.asked))
		}
		if !strings.Contains(logged.String(), "epoch has evidence") || !strings.Contains(logged.String(), "verdict=usable") {
			t.Errorf("logged: %s", logged.String())
		}
		stop()
	})
}

// TestAttestedNotAtAnyPrice: evidence that is not required may fail, hang or not be
// stored, and the epoch goes on. A call that hangs times out.
func TestAttestedNotAtAnyPrice(t *testing.T) {
	for name, c := range map[string]struct {
		world    *world
		hardware *hardware
	}{
		"fails":      {&world{}, &hardware{fail: 9}},
		"hangs":      {&world{}, &hardware{hangs: true}},
		"not stored": {&world{failSave: true}, &hardware{}},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var logged bytes.Buffer
				m, stop := run(t, c.world.attested(c.hardware, false, &logged), time.Minute)
				if _, err := m.Active(); err != nil || c.world.stored() != 0 {
					t.Errorf("%v, %d stored", err, c.world.stored())
				}
				if !strings.Contains(logged.String(), "epoch not attested") {
					t.Errorf("logged: %s", logged.String())
				}
				stop()
				time.Sleep(2 * time.Hour) // the call that hangs
			})
		})
	}
}

// TestAttestedDemanded: if evidence is required, an epoch issues nothing before it is
// stored. Without a quote nothing is added to the log.
func TestAttestedDemanded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var logged bytes.Buffer
		w, h := &world{}, &hardware{fail: 2, takes: time.Second}
		m, stop := run(t, w.attested(h, true, &logged), 500*time.Millisecond)
		if _, err := m.Active(); err == nil {
			t.Error("an epoch is active before it is attested")
		}
		time.Sleep(time.Minute)
		synctest.Wait()
		e, err := m.Active()
		if err != nil || len(w.about(e.ID())) == 0 {
			t.Fatalf("%v, %d bytes", err, len(w.about(e.ID())))
		}
		if len(w.leaves) != 1 || len(w.signers) != 3 || len(h.asked) != 3 {
			t.Errorf("%d leaves, %d signers, %d quotes asked for", len(w.leaves), len(w.signers), len(h.asked))
		}
		for i, c := range slices.Concat(w.signers[:2], w.taggers[:2]) {
			if !c.closed.Load() {
				t.Errorf("child %d of an epoch that was not attested lives", i)
			}
		}
		stop()
	})
}

// TestAttestedNotStored: while required evidence cannot be stored, the epoch issues
// nothing.
func TestAttestedNotStored(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var logged bytes.Buffer
		w := &world{failSave: true}
		m, stop := run(t, w.attested(&hardware{}, true, &logged), 5*time.Second)
		if _, err := m.Active(); err == nil {
			t.Error("an epoch is active without its evidence")
		}
		w.mu.Lock()
		w.failSave = false
		w.mu.Unlock()
		time.Sleep(time.Minute)
		synctest.Wait()
		if e, err := m.Active(); err != nil || len(w.about(e.ID())) == 0 {
			t.Errorf("when it can be stored again: %v", err)
		}
		if len(w.leaves) != 1 || len(w.signers) != 1 {
			t.Errorf("%d leaves, %d signers", len(w.leaves), len(w.signers))
		}
		stop()
	})
}

// TestHungHardwareIsAskedOnce: while a call hangs no other call is made, however often
// the epoch is retried.
func TestHungHardwareIsAskedOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := &hardware{hangs: true}
		m := epochs.New((&world{}).attested(h, true, new(bytes.Buffer)))
		ctx, cancel := context.WithCancel(t.Context())
		ended := make(chan error, 1)
		go func() { ended <- m.Run(ctx) }()
		time.Sleep(30 * time.Minute)
		synctest.Wait()
		if n := len(h.asked); n != 1 {
			t.Errorf("it was asked %d times", n)
		}
		cancel()
		<-ended
		time.Sleep(2 * time.Hour) // the call that hangs
	})
}

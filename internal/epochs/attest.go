package epochs

import (
	"context"
	"errors"
	"time"

	"github.com/terradourada/td/protocol"
)

var errAttest = errors.New("attest")

func (m *Manager) mustAttest() bool { return m.cfg.Attest != nil && m.cfg.MustAttest }

// attestLater obtains and stores evidence about an ACTIVE epoch in the background. The
// evidence stays valid if the epoch ends meanwhile.
func (m *Manager) attestLater(ctx context.Context, e *Epoch, leaf *protocol.EpochOpen) {
	if m.cfg.Attest == nil || m.cfg.MustAttest {
		return
	}
	m.asked.Go(func() {
		evidence, err := m.attest(ctx, leaf)
		if err == nil {
			err = m.cfg.Journal.SaveAttestation(ctx, e.id, evidence)
		}
		if err != nil && ctx.Err() == nil {
			m.cfg.Log.Warn("epoch not attested", "number", e.number, "err", err)
		}
	})
}

func (m *Manager) attest(ctx context.Context, leaf *protocol.EpochOpen) ([]byte, error) {
	ctx, cancel := context.WithTimeout(ctx, m.cfg.AttestTimeout)
	defer cancel()
	type outcome struct {
		evidence []byte
		verdict  string
		err      error
	}
	// A device may ignore the context. A call that hangs is abandoned, and no other
	// call is made before it returns.
	select {
	case m.asking <- struct{}{}:
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	done := make(chan outcome, 1)
	begun := time.Now()
	go func() {
		defer func() { <-m.asking }()
		evidence, verdict, err := m.cfg.Attest(ctx, leaf)
		done <- outcome{evidence, verdict, err}
	}()
	select {
	case <-ctx.Done():
		return nil, ctx.Err()
	case o := <-done:
		if o.err == nil {
			m.cfg.Log.Info("epoch has evidence", "number", leaf.Number, "verdict", o.verdict, "took_ms", time.Since(begun).Milliseconds())
		}
		return o.evidence, o.err
	}
}

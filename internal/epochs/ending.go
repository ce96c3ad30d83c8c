package epochs

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/terradourada/td/internal/lifecycle"
	"github.com/terradourada/td/protocol"
)

// ending is the end of an epoch, or the death of a signer that had no duty left.
type ending struct {
	e      *Epoch // nil if no epoch has ended
	reason protocol.CloseReason
	active bool // it was the ACTIVE one
	forced bool // an operator ended it
	life   time.Duration
}

// keep waits for the end of an epoch and ends it. If ctx ends first, shutdown does.
func (m *Manager) keep(ctx context.Context, e *Epoch) {
	begun := m.cfg.Now()
	reason, ok := m.await(ctx, e)
	if !ok {
		return
	}
	active := e.ownPhase() == lifecycle.EpochActive
	var event lifecycle.EpochEvent = lifecycle.EpochFailed{Reason: reason}
	if reason == protocol.CloseRotated {
		event = lifecycle.EpochIdle{}
	}
	m.end(ctx, e, event)
	m.tell(ctx, ending{e: e, reason: reason, active: active, forced: e.wasForced(), life: m.cfg.Now().Sub(begun)})
}

// tell reports an ending to Run.
func (m *Manager) tell(ctx context.Context, end ending) {
	select {
	case m.endings <- end:
	case <-ctx.Done():
	}
}

// await waits until an epoch has to end and returns the reason: rotated if it has
// drained. It reports false if ctx ends first.
func (m *Manager) await(ctx context.Context, e *Epoch) (protocol.CloseReason, bool) {
	signer := e.signer.Done()
	for {
		select {
		case <-ctx.Done():
			return 0, false
		case <-e.idle:
			return protocol.CloseRotated, true
		case <-e.tagger.Done():
			return protocol.CloseDied, true
		case <-signer:
			if _, rooted := e.lastRoot(); !rooted {
				return protocol.CloseDied, true
			}
			if signer = nil; !e.isReleased() {
				m.tell(ctx, ending{reason: protocol.CloseDied})
			}
		case <-e.suspect:
			if _, rooted := e.lastRoot(); isClosed(e.tagger.Done()) || isClosed(e.signer.Done()) && !rooted {
				return protocol.CloseDied, true // that is why
			}
			return protocol.CloseSuspect, true
		}
	}
}

// end applies the last event of an epoch. The steps do not end with ctx, since an epoch
// without a close leaf would be closed as lost; only the wait for a journal does.
func (m *Manager) end(ctx context.Context, e *Epoch, event lifecycle.EpochEvent) {
	if err := m.apply(ctx, e, event); err != nil {
		// The close leaf is written before the next epoch opens, as lost.
		m.cfg.Log.Error("epoch not closed in the journal", "epoch", e.id.String(), "err", err)
	}
}

// shutdown closes all epochs in order, the ACTIVE one last: its signer signs the last
// checkpoint. The server has stopped before the manager, so the pending requests will
// never be answered.
func (m *Manager) shutdown() error {
	ctx, cancel := context.WithCancel(context.Background())
	cancel() // no step waits for a journal that takes no writes
	defer m.warnUnsealed()
	m.keepers.Wait()
	live := m.turn.Load().live
	m.change(func(t *turn) { t.active, t.held, t.live = nil, false, nil })
	for _, e := range live {
		switch phase := e.ownPhase(); {
		case phase == lifecycle.EpochDestroyed: // its keeper has ended it
		case e.destroyed():
			m.end(ctx, e, lifecycle.EpochFailed{Reason: protocol.CloseSuspect})
		case phase == lifecycle.EpochDraining:
			m.cfg.Invalidate(e.id)
			m.end(ctx, e, lifecycle.EpochIdle{})
		default:
			if err := m.apply(ctx, e, m.lastDrain()); err != nil {
				return err
			}
			m.cfg.Invalidate(e.id)
			if err := m.apply(ctx, e, lifecycle.EpochIdle{}); err != nil {
				return err
			}
		}
		if s := m.sealing.Load(); s != nil && e.sealed {
			m.reportSeal(s, e)
		}
	}
	return nil
}

// note takes into account that an epoch has ended.
func (m *Manager) note(ctx context.Context, end ending) {
	if end.e != nil {
		m.change(func(t *turn) {
			t.live = slices.DeleteFunc(t.live, func(e *Epoch) bool { return e == end.e })
			if t.active == end.e {
				t.active = nil
			}
		})
	}
	if end.active {
		m.ended = m.cfg.Now()
	}
	if end.active && !end.forced {
		if m.troubles++; end.life > longLife {
			m.troubles = 1
		}
	}
	m.supervise(ctx, end.reason)
}

// collect takes the reports of keepers that wait.
func (m *Manager) collect(ctx context.Context) {
	for {
		select {
		case end := <-m.endings:
			m.note(ctx, end)
		default:
			return
		}
	}
}

// apply applies an event to an epoch and carries out the effects, in order. It goes on
// after an effect that fails.
func (m *Manager) apply(ctx context.Context, e *Epoch, event lifecycle.EpochEvent) error {
	effects, err := e.step(m.cfg.Now(), event)
	for _, effect := range effects {
		switch effect {
		case lifecycle.EpochEffectWipe:
			m.wipeOrWarn(e)
		case lifecycle.EpochEffectInvalidate:
			m.cfg.Invalidate(e.id)
		case lifecycle.EpochEffectKill:
			m.cfg.Ledger.UnsetSigner(e)
			m.reap(e)
		case lifecycle.EpochEffectClose:
			e.closed, err = m.writeClose(ctx, e)
		case lifecycle.EpochEffectSeal:
			if err == nil {
				err = m.seal(ctx, e)
			}
		case lifecycle.EpochEffectStop:
			err = errors.Join(err, m.stopChildren(ctx, e, err == nil))
		default:
			panic("epochs: internal error: unknown effect on an epoch")
		}
	}
	return err
}

// wipeOrWarn wipes the key that anchors; a failure is logged.
func (m *Manager) wipeOrWarn(e *Epoch) {
	ctx, cancel := context.WithTimeout(context.Background(), m.cfg.CloseGrace)
	defer cancel()
	if err := e.signer.Wipe(ctx); err != nil {
		m.cfg.Log.Warn("ML-DSA key not wiped before its process ends", "err", err)
	}
}

// reap ends both children of an epoch that is not waited for: they have exited, are not
// trusted or were never used, so their errors are ignored.
func (m *Manager) reap(e *Epoch) {
	m.reaped.Go(func() { _ = e.tagger.Close() })
	m.reaped.Go(func() { _ = e.signer.Close() })
}

// writeClose commits the close leaf. For an epoch that has drained, unless the core
// stops, it tries again until ctx ends.
func (m *Manager) writeClose(ctx context.Context, e *Epoch) (seq uint64, err error) {
	leaf := m.closeLeaf(ctx, e)
	for failures := 0; ; failures++ {
		seq, err = m.appendClose(ctx, leaf)
		if errors.Is(err, protocol.CodeInternal) && orderly(leaf.Reason) {
			// The signer's root covers less than was accepted.
			m.cfg.Log.Error("core and signer disagree about what was issued", "epoch", e.id.String(), "err", err)
			m.cfg.Differs("issued")
			leaf.Reason, leaf.Issued = protocol.CloseSuspect, protocol.SignedRoot{}
			seq, err = m.appendClose(ctx, leaf)
		}
		if failures > 0 && errors.Is(err, protocol.CodeConflict) {
			seq, err = m.closedAt(ctx, e.id) // an earlier attempt was committed after all
		}
		if err == nil || e.reason() != protocol.CloseRotated && !e.isLast() || !sleep(ctx, backoff(failures+2)) {
			break
		}
	}
	if err != nil {
		return 0, fmt.Errorf("commit epoch-close leaf: %w", err)
	}
	m.cfg.Log.Info("epoch ended", "epoch", e.id.String(), "number", e.number, "reason", leaf.Reason.String(),
		"accepted", leaf.Accepted, "rejected", leaf.Rejected, "expired", leaf.Expired, "invalidated", leaf.Invalidated, "seq", seq)
	return seq, nil
}

// appendClose has its own timeout, however long the children took to end.
func (m *Manager) appendClose(ctx context.Context, leaf *protocol.EpochClose) (uint64, error) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), closeTimeout)
	defer cancel()
	entry, err := m.cfg.Journal.Append(ctx, m.cfg.Now(), leaf)
	return entry.Seq, err
}

// closedAt returns the sequence of the close leaf of an epoch. The seal waits for a
// checkpoint that covers it.
func (m *Manager) closedAt(ctx context.Context, id protocol.EpochID) (uint64, error) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), closeTimeout)
	defer cancel()
	entry, found, err := m.cfg.Journal.EpochCloseLeaf(ctx, id)
	if err == nil && !found {
		err = protocol.Fail(protocol.CodeInternal, "a closed epoch has no close leaf")
	}
	return entry.Seq, err
}

// orderly reports whether the close leaf holds the root of everything issued.
func orderly(r protocol.CloseReason) bool {
	return r == protocol.CloseShutdown || r == protocol.CloseRotated
}

// closeLeaf returns the close leaf of an epoch that has ended. After an orderly end it
// holds the root of everything issued. If the signer does not return that, the reason
// becomes died. After any other end the journal fills in the issued root.
func (m *Manager) closeLeaf(ctx context.Context, e *Epoch) *protocol.EpochClose {
	leaf, issued := e.closeLeaf() // issued includes requests that got no anchor
	if orderly(leaf.Reason) {
		root, err := m.lastRoot(ctx, e)
		if err == nil {
			leaf.Issued, issued = root, root.Size
		} else {
			m.cfg.Log.Error("signer did not return the root of the issued tree", "epoch", e.id.String(), "err", err)
			leaf.Reason = protocol.CloseDied
		}
	}
	leaf.Invalidated = issued - min(issued, leaf.Accepted+leaf.Rejected+leaf.Expired)
	return leaf
}

// lastRoot returns the root of the issued tree of an epoch that issues no more.
func (m *Manager) lastRoot(ctx context.Context, e *Epoch) (protocol.SignedRoot, error) {
	if root, ok := e.lastRoot(); ok {
		return root, nil
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), m.cfg.CloseGrace)
	defer cancel()
	return e.signer.IssuedRoot(ctx)
}

// errUnpublished means that the stop was not orderly: the last checkpoint is missing.
var errUnpublished = errors.New("epochs: the last checkpoint of the epoch is not published; the next epoch signs the tail of the log")

// stopChildren ends both children in order. If the core stops and the close leaf was
// written, the signer runs until a checkpoint covers it.
func (m *Manager) stopChildren(ctx context.Context, e *Epoch, written bool) (err error) {
	if closeErr := e.tagger.Close(); closeErr != nil {
		m.cfg.Log.Warn("tagger did not end in order", "err", closeErr)
	}
	if written && e.reason() == protocol.CloseShutdown {
		if awaitErr := m.awaitLast(ctx, e.closed); awaitErr != nil {
			m.cfg.Log.Warn("last checkpoint of the epoch not published", "err", awaitErr)
			err, e.unsigned = errUnpublished, errUnpublished
		}
	}
	m.cfg.Ledger.UnsetSigner(e)
	if closeErr := e.signer.Close(); closeErr != nil {
		m.cfg.Log.Warn("signer did not end in order", "err", closeErr)
	}
	return err
}

// awaitLast waits for the last checkpoint, with its own timeout.
func (m *Manager) awaitLast(ctx context.Context, seq uint64) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), m.cfg.CloseGrace)
	defer cancel()
	_, err := m.cfg.Ledger.Await(ctx, seq)
	return err
}

package epochs

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/terradourada/td/internal/lifecycle"
	"github.com/terradourada/td/protocol"
)

// Seal is how the epochs end for good.
type Seal struct {
	// Drain is how long pending requests may still be answered.
	Drain time.Duration
	// Stop refuses every further answer and ends the requests that are ISSUED. It is
	// called when Drain is over.
	Stop func()
	// Commit commits the seal leaf and returns its index. After an error it is called
	// again.
	Commit func(ctx context.Context) (index uint64, err error)
}

// sealing is a seal that was asked for.
type sealing struct {
	Seal
	stop func() // Seal.Stop, once

	done  chan struct{}
	index uint64 // the next two are set before done closes
	err   error
}

// Seal ends the epochs in order, without a successor, and returns the index of the seal
// leaf. An error together with an index means that the last checkpoint is missing. No
// request is issued any more; the pending ones are decided or, after s.Drain, invalidated.
// Then the close leaf, a checkpoint, the seal leaf and the last checkpoint follow. If the
// last epoch fails before the seal leaf is in the log, another one opens and does the same.
//
// A seal that was asked for goes on after ctx has ended. Then the code is draining. A
// second call waits for the first seal.
func (m *Manager) Seal(ctx context.Context, s Seal) (index uint64, err error) {
	asked := &sealing{Seal: s, stop: sync.OnceFunc(s.Stop), done: make(chan struct{})}
	if m.sealing.CompareAndSwap(nil, asked) {
		close(m.sealNow)
	}
	asked = m.sealing.Load()
	select {
	case <-asked.done:
		return asked.index, asked.err
	case <-ctx.Done():
		return 0, protocol.Wrap(protocol.CodeDraining, "the log is not sealed yet", ctx.Err())
	case <-m.over:
	}
	select {
	case <-asked.done:
		return asked.index, asked.err
	default:
		return 0, protocol.Fail(protocol.CodeDraining, "the server has stopped before the log was sealed")
	}
}

// errSealed refuses what needs a further epoch.
func errSealed() error { return protocol.Fail(protocol.CodeFrozen, "the log is sealed for good") }

// sealEpochs drains the ACTIVE epoch and those before it, and has the log sealed. It
// returns when the epoch has ended, also without the seal.
func (m *Manager) sealEpochs(ctx context.Context, s *sealing) {
	e := m.turn.Load().active
	m.cfg.Log.Info("epochs end for the seal", "number", e.number, "drain_ms", s.Drain.Milliseconds())
	if m.drainLast(ctx, e) != nil {
		return // it has failed meanwhile
	}
	late := time.NewTimer(s.Drain)
	defer late.Stop()
	for m.turn.Load().active == e {
		if len(m.turn.Load().live) == 1 {
			e.release() // its close leaf is the last one
		}
		m.began.Store(nil)
		select {
		case <-ctx.Done():
			return
		case end := <-m.endings:
			m.note(ctx, end)
		case <-late.C:
			s.stop()
		}
	}
	if !m.reportSeal(s, e) {
		m.troubles++
	}
}

// drainLast ends the issue of the last epoch.
func (m *Manager) drainLast(ctx context.Context, e *Epoch) error {
	effects, err := e.step(m.cfg.Now(), lifecycle.EpochDrain{Reason: protocol.CloseShutdown, Last: true})
	if err != nil {
		return err
	}
	quiet, cancel := context.WithTimeout(ctx, m.cfg.CloseGrace)
	defer cancel()
	e.awaitQuiet(quiet)
	if slices.Contains(effects, lifecycle.EpochEffectWipe) {
		m.wipeOrWarn(e)
	}
	return nil
}

// reportSeal reports whether the log is sealed, and answers those who wait for it.
func (m *Manager) reportSeal(s *sealing, e *Epoch) bool {
	if !e.sealed {
		return false
	}
	m.change(func(t *turn) { t.over = true })
	for _, o := range m.queue {
		o.reply <- reply{err: errSealed()}
	}
	m.queue = nil
	s.index, s.err = e.closed, e.unsigned
	close(s.done)
	return true
}

// seal has the log sealed, once a checkpoint covers the close leaf: then every
// receipt can be derived, even if the process ends before it signs the last checkpoint.
func (m *Manager) seal(ctx context.Context, e *Epoch) (err error) {
	s := m.sealing.Load()
	for tries := 1; ; tries++ {
		if err = m.awaitLast(ctx, e.closed); err == nil {
			break
		}
		if isClosed(e.signer.Done()) || !sleep(ctx, backoff(tries+1)) {
			return fmt.Errorf("checkpoint before the seal: %w", err)
		}
	}
	s.stop()
	for tries := 1; ; tries++ {
		var seq uint64
		if seq, err = s.Commit(context.WithoutCancel(ctx)); err == nil {
			e.closed, e.sealed = seq, true
			m.cfg.Log.Info("log sealed", "seq", seq)
			return nil
		}
		m.cfg.Log.Error("seal not committed", "err", err)
		if !sleep(ctx, backoff(tries+1)) {
			return fmt.Errorf("commit seal leaf: %w", err)
		}
	}
}

// rest waits for the end of the core when no epoch follows, and answers what needs one.
func (m *Manager) rest(ctx context.Context) {
	m.began.Store(nil)
	select {
	case <-ctx.Done():
	case o := <-m.orders:
		o.reply <- reply{err: errSealed()}
	case end := <-m.endings:
		m.note(ctx, end)
	}
}

// lastDrain is the drain of the ACTIVE epoch when the core stops: the last one, if a
// seal was asked for.
func (m *Manager) lastDrain() lifecycle.EpochDrain {
	s := m.sealing.Load()
	return lifecycle.EpochDrain{Reason: protocol.CloseShutdown, Last: s != nil && !isClosed(s.done)}
}

// warnUnsealed logs a seal that was asked for and is lost.
func (m *Manager) warnUnsealed() {
	if s := m.sealing.Load(); s != nil && !isClosed(s.done) {
		m.cfg.Log.Error("the log is not sealed; a seal that was held in memory is lost")
	}
}

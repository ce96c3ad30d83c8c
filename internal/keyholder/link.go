package keyholder

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"sync"
	"time"

	"github.com/terradourada/td/internal/process"
	"github.com/terradourada/td/protocol"
)

// ErrRefused is the cause of an error when the child refused the request and
// continues.
var ErrRefused = errors.New("refused")

// ErrClosed is the cause of an error after Close.
var ErrClosed = errors.New("closed")

var (
	errEnded  = errors.New("child ended")
	errSilent = errors.New("child did not answer in time")
	errBreach = errors.New("child broke the protocol")
)

// link is the core's side of one child. Its methods may be called from any
// goroutine; one goroutine writes, one reads and one waits for the process.
//
//	up --Close--> down (ErrClosed) ----> done
//	 `--any fault--> down, killed -----> done
//
// down means that no call succeeds any more, done that the process is gone.
type link struct {
	kind             string
	cfg              Config
	child            *process.Child
	sock             *os.File // the core's end of its socket
	requests, answer shape

	slots chan struct{} // one value for every request without an answer
	queue chan frame    // to the writer; has room for every slot
	down  chan struct{}
	done  chan struct{}

	mu      sync.Mutex // guards what follows
	last    uint64     // id given out last
	waiting map[uint64]waiting
	cause   error // why it is down; nil while up
}

// waiting is a request without an answer.
type waiting struct {
	check func(*frame) error         // judges the answer where it is read; may be nil
	undo  func(*frame) (frame, bool) // the request that takes back what was done for a call that was given up; may be nil

	answer  chan<- frame
	givenUp bool
}

// sent is a request whose answer is waited for.
type sent struct {
	id     uint64
	answer <-chan frame
}

// startLink starts a child and exchanges start and ready with it. On an error
// nothing is left behind.
func startLink(ctx context.Context, cfg Config, kind string, requests, answers shape, start frame, readySize int) (*link, []byte, error) {
	cfg = cfg.withDefaults()
	c, err := cfg.Starter.Start(kind)
	if err != nil {
		return nil, nil, fmt.Errorf("keyholder: start %s: %w", kind, err)
	}
	l := &link{
		kind:     kind,
		cfg:      cfg,
		child:    c,
		sock:     tap(c.Sock, kind),
		requests: requests,
		answer:   answers,
		slots:    make(chan struct{}, cfg.InFlight),
		queue:    make(chan frame, cfg.InFlight),
		down:     make(chan struct{}),
		done:     make(chan struct{}),
		waiting:  make(map[uint64]waiting),
	}
	go l.reap()
	ready, err := l.handshake(ctx, start, readySize)
	if err != nil {
		return nil, nil, l.abort(err)
	}
	return l, ready, nil
}

// handshake writes the start request and reads the ready record.
func (l *link) handshake(ctx context.Context, start frame, readySize int) ([]byte, error) {
	ready := make([]byte, readySize)
	err := process.Exchange(ctx, l.cfg.ReadyTimeout, l.sock, func() error {
		if _, err := l.sock.Write(l.requests.append(nil, &start)); err != nil {
			return err
		}
		_, err := io.ReadFull(l.sock, ready)
		return err
	})
	return ready, err
}

// abort ends a child that did not become ready.
func (l *link) abort(err error) error {
	l.fail(err)
	l.child.Kill()
	<-l.done
	return fmt.Errorf("keyholder: %s not ready: %w (%s)", l.kind, err, exitText(l.child.End()))
}

// serve begins to carry calls.
func (l *link) serve() {
	go func() {
		if err := writeFrames(l.sock, l.requests, l.queue, l.down); err != nil {
			l.fail(errEnded)
			l.await()
		}
	}()
	go func() {
		if err := readFrames(l.sock, l.answer, l.deliver); errors.Is(err, errMalformed) {
			l.breach()
			return
		}
		l.fail(errEnded)
		l.await()
	}()
}

// reap waits for the end of the process and closes done.
func (l *link) reap() {
	<-l.child.Ended()
	l.fail(errEnded)
	if err := l.Err(); err != nil {
		l.cfg.Log.Error("keyholder ended", "kind", l.kind, "pid", l.child.PID, "err", err)
		if l.cfg.Died != nil {
			l.cfg.Died(l.kind)
		}
	} else {
		l.cfg.Log.Info("keyholder closed", "kind", l.kind, "pid", l.child.PID)
	}
	close(l.done)
}

// fail takes the link down; the first cause stays. It reports whether this is the first.
func (l *link) fail(cause error) (first bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if first = l.cause == nil; first {
		l.cause = cause
		close(l.down)
		_ = l.sock.Close()
	}
	return first
}

// breach takes the link down for an answer that no sound child sends.
func (l *link) breach() {
	if l.fail(errBreach) && l.cfg.Breached != nil {
		l.cfg.Breached(l.kind)
	}
	l.child.Kill()
}

// await waits for the child to exit, and kills it after the grace.
func (l *link) await() {
	l.child.Stop(l.cfg.CloseGrace)
	<-l.done
}

// Close ends the child in order and waits until it is reaped; a child that does
// not exit is killed. The error names any other end.
func (l *link) Close() error {
	l.fail(ErrClosed)
	l.await()
	return l.Err()
}

// Err is nil while the link is up and after an orderly end.
func (l *link) Err() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	closed := errors.Is(l.cause, ErrClosed)
	select {
	case <-l.child.Ended():
	default: // it may not have ended yet
		if l.cause == nil || closed {
			return nil
		}
		return fmt.Errorf("keyholder: %s: %w", l.kind, l.cause)
	}
	end := l.child.End()
	if l.cause == nil || closed && end.Code == exitOK {
		return nil
	}
	return fmt.Errorf("keyholder: %s: %w: %s", l.kind, l.cause, exitText(end))
}

// call sends one request and waits for its answer. A patient call waits for a
// free slot, another is refused with code overloaded when there is none. After
// it was sent, the code of every failure is invalidated: the child may have
// done what was asked. A patient call whose context does not end fails only
// when the link is down.
//
// A check judges the answer where the socket is read, in the order of the
// answers, also when the call was given up meanwhile. An error of it is a breach.
func (l *link) call(ctx context.Context, patient bool, check func(*frame) error, code byte, body ...[]byte) (frame, error) {
	request, err := l.send(ctx, patient, waiting{check: check}, code, body...)
	if err != nil {
		return frame{}, err
	}
	return l.wait(ctx, request)
}

// send is the first half of a call.
func (l *link) send(ctx context.Context, patient bool, w waiting, code byte, body ...[]byte) (sent, error) {
	if err := l.enter(ctx, patient); err != nil {
		return sent{}, err
	}
	answer := make(chan frame, 1)
	w.answer = answer
	f := newFrame(l.register(w), code, body...)
	l.queue <- f
	return sent{f.id, answer}, nil
}

// wait is the second half of a call. An answer that was read before the context
// ended counts.
func (l *link) wait(ctx context.Context, request sent) (frame, error) {
	silent := time.NewTimer(l.cfg.AnswerTimeout)
	defer silent.Stop()
	select {
	case f := <-request.answer:
		return f, nil
	case <-ctx.Done():
		if l.giveUp(request.id) {
			return frame{}, protocol.Wrap(protocol.CodeInvalidated, "the request was given up before it was ready", ctx.Err())
		}
		select {
		case f := <-request.answer: // it is being delivered
			return f, nil
		case <-l.down:
		}
	case <-silent.C:
		l.silent()
	case <-l.down:
	}
	select {
	case f := <-request.answer: // read before the end
		return f, nil
	default:
		return frame{}, l.gone()
	}
}

// giveUp marks a request as one that no call waits for. It reports whether its
// answer was not read yet.
func (l *link) giveUp(id uint64) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	w, ok := l.waiting[id]
	if ok {
		w.givenUp = true
		l.waiting[id] = w
	}
	return ok
}

// silent takes the link down for answers that did not come in time.
func (l *link) silent() {
	l.fail(errSilent)
	l.child.Kill()
}

// enter takes a slot.
func (l *link) enter(ctx context.Context, patient bool) error {
	const busy = "Too many requests are waiting for the keys."
	select {
	case <-l.down:
		return l.gone()
	case <-ctx.Done():
		return protocol.Wrap(protocol.CodeOverloaded, busy, ctx.Err())
	default:
	}
	select {
	case l.slots <- struct{}{}:
		return nil
	default:
	}
	if !patient {
		return protocol.Fail(protocol.CodeOverloaded, busy)
	}
	silent := time.NewTimer(l.cfg.AnswerTimeout)
	defer silent.Stop()
	select {
	case l.slots <- struct{}{}:
		return nil
	case <-ctx.Done():
		return protocol.Wrap(protocol.CodeOverloaded, busy, ctx.Err())
	case <-silent.C: // the calls that hold the slots may be given up, so none of them times out
		l.silent()
		return l.gone()
	case <-l.down:
		return l.gone()
	}
}

func (l *link) register(w waiting) uint64 {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.last++
	l.waiting[l.last] = w
	return l.last
}

// deliver checks an answer, frees its slot and hands it to its call. The answer
// to a call that was given up is followed by the request that undoes it, in the
// same slot; without one it is lost in the channel.
func (l *link) deliver(f *frame) error {
	l.mu.Lock()
	w, ok := l.waiting[f.id]
	delete(l.waiting, f.id)
	l.mu.Unlock()
	if !ok {
		return errMalformed
	}
	if w.check != nil {
		if err := w.check(f); err != nil {
			return err
		}
	}
	if w.givenUp && w.undo != nil {
		if undo, ok := w.undo(f); ok {
			undo.id = l.register(waiting{check: isDone, answer: make(chan frame, 1)})
			l.queue <- undo
			return nil
		}
	}
	<-l.slots
	w.answer <- *f
	return nil
}

// isDone is the check of a request whose only answer is done.
func isDone(f *frame) error {
	if f.code != ansDone {
		return errMalformed
	}
	return nil
}

// gone is the error of every call on a link that is down.
func (l *link) gone() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	return protocol.Wrap(protocol.CodeInvalidated, "the keys of this request no longer exist", l.cause)
}

// unexpected is the error of an answer whose code does not fit its request.
func (l *link) unexpected() error {
	l.breach()
	return l.gone()
}

// order is a call whose only answer is done.
func (l *link) order(ctx context.Context, code byte, body ...[]byte) error {
	f, err := l.call(ctx, true, nil, code, body...)
	if err == nil && f.code != ansDone {
		err = l.unexpected()
	}
	return err
}

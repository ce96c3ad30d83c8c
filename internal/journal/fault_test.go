package journal_test

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/terradourada/td/internal/journal"
	"github.com/terradourada/td/protocol"
)

// faults breaks the writer: each operation fails as often as its count says,
// after it took place if apply is set. With stall set, operations wait.
type faults struct {
	mu    sync.Mutex
	op    string
	count int
	apply bool
	stall chan struct{} // an operation that sees it waits until it is closed
	met   chan struct{} // receives one value when an operation has seen stall
}

var errDisk = errors.New("the disk said no")

func (f *faults) hook(op string) (bool, error) {
	f.mu.Lock()
	stall := f.stall
	if op != f.op {
		f.mu.Unlock()
		return true, nil
	}
	fail := f.count > 0
	f.count--
	f.mu.Unlock()
	if stall != nil {
		f.met <- struct{}{}
		<-stall
		return true, nil
	}
	if fail {
		return f.apply, errDisk
	}
	return true, nil
}

func (f *faults) set(op string, count int, apply bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.op, f.count, f.apply, f.stall = op, count, apply, nil
}

// block makes the next operation wait; it returns the function that releases
// it.
func (f *faults) block(op string) (free func()) {
	f.mu.Lock()
	defer f.mu.Unlock()
	stall := make(chan struct{})
	f.op, f.stall, f.met = op, stall, make(chan struct{}, 1)
	return func() {
		f.mu.Lock()
		defer f.mu.Unlock()
		f.stall = nil
		close(stall)
	}
}

func faultyLog(t *testing.T) (*log, *faults) {
	t.Helper()
	f := &faults{}
	return newLog(t, newSQLite(t), journal.WithFault(journal.Config{}, f.hook)), f
}

// holdCommit holds the writer in the commit of an acceptance until free is called.
func (f *faults) holdCommit(l *log, wg *sync.WaitGroup) (free func()) {
	free = f.block("commit")
	met := f.met
	wg.Go(func() { l.mustAccept(l.acceptance()) })
	<-met
	return free
}

// Each operation fails, with and without taking effect. It fails once, or so
// often that the first attempt to settle fails too. The answer to the caller
// must be true in the end, and the journal must continue.
func TestFaults(t *testing.T) {
	for _, c := range []struct {
		op      string
		count   int
		apply   bool
		unknown bool // code that the caller receives
		written bool // whether it was written
	}{
		{"begin", 1, false, false, false},
		{"begin", 1, true, false, false},
		{"exec", 1, false, false, false},
		{"exec", 1, true, false, false},
		{"commit", 1, false, false, false},
		{"commit", 1, true, false, true},
		{"commit", 3, false, true, false},
		{"commit", 3, true, true, true},
		{"rollback", 9, false, false, false}, // harmless by itself
	} {
		t.Run(fmt.Sprintf("%s x%d apply=%v", c.op, c.count, c.apply), func(t *testing.T) {
			l, f := faultyLog(t)
			l.mustAccept(l.acceptance())
			a := l.acceptance()
			f.set(c.op, c.count, c.apply)
			err := l.accept(a)
			if c.op == "rollback" {
				want(t, "with a broken rollback", err, protocol.CodeNone)
				want(t, "a refusal", l.accept(a), protocol.CodeConflict)
				l.check(4)
				return
			}
			l.outcome(a, err, c.unknown, c.written)
			size := uint64(3)
			if c.written {
				size++
			}
			f.set("", 0, false)
			want(t, "again", l.accept(a), map[bool]protocol.Code{true: protocol.CodeConflict}[c.written])
			if !c.written {
				size++
			}
			l.mustAccept(l.acceptance())
			l.check(size + 1)
			l.restart()
			l.check(size + 1)
		})
	}
}

// outcome compares the result that a caller received with what is found
// afterwards.
func (l *log) outcome(a *journal.Acceptance, err error, unknown, written bool) {
	l.Helper()
	if (err == nil) != (written && !unknown) || errors.Is(err, journal.ErrUnknown) != unknown {
		l.Fatalf("told %v; want unknown=%v written=%v", err, unknown, written)
	}
	if err != nil && !errors.Is(err, protocol.CodeLedgerUnavailable) {
		l.Errorf("the code is %v", protocol.CodeOf(err))
	}
	for {
		_, ok, err := l.Accepted(l.Context(), request(a))
		if errors.Is(err, journal.ErrUnknown) && unknown {
			time.Sleep(10 * time.Millisecond) // the writer retries on its own timer
			continue
		}
		if err != nil || ok != written {
			l.Errorf("found %v (%v), want %v", ok, err, written)
		}
		return
	}
}

// While a failed COMMIT is unsettled, nothing is written and no caller
// receives an answer that could turn out false.
func TestUnsettled(t *testing.T) {
	l, f := faultyLog(t)
	f.set("commit", 1_000_000, true)
	a := l.acceptance()
	if err := l.accept(a); !errors.Is(err, journal.ErrUnknown) {
		t.Fatalf("told %v", err)
	}
	want(t, "another", l.accept(l.acceptance()), protocol.CodeLedgerUnavailable)
	if l.Writable() {
		t.Error("writable")
	}
	if _, _, err := l.Accepted(t.Context(), request(a)); !errors.Is(err, journal.ErrUnknown) {
		t.Errorf("Accepted returned %v", err)
	}
	if n, _ := l.Size(t.Context()); n != 2 {
		t.Errorf("size is %d while unsettled", n)
	}
	if got, _ := l.Leaves(t.Context(), 0, 99); len(got) != 2 {
		t.Errorf("%d leaves can be read while unsettled", len(got))
	}
	if n, _ := l.Rows(t.Context()); n != 2 {
		t.Errorf("%d rows while unsettled", n)
	}
	f.set("", 0, false)
	l.outcome(a, errors.Join(protocol.CodeLedgerUnavailable, journal.ErrUnknown), true, true)
	l.check(3)
}

// After a failure the writer recovers by itself: a gate that only calls
// Writable and sends nothing meanwhile is not locked out.
func TestRecovers(t *testing.T) {
	for _, op := range []string{"begin", "exec", "commit"} {
		l, f := faultyLog(t)
		if !l.Writable() {
			t.Error("not writable at first")
		}
		f.set(op, 3, false)
		if err := l.accept(l.acceptance()); err == nil {
			t.Fatal("accepted")
		}
		if l.Writable() {
			t.Error("writable after a failure")
		}
		for !l.Writable() {
			time.Sleep(10 * time.Millisecond) // the writer retries on its own timer
		}
		l.mustAccept(l.acceptance())
		l.check(3)
	}
}

// The listener is called before the caller is answered, and can read the new
// entry.
func TestCommittedFirst(t *testing.T) {
	l := newLog(t, newSQLite(t), journal.Config{})
	inside, leave := make(chan []journal.Entry), make(chan struct{})
	l.stop()
	l.cfg.Committed = func(e []journal.Entry) { inside <- e; <-leave }
	l.start()
	answered := make(chan error, 1)
	go func() { answered <- l.accept(l.acceptance()) }()
	if e := <-inside; len(e) != 1 || e[0].Seq != 2 {
		t.Errorf("the listener hears of %v", e)
	}
	size, _ := l.Size(t.Context())
	rows, _ := l.Rows(t.Context())
	leaves, _ := l.Leaves(t.Context(), 0, 99)
	if size != 3 || rows != 3 || len(leaves) != 3 {
		t.Errorf("the listener finds size %d, %d rows, %d leaves; want 3", size, rows, len(leaves))
	}
	select {
	case err := <-answered:
		t.Errorf("answered (%v) before the listener has returned", err)
	default:
	}
	close(leave)
	want(t, "accept", <-answered, protocol.CodeNone)
}

// The listener sees the state that a control action has left.
func TestStateInListener(t *testing.T) {
	l := newLog(t, newSQLite(t), journal.Config{})
	l.stop()
	var seen journal.State
	l.cfg.Committed = func([]journal.Entry) { seen, _ = l.State(t.Context()) }
	l.start()
	l.mustControl(protocol.ActionFreezeAccept, protocol.Digest{})
	want(t, "accept", seen.Check(journal.Accept, l.vk), protocol.CodeFrozen)
	l.mustControl(protocol.ActionThawAccept, protocol.Digest{})
	want(t, "accept", seen.Check(journal.Accept, l.vk), protocol.CodeNone)
}

// A journal whose first transaction fails is not opened, because what it
// reads might not be final.
func TestOpenCommits(t *testing.T) {
	path := filepath.Join(t.TempDir(), "journal.db")
	for _, op := range []string{"begin", "exec", "commit"} {
		f := &faults{op: op, count: 1}
		cfg := journal.WithFault(journal.Config{Path: path}, f.hook)
		refused(t, cfg, "cannot be written")
		j, err := journal.Open(t.Context(), cfg)
		if err != nil {
			t.Fatal(err)
		}
		closeJournal(t, j)
	}
}

// A context that ends before the writer takes the submission withdraws it. One
// that ends later leaves the outcome open, and the writer still decides.
func TestContextEnds(t *testing.T) {
	l, f := faultyLog(t)
	free := f.block("commit")
	met := f.met
	ctx, cancel := context.WithCancel(t.Context())
	atWork, queued := l.acceptance(), l.acceptance()
	first, second := make(chan error, 1), make(chan error, 1)
	go func() { _, err := l.Accept(ctx, l.now, atWork); first <- err }()
	<-met
	go func() { _, err := l.Accept(ctx, l.now, queued); second <- err }()
	cancel()
	if err := <-first; !errors.Is(err, journal.ErrUnknown) || !errors.Is(err, protocol.CodeLedgerUnavailable) {
		t.Errorf("taken: %v", err)
	}
	want(t, "waiting", <-second, protocol.CodeLedgerUnavailable)
	if _, _, err := l.Accepted(t.Context(), request(atWork)); !errors.Is(err, journal.ErrUnknown) {
		t.Errorf("Accepted returned %v", err)
	}
	if _, ok, err := l.Accepted(t.Context(), request(queued)); ok || err != nil {
		t.Errorf("Accepted of the withdrawn one returned %v, %v", ok, err)
	}
	free()
	l.mustAccept(l.acceptance())
	l.outcome(atWork, errors.Join(protocol.CodeLedgerUnavailable, journal.ErrUnknown), true, true)
	l.check(4)
	_, err := l.Accept(ctx, l.now, queued)
	want(t, "ended before", err, protocol.CodeLedgerUnavailable)
}

// A full queue refuses at once. The submissions in it are written in one
// group, and refused ones do not affect the others.
func TestQueue(t *testing.T) {
	l, f := faultyLog(t)
	var wg sync.WaitGroup
	free := f.holdCommit(l, &wg)
	var mu sync.Mutex
	codes := make(map[protocol.Code]int)
	full := make(chan struct{}, 1)
	twin := l.acceptance()
	for i := range journal.QueueSize + 10 {
		wg.Go(func() {
			a := l.acceptance()
			if i%4 == 0 {
				a = twin
			}
			err := l.accept(a)
			mu.Lock()
			defer mu.Unlock()
			codes[protocol.CodeOf(err)]++
			if errors.Is(err, journal.ErrUnknown) {
				t.Error(err)
			}
			if codes[protocol.CodeLedgerUnavailable] == 10 {
				select {
				case full <- struct{}{}:
				default:
				}
			}
		})
	}
	<-full // ten were refused while the writer was stalled
	if l.Writable() {
		t.Error("writable with a full queue")
	}
	free()
	wg.Wait()
	taken := journal.QueueSize
	if codes[protocol.CodeNone]+codes[protocol.CodeConflict] != taken || codes[protocol.CodeLedgerUnavailable] != 10 || codes[protocol.CodeConflict] < taken/5 {
		t.Errorf("outcomes: %v", codes)
	}
	l.check(uint64(3 + codes[protocol.CodeNone]))
}

// Each submission of a group is judged by the state that those before it in the
// same group left. A close counts their acceptances and repeats their greatest
// issued root; an epoch names the one that the group has just opened.
func TestOneGroup(t *testing.T) {
	l, f := faultyLog(t)
	first, second := l.epoch, l.nextEpoch()
	third := protocol.EpochOpen{
		Number: 3, ID: bytes16(), Instance: bytes16(), CheckpointKey: bytes32(), Previous: second.ID, PreviousIndex: 6,
	}
	free := f.block("commit")
	met := f.met
	var wg sync.WaitGroup
	wg.Go(func() { l.mustAppend(&protocol.Incident{}) }) // leaf 2, being written
	<-met
	small, great := l.acceptance(), l.acceptance()
	for i, submit := range []func() error{
		func() error { return l.accept(great) },
		func() error { return l.accept(small) },
		func() error { _, err := l.Append(t.Context(), l.now, lostEpoch(&first)); return err },
		func() error { _, err := l.Append(t.Context(), l.now, &second); return err },
		func() error { _, err := l.Append(t.Context(), l.now, &third); return err },
		func() error { _, err := l.Append(t.Context(), l.now, lostEpoch(&second)); return err },
	} {
		wg.Go(func() { want(t, fmt.Sprintf("submission %d", i), submit(), protocol.CodeNone) })
		for l.Waiting() <= i {
			time.Sleep(time.Millisecond) // until it is in the queue, after those before it
		}
	}
	free()
	wg.Wait()
	l.check(9)
}

func lostEpoch(e *protocol.EpochOpen) *protocol.EpochClose {
	return &protocol.EpochClose{ID: e.ID, Number: e.Number, Reason: protocol.CloseLost}
}

// Only what was written counts: a withdrawal and an issued root whose COMMIT
// failed are in no header and no close leaf, unless the COMMIT took effect
// after all.
func TestFailedIsNotCounted(t *testing.T) {
	for _, written := range []bool{false, true} {
		l, f := faultyLog(t)
		l.mustAccept(l.acceptance())
		f.set("commit", 1, written)
		if err := l.accept(l.acceptance()); (err == nil) != written {
			t.Fatalf("told %v; written: %v", err, written)
		}
		f.set("commit", 1, written)
		if err := l.control(protocol.ActionRetireVK, l.vk); (err == nil) != written {
			t.Fatalf("told %v; written: %v", err, written)
		}
		l.mustAppend(lostEpoch(&l.epoch))
		if written {
			l.check(6)
		} else {
			l.check(4)
		}
	}
}

// A freeze overtakes waiting acceptances: none of them is accepted.
func TestFreezeOvertakes(t *testing.T) {
	l, f := faultyLog(t)
	var wg sync.WaitGroup
	free := f.holdCommit(l, &wg)
	waiting := make(chan struct{})
	for range 50 {
		wg.Go(func() {
			a := l.acceptance()
			waiting <- struct{}{}
			want(t, "waiting", l.accept(a), protocol.CodeFrozen)
		})
	}
	for range 50 {
		<-waiting
	}
	wg.Go(func() { l.mustControl(protocol.ActionFreezeAccept, protocol.Digest{}) })
	for l.Urgent() == 0 {
		time.Sleep(time.Millisecond) // until the freeze is in its queue
	}
	free()
	wg.Wait()
	l.check(4)
}

// When the writer stops, every caller receives an answer: what it had taken
// is decided, the rest is not written.
func TestStop(t *testing.T) {
	l, f := faultyLog(t)
	free := f.block("commit")
	met := f.met
	atWork := make(chan error, 1)
	go func() { atWork <- l.accept(l.acceptance()) }()
	<-met
	waiting := make(chan error, 1)
	go func() { waiting <- l.accept(l.acceptance()) }()
	stopped := make(chan struct{})
	go func() { l.stop(); close(stopped) }()
	free()
	want(t, "at work", <-atWork, protocol.CodeNone)
	if err := <-waiting; err != nil {
		want(t, "waiting", err, protocol.CodeLedgerUnavailable)
	}
	<-stopped
	if l.Writable() {
		t.Error("writable after the stop")
	}
	want(t, "after the stop", l.accept(l.acceptance()), protocol.CodeLedgerUnavailable)
	if err := l.Run(t.Context()); err == nil {
		t.Error("Run could be called twice")
	}
}

// TestAnswers: a writer that is stuck in a write, or has stopped, does not answer. One
// that cannot write does.
func TestAnswers(t *testing.T) {
	l, f := faultyLog(t)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	free := f.block("commit")
	met := f.met
	done := make(chan error, 1)
	go func() { _, err := l.Accept(t.Context(), l.now, l.acceptance()); done <- err }()
	<-met
	if l.Answers(ctx) {
		t.Error("a writer that is stuck answers")
	}
	free()
	if err := <-done; err != nil {
		t.Fatal(err)
	}
	f.set("commit", 1000, false)
	if err := l.accept(l.acceptance()); err == nil {
		t.Error("the fault is not there")
	}
	if !l.Answers(t.Context()) {
		t.Error("a writer that cannot write does not answer")
	}
	f.set("", 0, false)
	l.stop()
	if l.Answers(t.Context()) {
		t.Error("a writer that has stopped answers")
	}
}

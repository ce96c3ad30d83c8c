package journal

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/terradourada/td/protocol"
)

const (
	groupSize  = 256  // submissions in one transaction
	queueSize  = 1024 // submissions waiting
	urgentSize = 16   // control actions waiting

	// The pause between two attempts to write again after a failure doubles from
	// recoverEvery to recoverSlow. It is recoverRarely for a cause that is lasting.
	recoverEvery  = 250 * time.Millisecond
	recoverSlow   = 4 * time.Second
	recoverRarely = 30 * time.Second

	// checkpointPages is the number of pages in the write-ahead log after which it
	// is copied into the database.
	checkpointPages = 1000
)

// A submission is waiting until the writer takes it, or its caller withdraws
// it; a submission it has taken is decided even if its caller leaves.
const (
	waiting uint32 = iota
	taken
	withdrawn
)

// submission is one write on its way through the writer.
type submission struct {
	// apply judges and writes it inside a group. It checks everything before
	// it writes anything, and reports failures of the database in the group,
	// not in its result.
	apply   func(*group) (Entry, error)
	request *protocol.RequestID // of an acceptance
	state   atomic.Uint32
	done    chan outcome // capacity one, so that the writer never waits
}

type outcome struct {
	entry Entry
	err   error
}

// flight counts the submissions per request that are not decided yet.
type flight struct {
	mu       sync.Mutex
	requests map[protocol.RequestID]int
}

func (f *flight) add(id *protocol.RequestID, n int) {
	if id == nil {
		return
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.requests[*id] += n; f.requests[*id] == 0 {
		delete(f.requests, *id)
	}
}

func (f *flight) has(id protocol.RequestID) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.requests[id] > 0
}

func unwritten(detail string) error {
	return protocol.Fail(protocol.CodeLedgerUnavailable, detail)
}

func unknown(cause error) error {
	return protocol.Wrap(protocol.CodeLedgerUnavailable,
		"it is not known yet whether the entry was written", fmt.Errorf("%w: %w", ErrUnknown, cause))
}

// hand submits s to the writer and waits for its outcome.
func (j *Journal) submit(ctx context.Context, queue chan *submission, s *submission) (Entry, error) {
	if ctx.Err() != nil {
		return Entry{}, unwritten("the request ended before the entry could be written")
	}
	s.done = make(chan outcome, 1)
	j.flight.add(s.request, 1)
	select {
	case queue <- s:
	default:
		j.flight.add(s.request, -1)
		return Entry{}, unwritten("too many entries wait to be written")
	}
	select {
	case o := <-s.done:
		return o.entry, o.err
	case <-ctx.Done():
	case <-j.stopped:
	}
	return j.giveUp(ctx, s)
}

// giveUp withdraws s. If the writer has taken it already, its outcome stands;
// the caller receives it only if it is already known.
func (j *Journal) giveUp(ctx context.Context, s *submission) (Entry, error) {
	if s.state.CompareAndSwap(waiting, withdrawn) {
		j.flight.add(s.request, -1)
		return Entry{}, unwritten("the journal did not get to the entry in time")
	}
	select {
	case o := <-s.done:
		return o.entry, o.err
	default:
	}
	select {
	case o := <-s.done: // the writer answers everything it has taken before it stops
		return o.entry, o.err
	case <-ctx.Done():
		return Entry{}, unknown(ctx.Err())
	}
}

// Run is the writer: it commits submissions in groups until ctx ends, finishes
// its present group, and returns. Submissions that still wait are not written.
// It may be called once.
func (j *Journal) Run(ctx context.Context) error {
	if !j.running.CompareAndSwap(false, true) {
		return errors.New("journal: Run was called twice")
	}
	defer close(j.stopped)
	for {
		batch, ok := j.collect(ctx)
		if !ok {
			if j.stops.any() {
				j.commit(ctx, nil)
			}
			j.warnLost()
			return nil
		}
		j.commit(ctx, batch)
	}
}

// Answers reports whether the writer takes submissions before ctx ends: it is neither
// stopped nor stuck in a write. Whether it can write is [Journal.Condition].
func (j *Journal) Answers(ctx context.Context) bool {
	select {
	case j.ping <- struct{}{}:
		return true
	case <-ctx.Done():
	case <-j.stopped:
	}
	return false
}

// collect waits for submissions and takes as many as fit one transaction; a
// control action is taken alone, and first. After a failure, and while a stop waits
// to be committed, it returns an empty batch whenever it is time to try.
func (j *Journal) collect(ctx context.Context) (batch []*submission, ok bool) {
	var again <-chan time.Time
	if (j.failing() || j.stops.any()) && !j.foreign {
		t := time.NewTimer(time.Until(j.due))
		defer t.Stop()
		again = t.C
	}
	if ctx.Err() != nil {
		return nil, false
	}
	select {
	case s := <-j.urgent:
		return take(nil, s), true
	default:
	}
	select {
	case <-ctx.Done():
		return nil, false
	case <-again:
		return nil, true
	case <-j.ping:
		return nil, true
	case s := <-j.urgent:
		return take(nil, s), true
	case s := <-j.queue:
		batch = take(batch, s)
	}
	for len(batch) < groupSize {
		select {
		case s := <-j.queue:
			batch = take(batch, s)
		default:
			return batch, true
		}
	}
	return batch, true
}

func take(batch []*submission, s *submission) []*submission {
	if !s.state.CompareAndSwap(waiting, taken) {
		return batch
	}
	return append(batch, s)
}

// commit decides a batch: all submissions that are not refused enter the
// journal in one transaction, or none does.
func (j *Journal) commit(ctx context.Context, batch []*submission) {
	if j.failing() && j.tried && time.Now().Before(j.due) || j.resume(ctx) != nil {
		j.refuse(batch, "the journal recovers from a failed write")
		return
	}
	if len(batch) == 0 && !j.stops.any() {
		return
	}
	if err := j.checkFiles(); err != nil {
		j.lose(err)
		j.refuse(batch, "the journal cannot be written")
		return
	}
	g, err := j.apply(batch)
	if err != nil {
		j.fail(err)
		j.refuse(batch, "the journal cannot be written")
		return
	}
	if !g.dirty {
		if g.w.exec("rollback", "ROLLBACK") != nil {
			j.reset()
		}
		j.answer(g)
		return
	}
	if err = g.w.exec("commit", "COMMIT"); err == nil {
		j.logged = true
		err = j.checkFiles() // before anyone relies on what was written
	}
	if err != nil {
		j.doubt(ctx, g, err)
		return
	}
	j.publish(g)
	j.answer(g)
	j.checkpoint()
}

// checkpoint copies the write-ahead log into the database when it has grown. SQLite
// would do so by itself, but would not report a failure.
func (j *Journal) checkpoint() {
	n, err := j.conn.written()
	if j.pages += n; err == nil && j.pages >= checkpointPages {
		j.pages = 0
		if err = j.step("checkpoint"); err == nil {
			err = j.conn.checkpoint()
		}
	}
	if err != nil && !harmless(err) { // full: the log holds everything, and the next checkpoint retries
		j.fail(fmt.Errorf("checkpoint: %w", err))
	}
}

// apply runs the batch inside a new transaction, up to but without the COMMIT.
func (j *Journal) apply(batch []*submission) (*group, error) {
	g, err := j.begin()
	if err != nil {
		return nil, err
	}
	g.batch, g.outcomes = batch, make([]outcome, len(batch))
	if held := j.stops.list(true); len(held) > 0 {
		g.stop(held)
	}
	if g.err != nil {
		return nil, g.err
	}
	for i, s := range batch {
		g.outcomes[i].entry, g.outcomes[i].err = s.apply(g)
		if g.err != nil {
			return nil, g.err
		}
	}
	if g.dirty {
		g.finish()
	}
	return g, g.err
}

// publish makes a committed group visible: first to readers, then to the
// listener, which may read the new entries.
func (j *Journal) publish(g *group) {
	j.commits++
	for i := range g.entries {
		j.count(g.entries[i].Leaf)
	}
	j.state.Store(&g.state)
	if g.registry != nil {
		j.clients.Store(g.registry)
	}
	j.rows = max(j.rows, g.rows)
	j.told.Store(g.next)
	if len(g.entries) > 0 && j.cfg.Committed != nil {
		j.cfg.Committed(g.entries)
	}
	j.finishStops(g)
}

// answer sends each submission of a group that was decided its outcome.
func (j *Journal) answer(g *group) {
	for i, s := range g.batch {
		j.flight.add(s.request, -1)
		s.done <- g.outcomes[i]
	}
}

// refuse answers submissions of which certainly nothing was written.
func (j *Journal) refuse(batch []*submission, detail string) {
	for _, s := range batch {
		j.flight.add(s.request, -1)
		s.done <- outcome{err: unwritten(detail)}
	}
}

// reset drops the connection, and with it an open transaction.
func (j *Journal) reset() {
	if j.conn != nil {
		j.conn.drop()
		j.conn = nil
	}
}

func (j *Journal) failing() bool { return j.condition.Load() != nil }

// fail records that the journal cannot be written, and whether it must be copied
// before it is written again.
func (j *Journal) fail(err error) {
	j.broken = j.broken || !harmless(err)
	c := Condition{Since: time.Now(), Cause: causeOf(j.path, err)}
	if c.Cause == CauseNone {
		c.Cause = CauseDevice
	}
	old := j.condition.Load()
	if old != nil {
		c.Since = old.Since
	}
	if c.Cause.lasting() {
		j.pause = recoverRarely
	}
	j.due = time.Now().Add(j.pause)
	j.condition.Store(&c)
	if old == nil || old.Cause != c.Cause {
		j.log.Error("journal write failed", "cause", string(c.Cause), "err", err, "retry_ms", j.pause.Milliseconds())
	}
	j.reset()
}

// lose is fail, for good if another process may have written to the journal.
func (j *Journal) lose(err error) {
	j.fail(err)
	if errors.Is(err, errForeign) {
		j.foreign = true
		j.log.Error("journal stays closed for writing", "err", err)
	}
}

// doubt handles a COMMIT that failed. If its effect can be determined at once, the
// callers receive it; else they receive ErrUnknown, and the writer keeps trying.
func (j *Journal) doubt(ctx context.Context, g *group, cause error) {
	j.lose(fmt.Errorf("commit: %w", cause))
	j.unsettled = g
	if j.resume(ctx) == nil {
		return
	}
	for i, s := range g.batch {
		if g.outcomes[i].err != nil { // refused, so it was not in the transaction
			g.outcomes[i].err = unwritten("the journal cannot be written")
		} else {
			g.outcomes[i].err = unknown(cause)
		}
		s.done <- g.outcomes[i]
	}
	g.answered = true
}

// resume determines, after a failure, whether the journal can be written again and
// what a failed COMMIT did. After a failed write or flush it first replaces the
// journal by a copy. In every case a further COMMIT must succeed before the outcome
// is final (see the package comment).
func (j *Journal) resume(ctx context.Context) error {
	if !j.failing() {
		return nil
	}
	if j.foreign {
		return errForeign
	}
	commits, err := j.reopen(ctx)
	if err != nil {
		j.tried = true
		j.pause = min(2*j.pause, recoverSlow)
		j.lose(err)
		return err
	}
	if err := j.settle(commits); err != nil {
		j.lose(err)
		return err
	}
	j.tried, j.pause = false, recoverEvery
	j.condition.Store(nil)
	j.log.Warn("journal can be written again")
	return nil
}

// reopen makes the journal writable and returns its count of transactions.
func (j *Journal) reopen(ctx context.Context) (commits uint64, err error) {
	if j.broken {
		if err := j.replace(ctx); err != nil {
			return 0, err
		}
		j.broken = false
	}
	return j.touch()
}

// settle ends the group whose COMMIT failed, if there is one, by the number of
// transactions that the journal counts.
func (j *Journal) settle(commits uint64) error {
	g := j.unsettled
	written := g != nil && commits == j.commits+1
	if !written && commits != j.commits {
		return errForeign
	}
	if g == nil {
		return nil
	}
	j.unsettled = nil
	j.log.Warn("journal commit settled", "written", written)
	if written {
		j.publish(g)
	}
	switch {
	case g.answered: // with ErrUnknown
		for _, s := range g.batch {
			j.flight.add(s.request, -1)
		}
	case written:
		j.answer(g)
	default:
		// The refusals do not stand either: they may have been judged by entries
		// that were lost.
		j.refuse(g.batch, "the journal cannot be written")
	}
	return nil
}

// touch commits a transaction that changes only a counter of its own, and returns
// the count of transactions. (It must change something: SQLite neither writes nor
// flushes a transaction without changes.)
func (j *Journal) touch() (commits uint64, err error) {
	w, err := j.connect()
	if err != nil {
		return 0, err
	}
	defer func() {
		if err != nil {
			j.reset()
		}
	}()
	if err := w.exec("begin", "BEGIN IMMEDIATE"); err != nil {
		return 0, err
	}
	row, err := w.row("SELECT commits FROM counter")
	if err != nil {
		return 0, err
	}
	if err := row.Scan(&commits); err != nil {
		return 0, err
	}
	if err := w.exec("exec", "UPDATE counter SET touches = touches + 1"); err != nil {
		return 0, err
	}
	return commits, w.exec("commit", "COMMIT")
}

func (j *Journal) connect() (*writeConn, error) {
	if j.conn != nil {
		return j.conn, nil
	}
	w, err := newWriteConn(j.write, j.cfg.fault)
	if err != nil {
		return nil, err
	}
	j.conn = w
	return w, nil
}

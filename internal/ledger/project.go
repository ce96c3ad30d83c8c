package ledger

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/transparency-dev/tessera"
	"golang.org/x/mod/sumdb/tlog"

	"github.com/terradourada/td/protocol"
)

const (
	minBackoff = 50 * time.Millisecond
	maxBackoff = time.Second
	// strikes is how many surveys in a row must find rows beyond what was
	// announced: a commit and its announcement are not one instant.
	strikes = 3
)

// Run projects and publishes until ctx ends or the journal and the log are
// found to disagree; then it returns nil or an error that wraps [ErrDiverged].
// It lets the batch in flight finish and publishes what is integrated, both
// within bounds, and fails all waiters. What is not projected by then is
// projected after the next start.
func (l *Ledger) Run(ctx context.Context) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	publisher := make(chan struct{})
	go func() {
		defer close(publisher)
		l.publish(ctx)
	}()
	err := l.project(ctx)
	cancel()
	<-publisher
	l.publishLast(ctx)
	close(l.stopped)
	l.proj.close()
	return err
}

// project is the in-order appender.
func (l *Ledger) project(ctx context.Context) error {
	survey := survey{every: l.cfg.SurveyEvery}
	backoff := minBackoff
	var ahead batch // read while the batch before it was in flight
	for ctx.Err() == nil {
		select {
		case <-l.diverged:
			return l.diverge(ErrDiverged) // gives the reason on record
		default:
		}
		err := l.step(ctx, &survey, &ahead)
		switch {
		case errors.Is(err, ErrDiverged):
			return l.diverge(err)
		case err != nil && ctx.Err() == nil:
			l.log.Warn("projection stalled", "err", err, "retry_ms", backoff.Milliseconds())
			ahead = batch{}
			pause(ctx, backoff, nil)
			backoff = min(2*backoff, maxBackoff)
		default:
			backoff = minBackoff
		}
	}
	return nil
}

// step projects one batch, or waits for work. An error other than ErrDiverged
// may be tried again: the next step starts from what is on disk.
func (l *Ledger) step(ctx context.Context, s *survey, ahead *batch) error {
	if err := l.survey(ctx, s); err != nil {
		return err
	}
	b := *ahead
	*ahead = batch{}
	if len(b.entries) == 0 {
		var err error
		if err = l.resync(ctx); err != nil {
			return err
		}
		if b, err = l.pull(ctx, l.edge.Size(), l.limit()); err != nil {
			return err
		}
	}
	if len(b.entries) == 0 {
		select {
		case <-ctx.Done():
		case <-l.diverged:
		case <-l.work:
		case <-time.After(s.every):
		}
		return nil
	}
	return l.append(ctx, b, ahead)
}

// limit is the first row that must not be projected: nobody announced it yet.
func (l *Ledger) limit() uint64 {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.next()
}

// batch is a run of rows made ready for the log.
type batch struct {
	first   uint64
	entries []*tessera.Entry
	hashes  []tlog.Hash
}

func (b *batch) end() uint64 { return b.first + uint64(len(b.entries)) }

// pull reads rows of [from, limit), at most one batch of them, and compares
// them with what was announced.
func (l *Ledger) pull(ctx context.Context, from, limit uint64) (batch, error) {
	b := batch{first: from}
	if from >= limit {
		return b, nil
	}
	want := min(limit-from, uint64(l.cfg.BatchSize))
	rows, err := l.cfg.Source.Leaves(ctx, from, int(want))
	if err != nil {
		return b, fmt.Errorf("ledger: reading the journal: %w", err)
	}
	for _, row := range rows[:min(uint64(len(rows)), want)] {
		if len(row) > protocol.MaxLeafSize {
			return b, fmt.Errorf("%w: row %d is longer than an entry can be", ErrDiverged, b.end())
		}
		e := tessera.NewEntry(row)
		b.hashes = append(b.hashes, tlog.Hash(e.LeafHash()))
		b.entries = append(b.entries, e)
	}
	return b, l.matchAnnounced(b)
}

// matchAnnounced compares the rows that this process has committed with what
// it announced when it did.
func (l *Ledger) matchAnnounced(b batch) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	for i, h := range b.hashes {
		seq := b.first + uint64(i)
		if seq >= l.base && l.announced[seq-l.base] != h {
			return fmt.Errorf("%w: row %d is not the row that was committed", ErrDiverged, seq)
		}
	}
	return nil
}

// append adds a batch, reads the next one while it is in flight, and takes the
// result in.
func (l *Ledger) append(ctx context.Context, b batch, ahead *batch) error {
	flight := l.submit(&b)
	next, err := l.pull(ctx, b.end(), l.limit())
	if err == nil { // an error is met again, and reported, by the next step
		*ahead = next
	}
	if err := l.land(ctx, flight); err != nil {
		return err
	}
	return l.advance(b)
}

// submit adds the batch's entries and answers with its outcome on the channel.
// It stops early, and shortens the batch, rather than let Tessera's timer cut
// the batch in two (see the package comment).
func (l *Ledger) submit(b *batch) <-chan error {
	start := time.Now()
	var futures []tessera.IndexFuture
	for _, e := range b.entries {
		if len(futures) > 0 && time.Since(start) > l.cfg.BatchAge/2 {
			break
		}
		futures = append(futures, l.proj.add(context.Background(), e))
	}
	b.entries, b.hashes = b.entries[:len(futures)], b.hashes[:len(futures)]
	first, outcome := b.first, make(chan error, 1)
	go func() { outcome <- resolve(first, futures) }()
	return outcome
}

// resolve waits for all futures, of a failed batch too: nothing may be in
// flight when the next one is added.
func resolve(first uint64, futures []tessera.IndexFuture) error {
	var failed, moved error
	for i, future := range futures {
		index, err := future()
		seq := first + uint64(i)
		switch {
		case err != nil:
			failed = err
		case index.Index != seq && moved == nil:
			moved = fmt.Errorf("%w: row %d became entry %d", ErrDiverged, seq, index.Index)
		}
	}
	if moved != nil {
		return moved
	}
	return failed
}

// land waits for the batch in flight: as long as it takes while running, and
// for the shutdown time once ctx has ended.
func (l *Ledger) land(ctx context.Context, flight <-chan error) error {
	select {
	case err := <-flight:
		return err
	case <-ctx.Done():
	}
	select {
	case err := <-flight:
		return err
	case <-time.After(l.cfg.ShutdownTimeout):
		return errors.New("ledger: the storage did not answer in time")
	}
}

// resync takes in entries that are on disk beyond the compared size: those of
// a batch that failed after it had been written.
func (l *Ledger) resync(ctx context.Context) error {
	size, err := l.proj.size(ctx)
	if err != nil {
		return fmt.Errorf("ledger: reading the size of the log: %w", err)
	}
	if size == l.edge.Size() {
		return nil
	}
	if size < l.edge.Size() || size > l.limit() {
		return fmt.Errorf("%w: the log has %d entries where %d were written", ErrDiverged, size, l.edge.Size())
	}
	all := batch{first: l.edge.Size()}
	for all.end() < size {
		b, err := l.pull(ctx, all.end(), size)
		if err != nil {
			return err
		}
		if len(b.entries) == 0 {
			return errors.New("ledger: the journal has no rows to compare")
		}
		all.entries, all.hashes = append(all.entries, b.entries...), append(all.hashes, b.hashes...)
	}
	return l.advance(all)
}

// advance compares the core's own root with the one of the tiles on disk, at
// the size after b, and makes that size known.
func (l *Ledger) advance(b batch) error {
	own := extended(l.edge, b.hashes)
	disk, err := l.tiles.compactRange(own.Size(), own.Size())
	if err != nil {
		return fmt.Errorf("ledger: reading the tiles: %w", err)
	}
	root := own.Root()
	if disk.Root() != root {
		return fmt.Errorf("%w: the root at %d entries is not that of the rows", ErrDiverged, own.Size())
	}
	l.edge = own
	l.mu.Lock()
	l.size, l.root = own.Size(), tlog.Hash(root)
	if done := max(own.Size(), l.base) - l.base; done > 0 {
		l.announced, l.base = l.announced[done:], l.base+done
	}
	l.mu.Unlock()
	wake(l.grown)
	return nil
}

// extended is a copy of r with the leaf hashes appended.
func extended(r protocol.Range, hashes []tlog.Hash) protocol.Range {
	c := r.Clone()
	for _, h := range hashes {
		c.Append(protocol.Digest(h))
	}
	return c
}

// survey compares now and then the journal's size with what was announced, to
// find rows that nobody announced and rows that are gone.
type survey struct {
	every time.Duration
	last  time.Time
	seen  uint64 // the announced size at which rows beyond it were found
	count int    // how many times in a row
}

func (l *Ledger) survey(ctx context.Context, s *survey) error {
	if time.Since(s.last) < s.every {
		return nil
	}
	before := l.limit()
	rows, err := l.cfg.Source.Size(ctx)
	if err != nil {
		return fmt.Errorf("ledger: reading the size of the journal: %w", err)
	}
	s.last = time.Now()
	if rows < before {
		return fmt.Errorf("%w: the journal has %d rows of %d that were committed", ErrDiverged, rows, before)
	}
	after := l.limit()
	if rows <= after || after != s.seen {
		s.count = 0
	}
	if s.seen = after; rows <= after {
		return nil
	}
	if s.count++; s.count >= strikes {
		return fmt.Errorf("%w: the journal has %d rows and the core knows of %d", ErrDiverged, rows, after)
	}
	return nil
}

// pause waits for d, or less when ctx ends or cut delivers.
func pause(ctx context.Context, d time.Duration, cut <-chan struct{}) {
	select {
	case <-ctx.Done():
	case <-cut:
	case <-time.After(d):
	}
}

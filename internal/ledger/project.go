package ledger

import (
	"context"
	"errors"
	"fmt"
	"os"
	"time"

	"golang.org/x/mod/sumdb/tlog"

	"github.com/terradourada/td/internal/tiles"
	"github.com/terradourada/td/protocol"
)

const (
	minBackoff = 50 * time.Millisecond
	maxBackoff = time.Second
	// strikes is how many surveys in a row must find rows beyond what was
	// announced: a commit and its announcement are not one instant.
	strikes = 3
)

// Run projects and publishes until ctx ends, and returns nil then. It returns an error
// that wraps [ErrDiverged] if the journal and the log disagree. At the end it waits for
// the batch in flight and publishes what is integrated, both within bounds, and fails all
// waiters. The remaining rows are projected after the next start.
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
	return err
}

// project appends the rows in their order.
func (l *Ledger) project(ctx context.Context) error {
	survey := survey{every: l.cfg.SurveyEvery}
	backoff := minBackoff
	var ahead batch // read while the batch before it was in flight
	for ctx.Err() == nil {
		select {
		case <-l.diverged:
			return l.diverge(ErrDiverged) // returns the reason on record
		default:
		}
		err := l.step(ctx, &survey, &ahead)
		if errors.Is(err, ErrDiverged) {
			return l.diverge(err)
		}
		if ctx.Err() == nil {
			l.note(&l.growing, "projection", err)
		}
		switch {
		case err != nil:
			ahead = batch{}
			pause(ctx, backoff, nil)
			backoff = min(2*backoff, maxBackoff)
		default:
			backoff = minBackoff
		}
	}
	return nil
}

// step projects one batch, or waits for work. After an error other than ErrDiverged it
// can be called again: it starts from the compared size and writes every file again.
func (l *Ledger) step(ctx context.Context, s *survey, ahead *batch) error {
	if err := l.survey(ctx, s); err != nil {
		return err
	}
	b := *ahead
	*ahead = batch{}
	if len(b.rows) == 0 {
		var err error
		if b, err = l.pull(ctx, l.edge.Size(), l.limit()); err != nil {
			return err
		}
	}
	if len(b.rows) == 0 {
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

// limit returns the first row that must not be projected, because it is not announced.
func (l *Ledger) limit() uint64 {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.next()
}

// batch is a sequence of rows and their hashes.
type batch struct {
	first  uint64
	rows   [][]byte
	hashes []protocol.Digest
}

func (b *batch) end() uint64 { return b.first + uint64(len(b.rows)) }

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
		return b, fmt.Errorf("%w: %w", errJournal, err)
	}
	for _, row := range rows[:min(uint64(len(rows)), want)] {
		if len(row) > protocol.MaxLeafSize {
			return b, fmt.Errorf("%w: row %d is longer than an entry can be", ErrDiverged, b.end())
		}
		b.hashes = append(b.hashes, protocol.LeafHash(row))
		b.rows = append(b.rows, row)
	}
	return b, l.matchAnnounced(b)
}

// matchAnnounced compares the rows that this process has committed with what it
// announced at that time.
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

// append writes a batch and reads the next one meanwhile. When the batch is
// written, append compares the root and makes the new size known.
func (l *Ledger) append(ctx context.Context, b batch, ahead *batch) error {
	files, bundle, err := l.grow(ctx, b.rows, b.hashes)
	if err != nil {
		return fmt.Errorf("ledger: reading the tiles: %w", err)
	}
	flight := make(chan error, 1)
	go func() { flight <- l.writer.put(files) }()
	next, err := l.pull(ctx, b.end(), l.limit())
	if err == nil { // an error is met again, and reported, by the next step
		*ahead = next
	}
	if err := l.land(ctx, flight); err != nil {
		return fmt.Errorf("ledger: writing the tiles: %w", err)
	}
	if err := l.advance(ctx, b); err != nil {
		return err
	}
	l.bundle = bundle
	l.prune(files)
	return nil
}

// land waits for the batch in flight: without a bound while ctx lasts, and for the
// shutdown time after its end.
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

// advance compares the core's own root with that of the tiles on disk, at the size after
// b, and makes that size known.
func (l *Ledger) advance(ctx context.Context, b batch) error {
	own := extended(l.edge, b.hashes)
	disk, err := tiles.Range(l.tiles.Hashes(ctx, own.Size()), own.Size())
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

// extended returns a copy of r with the leaf hashes appended.
func extended(r protocol.Range, hashes []protocol.Digest) protocol.Range {
	c := r.Clone()
	for _, h := range hashes {
		c.Append(h)
	}
	return c
}

// survey looks from time to time whether the directory is in its place, and compares the
// size of the journal with the announced rows. It finds rows that were not announced and
// rows that are gone.
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
	if err := l.inPlace(); err != nil {
		return err
	}
	before := l.limit()
	rows, err := l.cfg.Source.Size(ctx)
	if err != nil {
		return fmt.Errorf("%w: its size: %w", errJournal, err)
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

// inPlace returns an error if the directory is no longer the one that was opened: what
// is written to it would not be found again.
func (l *Ledger) inPlace() error {
	opened, err := l.dir.Stat(".")
	if err != nil {
		return err
	}
	if now, err := os.Stat(l.cfg.Dir); err != nil || !os.SameFile(opened, now) {
		return errMoved
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

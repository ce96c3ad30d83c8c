package ledger

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"sync"

	"filippo.io/torchwood"
	"golang.org/x/mod/sumdb/tlog"
	"golang.org/x/sys/unix"

	"github.com/terradourada/td/protocol"
)

const (
	checkpointFile = "checkpoint"
	originFile     = "origin"
	lockFile       = "lock"
)

// Open opens the log in cfg.Dir, or makes it, and compares it with the
// journal: origin, size, the last bundle leaf by leaf, and the root of the
// published checkpoint; and both with cfg.Known. It refuses with [ErrLocked],
// [ErrOrigin], [ErrAhead], [ErrMismatch] or [ErrSplit]. It needs no signer. See the package comment for when to
// call it.
func Open(ctx context.Context, cfg Config) (_ *Ledger, err error) {
	l, err := openDir(cfg.withDefaults())
	if err != nil {
		return nil, err
	}
	defer func() {
		if err != nil {
			_ = l.Close()
		}
	}()
	if err := l.claimOrigin(); err != nil {
		return nil, err
	}
	if l.proj, err = openProjection(ctx, &l.cfg); err != nil {
		return nil, fmt.Errorf("ledger: opening the log: %w", err)
	}
	return l, l.compare(ctx)
}

func openDir(cfg Config) (*Ledger, error) {
	if _, err := verifier(cfg.Origin, [32]byte{}); err != nil {
		return nil, fmt.Errorf("ledger: the origin is not a name for keys: %w", err)
	}
	if err := os.MkdirAll(cfg.Dir, 0o750); err != nil {
		return nil, err
	}
	dir, err := os.OpenRoot(cfg.Dir)
	if err != nil {
		return nil, err
	}
	lock, err := takeLock(dir)
	if err != nil {
		return nil, errors.Join(err, dir.Close())
	}
	l := &Ledger{
		cfg: cfg, log: cfg.Log, dir: dir, lock: lock, tiles: tiles{dir},
		work: make(chan struct{}, 1), grown: make(chan struct{}, 1), swapped: make(chan struct{}, 1),
		diverged: make(chan struct{}), stopped: make(chan struct{}), news: make(chan struct{}),
	}
	l.close = sync.OnceValue(l.release)
	return l, nil
}

// takeLock takes the directory for this process; the kernel gives it back when
// the process ends.
func takeLock(dir *os.Root) (*os.File, error) {
	f, err := dir.OpenFile(lockFile, os.O_CREATE|os.O_RDWR, 0o644)
	if err != nil {
		return nil, err
	}
	if err := unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB); err != nil {
		_ = f.Close()
		return nil, ErrLocked
	}
	return f, nil
}

func (l *Ledger) release() error {
	if l.proj != nil {
		l.proj.close()
	}
	return errors.Join(l.lock.Close(), l.dir.Close())
}

// claimOrigin writes the origin beside a new log, or compares it.
func (l *Ledger) claimOrigin() error {
	err := l.checkOrigin()
	if errors.Is(err, fs.ErrNotExist) {
		return replace(l.dir, originFile, []byte(l.cfg.Origin+"\n"))
	}
	return err
}

// checkOrigin compares the origin; fs.ErrNotExist if there is no log yet. A log
// without its origin file was not made here.
func (l *Ledger) checkOrigin() error {
	b, err := l.dir.ReadFile(originFile)
	if errors.Is(err, fs.ErrNotExist) {
		if _, err := l.dir.Stat(".state"); err == nil {
			return fmt.Errorf("%w: its origin file is missing", ErrMismatch)
		}
		return err
	}
	if err == nil && string(b) != l.cfg.Origin+"\n" {
		return ErrOrigin
	}
	return err
}

// compare refuses a log that is not one of this journal and sets the start of
// the projection.
func (l *Ledger) compare(ctx context.Context) error {
	size, err := l.proj.size(ctx)
	if err != nil {
		return fmt.Errorf("ledger: reading the size of the log: %w", err)
	}
	rows, err := l.cfg.Source.Size(ctx)
	if err != nil {
		return fmt.Errorf("ledger: reading the size of the journal: %w", err)
	}
	if size > rows {
		return fmt.Errorf("%w: %d entries, %d rows", ErrAhead, size, rows)
	}
	if l.edge, err = l.tiles.compactRange(size, size); err != nil {
		return fmt.Errorf("%w: %w", ErrMismatch, err)
	}
	if err := l.compareBundle(ctx, size); err != nil {
		return err
	}
	if err := l.comparePublished(size); err != nil {
		return err
	}
	if err := l.compareKnown(ctx, rows); err != nil {
		return err
	}
	l.base, l.size, l.root = rows, size, tlog.Hash(l.edge.Root())
	wake(l.work)
	return nil
}

// compareBundle compares the entries of the last bundle with the journal's
// rows and with the hashes in the tile above it.
func (l *Ledger) compareBundle(ctx context.Context, size uint64) error {
	if size == 0 {
		return nil
	}
	n := (size - 1) / torchwood.TileWidth
	first := n * torchwood.TileWidth
	entries, err := l.tiles.entries(n, size)
	if err != nil {
		return fmt.Errorf("%w: reading the last entries: %w", ErrMismatch, err)
	}
	hashes, err := l.tiles.hashes(tlog.Tile{H: torchwood.TileHeight, N: int64(n), W: len(entries)})
	if err != nil {
		return fmt.Errorf("%w: reading the last tile: %w", ErrMismatch, err)
	}
	for i := 0; i < len(entries); {
		rows, err := l.cfg.Source.Leaves(ctx, first+uint64(i), len(entries)-i)
		if err != nil || len(rows) == 0 {
			return fmt.Errorf("ledger: reading the journal: %w", errors.Join(err, errors.New("no rows")))
		}
		for _, row := range rows[:min(len(rows), len(entries)-i)] {
			h := tlog.RecordHash(row)
			if string(row) != string(entries[i]) || tlog.Hash(hashes[i*tlog.HashSize:][:tlog.HashSize]) != h {
				return fmt.Errorf("%w: entry %d differs", ErrMismatch, first+uint64(i))
			}
			i++
		}
	}
	return nil
}

// comparePublished compares the published checkpoint with the tree.
func (l *Ledger) comparePublished(size uint64) error {
	cp, note, err := l.readPublished()
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	if uint64(cp.N) > size {
		return fmt.Errorf("%w: %d entries are published, %d are there", ErrMismatch, cp.N, size)
	}
	l.published = note
	return l.compareRoot(cp)
}

// compareKnown refuses a journal that does not begin with the known tree:
// nothing may be published before this is known.
func (l *Ledger) compareKnown(ctx context.Context, rows uint64) error {
	k := l.cfg.Known
	if k == nil || k.Size == 0 {
		return nil
	}
	if k.Size > rows {
		return fmt.Errorf("%w: a checkpoint of size %d was published, the journal has %d rows", ErrSplit, k.Size, rows)
	}
	root, err := l.rootAt(ctx, k.Size)
	if err != nil {
		return err
	}
	if root != k.Root {
		return fmt.Errorf("%w: the journal contradicts a checkpoint of size %d that was published", ErrSplit, k.Size)
	}
	return nil
}

// rootAt is the root over the first n rows, n from 1. What is not in the log yet,
// all of it when the log is rebuilt, is hashed from the rows.
func (l *Ledger) rootAt(ctx context.Context, n uint64) (tlog.Hash, error) {
	if n < l.edge.Size() {
		all := tlog.Tree{N: int64(l.edge.Size()), Hash: tlog.Hash(l.edge.Root())}
		root, err := tlog.TreeHash(int64(n), tlog.TileHashReader(all, l.tiles))
		if err != nil {
			return root, fmt.Errorf("%w: %w", ErrMismatch, err)
		}
		return root, nil
	}
	r := l.edge.Clone()
	for r.Size() < n {
		leaves, err := l.cfg.Source.Leaves(ctx, r.Size(), int(min(n-r.Size(), uint64(l.cfg.BatchSize))))
		if err != nil || len(leaves) == 0 {
			return tlog.Hash{}, fmt.Errorf("ledger: reading the journal: %w", errors.Join(err, errors.New("no rows")))
		}
		for _, leaf := range leaves {
			r.Append(protocol.LeafHash(leaf))
		}
	}
	return tlog.Hash(r.Root()), nil
}

// readPublished reads the published checkpoint. Its signature is of an epoch
// that is gone; it was verified before it was written.
func (l *Ledger) readPublished() (cp torchwood.Checkpoint, note []byte, err error) {
	if note, err = l.dir.ReadFile(checkpointFile); err != nil {
		return cp, nil, err
	}
	text, _, ok := bytes.Cut(note, []byte("\n\n"))
	cp, err = torchwood.ParseCheckpoint(string(text) + "\n")
	if !ok || err != nil {
		return cp, nil, fmt.Errorf("%w: the published checkpoint is malformed", ErrMismatch)
	}
	if cp.Origin != l.cfg.Origin {
		return cp, nil, ErrOrigin
	}
	return cp, note, nil
}

func (l *Ledger) compareRoot(cp torchwood.Checkpoint) error {
	r, err := l.tiles.compactRange(uint64(cp.N), uint64(cp.N))
	if err != nil || r.Root() != protocol.Digest(cp.Hash) {
		return fmt.Errorf("%w: the published root differs", ErrMismatch)
	}
	return nil
}

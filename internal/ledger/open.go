package ledger

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"
	"sync"
	"syscall"

	"filippo.io/torchwood"
	"golang.org/x/mod/sumdb/tlog"
	"golang.org/x/sys/unix"

	"github.com/terradourada/td/internal/fsutil"
	"github.com/terradourada/td/internal/tiles"
	"github.com/terradourada/td/protocol"
)

const (
	checkpointFile = tiles.Checkpoint
	originFile     = "origin"
	lockFile       = "lock"
)

// Open opens the log in cfg.Dir, or creates it, and compares it with the journal:
// origin, size, the last bundle leaf by leaf, and the root of the published checkpoint.
// It compares both with cfg.Known. It refuses with [ErrLocked], [ErrOrigin],
// [ErrAhead], [ErrMismatch] or [ErrSplit]; other errors are of the file system or the
// journal. It needs no signer. The package comment says when to call it.
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
	if err := l.compare(ctx); err != nil {
		return nil, err
	}
	if cfg.ReadOnly {
		close(l.stopped)
	} else {
		l.cleanUp()
	}
	return l, nil
}

// cleanUp removes what earlier processes left and makes the published checkpoint
// durable. Errors are ignored: on a full disk the log can still be read.
func (l *Ledger) cleanUp() {
	_ = l.dir.RemoveAll(".state") // of Tessera, which wrote the log before
	names, _ := l.writer.ReadDir(".")
	for _, name := range names {
		l.writer.removeTemp(name)
	}
	// The process that wrote it may have ended between the rename and the sync.
	l.settled = l.published == nil || l.writer.replace(checkpointFile, l.published) == nil
}

func openDir(cfg Config) (*Ledger, error) {
	if _, err := verifier(cfg.Origin, [32]byte{}); err != nil {
		return nil, fmt.Errorf("ledger: the origin is not a name for keys: %w", err)
	}
	if !cfg.ReadOnly {
		if err := makeDir(cfg.Dir); err != nil {
			return nil, err
		}
	}
	dir, err := os.OpenRoot(cfg.Dir)
	if err != nil {
		return nil, err
	}
	var lock *os.File
	if !cfg.ReadOnly {
		if lock, err = takeLock(dir); err != nil {
			return nil, errors.Join(err, dir.Close())
		}
	}
	store := cfg.storage
	if store == nil {
		store = newDisk(dir)
	}
	l := &Ledger{
		cfg: cfg, log: cfg.Log, dir: dir, lock: lock, writer: &writer{storage: store, dirs: map[string]bool{}},
		work: make(chan struct{}, 1), grown: make(chan struct{}, 1), swapped: make(chan struct{}, 1),
		diverged: make(chan struct{}), stopped: make(chan struct{}), news: make(chan struct{}),
	}
	l.use(store)
	l.close = sync.OnceValue(l.release)
	return l, nil
}

// use has a ledger read its files from a storage.
func (l *Ledger) use(s storage) { l.files, l.tiles = s, tiles.NewReader(files{s}, 0) }

// makeDir creates a directory durably.
func makeDir(name string) error {
	if err := os.MkdirAll(name, 0o750); err != nil {
		return err
	}
	return fsutil.SyncDir(filepath.Dir(name))
}

// takeLock locks the directory for this process. The kernel releases the lock when the
// process ends.
func takeLock(dir *os.Root) (*os.File, error) {
	f, err := dir.OpenFile(lockFile, os.O_CREATE|os.O_RDWR, 0o644)
	if err != nil {
		return nil, err
	}
	if err := unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB); err != nil {
		_ = f.Close()
		if errors.Is(err, unix.EWOULDBLOCK) {
			return nil, ErrLocked
		}
		return nil, fmt.Errorf("ledger: locking the directory: %w", err)
	}
	return f, nil
}

func (l *Ledger) release() error {
	if l.lock == nil {
		return l.dir.Close()
	}
	return errors.Join(l.lock.Close(), l.dir.Close())
}

// claimOrigin writes the origin beside a new log, or compares it.
func (l *Ledger) claimOrigin() error {
	err := l.checkOrigin()
	if errors.Is(err, fs.ErrNotExist) && !l.cfg.ReadOnly {
		return l.writer.replace(originFile, []byte(l.cfg.Origin+"\n"))
	}
	return err
}

// checkOrigin compares the origin. The error is fs.ErrNotExist if there is no log yet. A
// log without its origin file is refused: this package writes that file first.
func (l *Ledger) checkOrigin() error {
	b, err := l.files.ReadFile(originFile)
	if errors.Is(err, fs.ErrNotExist) {
		if _, err := l.files.ReadDir("tile"); err == nil {
			return fmt.Errorf("%w: its origin file is missing", ErrMismatch)
		}
		return err
	}
	if err == nil && string(b) != l.cfg.Origin+"\n" {
		return ErrOrigin
	}
	return err
}

// compare refuses a log that is not one of this journal. It sets the start of the
// projection to the published size: files beyond it are written again from the rows.
func (l *Ledger) compare(ctx context.Context) error {
	size, err := l.comparePublished(ctx)
	if err != nil {
		return err
	}
	rows, err := l.cfg.Source.Size(ctx)
	if err != nil {
		return fmt.Errorf("%w: %w", errJournal, err)
	}
	if size > rows {
		return fmt.Errorf("%w: %d entries, %d rows", ErrAhead, size, rows)
	}
	if err := l.compareBeyond(rows); err != nil {
		return err
	}
	if err := l.compareBundle(ctx, size); err != nil {
		return err
	}
	if err := l.compareKnown(ctx, rows); err != nil {
		return err
	}
	l.base, l.size, l.root = rows, size, tlog.Hash(l.edge.Root())
	wake(l.work)
	return nil
}

// compareBeyond refuses a log with a bundle of more entries than there are rows,
// published or not. The name suffices, because a bundle is written only after its
// rows are committed.
func (l *Ledger) compareBeyond(rows uint64) error {
	n := rows / tiles.Width
	full := tiles.Path(tiles.At(tiles.Entries, n, (n+1)*tiles.Width))
	names, err := l.files.ReadDir(path.Dir(full))
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	widths, werr := l.tiles.Partials(tiles.At(tiles.Entries, n, n*tiles.Width))
	if err = errors.Join(err, werr); err != nil {
		return unsound(err)
	}
	if slices.Contains(names, path.Base(full)) {
		widths = []int{tiles.Width}
	}
	if len(widths) > 0 && uint64(widths[0]) > rows%tiles.Width {
		return fmt.Errorf("%w: %d entries, %d rows", ErrAhead, n*tiles.Width+uint64(widths[0]), rows)
	}
	return nil
}

// compareBundle compares the entries of the last bundle with the journal's
// rows and with the hashes in the tile above it.
func (l *Ledger) compareBundle(ctx context.Context, size uint64) error {
	if size == 0 {
		return nil
	}
	n := (size - 1) / tiles.Width
	first := n * tiles.Width
	entries, err := l.tiles.Entries(ctx, tiles.At(tiles.Entries, n, size), size)
	if err != nil {
		return fmt.Errorf("reading the last entries: %w", unsound(err))
	}
	hashes, err := tiles.Leaves(l.tiles.Hashes(ctx, size), first, size)
	if err != nil {
		return fmt.Errorf("reading the last tile: %w", unsound(err))
	}
	for i := 0; i < len(entries); {
		rows, err := l.cfg.Source.Leaves(ctx, first+uint64(i), len(entries)-i)
		if err != nil || len(rows) == 0 {
			return fmt.Errorf("%w: %w", errJournal, errors.Join(err, errNoRows))
		}
		for _, row := range rows[:min(len(rows), len(entries)-i)] {
			if string(row) != string(entries[i]) || hashes[i] != protocol.LeafHash(row) {
				return fmt.Errorf("%w: entry %d differs", ErrMismatch, first+uint64(i))
			}
			i++
		}
	}
	if len(entries) < tiles.Width {
		for _, entry := range entries {
			l.bundle = appendEntry(l.bundle, entry)
		}
	}
	return nil
}

// comparePublished compares the published checkpoint with the tree on the disk, which
// becomes the core's own tree, and returns its size.
func (l *Ledger) comparePublished(ctx context.Context) (uint64, error) {
	cp, note, err := l.readPublished()
	if errors.Is(err, fs.ErrNotExist) {
		return 0, nil
	}
	if err != nil {
		return 0, err
	}
	if l.edge, err = l.compareRoot(ctx, cp); err != nil {
		return 0, err
	}
	size := uint64(cp.N)
	l.published, l.publishedSize, l.recent = note, size, []uint64{size}
	return size, nil
}

// compareKnown refuses a journal that does not begin with the known tree. Nothing may be
// published before it.
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

// rootAt returns the root over the first n rows, n > 0. Rows that are not in the log yet
// are hashed; these are all rows when the log is rebuilt.
func (l *Ledger) rootAt(ctx context.Context, n uint64) (tlog.Hash, error) {
	if n < l.edge.Size() {
		all := tlog.Tree{N: int64(l.edge.Size()), Hash: tlog.Hash(l.edge.Root())}
		root, err := tlog.TreeHash(int64(n), l.tiles.Verified(context.WithoutCancel(ctx), all))
		if err != nil {
			return root, unsound(err)
		}
		return root, nil
	}
	r := l.edge.Clone()
	for r.Size() < n {
		leaves, err := l.cfg.Source.Leaves(ctx, r.Size(), int(min(n-r.Size(), uint64(l.cfg.BatchSize))))
		if err != nil || len(leaves) == 0 {
			return tlog.Hash{}, fmt.Errorf("%w: %w", errJournal, errors.Join(err, errNoRows))
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
	if note, err = l.files.ReadFile(checkpointFile); err != nil {
		return cp, nil, unread(err)
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

// compareRoot returns the compact range of the checkpoint's tree.
func (l *Ledger) compareRoot(ctx context.Context, cp torchwood.Checkpoint) (protocol.Range, error) {
	r, err := tiles.Range(l.tiles.Hashes(ctx, uint64(cp.N)), uint64(cp.N))
	if err != nil {
		return r, fmt.Errorf("reading the published tree: %w", unsound(err))
	}
	if r.Root() != protocol.Digest(cp.Hash) {
		return r, fmt.Errorf("%w: the published root differs", ErrMismatch)
	}
	return r, nil
}

var errNoRows = errors.New("no rows")

// unsound returns [ErrMismatch] with the error, unless that is an error of the system
// about a file that exists. Such a file cannot be read, and may be sound.
func unsound(err error) error {
	var errno syscall.Errno
	if errors.As(err, &errno) && errno != syscall.ENOENT {
		return unread(err)
	}
	return fmt.Errorf("%w: %w", ErrMismatch, err)
}

func unread(err error) error { return fmt.Errorf("ledger: the log cannot be read: %w", err) }

package ledger

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
)

// Look compares the log in dir with a journal as [Open] does and returns its published
// size: origin, size, root, the last bundle leaf by leaf, and bundles beyond the journal.
// It takes no lock and writes nothing: another process may be projecting. It refuses with
// [ErrOrigin], [ErrAhead] and [ErrMismatch]. The error is fs.ErrNotExist if there is no
// log. A log that has published nothing has size 0.
func Look(ctx context.Context, dir, origin string, source Source) (size uint64, err error) {
	root, err := os.OpenRoot(dir)
	if err != nil {
		return 0, err
	}
	defer func() { err = errors.Join(err, root.Close()) }()
	l := &Ledger{cfg: Config{Origin: origin, Source: source}, dir: root}
	l.use(newDisk(root))
	if err := l.checkOrigin(); err != nil {
		return 0, err
	}
	cp, _, err := l.readPublished()
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return 0, err
	}
	none := err != nil
	// After the checkpoint, so that a running server cannot be ahead of it.
	rows, err := l.lookBeyond(ctx)
	if err != nil || none {
		return 0, err
	}
	size = uint64(cp.N)
	if size > rows {
		return size, fmt.Errorf("%w: %d entries, %d rows", ErrAhead, size, rows)
	}
	if _, err := l.compareRoot(ctx, cp); err != nil {
		return size, err
	}
	return size, l.compareBundle(ctx, size)
}

// lookBeyond is compareBeyond beside a server that may be writing. An entry beyond the rows
// is an error only if no row was added meanwhile. It returns the number of rows.
func (l *Ledger) lookBeyond(ctx context.Context) (rows uint64, err error) {
	for {
		before := rows
		if rows, err = l.cfg.Source.Size(ctx); err != nil {
			return 0, err
		}
		if err = l.compareBeyond(rows); err == nil || rows == before {
			return rows, err
		}
	}
}

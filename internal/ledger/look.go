package ledger

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
)

// Look compares the published part of the log in dir with a journal as [Open]
// does (origin, size, root, the last bundle leaf by leaf) and returns its size. It takes
// no lock and writes nothing: another process may be projecting. It refuses with
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
	if errors.Is(err, fs.ErrNotExist) {
		return 0, nil
	}
	if err != nil {
		return 0, err
	}
	// After the checkpoint, so that a running server cannot be ahead of it.
	rows, err := source.Size(ctx)
	if err != nil {
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

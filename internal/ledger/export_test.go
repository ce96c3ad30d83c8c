package ledger

import (
	"context"
	"os"

	"github.com/transparency-dev/tessera"
	"golang.org/x/mod/sumdb/tlog"
)

// DiskRoot is the root that the tiles in dir have at the given size.
func DiskRoot(dir string, size uint64) (tlog.Hash, error) {
	root, err := os.OpenRoot(dir)
	if err != nil {
		return tlog.Hash{}, err
	}
	defer func() { _ = root.Close() }()
	r, err := tiles{root}.compactRange(size, size)
	if err != nil {
		return tlog.Hash{}, err
	}
	return tlog.Hash(r.Root()), nil
}

// Spoil lets each answer of Tessera pass through f, with the entry's number;
// call it before Run. The entry has been written when f is asked, or not,
// as written says.
func (l *Ledger) Spoil(written bool, f func(index uint64, err error) (uint64, error)) {
	add := l.proj.add
	l.proj.add = func(ctx context.Context, e *tessera.Entry) tessera.IndexFuture {
		if !written {
			if index, err := f(0, nil); err != nil {
				return func() (tessera.Index, error) { return tessera.Index{Index: index}, err }
			}
			return add(ctx, e)
		}
		future := add(ctx, e)
		return func() (tessera.Index, error) {
			index, err := future()
			index.Index, err = f(index.Index, err)
			return index, err
		}
	}
}

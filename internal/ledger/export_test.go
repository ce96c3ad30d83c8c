package ledger

import (
	"os"

	"golang.org/x/mod/sumdb/tlog"
)

// RangeRoots returns the roots of the compact range after each of the hashes.
func RangeRoots(hashes []tlog.Hash) []tlog.Hash {
	var r compactRange
	roots := []tlog.Hash{r.root()}
	for _, h := range hashes {
		r.add(h)
		roots = append(roots, r.root())
	}
	return roots
}

// DiskRoot is the root that the tiles in dir have at the given size.
func DiskRoot(dir string, size uint64) (tlog.Hash, error) {
	root, err := os.OpenRoot(dir)
	if err != nil {
		return tlog.Hash{}, err
	}
	defer func() { _ = root.Close() }()
	r, err := tiles{root}.compactRange(size)
	if err != nil {
		return tlog.Hash{}, err
	}
	return r.root(), nil
}

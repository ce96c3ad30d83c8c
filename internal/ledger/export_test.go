package ledger

import (
	"context"
	"os"

	"golang.org/x/mod/sumdb/tlog"

	"github.com/terradourada/td/internal/tiles"
)

// Storage is the file system as the package sees it.
type Storage = storage

// UseStorage has a ledger keep its files elsewhere than in its directory.
func (c *Config) UseStorage(s Storage) { c.storage = s }

// KeepCheckpoints and PruneEvery bound the partial tiles.
const (
	KeepCheckpoints = keepCheckpoints
	PruneEvery      = pruneEvery
)

// DiskRoot is the root that the tiles in dir have at the given size.
func DiskRoot(dir string, size uint64) (tlog.Hash, error) {
	root, err := os.OpenRoot(dir)
	if err != nil {
		return tlog.Hash{}, err
	}
	defer func() { _ = root.Close() }()
	r, err := tiles.Range(tiles.NewReader(files{newDisk(root)}, 0).Hashes(context.Background(), size), size)
	if err != nil {
		return tlog.Hash{}, err
	}
	return tlog.Hash(r.Root()), nil
}

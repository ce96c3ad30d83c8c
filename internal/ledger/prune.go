package ledger

import (
	"errors"
	"io/fs"
	"maps"
	"path"
	"strings"

	"github.com/terradourada/td/internal/tiles"
)

const (
	// keepCheckpoints is the number of published checkpoints whose partial tiles are
	// kept, for other readers of the files while the log grows.
	keepCheckpoints = 64
	// pruneEvery is the number of batches between two removals.
	pruneEvery = 16
)

// partials is the state of the removal of partial tiles. The projecting goroutine owns
// it.
type partials struct {
	batches int             // written since the last removal
	dirs    map[string]bool // directories that may hold partial tiles; nil before the first search
}

// prune removes partial tiles, except those of the sizes that were published last,
// of the size that is being signed, and of the log's own size. A tile that cannot
// be removed is tried again later; nothing depends on it.
func (l *Ledger) prune(files []file) {
	p := &l.partials
	for _, f := range files {
		if dir := path.Dir(f.name); p.dirs != nil && strings.HasSuffix(dir, ".p") {
			p.dirs[dir] = true
		}
	}
	if p.batches++; p.batches%pruneEvery != 1 {
		return
	}
	keep, ok := l.needed()
	if !ok {
		return
	}
	if p.dirs == nil {
		found := map[string]bool{}
		if err := l.findPartials("tile", found); err != nil {
			return
		}
		p.dirs = found
	}
	for dir := range maps.Clone(p.dirs) {
		if l.pruneDir(dir, keep) {
			delete(p.dirs, dir)
			delete(l.writer.dirs, dir)
		}
	}
}

// needed returns the names of the partial tiles to keep. It reports false while it
// is not known which published checkpoint would be on the disk after a power cut.
func (l *Ledger) needed() (map[string]bool, bool) {
	l.mu.Lock()
	sizes := append([]uint64{l.size, l.signing}, l.recent...)
	ok := l.settled
	l.mu.Unlock()
	keep := map[string]bool{}
	for _, size := range sizes {
		for level := tiles.Entries; level < 8; level++ {
			if tile := tiles.Edge(level, size); tile.W > 0 {
				keep[tiles.Path(tile)] = true
			}
		}
	}
	return keep, ok
}

// pruneDir removes the partial tiles in a directory that are not kept, and then the
// directory if it is empty. It reports whether the directory is gone.
func (l *Ledger) pruneDir(dir string, keep map[string]bool) bool {
	names, err := l.writer.ReadDir(dir)
	if err != nil {
		return errors.Is(err, fs.ErrNotExist)
	}
	left := len(names)
	for _, name := range names {
		if name := dir + "/" + name; !keep[name] && l.writer.Remove(name) == nil {
			left--
		}
	}
	return left == 0 && l.writer.Remove(dir) == nil
}

// findPartials finds the directories of partial tiles below dir, and removes
// temporary files. A directory is recognized by its name: "x001" or a level, where
// a tile is "001".
func (l *Ledger) findPartials(dir string, found map[string]bool) error {
	names, err := l.writer.ReadDir(dir)
	for _, name := range names {
		below := dir + "/" + name
		switch {
		case l.writer.removeTemp(below):
		case strings.HasSuffix(name, ".p"):
			found[below] = true
		case dir == "tile" || strings.HasPrefix(name, "x"):
			err = errors.Join(err, l.findPartials(below, found))
		}
	}
	return err
}

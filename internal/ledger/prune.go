package ledger

import (
	"errors"
	"io/fs"
	"maps"
	"path"
	"strings"

	"filippo.io/torchwood"
)

const (
	// keepCheckpoints is for how many of the checkpoints that were published last
	// the partial tiles stay, for who reads the files while the log grows.
	keepCheckpoints = 64
	// pruneEvery is how many batches are written between two removals.
	pruneEvery = 16
)

// partials removes partial tiles that no reader needs any more. Used by the
// projecting goroutine.
type partials struct {
	batches int             // written since the last removal
	dirs    map[string]bool // that may hold partial tiles; nil before all were looked for
}

// prune removes the partial tiles of all sizes but those that were published
// last, that is being signed, and that the log has. What cannot be removed now
// is found again: nothing depends on it.
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
		if err := l.tidy("tile", found); err != nil {
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

// needed are the names of the partial tiles that stay. It reports false while
// it is not known which published checkpoint a power cut would leave.
func (l *Ledger) needed() (map[string]bool, bool) {
	l.mu.Lock()
	sizes := append([]uint64{l.size, l.signing}, l.recent...)
	ok := l.settled
	l.mu.Unlock()
	keep := map[string]bool{}
	for _, size := range sizes {
		for level := -1; level < 8; level++ {
			if tile := tileAt(level, size>>(torchwood.TileHeight*max(level, 0))); tile.W > 0 {
				keep[torchwood.TilePath(tile)] = true
			}
		}
	}
	return keep, ok
}

// pruneDir reports whether the directory is gone.
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

// tidy removes temporary files below dir and finds the directories of partial
// tiles. The names tell directories from tiles: "x001" and levels from "001".
func (l *Ledger) tidy(dir string, found map[string]bool) error {
	names, err := l.writer.ReadDir(dir)
	for _, name := range names {
		below := dir + "/" + name
		switch {
		case l.writer.removeTemp(below):
		case strings.HasSuffix(name, ".p"):
			found[below] = true
		case dir == "tile" || strings.HasPrefix(name, "x"):
			err = errors.Join(err, l.tidy(below, found))
		}
	}
	return err
}

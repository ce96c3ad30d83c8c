package tiles

import (
	"sync"

	"golang.org/x/mod/sumdb/tlog"
)

// cache holds what was found of some tiles.
type cache struct {
	most int

	mu    sync.Mutex
	files map[tlog.Tile]keptFile // by tiles of width 0; guarded by mu
}

// keptFile is a well-formed file of a tile.
type keptFile struct {
	width int
	data  []byte // nil for a bundle, which is large
}

func (c *cache) get(t tlog.Tile) keptFile {
	c.mu.Lock()
	defer c.mu.Unlock()
	t.W = 0
	return c.files[t]
}

func (c *cache) put(t tlog.Tile, data []byte) {
	if c.most == 0 {
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if len(c.files) >= c.most {
		clear(c.files)
	}
	width := t.W
	t.W = 0
	c.files[t] = keptFile{width, data}
}

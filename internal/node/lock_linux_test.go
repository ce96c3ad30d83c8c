package node_test

import (
	"testing"

	"github.com/terradourada/td/internal/node"
)

func TestFindLock(t *testing.T) {
	const locks = `1: POSIX  ADVISORY  WRITE 11 fe:00:100 1073741824 1073742335
2: FLOCK  ADVISORY  WRITE 22 fe:00:200 0 EOF
3: FLOCK  ADVISORY  WRITE -1 fe:00:300 0 EOF
3: -> FLOCK  ADVISORY  WRITE 44 fe:00:300 0 EOF
nonsense
`
	for inode, want := range map[string]struct {
		held bool
		pid  int
	}{
		"fe:00:100": {}, // SQLite's own kind
		"fe:00:200": {true, 22},
		"fe:00:300": {true, 0}, // of another namespace
		"fe:00:20":  {},        // no part of a number
	} {
		held, pid, err := node.FindLock(locks, inode)
		if held != want.held || pid != want.pid || err != nil {
			t.Errorf("%s: %v %d, %v", inode, held, pid, err)
		}
	}
}

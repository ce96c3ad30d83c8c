package node

import (
	"os"
	"path/filepath"
)

// Lock describes the lock of a data directory. It is looked at, not taken.
type Lock struct {
	Held bool // by a server that runs
	PID  int  // of that server, 0 if it cannot be seen from here
}

// NearestExisting returns the directory itself or the nearest one above it that
// exists.
func NearestExisting(dir string) string {
	for {
		if _, err := os.Stat(dir); err == nil || dir == filepath.Dir(dir) {
			return dir
		}
		dir = filepath.Dir(dir)
	}
}

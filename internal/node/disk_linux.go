package node

import (
	"math"

	"golang.org/x/sys/unix"
)

// freePart returns the free part of the file system of a directory, NaN if that is not
// known.
func freePart(dir string) float64 {
	var s unix.Statfs_t
	if unix.Statfs(dir, &s) != nil || s.Blocks == 0 {
		return math.NaN()
	}
	return float64(s.Bavail) / float64(s.Blocks)
}

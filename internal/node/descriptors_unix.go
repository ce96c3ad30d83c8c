//go:build unix

package node

import (
	"math"
	"syscall"
)

// maxDescriptors returns how many descriptors this process may have open.
func maxDescriptors() int {
	var r syscall.Rlimit
	if syscall.Getrlimit(syscall.RLIMIT_NOFILE, &r) != nil {
		return math.MaxInt32
	}
	return int(min(uint64(r.Cur), math.MaxInt32)) //nolint:unconvert // it is signed on some systems
}

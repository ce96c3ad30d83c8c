//go:build !linux

package bench

import (
	"errors"
	"time"
)

// cpuOf fails: the clocks of processes are read on Linux only.
func cpuOf(int) (time.Duration, error) {
	return 0, errors.New("td bench needs Linux")
}

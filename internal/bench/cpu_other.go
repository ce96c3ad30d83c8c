//go:build !linux

package bench

import (
	"errors"
	"time"
)

// cpuOf needs the clocks of Linux.
func cpuOf(int) (time.Duration, error) {
	return 0, errors.New("td bench needs Linux")
}

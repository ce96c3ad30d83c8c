//go:build !linux

package main

import (
	"errors"
	"time"
)

// cpuOf is not known here.
func cpuOf(int) (time.Duration, error) {
	return 0, errors.New("td bench needs Linux")
}

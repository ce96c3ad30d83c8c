package keyholder

import (
	"time"

	"golang.org/x/sys/unix"
)

// sinceBoot is CLOCK_BOOTTIME: it runs on while the machine sleeps and is never
// set.
func sinceBoot() time.Duration {
	var t unix.Timespec
	if err := unix.ClockGettime(unix.CLOCK_BOOTTIME, &t); err != nil {
		panic("keyholder: internal error: no boot clock: " + err.Error())
	}
	return time.Duration(t.Nano())
}

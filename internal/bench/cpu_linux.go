package bench

import (
	"time"

	"golang.org/x/sys/unix"
)

// cpuOf reads the processor-time clock of a process, user and system time of
// all its threads, those that ended included. /proc/PID/stat says the same in
// steps of 10 ms. The clock's number is made of the process id as the C
// library's clock_getcpuclockid does.
func cpuOf(pid int) (time.Duration, error) {
	const perProcess = 2
	var t unix.Timespec
	if err := unix.ClockGettime(int32(^pid<<3|perProcess), &t); err != nil {
		return 0, err
	}
	return time.Duration(t.Nano()), nil
}

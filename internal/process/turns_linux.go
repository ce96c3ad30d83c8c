package process

import (
	"errors"
	"fmt"
	"os"
	"runtime"
	"strconv"

	"golang.org/x/sys/unix"
)

// turn is the least that Linux grants, in nanoseconds.
const turn = 100_000

// ShortTurns asks Linux for short turns on the processor for every thread of this process,
// for its later threads and for its later children. A request passes through several
// processes and computes little in each. Beside a thread that verifies for milliseconds it
// would wait for the end of a turn in each of them. Shares of the processor stay as they
// are. Linux before 6.12 and threads of a policy that was chosen by hand have the turns that
// they had.
func ShortTurns() error {
	tasks, err := os.ReadDir("/proc/self/task")
	for _, task := range tasks {
		tid, bad := strconv.Atoi(task.Name())
		if bad == nil {
			bad = shortTurns(tid)
		}
		if !errors.Is(bad, unix.ESRCH) { // a thread may end meanwhile
			err = errors.Join(err, bad)
		}
	}
	if err != nil {
		return fmt.Errorf("turns on the processor: %w", err)
	}
	return nil
}

func shortTurns(tid int) error {
	a, err := unix.SchedGetAttr(tid, 0)
	if err != nil || a.Policy != unix.SCHED_NORMAL {
		return err
	}
	a.Runtime = turn
	return unix.SchedSetAttr(tid, a, 0)
}

// background is added to the niceness of a thread that calculates. Beside a busy thread of the
// usual niceness it then gets a quarter of the processor.
const background = 5

// lowerPriority binds this goroutine to a thread and lowers the priority of the thread, which
// ends with the goroutine. A policy that was chosen by hand stays as it is.
func lowerPriority() error {
	runtime.LockOSThread()
	tid := unix.Gettid()
	a, err := unix.SchedGetAttr(tid, 0)
	if err != nil || a.Policy != unix.SCHED_NORMAL {
		return err
	}
	if err := unix.Setpriority(unix.PRIO_PROCESS, tid, min(int(a.Nice)+background, 19)); err != nil {
		return fmt.Errorf("priority of calculations: %w", err)
	}
	return nil
}

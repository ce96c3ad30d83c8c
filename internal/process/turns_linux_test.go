package process_test

import (
	"os"
	"runtime"
	"sync"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/terradourada/td/internal/process"
)

// TestShortTurns: every thread, also a later one, has short turns and keeps its niceness. Linux
// reports no turns before 6.12.
func TestShortTurns(t *testing.T) {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	before, err := unix.SchedGetAttr(0, 0)
	if err != nil {
		t.Fatal(err)
	}
	if err := process.ShortTurns(); err != nil {
		t.Fatal(err)
	}
	if after, err := unix.SchedGetAttr(0, 0); err != nil || after.Nice != before.Nice || after.Policy != before.Policy {
		t.Errorf("got %+v (%v), before %+v", after, err, before)
	}
	if before.Runtime == 0 {
		t.Skip("this Linux has no turns of a chosen length")
	}
	got := make(chan *unix.SchedAttr)
	for range 2 * runtime.NumCPU() {
		go func() {
			runtime.LockOSThread() // and never unlock: the thread ends with this goroutine
			a, err := unix.SchedGetAttr(os.Getpid(), 0)
			if own, bad := unix.SchedGetAttr(0, 0); err == nil && bad == nil && own.Runtime != a.Runtime {
				t.Errorf("a later thread has turns of %v, the first one %v", time.Duration(own.Runtime), time.Duration(a.Runtime))
			}
			got <- a
		}()
	}
	for range 2 * runtime.NumCPU() {
		if a := <-got; a == nil || time.Duration(a.Runtime) != 100*time.Microsecond || a.Policy != before.Policy {
			t.Errorf("got %+v, before %+v", a, before)
		}
	}
}

// TestLowPriority: a calculation has a lower priority than the rest of the process. Goroutines
// that it starts have the usual one, and so has the process after it.
func TestLowPriority(t *testing.T) {
	const n = 2
	niceness := func() int {
		a, err := unix.SchedGetAttr(0, 0)
		if err != nil {
			t.Error(err)
			return -1
		}
		return int(a.Nice)
	}
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	usual := niceness()
	b, err := process.StartBackground(n)
	if err != nil {
		t.Fatal(err)
	}
	var calls sync.WaitGroup
	for range n {
		calls.Go(func() {
			b.Do(func() {
				if got := niceness(); got != min(usual+5, 19) {
					t.Errorf("a calculation has niceness %d instead of %d", got, usual+5)
				}
				for range 2 * runtime.NumCPU() {
					calls.Go(func() {
						runtime.LockOSThread() // and never unlock, so that no thread is used twice
						if got := niceness(); got != usual {
							t.Errorf("what a calculation starts has niceness %d instead of %d", got, usual)
						}
					})
				}
			})
		})
	}
	calls.Wait()
	b.Close()
	if got := niceness(); got != usual {
		t.Errorf("afterwards niceness is %d instead of %d", got, usual)
	}
}

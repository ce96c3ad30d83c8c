package process_test

import (
	"os"
	"runtime"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/terradourada/td/internal/process"
)

// TestShortTurns: every thread, also a later one, has short turns and its niceness. Linux
// reports no turns before 6.12.
func TestShortTurns(t *testing.T) {
	before, err := unix.SchedGetAttr(0, 0)
	if err != nil {
		t.Fatal(err)
	}
	if err := process.ShortTurns(); err != nil {
		t.Fatal(err)
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
		if a := <-got; a == nil || time.Duration(a.Runtime) != 100*time.Microsecond || a.Nice != before.Nice || a.Policy != before.Policy {
			t.Errorf("got %+v, before %+v", a, before)
		}
	}
}

package process_test

import (
	"sync"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/terradourada/td/internal/process"
)

// TestBackground: calls run at the same time on threads that give way, of which there are so
// many; the others stay as they are. A panic is the caller's, and the thread goes on.
func TestBackground(t *testing.T) {
	const threads = 2
	b, err := process.StartBackground(threads)
	if err != nil {
		t.Fatal(err)
	}
	defer b.Close()
	niceness := func() int { // of the current thread, as Linux counts it
		n, err := unix.Getpriority(unix.PRIO_PROCESS, unix.Gettid())
		if err != nil {
			t.Error(err)
		}
		return 20 - n
	}
	own := niceness()
	for range 2 * threads {
		var failed any
		func() {
			defer func() { failed = recover() }()
			b.Do(func() { panic("a fault") })
		}()
		if failed != "a fault" {
			t.Errorf("the panic is %v", failed)
		}
	}
	var calls, both sync.WaitGroup
	both.Add(threads)
	seen := make(chan [2]int, threads)
	for range threads {
		calls.Go(func() {
			b.Do(func() {
				both.Done()
				both.Wait() // for the other one
				seen <- [2]int{unix.Gettid(), niceness()}
			})
		})
	}
	calls.Wait()
	first, second := <-seen, <-seen
	if first[0] == second[0] {
		t.Error("two calls ran on one thread at the same time")
	}
	if first[1] <= own || second[1] <= own || niceness() != own {
		t.Errorf("niceness %d and %d, that of the caller %d, before %d", first[1], second[1], niceness(), own)
	}
}

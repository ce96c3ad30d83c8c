package process_test

import (
	"sync"
	"testing"

	"github.com/terradourada/td/internal/process"
)

// TestBackground: so many calls run at the same time. A panic is the caller's, and what ran
// the call goes on.
func TestBackground(t *testing.T) {
	const n = 2
	b, err := process.StartBackground(n)
	if err != nil {
		t.Fatal(err)
	}
	defer b.Close()
	for range 2 * n {
		var failed any
		func() {
			defer func() { failed = recover() }()
			b.Do(func() { panic("a fault") })
		}()
		if failed != "a fault" {
			t.Errorf("the panic is %v", failed)
		}
	}
	var calls, all sync.WaitGroup
	all.Add(n)
	for range n {
		calls.Go(func() {
			b.Do(func() {
				all.Done()
				all.Wait() // for the other one
			})
		})
	}
	calls.Wait()
}

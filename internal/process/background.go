package process

import "errors"

// Background makes long calculations on goroutines of its own, whose stacks grow once. A
// caller that made them itself would keep a stack of that size for as long as it lives.
// Each has a thread of low priority, so that a request which passes through several
// processes, and needs little time in each, does not wait for the end of a calculation.
type Background struct{ work chan func() }

// StartBackground starts so many goroutines. Close ends them. An error means that threads
// have the usual priority; they calculate all the same.
func StartBackground(n int) (*Background, error) {
	b := &Background{make(chan func())}
	lowered := make(chan error)
	for range n {
		go func() { // until Close
			lowered <- lowerPriority()
			for do := range b.work {
				do()
			}
		}()
	}
	var err error
	for range n {
		err = errors.Join(err, <-lowered)
	}
	return b, err
}

// Do waits for a free goroutine, then for the end of a call. A panic of the call is one of
// Do.
func (b *Background) Do(call func()) {
	var failed any
	done := make(chan struct{})
	b.work <- func() {
		defer close(done)
		defer func() { failed = recover() }()
		call()
	}
	if <-done; failed != nil {
		panic(failed)
	}
}

// Close ends the goroutines. Nothing may be asked of them any more.
func (b *Background) Close() { close(b.work) }

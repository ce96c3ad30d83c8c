package process

import "errors"

// Background makes long calculations on goroutines of its own, whose stacks grow once. A
// caller that made them itself would keep a stack of that size for as long as it lives.
//
// Each goroutine has a thread of low priority. A request passes through several processes
// and needs little time in each: it then does not wait there for the end of a calculation.
type Background struct{ work chan func() }

// StartBackground starts n goroutines, which Close ends. An error means that threads keep the
// usual priority. The Background can be used all the same.
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

// Do runs call on a goroutine, when one is free, and waits for its end. If call panics, Do
// panics with the same value.
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

// Close ends the goroutines. Do must not be called any more.
func (b *Background) Close() { close(b.work) }

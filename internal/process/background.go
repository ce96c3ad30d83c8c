package process

// Background makes long calculations on goroutines of its own, whose stacks grow once. A
// caller that made them itself would keep a stack of that size for as long as it lives.
type Background struct{ work chan func() }

// StartBackground starts so many goroutines. Close ends them.
func StartBackground(n int) *Background {
	b := &Background{make(chan func())}
	for range n {
		go func() { // until Close
			for do := range b.work {
				do()
			}
		}()
	}
	return b
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

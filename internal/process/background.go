package process

import "runtime"

// Background makes long calculations on threads of its own that give way to the others of
// this process, and to its children: the kernel interrupts one of them as soon as another
// thread has something to do. A calculation also has the stack of such a thread, which grows
// once, not that of its caller.
type Background struct{ work chan func() }

// StartBackground starts so many threads. The error says why they do not give way; they work
// all the same. Close ends them.
func StartBackground(threads int) (b *Background, err error) {
	b = &Background{make(chan func())}
	for range threads {
		started := make(chan error)
		go b.run(started) // until Close
		if cannot := <-started; cannot != nil {
			err = cannot // the same for each
		}
	}
	return b, err
}

func (b *Background) run(started chan<- error) {
	runtime.LockOSThread() // for ever: the thread ends with the goroutine
	if onMainThread() {
		another := make(chan error)
		go b.run(another) // as this thread is taken
		started <- <-another
		runtime.UnlockOSThread()
		return
	}
	started <- giveWay()
	for do := range b.work {
		do()
	}
}

// Do waits for a free thread, then for the end of a call. A panic of the call is one of Do.
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

// Close ends the threads. Nothing may be asked of them any more.
func (b *Background) Close() { close(b.work) }

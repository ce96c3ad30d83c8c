package node

import (
	"context"
	"runtime"
	"runtime/debug"
	"time"
)

// The collector of a server runs when the heap has grown by some percent of what is in
// use. Of that, ballast MiB are never touched and so cost no memory. So a small heap is
// collected rarely, every 80 MB or so: each time, the slowest requests wait for it. A heap
// with many pending sessions is collected sooner, before it outgrows its budget.
const (
	ballast      = 320 // MiB
	percent      = 25
	manySessions = 5_000
	percentMany  = 15
	lookAtHeap   = time.Second
)

// weigh sets the collector up, and returns what undoes that.
func weigh() (undo func()) {
	weight := make([]byte, ballast<<20)
	before := debug.SetGCPercent(percent)
	return func() {
		debug.SetGCPercent(before)
		runtime.KeepAlive(weight)
	}
}

// paceCollector has the heap collected by the number of pending sessions, until ctx ends.
func paceCollector(ctx context.Context, pending func() int) error {
	tick := time.NewTicker(lookAtHeap)
	defer tick.Stop()
	for was := percent; ; {
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
		is := percent
		if pending() >= manySessions {
			is = percentMany
		}
		if is != was {
			debug.SetGCPercent(is) // stops everything for a moment, so only for a change
		}
		was = is
	}
}

package node

import (
	"context"
	"runtime/debug"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
)

// TestPaceCollector: the heap is collected sooner while there are many sessions.
func TestPaceCollector(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const before = 99
		defer debug.SetGCPercent(debug.SetGCPercent(before))
		undo := weigh()
		ctx, stop := context.WithCancel(t.Context())
		var pending atomic.Int64
		ended := make(chan error)
		go func() { ended <- paceCollector(ctx, func() int { return int(pending.Load()) }) }()
		for _, c := range []struct {
			pending int64
			want    int
		}{{0, percent}, {manySessions - 1, percent}, {manySessions, percentMany}, {100_000, percentMany}, {7, percent}} {
			pending.Store(c.pending)
			time.Sleep(lookAtHeap)
			synctest.Wait()
			now := debug.SetGCPercent(c.want)
			if now != c.want {
				t.Errorf("%d pending: %d %%", c.pending, now)
			}
		}
		stop()
		if err := <-ended; err != nil {
			t.Error(err)
		}
		if undo(); debug.SetGCPercent(before) != before {
			t.Error("the collector stays as a server has it")
		}
	})
}

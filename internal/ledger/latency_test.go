package ledger_test

import (
	"fmt"
	"slices"
	"sync"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/terradourada/td/internal/ledger"
)

// BenchmarkReceipt measures, at 50 commits a second, the time from Committed to
// the return of Await: what a client that waits for its receipt waits for the
// log. Run it with -benchtime 300x or so.
func BenchmarkReceipt(b *testing.B) {
	r := &rows{}
	l := start(b, b.TempDir(), r, nil)
	l.newEpoch(newSigner(b))
	l.await(0)
	took := make([]time.Duration, b.N)
	var wg sync.WaitGroup
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	leaf := make([]byte, 1500)
	for i := range b.N {
		<-tick.C
		begun := time.Now()
		index := r.commit(leaf)
		wg.Go(func() { l.await(index); took[i] = time.Since(begun) })
	}
	wg.Wait()
	slices.Sort(took)
	b.ReportMetric(float64(took[b.N/2].Milliseconds()), "p50-ms")
	b.ReportMetric(float64(took[b.N*99/100].Milliseconds()), "p99-ms")
}

// BenchmarkLeaf measures the processor time of the process, user and system,
// for each leaf of 1,500 bytes: of old rows that are projected at a start, and
// of new rows that come in groups and are published one group after the other.
func BenchmarkLeaf(b *testing.B) {
	leaf := make([]byte, 1500)
	b.Run("catch-up", func(b *testing.B) {
		r := &rows{leaves: slices.Repeat([][]byte{leaf}, b.N)}
		begun := processorTime(b)
		l := start(b, b.TempDir(), r, nil)
		l.await(l.newEpoch(newSigner(b)))
		reportLeaf(b, begun)
	})
	for _, size := range []int{1, 16, 256} {
		b.Run(fmt.Sprintf("groups of %d", size), func(b *testing.B) {
			r := &rows{}
			l := start(b, b.TempDir(), r, func(c *ledger.Config) { c.Interval = time.Nanosecond })
			l.await(l.newEpoch(newSigner(b)))
			group := slices.Repeat([][]byte{leaf}, size)
			begun := processorTime(b)
			for done := 0; done < b.N; done += size {
				l.await(r.commit(group[:min(size, b.N-done)]...))
			}
			reportLeaf(b, begun)
		})
	}
}

func reportLeaf(b *testing.B, begun time.Duration) {
	b.Helper()
	spent := processorTime(b) - begun
	b.ReportMetric(float64(spent.Microseconds())/float64(b.N), "cpu-us/leaf")
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "leaves/s")
	b.ReportMetric(0, "ns/op")
}

// processorTime is what this process has spent so far, user and system.
func processorTime(b *testing.B) time.Duration {
	b.Helper()
	var use unix.Rusage
	if err := unix.Getrusage(unix.RUSAGE_SELF, &use); err != nil {
		b.Fatal(err)
	}
	return time.Duration(use.Utime.Nano() + use.Stime.Nano())
}

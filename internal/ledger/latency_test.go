package ledger_test

import (
	"slices"
	"sync"
	"testing"
	"time"
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

// BenchmarkCatchUp measures the projection of old rows, 1,500 bytes each.
func BenchmarkCatchUp(b *testing.B) {
	leaf := make([]byte, 1500)
	r := &rows{leaves: slices.Repeat([][]byte{leaf}, b.N)}
	b.ResetTimer()
	l := start(b, b.TempDir(), r, nil)
	l.await(l.newEpoch(newSigner(b)))
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "rows/s")
}

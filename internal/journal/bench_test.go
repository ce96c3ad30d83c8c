package journal_test

import (
	"context"
	"fmt"
	"path/filepath"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/terradourada/td/internal/journal"
	"github.com/terradourada/td/protocol"
)

// BenchmarkAccept measures acknowledged acceptances, flushed to the disk, with
// this many submitters at once. ns/op is the time per acceptance over all of
// them; p50-us and p99-us are the waiting times of one.
func BenchmarkAccept(b *testing.B) {
	for _, submitters := range []int{1, 32, 256} {
		b.Run(fmt.Sprintf("submitters=%d", submitters), func(b *testing.B) {
			l := newLog(b, newSQLite(b), journal.Config{})
			work := make([]*journal.Acceptance, b.N)
			for i := range work {
				work[i] = l.acceptance()
			}
			waits := make([]time.Duration, b.N)
			next := make(chan int, b.N)
			for i := range b.N {
				next <- i
			}
			close(next)
			b.ResetTimer()
			var wg sync.WaitGroup
			for range submitters {
				wg.Go(func() {
					for i := range next {
						start := time.Now()
						if err := l.accept(work[i]); err != nil {
							b.Error(err)
							return
						}
						waits[i] = time.Since(start)
					}
				})
			}
			wg.Wait()
			b.StopTimer()
			slices.Sort(waits)
			b.ReportMetric(float64(waits[len(waits)/2].Microseconds()), "p50-us")
			b.ReportMetric(float64(waits[len(waits)*99/100].Microseconds()), "p99-us")
		})
	}
}

// BenchmarkState measures the query of the control state that each request
// makes.
func BenchmarkState(b *testing.B) {
	l := newLog(b, newSQLite(b), journal.Config{})
	l.mustControl(protocol.ActionFreezeIssue, protocol.Digest{})
	for b.Loop() {
		if _, err := l.State(context.Background()); err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkAccepted measures the search for a request that does not exist.
func BenchmarkAccepted(b *testing.B) {
	l := newLog(b, newSQLite(b), journal.Config{})
	l.mustAccept(l.acceptance())
	id := bytes16()
	for b.Loop() {
		if _, ok, err := l.Accepted(context.Background(), id); ok || err != nil {
			b.Fatal(ok, err)
		}
	}
}

// BenchmarkOpen measures a start with 10,000 leaves, quick_check included.
func BenchmarkOpen(b *testing.B) {
	path := filepath.Join(b.TempDir(), "journal.db")
	l := newLog(b, sqliteAt(path), journal.Config{})
	var wg sync.WaitGroup
	for range 200 {
		wg.Go(func() {
			for range 50 {
				l.mustAccept(l.acceptance())
			}
		})
	}
	wg.Wait()
	l.stop()
	for b.Loop() {
		j, err := journal.Open(context.Background(), journal.Config{Path: path})
		if err != nil {
			b.Fatal(err)
		}
		if err := j.Close(); err != nil {
			b.Fatal(err)
		}
	}
}

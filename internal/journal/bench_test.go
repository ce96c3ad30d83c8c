package journal_test

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
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

// BenchmarkOpen measures a start, with 10,000 acceptances or as many as TD_ROWS says.
// All have the same proof, which no start verifies. "compared" compares everything at
// once; "later" is the start after an orderly end, which leaves the comparison to Compare;
// "check" is that comparison.
func BenchmarkOpen(b *testing.B) {
	rows, _ := strconv.Atoi(cmp.Or(os.Getenv("TD_ROWS"), "10000"))
	path := filepath.Join(b.TempDir(), "journal.db")
	cfg := journal.Config{CheckLater: 1}
	l := newLog(b, sqliteAt(path), journal.WithSynchronous(cfg, "OFF"))
	proof := l.acceptance()
	var wg sync.WaitGroup
	for i := range 256 {
		wg.Go(func() {
			for range rows/256 + i%2 {
				a := l.acceptance()
				a.Leaf.Proof, a.ProofDigest = proof.Leaf.Proof, proof.ProofDigest
				l.mustAccept(a)
			}
		})
	}
	wg.Wait()
	l.stop()
	open := func(b *testing.B, cfg journal.Config) *journal.Journal {
		b.Helper()
		cfg.Path = path
		j, err := journal.Open(context.Background(), cfg)
		if err != nil {
			b.Fatal(err)
		}
		return j
	}
	end := func(b *testing.B, j *journal.Journal) {
		b.Helper()
		if err := j.Close(); err != nil {
			b.Fatal(err)
		}
	}
	b.Run("later", func(b *testing.B) {
		for b.Loop() {
			j := open(b, cfg)
			if j.Unchecked() {
				b.Fatal("acceptances wait")
			}
			b.StopTimer()
			check(b, j)
			end(b, j)
			b.StartTimer()
		}
	})
	b.Run("check", func(b *testing.B) {
		for b.Loop() {
			b.StopTimer()
			j := open(b, cfg)
			b.StartTimer()
			check(b, j)
			b.StopTimer()
			end(b, j)
			b.StartTimer()
		}
	})
	b.Run("compared", func(b *testing.B) {
		for b.Loop() {
			end(b, open(b, journal.Config{}))
		}
	})
}

// check makes the comparison that a start has left.
func check(tb testing.TB, j *journal.Journal) {
	tb.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- j.Run(ctx) }()
	err := j.Compare(ctx)
	cancel()
	if err := errors.Join(err, <-ended); err != nil {
		tb.Fatal(err)
	}
}

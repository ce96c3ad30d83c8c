package main_test

import (
	"context"
	"fmt"
	"path/filepath"
	"slices"
	"sync"
	"time"

	"github.com/terradourada/td/client"
	"github.com/terradourada/td/protocol"
)

const (
	rotationClients = 64
	maxIssuedFast   = 3000 // a rotation every second or two
)

// rotate plays rotations under load. Two servers have the same load in turns, one of
// which rotates, so that what else the machine does reaches both alike. No request
// fails, and the 99th percentile is at most twice that without rotations.
func (g *game) rotate() {
	ctx := g.Context()
	calm := startBackend(g.T, g.TempDir(), "--prover", "none")
	b := startBackend(g.T, g.TempDir(), "--prover", "none", "--max-issued", fmt.Sprint(maxIssuedFast))
	g.accepts(b)
	first, rotations := b.mustAnswer(ctx), uint64(g.either(4, 200))
	failed := &failures{}
	normal, rotating := &latencies{}, &latencies{}
	blocks := uint64(g.either(2, 20))
	began := time.Duration(0)
	for block := range blocks {
		took := g.underLoad(b, failed, rotating, func(ctx context.Context) bool {
			return b.activeFrom(ctx, 1+rotations*(block+1)/blocks)
		})
		began += took
		end := time.Now().Add(took / 3)
		g.underLoad(calm, failed, normal, func(context.Context) bool { return time.Now().After(end) })
	}
	if !g.short {
		_ = first
	}
	failed.none(g)
	g.figures["rotations"], g.figures["seconds each"] = b.epochNumber(ctx)-1, fmt.Sprintf("%.2f", began.Seconds()/float64(rotations))
	ratio := rotating.figures(g, "rotating", 99) / normal.figures(g, "normal", 99)
	g.figures["ratio"] = fmt.Sprintf("%.2f", ratio)
	if ratio > 2 && !g.short { // in a short run, few rotations decide the percentile
		g.Errorf("the 99th percentile is %.2f times the normal one", ratio)
	}
	calm.stop(20 * time.Second)
	rows := g.settle(b)
	handedOver(g.T, rows, rotations)
	wantSameLog(g.T, calm.data, rowsOf(g.T, calm.data))
	if said := g.user.audit("--allow-self-asserted", "--dir", filepath.Join(calm.data, "ledger")); said.verdict != "valid" {
		g.Errorf("td log audit: %s\n%s%s", said.verdict, said.out, said.errs)
	}
}

// latencies are the times of calls, by what was called.
type latencies struct {
	mu   sync.Mutex
	took []time.Duration
}

func (l *latencies) note(took time.Duration) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.took = append(l.took, took)
}

// figures notes the percentiles and returns one of them in milliseconds.
func (l *latencies) figures(g *game, name string, percent int) float64 {
	if len(l.took) == 0 {
		g.Fatal("nothing was measured")
	}
	slices.Sort(l.took)
	ms := func(percent float64) float64 {
		return float64(l.took[int(float64(len(l.took)-1)*percent/100)].Microseconds()) / 1000
	}
	g.figures[name] = fmt.Sprintf("n %d, ms at 50, 99, 99.9, 100: %.1f %.1f %.1f %.1f", len(l.took), ms(50), ms(99), ms(99.9), ms(100))
	return ms(float64(percent))
}

// underLoad loads a server until it is enough, and returns how long that took. One of
// the clients has answers accepted; the others open requests that expire soon.
func (g *game) underLoad(b *backend, failed *failures, l *latencies, enough func(context.Context) bool) time.Duration {
	began := time.Now()
	ctx, stop := context.WithTimeout(g.Context(), 2*time.Minute)
	defer stop()
	var all sync.WaitGroup
	for range rotationClients - 1 {
		all.Go(func() {
			for ctx.Err() == nil {
				draft, err := client.NewDraft(new(submission()), protocol.Element{})
				if err != nil {
					failed.note(err)
					return
				}
				request := draft.Request()
				request.TTLMillis = protocol.MinTTL
				begun := time.Now()
				if _, err = b.Challenge(context.WithoutCancel(ctx), request); err != nil {
					failed.note(err)
					continue
				}
				l.note(time.Since(begun))
			}
		})
	}
	all.Go(func() { g.keepAccepting(ctx, b) })
	for !enough(ctx) && ctx.Err() == nil {
		time.Sleep(20 * time.Millisecond)
	}
	if ctx.Err() != nil {
		g.Error("the rotations did not come")
	}
	stop()
	all.Wait()
	return time.Since(began)
}

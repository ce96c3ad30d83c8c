package main_test

import (
	"context"
	"maps"
	"math"
	"net/http"
	"slices"
	"strconv"
	"sync"
	"time"

	"github.com/terradourada/td/client"
	"github.com/terradourada/td/protocol"
)

const rotationClients = 64

// rotate plays rotations under load. Two servers have the same load in turns, one of
// which rotates, so that what else the machine does reaches both alike. No request
// fails, and the 99th percentile is at most twice that without rotations.
func (g *game) rotate() {
	ctx, rotations := g.Context(), g.either(4, 200)
	calm := g.newTurns("normal")
	fast := g.newTurns("rotating", "--max-issued", strconv.Itoa(g.either(800, 3000)))
	early := fast.b.mustAnswer(ctx)
	var took time.Duration
	blocks := g.either(2, 20)
	for block := range blocks {
		last := uint64(1 + rotations*(block+1)/blocks)
		this := fast.load(func() bool { return fast.b.activeFrom(ctx, last) })
		took += this
		over := time.Now().Add(this / 3)
		calm.load(func() bool { return time.Now().After(over) })
	}
	fast.keep(fast.b.Client, fast.b.wantAccepted(ctx, early)) // its epoch still drains
	g.figures["rotations"], g.figures["seconds_each"] = fast.b.epochNumber(ctx)-1, rounded(took.Seconds()/float64(rotations))
	ratio := fast.percentiles() / calm.percentiles()
	if g.figures["p99_ratio"] = rounded(ratio); ratio > 2 && !g.short { // in a short run, few rotations decide the percentile
		g.Errorf("the 99th percentile is %.2f times the normal one", ratio)
	}
	calm.failed.none(g)
	fast.failed.none(g)
	calm.settle(calm.b)
	handedOver(g.T, fast.settle(fast.b), uint64(rotations))
	maps.Copy(g.figures, map[string]any{"acknowledged": len(fast.h.acked), "receipts": len(fast.h.receipts)})
}

func rounded(x float64) float64 { return math.Round(100*x) / 100 }

// turns is a server that is under load some of the time, with clients of its own.
type turns struct {
	*game
	name   string
	b      *backend
	failed failures

	mu   sync.Mutex
	took []time.Duration // of challenges
}

func (g *game) newTurns(name string, args ...string) *turns {
	g.Helper()
	own := newGame(g.T, g.short, g.rng)
	t := &turns{game: own, name: name, b: startBackend(g.T, g.TempDir(), append(args, "--prover", "none")...)}
	t.figures = g.figures
	var err error
	t.b.Client, err = client.New(t.b.url, client.Config{Retries: -1, Transport: &http.Transport{MaxIdleConnsPerHost: rotationClients}})
	if err != nil {
		g.Fatal(err)
	}
	t.accepts(t.b)
	return t
}

// load loads the server until it is enough, and returns how long that took. One of the
// clients has answers accepted; the others open requests that expire soon.
func (t *turns) load(enough func() bool) time.Duration {
	t.Helper()
	began := time.Now()
	ctx, stop := context.WithTimeout(t.Context(), 3*time.Minute)
	defer stop()
	var all sync.WaitGroup
	for range rotationClients - 1 {
		all.Go(func() { t.open(ctx) })
	}
	all.Go(func() { t.keepAccepting(ctx, t.b) })
	for !enough() && ctx.Err() == nil {
		time.Sleep(20 * time.Millisecond) // the pace of the question
	}
	if ctx.Err() != nil {
		t.Error("the rotations did not come")
	}
	stop()
	all.Wait()
	return time.Since(began)
}

// open opens one request after the other until ctx ends.
func (t *turns) open(ctx context.Context) {
	for ctx.Err() == nil {
		s := submission()
		s.TTL = protocol.MinTTL * time.Millisecond
		begun := time.Now()
		if _, err := t.b.challenge(context.WithoutCancel(ctx), s); err != nil {
			t.failed.note(err)
			continue
		}
		t.mu.Lock()
		t.took = append(t.took, time.Since(begun))
		t.mu.Unlock()
	}
}

// percentiles reports how long challenges took, and returns the 99th percentile.
func (t *turns) percentiles() float64 {
	t.Helper()
	if len(t.took) == 0 {
		t.Fatal("nothing was measured")
	}
	slices.Sort(t.took)
	at := func(percent float64) float64 {
		return rounded(t.took[int(float64(len(t.took)-1)*percent/100)].Seconds() * 1000)
	}
	t.figures[t.name] = map[string]any{"challenges": len(t.took), "ms_p50": at(50), "ms_p99": at(99), "ms_p999": at(99.9), "ms_max": at(100)}
	return at(99)
}

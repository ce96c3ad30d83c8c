package main_test

import (
	"context"
	"math"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/terradourada/td/client"
	"github.com/terradourada/td/internal/admin"
	"github.com/terradourada/td/protocol"
)

const rotationClients = 64

// administer connects to the admin socket of a server.
func (g *game) administer(b *backend) *admin.Conn {
	g.Helper()
	info, err := os.Stat(b.data)
	if err != nil {
		g.Fatal(err)
	}
	c, err := admin.Dial(filepath.Join(b.data, "admin.sock"), info.Sys().(*syscall.Stat_t).Uid)
	if err != nil {
		g.Fatal(err)
	}
	return c
}

// rotate plays rotations under the load of 64 clients. No request fails. Times without
// rotations alternate with times that have some, so that what else the machine does
// reaches both alike; the 99th percentile is at most twice that without.
func (g *game) rotate() {
	ctx, rotations, blocks := g.Context(), g.either(4, 200), g.either(2, 20)
	b := startBackend(g.T, g.TempDir(), "--prover", "none")
	var err error
	b.Client, err = client.New(b.url, client.Config{Retries: -1, Transport: &http.Transport{MaxIdleConnsPerHost: rotationClients}})
	if err != nil {
		g.Fatal(err)
	}
	g.accepts(b)
	first := b.mustAnswer(ctx)
	conn, l := g.administer(b), &rotationLoad{game: g, b: b}
	busy, stop := context.WithCancel(ctx)
	defer stop()
	var all sync.WaitGroup
	for range rotationClients - 1 {
		all.Go(func() { l.open(busy) })
	}
	all.Go(func() { g.keepAccepting(busy, b) })
	pause := time.Duration(g.either(200, 900)) * time.Millisecond
	var slowest time.Duration
	for block := range blocks {
		time.Sleep(time.Duration(rotations/blocks) * pause / 3) // the time without rotations
		l.rotating.Store(true)
		for range rotations / blocks {
			time.Sleep(pause)
			began := time.Now()
			if _, err := conn.Rotate(ctx, admin.RotateRequest{Reason: admin.Reason{Reason: "game day"}, How: "drain"}); err != nil {
				g.Errorf("a rotation: %v", err)
			}
			slowest = max(slowest, time.Since(began))
		}
		l.rotating.Store(false)
		if block == 0 {
			g.keep(b.Client, b.wantAccepted(ctx, first)) // its epoch drains still
		}
	}
	stop()
	all.Wait()
	g.figures["rotations"], g.figures["slowest_rotation_ms"] = rotations, slowest.Milliseconds()
	l.failed.none(g)
	ratio := g.percentiles("rotating", l.took[1]) / g.percentiles("normal", l.took[0])
	if g.figures["p99_ratio"] = rounded(ratio); ratio > 2 && !g.short { // in a short run, few rotations decide the percentile
		g.Errorf("the 99th percentile is %.2f times the normal one", ratio)
	}
	handedOver(g.T, g.settle(b), uint64(rotations))
}

func rounded(x float64) float64 { return math.Round(100*x) / 100 }

// rotationLoad are clients that open requests that expire soon.
type rotationLoad struct {
	*game
	b        *backend
	failed   failures
	rotating atomic.Bool

	mu   sync.Mutex
	took [2][]time.Duration // of challenges, without and with rotations
}

// open opens one request after the other until ctx ends.
func (l *rotationLoad) open(ctx context.Context) {
	for ctx.Err() == nil {
		s := submission()
		s.TTL = protocol.MinTTL * time.Millisecond
		phase := 0
		if l.rotating.Load() {
			phase = 1
		}
		begun := time.Now()
		if _, err := l.b.challenge(context.WithoutCancel(ctx), s); err != nil {
			l.failed.note(err)
			continue
		}
		l.mu.Lock()
		l.took[phase] = append(l.took[phase], time.Since(begun))
		l.mu.Unlock()
	}
}

// percentiles reports how long something took, and returns the 99th percentile.
func (g *game) percentiles(name string, took []time.Duration) float64 {
	g.Helper()
	if len(took) == 0 {
		g.Fatal("nothing was measured")
	}
	slices.Sort(took)
	at := func(percent float64) float64 {
		return rounded(took[int(float64(len(took)-1)*percent/100)].Seconds() * 1000)
	}
	g.figures[name] = map[string]any{"challenges": len(took), "ms_p50": at(50), "ms_p99": at(99), "ms_p999": at(99.9), "ms_max": at(100)}
	return at(99)
}

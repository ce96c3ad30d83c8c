package main_test

import (
	"context"
	"encoding/binary"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"github.com/terradourada/td/protocol"
)

// stepped is the wall clock of a server that was built with the tag gameday.
type stepped struct {
	g    *game
	file string
}

func (g *game) newStepped() *stepped {
	g.Helper()
	s := &stepped{g: g, file: filepath.Join(g.TempDir(), "clock")}
	s.set(0)
	return s
}

// set makes the clock be off by this much. The server maps the file, so that it is
// written in place.
func (s *stepped) set(off time.Duration) {
	s.g.Helper()
	f, err := os.OpenFile(s.file, os.O_WRONLY|os.O_CREATE, 0o644)
	if err != nil {
		s.g.Fatal(err)
	}
	defer f.Close()
	if _, err := f.WriteAt(binary.NativeEndian.AppendUint64(nil, uint64(off/time.Second)), 0); err != nil {
		s.g.Fatal(err)
	}
}

// start starts a server that has this clock.
func (s *stepped) start(data string, args ...string) *backend {
	s.g.Helper()
	openWay(s.g.T, s.file)
	b := launchWith(s.g.T, []string{"TD_GAMEDAY_CLOCK=" + s.file}, data, args...)
	if err := b.await(); err != nil {
		s.g.Fatal(err)
	}
	return b
}

// stepClock plays a wall clock that is off by an hour and is set while the server runs.
// Lifetimes and ages do not follow it, and the times of the log never go back.
func (g *game) stepClock() {
	ctx, data, clock := g.Context(), g.TempDir(), g.newStepped()
	args := []string{"--max-age", "30m", "--ttl-ms", "60000"}
	b := clock.start(data, args...)
	g.accepts(b)
	for _, off := range []time.Duration{time.Hour, -time.Hour} {
		long, short := b.mustAnswer(ctx), g.brief(b)
		clock.set(off)
		if got := g.leafTime(b); time.Until(got).Abs() < 50*time.Minute && off > 0 {
			g.Errorf("the clock is off by %v, and a leaf has the time %v: nothing was stepped", off, got)
		}
		g.keep(b.Client, b.wantAccepted(ctx, long)) // the lifetime has not passed
		g.refuses(b, g.after(short), protocol.CodeExpired)
	}
	g.stepUnderLoad(clock, b)
	if n := b.epochNumber(ctx); n != 1 {
		g.Errorf("the steps brought the server to epoch %d", n)
	}
	b.stop(20 * time.Second)

	clock.set(-time.Hour) // the last leaf is of two hours later
	b = clock.start(data, args...)
	g.accepts(b)
	g.refuses(b, g.after(g.brief(b)), protocol.CodeExpired)
	if strings.Contains(b.stderr(), "epoch rotates") {
		g.Error("an epoch was rotated")
	}
	g.settle(b)
}

// brief prepares an answer that expires after a second.
func (g *game) brief(b *backend) *answer {
	s := submission()
	s.TTL = protocol.MinTTL * time.Millisecond
	return b.prove(g.Context(), s)
}

// after returns an answer when it has expired.
func (g *game) after(a *answer) *answer {
	time.Sleep(1300 * time.Millisecond) // the lifetime is what is tried; the clock of the server is not to be asked
	return a
}

// leafTime has an answer accepted and returns the time of its leaf.
func (g *game) leafTime(b *backend) time.Time {
	g.Helper()
	acc := b.wantAccepted(g.Context(), b.mustAnswer(g.Context()))
	g.keep(b.Client, acc)
	leaf, err := protocol.ParseLeaf(acc.Receipt.Leaf)
	if err != nil {
		g.Fatal(err)
	}
	return time.UnixMilli(int64(leaf.Time))
}

// stepUnderLoad sets the clock over and over while clients open and answer.
func (g *game) stepUnderLoad(clock *stepped, b *backend) {
	ctx, cancel := context.WithTimeout(g.Context(), time.Duration(g.either(800, 20_000))*time.Millisecond)
	defer cancel()
	c := &clients{b: b}
	var all sync.WaitGroup
	for range 4 {
		all.Go(func() { c.run(ctx) })
	}
	all.Go(func() { g.figures["accepted under load"] = g.keepAccepting(ctx, b) })
	steps := 0
	for ; ctx.Err() == nil; steps++ {
		clock.set(time.Duration(g.rng.IntN(3)-1) * time.Hour)
		time.Sleep(50 * time.Millisecond) // the pace of the steps
	}
	all.Wait()
	g.figures["steps"], g.figures["opened"], g.figures["failed"] = steps, c.opened.Load(), c.failed.Load()
	if c.failed.Load() > 0 {
		g.Errorf("%d requests failed, such as: %v", c.failed.Load(), c.first)
	}
}

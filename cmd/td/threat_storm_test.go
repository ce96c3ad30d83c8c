package main_test

import (
	"math/rand/v2"
	"testing"
)

// TestThreat_FreezeStorm: freezes, thaws and forced rotations as fast as they go, over the
// admin socket, while clients answer. What all of them saw has an order in which nothing is
// accepted while frozen, nor of an epoch that was ended, and every answer that was
// acknowledged is in the log.
func TestThreat_FreezeStorm(t *testing.T) {
	t.Parallel()
	g := newGame(t, true, rand.New(rand.NewPCG(rand.Uint64(), 0)))
	g.storm()
	t.Logf("%v", g.figures)
}

package main_test

import (
	"bytes"
	"context"
	"fmt"
	"math/rand/v2"
	"strings"
	"sync"
	"time"

	"github.com/terradourada/td/client"
	"github.com/terradourada/td/internal/admin"
	"github.com/terradourada/td/protocol"
)

// rogueProver plays provers that answer in every wrong way at once, beside a good
// client, who is served meanwhile. Nothing of theirs is accepted.
func (g *game) rogueProver() {
	b := startBackend(g.T, g.TempDir(), with("--prover", "none")...)
	g.accepts(b)
	stale := b.mustAnswer(g.Context())
	if _, err := g.administer(b).Rotate(g.Context(), admin.RotateRequest{Reason: admin.Reason{Reason: "game day"}, How: "now"}); err != nil {
		g.Fatal(err)
	}
	g.refuses(b, stale, protocol.CodeInvalidated) // its keys are gone

	used, pending := b.mustAnswer(g.Context()), b.mustAnswer(g.Context())
	g.keep(b.Client, b.wantAccepted(g.Context(), used))
	r := &rogue{b: b, used: used, pending: pending, refused: map[string]int{}}
	ctx, cancel := context.WithTimeout(g.Context(), time.Duration(g.either(2, 40))*time.Second)
	defer cancel()
	var all sync.WaitGroup
	for range 4 {
		all.Go(func() {
			halfSent(ctx, b, "POST /v1/challenges/"+used.ch.RequestID.String()+"/proof HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/octet-stream\r\nContent-Length: 800\r\n\r\nslow")
		})
	}
	for i := range g.either(2, 4) {
		rng := rand.New(rand.NewPCG(g.rng.Uint64(), uint64(i)))
		all.Go(func() { r.run(ctx, rng, g.either(2, 1000)) })
	}
	all.Go(func() { g.figures["good"] = g.keepAccepting(ctx, b) })
	all.Wait()
	for what, n := range r.refused {
		g.figures[what] = n
	}
	if len(r.refused) != len(r.ways()) {
		g.Errorf("not every way was tried: %v", r.refused)
	}
	g.keep(b.Client, b.wantAccepted(g.Context(), pending)) // its proof in other requests has not used it up
	rows := g.settle(b)
	if n := len(acceptedIn(g.T, rows)); n != len(g.h.acked) {
		g.Errorf("%d are accepted, of which %d are of good clients", n, len(g.h.acked))
	}
}

// rogue is a prover that has challenges of its own.
type rogue struct {
	b       *backend
	used    *answer // was accepted
	pending *answer // is another client's, who has not sent it yet

	mu      sync.Mutex
	refused map[string]int
}

// way is one wrong answer and the code that refuses it.
type way struct {
	what  string
	wrong func(rng *rand.Rand, a *answer) (tag protocol.Tag, proof []byte)
	want  protocol.Code
}

func (r *rogue) ways() []way {
	noise := func(rng *rand.Rand, n int) []byte {
		b := make([]byte, n)
		for i := range b {
			b[i] = byte(rng.Uint32())
		}
		return b
	}
	return []way{
		{"wrong tag", func(rng *rand.Rand, a *answer) (protocol.Tag, []byte) {
			tag := a.ch.Tag
			tag[rng.IntN(len(tag))] ^= 1 << rng.IntN(8)
			return tag, r.used.proof
		}, protocol.CodeSubmissionRejected},
		{"tag of another request", func(_ *rand.Rand, _ *answer) (protocol.Tag, []byte) { return r.used.ch.Tag, r.used.proof }, protocol.CodeSubmissionRejected},
		{"old proof", func(_ *rand.Rand, a *answer) (protocol.Tag, []byte) { return a.ch.Tag, r.used.proof }, protocol.CodeProofRejected},
		{"proof of another client", func(_ *rand.Rand, a *answer) (protocol.Tag, []byte) { return a.ch.Tag, r.pending.proof }, protocol.CodeProofRejected},
		{"tag of another client", func(_ *rand.Rand, _ *answer) (protocol.Tag, []byte) { return r.pending.ch.Tag, r.pending.proof }, protocol.CodeSubmissionRejected},
		{"noise", func(rng *rand.Rand, a *answer) (protocol.Tag, []byte) {
			return a.ch.Tag, noise(rng, protocol.ProofSize)
		}, protocol.CodeProofRejected},
		{"short", func(rng *rand.Rand, a *answer) (protocol.Tag, []byte) {
			return a.ch.Tag, noise(rng, 1+rng.IntN(protocol.ProofSize-1))
		}, protocol.CodeMalformedRequest},
		{"huge", func(rng *rand.Rand, a *answer) (protocol.Tag, []byte) {
			return a.ch.Tag, bytes.Repeat(r.used.proof, 1<<10)
		}, protocol.CodeTooLarge},
	}
}

// run answers until ctx ends, in every way at least once and at most some times.
func (r *rogue) run(ctx context.Context, rng *rand.Rand, most int) {
	ways := r.ways()
	for n := 0; n < len(ways) || ctx.Err() == nil && n < most*len(ways); n++ {
		a, err := r.b.challenge(r.b.t.Context(), client.Submission{Claim: submission().Claim, Params: []byte(`{}`), Event: submission().Event, TTL: time.Second})
		if err != nil {
			r.b.t.Errorf("a challenge for the rogue prover: %v", err)
			return
		}
		w := ways[n%len(ways)]
		tag, proof := w.wrong(rng, a)
		_, err = r.b.Send(r.b.t.Context(), a.ch.RequestID, tag, proof, 0)
		hungUp := w.want == protocol.CodeTooLarge && err != nil && strings.Contains(err.Error(), "connection reset")
		if code := protocol.CodeOf(err); code != w.want && !hungUp {
			r.b.t.Errorf("%s: %v, want %s", w.what, fmt.Sprint(err), w.want)
		}
		r.mu.Lock()
		r.refused[w.what]++
		r.mu.Unlock()
	}
}

package bench

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"slices"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/terradourada/td/claim"
	"github.com/terradourada/td/client"
	"github.com/terradourada/td/protocol"
)

// prepared is a challenge with its proof, not sent yet.
type prepared struct {
	id    protocol.RequestID
	tag   protocol.Tag
	x     []protocol.Element
	proof []byte
}

// answers measures acceptance and refusal on one server.
func (b *run) answers(ctx context.Context) ([]Budget, error) {
	s, err := b.serve(ctx)
	if err != nil {
		return nil, err
	}
	defer s.close()
	ready, err := b.prepare(ctx, s, b.Accepts+b.Latency)
	if err != nil {
		return nil, err
	}
	scheduled := ready[:b.Latency]
	latencies, err := b.latencies(ctx, s, scheduled)
	if err != nil {
		return nil, err
	}
	accept, err := b.acceptCost(ctx, s, ready[b.Latency:])
	if err != nil {
		return nil, err
	}
	tree, err := b.treeOfAccept(ctx, s, accept.Figures["cpu_us"])
	if err != nil {
		return nil, err
	}
	refuse, err := b.refusals(ctx, s, ready[0].proof, accept.Figures["cpu_us"])
	if err != nil {
		return nil, err
	}
	return append(append(latencies, accept, tree), refuse...), s.Stop()
}

// prepare opens and proves n challenges on all processors.
func (b *run) prepare(ctx context.Context, s *server, n int) ([]prepared, error) {
	p := b.progress("proving answers beforehand", n)
	defer p.Finish()
	all := make([]prepared, n)
	return all, b.load(ctx, p, n, runtime.GOMAXPROCS(0), func(ctx context.Context, i int) error {
		draft, err := client.NewDraft(&client.Submission{
			Claim: claim.Open, Params: []byte(`{}`), Event: fmt.Appendf(nil, `{"bench":%d}`, i), TTL: protocol.MaxTTL * time.Millisecond,
		}, protocol.Element{})
		if err != nil {
			return err
		}
		ch, err := s.client.Challenge(ctx, draft.Request())
		if err != nil {
			return err
		}
		a := prepared{id: ch.RequestID, tag: ch.Tag}
		if a.x, err = draft.Check(ch, protocol.LocalClient); err != nil {
			return err
		}
		a.proof, err = draft.Prove(ctx, b.prover, ch, protocol.LocalClient)
		all[i] = a
		return err
	})
}

// trailing is how long the server still works after an acceptance, to put its
// leaf into the log. That is part of the cost.
const trailing = 150 * time.Millisecond

// acceptTurn is how many answers are sent between two measurements of the bare
// verification.
const acceptTurn = 30

// acceptCost sends answers over HTTP in turns with bare verifications of the
// same proofs.
func (b *run) acceptCost(ctx context.Context, s *server, answers []prepared) (Budget, error) {
	p := b.progress("sending answers", len(answers))
	defer p.Finish()
	var c comparison
	for some := range slices.Chunk(answers, acceptTurn) {
		raw := work{thisProcess(), func() error { return verifyAll(some) }}
		err := c.take(len(some), raw, work{s.tree, func() error {
			return errors.Join(b.load(ctx, p, len(some), inFlight, func(ctx context.Context, i int) error {
				_, err := s.client.Send(ctx, some[i].id, some[i].tag, some[i].proof, 0)
				return err
			}), pause(ctx, trailing))
		}})
		if err != nil {
			return Budget{}, err
		}
	}
	return Budget{
		Name: "accept", Bound: atMost, Limit: 1.46, Unit: "x raw",
		How:     "processor time of the whole server for an accepted answer over HTTP, journal and log included, over bare decoding and verification; the aim is 1.15",
		Figures: c.figures(),
	}.judge(c.ratio()), nil
}

// verifyAll verifies proofs on all processors with nothing around it.
func verifyAll(answers []prepared) error {
	vk, ok := claim.KnownKey(claim.Open)
	if !ok {
		return protocol.CodeUnknownClaim
	}
	var g errgroup.Group
	g.SetLimit(runtime.GOMAXPROCS(0))
	for _, a := range answers {
		g.Go(func() error { return claim.Verify(vk, a.x, a.proof) })
	}
	return g.Wait()
}

// perSecond is the rate of the schedule that latencies are measured on.
const perSecond = 50

// latencies sends answers on a schedule that does not wait for earlier answers. A
// latency counts from when the answer was due, so that it includes the delay of a
// server that falls behind.
func (b *run) latencies(ctx context.Context, s *server, answers []prepared) ([]Budget, error) {
	p := b.progress(fmt.Sprintf("sending %d answers a second", perSecond), len(answers))
	defer p.Finish()
	acknowledged, published := make([]float64, len(answers)), make([]float64, len(answers))
	var late float64
	var mu sync.Mutex
	g, ctx := errgroup.WithContext(ctx)
	began := time.Now()
	for i, a := range answers {
		due := began.Add(time.Duration(i) * time.Second / perSecond)
		if pause(ctx, time.Until(due)) != nil {
			break
		}
		g.Go(func() error {
			defer p.Step(time.Now())
			mu.Lock()
			late = max(late, millis(time.Since(due)))
			mu.Unlock()
			if _, err := s.client.Send(ctx, a.id, a.tag, a.proof, 0); err != nil {
				return err
			}
			acknowledged[i] = millis(time.Since(due))
			_, err := s.client.Receipt(ctx, a.id, 10*time.Second)
			published[i] = millis(time.Since(due))
			return err
		})
	}
	if err := g.Wait(); err != nil {
		return nil, err
	}
	return []Budget{
		latency("acknowledged", 15, 0.5, acknowledged, late, "median time from when an answer is due to its acknowledgement, which is after the journal's commit; 50 a second"),
		latency("published", 400, 0.99, published, late, "99th percentile of the time until its receipt is in the client's hands"),
	}, nil
}

func latency(name string, limit, q float64, all []float64, late float64, how string) Budget {
	return Budget{
		Name: name, Bound: atMost, Limit: limit, Unit: "ms", How: how,
		Figures: map[string]float64{
			"p50_ms": median(all), "p90_ms": quantile(all, 0.9), "p99_ms": quantile(all, 0.99), "max_ms": quantile(all, 1),
			"answers": float64(len(all)), "schedule_late_max_ms": late,
		},
	}.judge(quantile(all, q))
}

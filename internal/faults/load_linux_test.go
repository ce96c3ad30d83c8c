package faults_test

import (
	"context"
	"fmt"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"time"

	"github.com/terradourada/td/api"
	"github.com/terradourada/td/claim"
	"github.com/terradourada/td/client"
	"github.com/terradourada/td/protocol"
)

const (
	callTime    = 20 * time.Second // for one request of the load
	receiptTime = 5 * time.Second  // time that an answer waits for its receipt
	retryPause  = 50 * time.Millisecond
)

// answer is a proof that is ready to be sent.
type answer struct {
	ch    *api.Challenge
	proof []byte
}

var eventNumber atomic.Int64

func newEvent() []byte { return fmt.Appendf(nil, `{"event":%d}`, eventNumber.Add(1)) }

// prepare gets a challenge and proves.
func (w *world) prepare(ctx context.Context) (*answer, error) {
	d, err := client.NewDraft(&client.Submission{Claim: claim.Open, Params: []byte(`{}`), Event: newEvent()}, protocol.Element{})
	if err != nil {
		return nil, err
	}
	ch, err := w.srv.Challenge(ctx, d.Request())
	if err != nil {
		return nil, err
	}
	w.seen.made(ch.RequestID)
	w.run.proving <- struct{}{}
	defer func() { <-w.run.proving }()
	proof, err := d.Prove(ctx, w.run.prover, ch, protocol.LocalClient)
	return &answer{ch, proof}, err
}

// prepareAll prepares n answers, fewer if the server refuses some.
func (w *world) prepareAll(ctx context.Context, n int) (all []*answer) {
	var mu sync.Mutex
	var wg sync.WaitGroup
	for range n {
		wg.Go(func() {
			if a, err := w.prepare(ctx); err == nil {
				mu.Lock()
				defer mu.Unlock()
				all = append(all, a)
			}
		})
	}
	wg.Wait()
	return all
}

// send sends an answer and records what was acknowledged.
func (w *world) send(ctx context.Context, srv *server, a *answer, wait time.Duration) error {
	ctx, stop := context.WithTimeout(ctx, callTime)
	defer stop()
	acc, err := srv.Send(ctx, a.ch.RequestID, a.ch.Tag, a.proof, wait)
	if err == nil {
		w.seen.note(acc, w.position())
	}
	return err
}

// release sends each answer twice at once, at random moments. One of the two
// waits for the receipt.
func (w *world) release(ctx context.Context, all []*answer, within time.Duration) *sync.WaitGroup {
	wg, srv := new(sync.WaitGroup), w.srv
	for _, a := range all {
		for _, wait := range []time.Duration{0, receiptTime} {
			after := randomTime(w.rng, 0, within)
			wg.Go(func() {
				time.Sleep(after) // the random moments
				_ = w.send(ctx, srv, a, wait)
			})
		}
	}
	return wg
}

// mustAccept sends an answer until it is accepted; the server may refuse it for
// a while.
func (w *world) mustAccept(ctx context.Context, within time.Duration) bool {
	w.Helper()
	ctx, stop := context.WithTimeout(ctx, within)
	defer stop()
	for {
		a, err := w.prepare(ctx)
		if err == nil {
			err = w.send(ctx, w.srv, a, receiptTime)
		}
		if err == nil {
			return true
		}
		select {
		case <-ctx.Done():
			w.complain("nothing is accepted within %v: %v", within, err)
			return false
		case <-time.After(retryPause):
		}
	}
}

// push makes the server prove n events.
func (w *world) push(ctx context.Context, n int) *sync.WaitGroup {
	wg, srv := new(sync.WaitGroup), w.srv
	for range n {
		wg.Go(func() {
			ctx, stop := context.WithTimeout(ctx, callTime)
			defer stop()
			e, err := claim.Prepare(claim.Open, []byte(`{}`), newEvent())
			if err != nil {
				w.complain("an event cannot be prepared: %v", err)
				return
			}
			p, err := srv.Push(ctx, e, 0, receiptTime)
			if err == nil && p.Accepted != nil {
				w.seen.note(p.Accepted, w.position())
			}
		})
	}
	return wg
}

// keepUp prepares and sends answers one after the other, until the context
// ends. Refusals do not matter.
func (w *world) keepUp(ctx context.Context, workers int) *sync.WaitGroup {
	wg, srv := new(sync.WaitGroup), w.srv
	for range workers {
		wg.Go(func() {
			for ctx.Err() == nil {
				a, err := w.prepare(ctx)
				if err == nil {
					err = w.send(ctx, srv, a, 0)
				}
				if err != nil {
					time.Sleep(retryPause) // no busy loop while the server refuses
				}
			}
		})
	}
	return wg
}

func randomTime(rng *rand.Rand, least, most time.Duration) time.Duration {
	return least + time.Duration(rng.Int64N(int64(most-least)+1))
}

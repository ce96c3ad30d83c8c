package main

import (
	"context"
	"crypto/rand"
	"os"
	"runtime"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/terradourada/td/internal/keyholder"
	"github.com/terradourada/td/protocol"
)

// keyholders measures signer and tagger without a server around them.
func (b *bench) keyholders(ctx context.Context) ([]budget, error) {
	ready, err := b.childrenReady(ctx)
	if err != nil {
		return nil, err
	}
	path, err := b.signerPath(ctx)
	return []budget{ready, path}, err
}

// childrenReady is how long a keyholder takes from its start to ready.
func (b *bench) childrenReady(ctx context.Context) (budget, error) {
	p := b.progress("starting keyholders", b.size.starts)
	defer p.Finish()
	var signers, taggers []float64
	for range b.size.starts {
		s, err := startSigner(ctx)
		if err != nil {
			return budget{}, err
		}
		signers = append(signers, millis(s.took))
		began := time.Now()
		t, err := keyholder.StartTagger(ctx, keyholder.Config{}, s.EpochID(), signerNumber)
		if err != nil {
			_ = s.Close()
			return budget{}, err
		}
		taggers = append(taggers, millis(time.Since(began)))
		_, _ = t.Close(), s.Close()
		p.Step(time.Now())
	}
	return budget{
		Name: "children_ready", Bound: atMost, Limit: 50, Unit: "ms",
		How: "median time from the start of a signer or tagger to its ready record, the slower of the two",
		Figures: map[string]float64{
			"signer_ms": median(signers), "signer_max_ms": quantile(signers, 1),
			"tagger_ms": median(taggers), "tagger_max_ms": quantile(taggers, 1),
		},
	}.judge(max(median(signers), median(taggers))), nil
}

// signerNumber is the epoch of signers that only this program knows.
const signerNumber = 1

type benchSigner struct {
	*keyholder.Signer
	took time.Duration
}

func startSigner(ctx context.Context) (benchSigner, error) {
	began := time.Now()
	s, err := keyholder.StartSigner(ctx, keyholder.Config{}, keyholder.SignerStart{Origin: "terradourada/bench", Number: signerNumber})
	return benchSigner{s, time.Since(began)}, err
}

// signerPath compares anchors through the signer's socket with bare signatures
// in this process.
func (b *bench) signerPath(ctx context.Context) (budget, error) {
	s, err := startSigner(ctx)
	if err != nil {
		return budget{}, err
	}
	defer s.Close()
	both, err := processesOf(os.Getpid()) // the signer is the only child
	if err != nil {
		return budget{}, err
	}
	p := b.progress("signer against bare signatures", b.size.anchors)
	defer p.Finish()
	var c comparison
	for done := 0; done < b.size.anchors; done += turn {
		raw := work{thisProcess(), func() error { return b.sign(turn) }}
		err := c.take(turn, raw, work{both, func() error {
			return b.load(ctx, p, turn, inFlight, func(ctx context.Context, i int) error {
				payload := benchPayload(s.EpochID(), uint64(done+i+1))
				_, _, err := s.Anchor(ctx, &payload)
				return err
			})
		}})
		if err != nil {
			return budget{}, err
		}
	}
	return budget{
		Name: "signer_path", Bound: atLeast, Limit: 0.90, Unit: "of raw",
		How:     "processor time of a bare ML-DSA-65 sign and verify over that of an anchor, both ends of the socket, 64 in flight",
		Figures: c.figures(),
	}.judge(1 / c.ratio()), nil
}

// sign makes and verifies n bare signatures on all processors.
func (b *bench) sign(n int) error {
	var g errgroup.Group
	processors := runtime.GOMAXPROCS(0)
	for i := range processors {
		g.Go(func() error { return keyholder.Baseline((n + i) / processors) })
	}
	return g.Wait()
}

func benchPayload(epoch protocol.EpochID, seq uint64) protocol.EncodedPayload {
	p := protocol.Payload{Mode: protocol.ModePull, EpochID: epoch, EpochNumber: signerNumber, Seq: seq, TTL: protocol.MaxTTL}
	_, _ = rand.Read(p.RequestID[:]) // never fails
	return p.Encode()
}

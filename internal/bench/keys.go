package bench

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
func (b *run) keyholders(ctx context.Context) ([]Budget, error) {
	ready, err := b.childrenReady(ctx)
	if err != nil {
		return nil, err
	}
	path, err := b.signerPath(ctx)
	return []Budget{ready, path}, err
}

// childrenReady measures how long a keyholder takes from its start to ready.
func (b *run) childrenReady(ctx context.Context) (Budget, error) {
	p := b.progress("starting keyholders", b.Starts)
	defer p.Finish()
	var signers, taggers []float64
	for range b.Starts {
		s, err := startSigner(ctx)
		if err != nil {
			return Budget{}, err
		}
		signers = append(signers, millis(s.took))
		began := time.Now()
		t, err := keyholder.StartTagger(ctx, keyholder.Config{}, s.EpochID(), signerNumber)
		if err != nil {
			_ = s.Close()
			return Budget{}, err
		}
		taggers = append(taggers, millis(time.Since(began)))
		_, _ = t.Close(), s.Close()
		p.Step(time.Now())
	}
	return Budget{
		Name: "children_ready", Bound: atMost, Limit: 50, Unit: "ms",
		How: "median time from the start of a signer or tagger to its ready record, the slower of the two",
		Figures: map[string]float64{
			"signer_ms": median(signers), "signer_max_ms": quantile(signers, 1),
			"tagger_ms": median(taggers), "tagger_max_ms": quantile(taggers, 1),
		},
	}.judge(max(median(signers), median(taggers))), nil
}

// signerNumber is the epoch number of signers without a server.
const signerNumber = 1

type signer struct {
	*keyholder.Signer
	took time.Duration
}

func startSigner(ctx context.Context) (signer, error) {
	began := time.Now()
	s, err := keyholder.StartSigner(ctx, keyholder.Config{}, keyholder.SignerStart{Origin: "terradourada/bench", Number: signerNumber})
	return signer{s, time.Since(began)}, err
}

// signerPath compares anchors through the signer's socket with bare signatures
// in this process.
func (b *run) signerPath(ctx context.Context) (Budget, error) {
	s, err := startSigner(ctx)
	if err != nil {
		return Budget{}, err
	}
	defer s.Close()
	both, err := processesOf(os.Getpid()) // the signer is the only child
	if err != nil {
		return Budget{}, err
	}
	p := b.progress("signer against bare signatures", b.Anchors)
	defer p.Finish()
	var c comparison
	for done := 0; done < b.Anchors; done += turn {
		raw := work{thisProcess(), func() error { return b.sign(turn) }}
		err := c.take(turn, raw, work{both, func() error {
			return b.load(ctx, p, turn, inFlight, func(ctx context.Context, i int) error {
				payload := newPayload(s.EpochID(), uint64(done+i+1))
				_, _, err := s.Anchor(ctx, &payload)
				return err
			})
		}})
		if err != nil {
			return Budget{}, err
		}
	}
	return Budget{
		Name: "signer_path", Bound: atLeast, Limit: 0.75, Unit: "of raw",
		How:     "processor time of a bare ML-DSA-65 sign and verify over that of an anchor, both ends of the socket, 64 in flight; the aim is 0.90",
		Figures: c.figures(),
	}.judge(1 / c.ratio()), nil
}

// sign makes and verifies n bare signatures on all processors.
func (b *run) sign(n int) error {
	var g errgroup.Group
	processors := runtime.GOMAXPROCS(0)
	for i := range processors {
		g.Go(func() error { return keyholder.Baseline((n + i) / processors) })
	}
	return g.Wait()
}

func newPayload(epoch protocol.EpochID, seq uint64) protocol.EncodedPayload {
	p := protocol.Payload{Mode: protocol.ModePull, EpochID: epoch, EpochNumber: signerNumber, Seq: seq, TTL: protocol.MaxTTL}
	_, _ = rand.Read(p.RequestID[:]) // never fails
	return p.Encode()
}

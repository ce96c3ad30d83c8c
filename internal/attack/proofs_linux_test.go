package attack_test

import (
	"context"
	"crypto/rand"
	"fmt"
	"runtime"
	"sync/atomic"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/terradourada/td/claim"
	"github.com/terradourada/td/client"
	"github.com/terradourada/td/protocol"
)

// answer is a real proof with its tag, not sent yet.
type answer struct {
	id    protocol.RequestID
	tag   protocol.Tag
	proof []byte
}

func (a *answer) request(headers ...string) []byte {
	return answerRequest(a.id, a.tag, a.proof, headers...)
}

var eventNumber atomic.Int64

// prove opens and proves n requests with the longest lifetime, on all processors.
func prove(ctx context.Context, c *client.Client, n int) ([]*answer, error) {
	prover, err := claim.NewProver(claim.Open)
	if err != nil {
		return nil, err
	}
	all := make([]*answer, n)
	g, ctx := errgroup.WithContext(ctx)
	g.SetLimit(runtime.NumCPU())
	for i := range all {
		g.Go(func() error {
			d, err := client.NewDraft(&client.Submission{
				Claim: claim.Open, Params: []byte(`{}`), Event: fmt.Appendf(nil, `{"attack":%d}`, eventNumber.Add(1)), TTL: protocol.MaxTTL * time.Millisecond,
			}, protocol.Element{})
			if err != nil {
				return err
			}
			ch, err := c.Challenge(ctx, d.Request())
			if err != nil {
				return err
			}
			proof, err := d.Prove(ctx, prover, ch, c.ClientID())
			all[i] = &answer{ch.RequestID, ch.Tag, proof}
			return err
		})
	}
	return all, g.Wait()
}

// randomCommitment returns a field element that commits to nothing known.
func randomCommitment() (c protocol.Commitment) {
	_, _ = rand.Read(c[1:]) // never fails; below the order of the field, as its first byte is 0
	return c
}

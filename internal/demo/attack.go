package demo

import (
	"context"
	"fmt"
	"sync"
	"time"

	"github.com/terradourada/td/api"
	"github.com/terradourada/td/claim"
	"github.com/terradourada/td/client"
	"github.com/terradourada/td/protocol"
)

// live is a challenge that the demo holds, with a right proof for it.
type live struct {
	draft *client.Draft
	ch    *api.Challenge
	proof []byte
}

// open gets a challenge for open/1 and proves it.
func (d *demo) open(ctx context.Context, ttl time.Duration) (*live, error) {
	l, err := d.challenge(ctx, client.Submission{Claim: claim.Open, Params: []byte(`{}`), Event: []byte(`{"demo":"attack"}`), TTL: ttl})
	if err != nil {
		return nil, err
	}
	l.proof, err = l.draft.Prove(ctx, d.prover, l.ch, protocol.LocalClient)
	return l, err
}

func (d *demo) challenge(ctx context.Context, s client.Submission) (*live, error) {
	draft, err := client.NewDraft(&s, protocol.Element{})
	if err != nil {
		return nil, err
	}
	ch, err := d.client.Challenge(ctx, draft.Request())
	return &live{draft: draft, ch: ch}, err
}

// send sends an answer and returns the code of the refusal, CodeNone for none.
func (d *demo) send(ctx context.Context, id protocol.RequestID, tag protocol.Tag, proof []byte) protocol.Code {
	_, err := d.client.Send(ctx, id, tag, proof, 0)
	return protocol.CodeOf(err)
}

// attack runs the nine attacks and expects the promised code of each.
func (d *demo) attack(ctx context.Context) error {
	d.say("\n%-20s %s", "ATTACK", "REFUSED WITH")
	attacks := []struct {
		name string
		want protocol.Code
		run  func(context.Context) (protocol.Code, error)
	}{
		{"replay_new_request", protocol.CodeSubmissionRejected, d.replayNewRequest},
		{"wrong_tag", protocol.CodeSubmissionRejected, d.wrongTag},
		{"foreign_tag", protocol.CodeSubmissionRejected, d.foreignTag},
		{"swapped_proofs", protocol.CodeProofRejected, d.swappedProofs},
		{"false_proof", protocol.CodeProofRejected, d.falseProof},
		{"changed_bound", protocol.CodeProofRejected, d.changedBound},
		{"late", protocol.CodeExpired, d.late},
		{"duplicate_nullifier", protocol.CodeNullifierUsed, d.duplicateNullifier},
		{"parallel_64", protocol.CodeAlreadyConsumed, d.parallel64},
	}
	for _, a := range attacks {
		code, err := a.run(ctx)
		if err != nil {
			return fmt.Errorf("attack %s could not be tried: %w", a.name, err)
		}
		if code != a.want {
			return fmt.Errorf("attack %s ended in %s, want %s", a.name, code.String(), a.want.String())
		}
		if a.name != "parallel_64" { // which reports more
			d.report.Refused = append(d.report.Refused, Refused{Attack: a.name, Code: code})
		}
		d.say("%-20s %s", a.name, code)
	}
	return nil
}

// replayNewRequest sends an accepted answer again, for a new request.
func (d *demo) replayNewRequest(ctx context.Context) (protocol.Code, error) {
	old, err := d.open(ctx, 0)
	if err != nil {
		return 0, err
	}
	if code := d.send(ctx, old.ch.RequestID, old.ch.Tag, old.proof); code != protocol.CodeNone {
		return 0, fmt.Errorf("the answer to be replayed was refused with %s", code.String())
	}
	fresh, err := d.open(ctx, 0)
	if err != nil {
		return 0, err
	}
	return d.send(ctx, fresh.ch.RequestID, old.ch.Tag, old.proof), nil
}

func (d *demo) wrongTag(ctx context.Context) (protocol.Code, error) {
	l, err := d.open(ctx, 0)
	if err != nil {
		return 0, err
	}
	tag := l.ch.Tag
	tag[0] ^= 1
	return d.send(ctx, l.ch.RequestID, tag, l.proof), nil
}

func (d *demo) foreignTag(ctx context.Context) (protocol.Code, error) {
	a, b, err := d.two(ctx)
	if err != nil {
		return 0, err
	}
	return d.send(ctx, a.ch.RequestID, b.ch.Tag, a.proof), nil
}

func (d *demo) two(ctx context.Context) (a, b *live, err error) {
	if a, err = d.open(ctx, 0); err != nil {
		return nil, nil, err
	}
	b, err = d.open(ctx, 0)
	return a, b, err
}

// swappedProofs answers two live requests with each other's proof.
func (d *demo) swappedProofs(ctx context.Context) (protocol.Code, error) {
	a, b, err := d.two(ctx)
	if err != nil {
		return 0, err
	}
	first := d.send(ctx, a.ch.RequestID, a.ch.Tag, b.proof)
	second := d.send(ctx, b.ch.RequestID, b.ch.Tag, a.proof)
	if first != second {
		return 0, fmt.Errorf("one of two swapped proofs ended in %s, the other in %s", first.String(), second.String())
	}
	return first, nil
}

// falseProof changes the last scalar of a good proof and sends it under the
// right tag; the request is over after that.
func (d *demo) falseProof(ctx context.Context) (protocol.Code, error) {
	l, err := d.open(ctx, 0)
	if err != nil {
		return 0, err
	}
	bad := append([]byte(nil), l.proof...)
	bad[len(bad)-5] ^= 1 // the lowest byte of a scalar; the last four bytes are a constant
	code := d.send(ctx, l.ch.RequestID, l.ch.Tag, bad)
	if again := d.send(ctx, l.ch.RequestID, l.ch.Tag, l.proof); again == protocol.CodeNone {
		return 0, fmt.Errorf("the right proof was accepted after a false one")
	}
	return code, nil
}

// changedBound asks for 60 to 80 over an event of 85, and answers with a proof
// for 60 to 90.
func (d *demo) changedBound(ctx context.Context) (protocol.Code, error) {
	asked := []byte(`{"offset":0,"scale":0,"values":[{"at":"/t","hi":80,"lo":60}]}`)
	wider, err := claim.ParseParams(claim.Range, []byte(`{"offset":0,"scale":0,"values":[{"at":"/t","hi":90,"lo":60}]}`))
	if err != nil {
		return 0, err
	}
	cm, assignment, err := claim.Commit(wider, []byte(`{"t":85}`), claim.NewBlind())
	if err != nil {
		return 0, err
	}
	ch, err := d.client.Challenge(ctx, api.ChallengeRequest{Claim: claim.Range.String(), Params: asked, Commitment: cm})
	if err != nil {
		return 0, err
	}
	st, err := claim.NewStatement(wider, cm)
	if err != nil {
		return 0, err
	}
	payload := protocol.EncodedPayload(ch.Payload)
	x := st.Inputs(ch.Anchor, protocol.ContextElement(&payload), protocol.TagElement(ch.Tag))
	proof, err := d.prover.Prove(ctx, st, x, assignment)
	if err != nil {
		return 0, err
	}
	return d.send(ctx, ch.RequestID, ch.Tag, proof), nil
}

// late answers after the deadline.
func (d *demo) late(ctx context.Context) (protocol.Code, error) {
	l, err := d.open(ctx, time.Second)
	if err != nil {
		return 0, err
	}
	select {
	case <-time.After(time.Until(l.ch.ExpiresAt) + 250*time.Millisecond):
	case <-ctx.Done():
		return 0, ctx.Err()
	}
	return d.send(ctx, l.ch.RequestID, l.ch.Tag, l.proof), nil
}

// duplicateNullifier lets the member who voted vote again.
func (d *demo) duplicateNullifier(ctx context.Context) (protocol.Code, error) {
	params, err := claim.GroupParams(d.list, "board/2026-11", d.members[0])
	if err != nil {
		return 0, err
	}
	_, err = d.client.Submit(ctx, d.prover, client.Submission{Claim: claim.Group, Params: params, Event: []byte(`{"vote":"no"}`), List: d.list, Secret: &d.members[0]})
	return protocol.CodeOf(err), nil
}

// parallel64 sends one answer 64 times at once, then another right proof for the
// same request: one leaf, one index.
func (d *demo) parallel64(ctx context.Context) (protocol.Code, error) {
	l, err := d.open(ctx, 0)
	if err != nil {
		return 0, err
	}
	before, err := d.client.Status(ctx)
	if err != nil {
		return 0, err
	}
	same, away, indexes := d.sendParallel(ctx, l, 64)
	after, err := d.client.Status(ctx)
	switch {
	case err != nil:
		return 0, err
	case after.Size != before.Size+1 || len(indexes) != 1 || same < 1 || same+away != 64:
		return 0, fmt.Errorf("64 answers made %d leaves and %d indexes; %d were accepted, %d turned away", after.Size-before.Size, len(indexes), same, away)
	}
	again, err := l.draft.Prove(ctx, d.prover, l.ch, protocol.LocalClient)
	if err != nil {
		return 0, err
	}
	code := d.send(ctx, l.ch.RequestID, l.ch.Tag, again)
	d.report.Refused = append(d.report.Refused, Refused{Attack: "parallel_64", Code: code, SameReceipt: same, TurnedAway: away})
	return code, nil
}

func (d *demo) sendParallel(ctx context.Context, l *live, n int) (same, away int, indexes map[uint64]bool) {
	indexes = map[uint64]bool{}
	var mu sync.Mutex
	var wg sync.WaitGroup
	for range n {
		wg.Go(func() {
			acc, err := d.client.Send(ctx, l.ch.RequestID, l.ch.Tag, l.proof, 0)
			mu.Lock()
			defer mu.Unlock()
			switch code := protocol.CodeOf(err); code {
			case protocol.CodeNone:
				same++
				indexes[acc.Index] = true
			case protocol.CodeConflict: // never already_consumed: it is the same proof
				away++
			default:
			}
		})
	}
	wg.Wait()
	return same, away, indexes
}

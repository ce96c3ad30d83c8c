package keyholder

import (
	"context"
	"errors"
	"time"

	"github.com/terradourada/td/internal/sandbox"
	"github.com/terradourada/td/protocol"
)

const kindTagger = "tagger"

// Tagger is the core's side of one tagger process; its methods wait and fail
// like those of [Signer].
type Tagger struct {
	link    *link
	start   taggerStart
	posture sandbox.Posture
}

// StartTagger starts a tagger for the epoch of a signer, and waits until
// it is ready. The context bounds the start, not the life of the process.
func StartTagger(ctx context.Context, cfg Config, epoch protocol.EpochID, number uint64) (*Tagger, error) {
	if epoch == (protocol.EpochID{}) || number == 0 {
		return nil, errors.New("keyholder: tagger needs an epoch id and a number from 1")
	}
	began := time.Now()
	start := taggerStart{epoch: epoch, number: number, capacity: cfg.withDefaults().Capacity}
	l, b, err := startLink(ctx, cfg, kindTagger, taggerRequests(), taggerAnswers(), start.frame(), taggerReadySize)
	if err != nil {
		return nil, err
	}
	posture, err := start.parseReady(b)
	if err == nil {
		err = l.judge(&posture)
	}
	if err != nil {
		return nil, l.abort(err)
	}
	l.serve()
	l.cfg.Log.Info("tagger ready", "pid", l.child.PID, "epoch", epoch.String(), "took_ms", time.Since(began).Milliseconds(),
		"grade", posture.Grade().String())
	return &Tagger{link: l, start: start, posture: posture}, nil
}

// Issue numbers a draft, enters it in the one-shot table and returns payload and
// tag; its time to live begins now. It does not wait for a free slot (code
// overloaded), and has the same code when the table is full. A request id in
// the table has code conflict. A call whose context ends before the answer was
// read is undone: the answer is followed by the cancel of what was issued.
func (t *Tagger) Issue(ctx context.Context, draft *protocol.EncodedPayload) (protocol.EncodedPayload, protocol.Tag, error) {
	var none protocol.EncodedPayload
	p, err := protocol.ParseDraft(draft[:])
	if err == nil && p.Seq != 0 {
		err = protocol.Fail(protocol.CodeInternal, "the draft has a sequence number")
	}
	if err == nil {
		err = t.own(&p)
	}
	if err != nil {
		return none, protocol.Tag{}, err
	}
	undo := func(f *frame) (frame, bool) { return newFrame(0, reqCancel, p.RequestID[:]), f.code == ansIssued }
	request, err := t.link.send(ctx, false, waiting{undo: undo}, reqIssue, draft[:])
	if err != nil {
		return none, protocol.Tag{}, err
	}
	f, err := t.link.wait(ctx, request)
	if err != nil {
		return none, protocol.Tag{}, err
	}
	switch f.code {
	case ansIssued:
		issued := protocol.EncodedPayload(f.body[:protocol.PayloadSize])
		p.Seq = issued.Seq()
		if p.Seq == 0 || p.Encode() != issued {
			return none, protocol.Tag{}, t.link.unexpected()
		}
		return issued, protocol.Tag(f.body[protocol.PayloadSize:]), nil
	case ansFull:
		return none, protocol.Tag{}, protocol.Fail(protocol.CodeOverloaded, "too many requests are pending")
	case ansRefused:
		return none, protocol.Tag{}, protocol.Wrap(protocol.CodeConflict, "the request id is in use", ErrRefused)
	default:
		return none, protocol.Tag{}, t.link.unexpected()
	}
}

// Redeem uses up the tag of a payload of this epoch, at most once. An error
// leaves it open whether it was: the caller must count it as used, and should
// pass a context that no client can end.
func (t *Tagger) Redeem(ctx context.Context, payload *protocol.EncodedPayload, tag protocol.Tag) (protocol.Redemption, error) {
	p, err := protocol.ParsePayload(payload[:])
	if err == nil {
		err = t.own(&p)
	}
	if err != nil {
		return 0, err
	}
	f, err := t.link.call(ctx, true, nil, reqRedeem, payload[:], tag[:])
	if err != nil {
		return 0, err
	}
	switch r := protocol.Redemption(f.body[0]); {
	case f.code != ansRedemption, r < protocol.RedeemOK, r > protocol.RedeemExpired:
		return 0, t.link.unexpected()
	default:
		return r, nil
	}
}

// own refuses what the tagger would end for.
func (t *Tagger) own(p *protocol.Payload) error {
	if p.EpochID != t.start.epoch || p.EpochNumber != t.start.number {
		return protocol.Wrap(protocol.CodeInvalidated, "the request belongs to another epoch", errForeign)
	}
	return nil
}

// Cancel makes the tag of a request unusable; of a request that is not open it
// changes nothing. The request counts as used until its deadline.
func (t *Tagger) Cancel(ctx context.Context, id protocol.RequestID) error {
	return t.link.order(ctx, reqCancel, id[:])
}

// CancelAll cancels every open request.
func (t *Tagger) CancelAll(ctx context.Context) error { return t.link.order(ctx, reqCancelAll) }

// Stats returns the figures of the tagger.
func (t *Tagger) Stats(ctx context.Context) (TaggerStats, error) {
	f, err := t.link.call(ctx, true, nil, reqStats)
	if err != nil {
		return TaggerStats{}, err
	}
	if f.code != ansStats {
		return TaggerStats{}, t.link.unexpected()
	}
	return parseStats(&f), nil
}

// Posture is like [Signer.Posture].
func (t *Tagger) Posture() sandbox.Posture { return t.posture }

// Done closes when the process is gone, and with it the key and the table.
func (t *Tagger) Done() <-chan struct{} { return t.link.done }

// Err is like [Signer.Err].
func (t *Tagger) Err() error { return t.link.Err() }

// Close is like [Signer.Close].
func (t *Tagger) Close() error { return t.link.Close() }

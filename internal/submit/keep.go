package submit

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"time"

	"github.com/terradourada/td/client"
	"github.com/terradourada/td/internal/draft"
	"github.com/terradourada/td/internal/fault"
	"github.com/terradourada/td/internal/fsutil"
	"github.com/terradourada/td/internal/remote"
	"github.com/terradourada/td/protocol"
	"github.com/terradourada/td/receipt"
)

// keep verifies a receipt as td verify does, records its checkpoint and writes it. A
// receipt that is written verifies later without the server.
func (r *run) keep(ctx context.Context, j *job, got *receipt.Receipt) error {
	raw, err := got.Encode()
	if err != nil {
		return err
	}
	index, err := r.judge(ctx, j, got)
	if err != nil {
		return r.refuseReceipt(j, raw, err)
	}
	if err := r.nameReceipt(j, index); err != nil {
		return err
	}
	if err := fsutil.WriteFile(r.receiptPath(j), raw, 0o644); err != nil {
		return err
	}
	if err := r.state.receipted(&j.request, index); err != nil {
		return err
	}
	if err := r.state.forget(j.request.id, false); err != nil {
		return err
	}
	return r.receipted(r.result(j, false))
}

// receipted counts and reports a receipt of this run.
func (r *run) receipted(result Result) error {
	r.count(&r.report.Receipted)
	if result.EqualTo != nil {
		r.mu.Lock()
		if r.report.Equal++; r.report.Equal == 1 {
			r.report.FirstEqual = result
		}
		r.mu.Unlock()
	}
	return r.Print(result)
}

// receiptPath returns the file of a job's receipt.
func (r *run) receiptPath(j *job) string { return filepath.Join(r.Dir, j.request.receiptName()) }

// reserveName takes the name of a job's receipt before anything is sent, if it is known
// then.
func (r *run) reserveName(j *job) error {
	if !r.names.early() || j.request.stage == done || j.request.name != "" || j.reserved != "" {
		return nil
	}
	q := j.request
	if q.stage == unsent {
		q.line, q.input = j.place, r.state.input
	}
	name := r.names.expand(&q)
	if err := r.state.reserve(name); err != nil {
		return err
	}
	j.reserved = name
	return nil
}

// nameReceipt records the name of a receipt before it is written. From then on the file
// belongs to the request.
func (r *run) nameReceipt(j *job, index uint64) error {
	if r.names == "" || j.request.stage == done || j.request.name != "" {
		return nil
	}
	name := j.reserved
	if name == "" {
		q := j.request
		q.index = index
		name = r.names.expand(&q)
		if err := r.state.reserve(name); err != nil {
			return err
		}
	}
	return r.state.named(&j.request, name)
}

func invalid(reason error) error {
	return &receipt.NegativeError{Verdict: receipt.Invalid, Reason: reason}
}

// judge records the checkpoint and verifies the receipt with its opening.
func (r *run) judge(ctx context.Context, j *job, got *receipt.Receipt) (index uint64, err error) {
	leaf, err := ownLeaf(j, got)
	if err != nil {
		return 0, err
	}
	o := r.verify
	if o.Opening, err = draft.ReadOpening(openingPath(r.Dir, j.request.id)); err != nil {
		return 0, err
	}
	report, err := receipt.RecordAndVerify(ctx, got, o, r.log, r.Server.Source(), time.Now())
	if err != nil {
		return 0, err
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, w := range report.Warnings {
		r.warnings[w] = true
	}
	if report.Vouched == nil {
		r.report.Unvouched++
	} else {
		r.origins[report.Log] = true
	}
	return leaf.Seq, nil
}

// checkServer records the newest checkpoint of the server before anything is sent, so that
// no event is committed to a server that shows another log than its own, or without a
// usable trust store.
func (r *run) checkServer(ctx context.Context) error {
	log := client.NewLog(r.Server.Client)
	cp, err := log.SignedCheckpoint(ctx)
	if err == nil {
		err = receipt.RecordCheckpoint(ctx, cp, r.verify, log, r.Server.Source(), time.Now())
	}
	if bad := new(receipt.NegativeError); errors.As(err, &bad) {
		return fault.New(fault.ExitOfVerdict(bad.Verdict), fmt.Sprintf("the server is %s: %v; nothing was sent", bad.Verdict, bad.Reason), remote.AdviceOnReceipt(bad, r.Server))
	}
	return r.Server.Failure(ctx, err)
}

// ownLeaf returns the leaf of a receipt, which must be about this request, claim and
// parameters.
func ownLeaf(j *job, got *receipt.Receipt) (*protocol.Leaf, error) {
	leaf, err := protocol.ParseLeaf(got.Leaf)
	if err != nil {
		return nil, invalid(err)
	}
	claimLeaf, err := protocol.ParseLeaf(got.Claim.Leaf)
	if err != nil {
		return nil, invalid(err)
	}
	accepted, ok := leaf.Body.(*protocol.Accepted)
	of, alsoOK := claimLeaf.Body.(*protocol.ClaimLeaf)
	if !ok || !alsoOK {
		return nil, invalid(errors.Join(
			client.Compare("leaf type", protocol.LeafAccepted.String(), leaf.Body.LeafType().String()),
			client.Compare("claim's leaf type", protocol.LeafClaim.String(), claimLeaf.Body.LeafType().String())))
	}
	p, err := protocol.ParsePayload(accepted.Payload[:])
	if err != nil {
		return nil, invalid(err)
	}
	params := j.prepared.Params()
	for _, part := range []struct{ name, want, got string }{
		{"request id", j.request.id.String(), p.RequestID.String()},
		{"claim", params.Claim().String(), of.ClaimID},
		{"parameters", string(params.Bytes()), string(accepted.Params)},
	} {
		if err := client.Compare(part.name, part.want, part.got); err != nil {
			return nil, invalid(err)
		}
	}
	return &leaf, nil
}

// refuseReceipt ends the run because of a receipt that should not be relied on. The
// receipt is kept under another name, because it may be evidence.
func (r *run) refuseReceipt(j *job, raw []byte, reason error) error {
	bad := new(receipt.NegativeError)
	if !errors.As(reason, &bad) {
		return reason
	}
	path := filepath.Join(r.Dir, j.request.id.String()+".refused.json")
	if err := fsutil.WriteFile(path, raw, 0o600); err != nil {
		return errors.Join(reason, err)
	}
	return fault.New(fault.ExitOfVerdict(bad.Verdict), fmt.Sprintf("line %d: %s", j.line, reason), fmt.Sprintf("%s; the receipt is kept in %s", remote.AdviceOnReceipt(bad, r.Server), path))
}

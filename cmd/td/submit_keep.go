package main

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"time"

	"github.com/terradourada/td/client"
	"github.com/terradourada/td/internal/fault"
	"github.com/terradourada/td/internal/fsutil"
	"github.com/terradourada/td/protocol"
	"github.com/terradourada/td/receipt"
)

// keep checks a receipt as td verify will, records its checkpoint and writes
// it. A receipt that is written verifies with the server gone.
func (r *submitRun) keep(ctx context.Context, j *job, got *receipt.Receipt) error {
	raw, err := got.Encode()
	if err != nil {
		return err
	}
	index, err := r.judge(ctx, j, got)
	if err != nil {
		return r.refuseReceipt(j, raw, err)
	}
	if err := fsutil.WriteFile(receiptPath(r.dir, j.sent.id), raw, 0o644); err != nil {
		return err
	}
	if err := r.state.receipted(j.sent, index); err != nil {
		return err
	}
	if err := r.state.forget(j.sent, false); err != nil {
		return err
	}
	r.mu.Lock()
	r.receipted++
	r.mu.Unlock()
	return r.tell(r.submitted(j, index, false))
}

// badReceipt is a receipt that should not be relied on, with its verdict.
type badReceipt struct {
	verdict string
	reason  error
}

// Error says which verdict and why.
func (b *badReceipt) Error() string { return fmt.Sprintf("the receipt is %s: %v", b.verdict, b.reason) }

// Unwrap is the reason.
func (b *badReceipt) Unwrap() error { return b.reason }

func invalid(format string, args ...any) error {
	return &badReceipt{receipt.Invalid, fmt.Errorf(format, args...)}
}

// judge records the checkpoint and verifies the receipt with its opening.
func (r *submitRun) judge(ctx context.Context, j *job, got *receipt.Receipt) (index uint64, err error) {
	leaf, err := r.ownLeaf(j, got)
	if err != nil {
		return 0, err
	}
	o := r.verify
	if o.Opening, err = readOpening(openingPath(r.dir, j.sent.id)); err != nil {
		return 0, err
	}
	report, err := judgeReceipt(ctx, got, o, r.log, r.server.Source())
	if err != nil {
		return 0, err
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, w := range report.Warnings {
		r.warnings[w] = true
	}
	if report.Vouched == nil {
		r.unvouched++
	} else {
		r.origins[report.Log] = true
	}
	return leaf.Seq, nil
}

// judgeReceipt records the checkpoint of a receipt and verifies it, as td verify
// will. A [*badReceipt] should not be relied on. A checkpoint that nothing
// vouches for passes if o allows self-asserted ones.
func judgeReceipt(ctx context.Context, got *receipt.Receipt, o receipt.Options, log receipt.Log, from receipt.Source) (*receipt.Report, error) {
	cp, err := got.Checkpoint()
	if err != nil {
		return nil, invalid("%s", detailOf(err))
	}
	if err := recordCheckpoint(ctx, o, cp, log, from); err != nil {
		return nil, err
	}
	report := receipt.Verify(ctx, got, o)
	if !report.OK {
		return nil, &badReceipt{report.Verdict, fmt.Errorf("step %s: %s", report.FailedStep, failedDetail(report))}
	}
	return report, nil
}

// recordCheckpoint records a checkpoint in the trust store. A log that nothing
// vouches for is a badReceipt, unless the options allow it.
func recordCheckpoint(ctx context.Context, o receipt.Options, cp *receipt.Checkpoint, log receipt.Log, from receipt.Source) error {
	_, err := o.Trust.Record(ctx, cp, log, from, time.Now())
	verdict := receipt.VerdictOf(err)
	switch {
	case err == nil, verdict == receipt.Unvouched && !isContradiction(err) && o.AllowSelfAsserted:
		return nil
	case verdict == receipt.Contradicted, verdict == receipt.Unvouched:
		return &badReceipt{verdict, err}
	}
	return err
}

// meet records the newest checkpoint of the server before anything is sent: a
// server that shows another log than its own, or a trust store that cannot be
// used, must not cost an event its commitment.
func (r *submitRun) meet(ctx context.Context) error {
	log := client.NewLog(r.server.Client)
	cp, err := log.SignedCheckpoint(ctx)
	if err == nil {
		err = recordCheckpoint(ctx, r.verify, cp, log, r.server.Source())
	}
	if bad := new(badReceipt); errors.As(err, &bad) {
		return fault.New(exitOfVerdict(bad.verdict), fmt.Sprintf("the server is %s: %v; nothing was sent", bad.verdict, bad.reason), bad.hint(r.server))
	}
	return r.server.failure(ctx, err)
}

// ownLeaf sees that a receipt is about this request, claim and parameters.
func (r *submitRun) ownLeaf(j *job, got *receipt.Receipt) (*protocol.Leaf, error) {
	leaf, err := protocol.ParseLeaf(got.Leaf)
	if err != nil {
		return nil, invalid("%s", detailOf(err))
	}
	claimLeaf, err := protocol.ParseLeaf(got.Claim.Leaf)
	if err != nil {
		return nil, invalid("%s", detailOf(err))
	}
	accepted, ok := leaf.Body.(*protocol.Accepted)
	of, alsoOK := claimLeaf.Body.(*protocol.ClaimLeaf)
	if !ok || !alsoOK {
		return nil, invalid("a leaf is of another type")
	}
	p, err := protocol.ParsePayload(accepted.Payload[:])
	if err != nil || p.RequestID != j.sent.id || of.ClaimID != r.template.Claim.String() || string(accepted.Params) != string(j.params) {
		return nil, invalid("it is about another request, claim or parameters")
	}
	return &leaf, nil
}

// failedDetail returns why the step failed that led to the verdict.
func failedDetail(report *receipt.Report) string {
	for _, s := range report.Steps {
		if s.Step == report.FailedStep {
			return s.Detail
		}
	}
	return "the verdict is " + report.Verdict
}

func readOpening(path string) (*receipt.Opening, error) {
	b, err := readFile(path, receipt.MaxOpeningSize)
	if err != nil {
		return nil, err
	}
	o, err := receipt.ParseOpening(b)
	if err != nil {
		return nil, fault.New(fault.Usage, fmt.Sprintf("%s is not an opening: %s", path, detailOf(err)), "")
	}
	return o, nil
}

// refuseReceipt stops the run over a receipt that should not be relied on. It is
// kept under another name: it may be evidence.
func (r *submitRun) refuseReceipt(j *job, raw []byte, reason error) error {
	bad := new(badReceipt)
	if !errors.As(reason, &bad) {
		return reason
	}
	path := filepath.Join(r.dir, j.sent.id.String()+".refused.json")
	if err := fsutil.WriteFile(path, raw, 0o600); err != nil {
		return errors.Join(reason, err)
	}
	return fault.New(exitOfVerdict(bad.verdict), fmt.Sprintf("line %d: %s", j.line, reason), fmt.Sprintf("%s; the receipt is kept in %s", bad.hint(r.server), path))
}

// hint says what to do about the server that sent the receipt.
func (b *badReceipt) hint(server *remote) string {
	if b.verdict == receipt.Unvouched {
		return advice(b.verdict, b.reason, server)
	}
	return doNotRely
}

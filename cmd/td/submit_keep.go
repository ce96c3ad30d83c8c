package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net/url"
	"os"
	"path/filepath"
	"time"

	"github.com/terradourada/td/client"
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
	if err := writeFile(receiptPath(r.dir, j.sent.id), raw, 0o644); err != nil {
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

// errReceipt is a receipt or a checkpoint that should not be relied on.
var errReceipt = errors.New("the server's word does not verify")

// judge records the checkpoint and verifies the receipt with its opening.
func (r *submitRun) judge(ctx context.Context, j *job, got *receipt.Receipt) (index uint64, err error) {
	leaf, err := r.ownLeaf(j, got)
	if err != nil {
		return 0, err
	}
	cp, err := got.Checkpoint()
	if err != nil {
		return 0, fmt.Errorf("%w: %w", errReceipt, err)
	}
	if err := pin(ctx, r.trust, cp, r.log); err != nil {
		return 0, err
	}
	o := r.verify
	if o.Opening, err = readOpening(openingPath(r.dir, j.sent.id)); err != nil {
		return 0, err
	}
	if report := receipt.Verify(ctx, got, o); !report.OK {
		return 0, fmt.Errorf("%w: step %s: %s", errReceipt, report.FailedStep, failedDetail(report))
	}
	r.mu.Lock()
	r.origins[cp.Origin] = true
	r.mu.Unlock()
	return leaf.Seq, nil
}

// pin records a checkpoint. A log that cannot show its consistency with what was
// recorded, because it went back behind it, is refused like one that shows
// another history.
func pin(ctx context.Context, trust *receipt.TrustStore, cp *receipt.Checkpoint, log receipt.Log) error {
	err := trust.Pin(ctx, cp, log, time.Now())
	if isRegression(err) {
		return fmt.Errorf("%w: %w", errReceipt, err)
	}
	return err
}

// isRegression reports an error of a check for consistency that is neither the
// network's nor this machine's.
func isRegression(err error) bool {
	var split *receipt.SplitViewError
	var problem *client.Problem
	var network *url.Error
	var disk *fs.PathError
	switch {
	case err == nil, errors.As(err, &problem), errors.As(err, &network), errors.As(err, &disk),
		errors.Is(err, client.ErrAnswer), errors.Is(err, context.Canceled), isUnknownLog(err):
		return false
	}
	return !errors.As(err, &split) // which says more itself
}

// ownLeaf sees that a receipt is about this request, claim and parameters.
func (r *submitRun) ownLeaf(j *job, got *receipt.Receipt) (*protocol.Leaf, error) {
	leaf, err := protocol.ParseLeaf(got.Leaf)
	if err != nil {
		return nil, fmt.Errorf("%w: %s", errReceipt, detailOf(err))
	}
	claimLeaf, err := protocol.ParseLeaf(got.Claim.Leaf)
	if err != nil {
		return nil, fmt.Errorf("%w: %s", errReceipt, detailOf(err))
	}
	accepted, ok := leaf.Body.(*protocol.Accepted)
	of, alsoOK := claimLeaf.Body.(*protocol.ClaimLeaf)
	if !ok || !alsoOK {
		return nil, fmt.Errorf("%w: a leaf is of another type", errReceipt)
	}
	p, err := protocol.ParsePayload(accepted.Payload[:])
	if err != nil || p.RequestID != j.sent.id || of.ClaimID != r.template.Claim.String() || string(accepted.Params) != string(j.params) {
		return nil, fmt.Errorf("%w: it is about another request, claim or parameters", errReceipt)
	}
	return &leaf, nil
}

func failedDetail(report *receipt.Report) string {
	for _, s := range report.Steps {
		if !s.OK {
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
		return nil, fail(exitUsage, fmt.Sprintf("%s is not an opening: %s", path, detailOf(err)), "")
	}
	return o, nil
}

// refuseReceipt stops the run over a receipt that nobody should rely on. It is
// kept under another name: it is evidence.
func (r *submitRun) refuseReceipt(j *job, raw []byte, reason error) error {
	var split *receipt.SplitViewError
	if !errors.As(reason, &split) && !errors.Is(reason, errReceipt) {
		return reason
	}
	path := filepath.Join(r.dir, j.sent.id.String()+".refused.json")
	if err := writeFile(path, raw, 0o600); err != nil && !errors.Is(err, os.ErrNotExist) {
		return errors.Join(reason, err)
	}
	return fail(exitNegative, fmt.Sprintf("line %d: %s", j.line, reason), fmt.Sprintf("%s; the receipt is kept in %s", doNotRely, path))
}

package submit

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/terradourada/td/api"
	"github.com/terradourada/td/client"
	"github.com/terradourada/td/internal/fault"
	"github.com/terradourada/td/internal/fsutil"
	"github.com/terradourada/td/internal/remote"
	"github.com/terradourada/td/protocol"
	"github.com/terradourada/td/receipt"
)

// Answer is the answer to one challenge, as "td send" sends it.
type Answer struct {
	Server    *remote.Server
	Challenge *api.Challenge
	Proof     []byte
	Wait      time.Duration   // for the receipt
	Verify    receipt.Options // Trust keeps the checkpoint

	Accepted func(index uint64) // called once the receipt shows the leaf
}

// Send sends the proof, waits for the receipt, verifies it and records its checkpoint.
// Sending the same proof again returns the receipt again.
func (a *Answer) Send(ctx context.Context) (*receipt.Receipt, *receipt.Report, error) {
	got, err := a.exchange(ctx)
	if err != nil {
		return nil, nil, err
	}
	report, err := recordAndVerify(ctx, a.Server, got, a.Verify)
	return got, report, err
}

// Fetch gets the receipt of an accepted request, verifies it and records its checkpoint. The
// checkpoint may have cosignatures that came after an earlier receipt was made.
func Fetch(ctx context.Context, s *remote.Server, id protocol.RequestID, wait time.Duration, o receipt.Options) (*receipt.Receipt, *receipt.Report, error) {
	got, err := s.Receipt(ctx, id, wait)
	if err != nil {
		return nil, nil, s.Failure(ctx, err)
	}
	if requestOf(got) != id {
		return nil, nil, fault.New(fault.Negative, "the server sent the receipt of another request", remote.DoNotRely)
	}
	report, err := recordAndVerify(ctx, s, got, o)
	return got, report, err
}

// requestOf returns the id of the request that a receipt is about. It is zero if the leaf of
// the receipt is no acceptance, or does not parse.
func requestOf(r *receipt.Receipt) protocol.RequestID {
	leaf, err := protocol.ParseLeaf(r.Leaf)
	if err != nil {
		return protocol.RequestID{}
	}
	accepted, ok := leaf.Body.(*protocol.Accepted)
	if !ok {
		return protocol.RequestID{}
	}
	p, err := protocol.ParsePayload(accepted.Payload[:])
	if err != nil {
		return protocol.RequestID{}
	}
	return p.RequestID
}

// recordAndVerify records the checkpoint of a receipt and verifies the receipt. A negative
// verdict is an error with its exit code.
func recordAndVerify(ctx context.Context, s *remote.Server, got *receipt.Receipt, o receipt.Options) (*receipt.Report, error) {
	report, err := receipt.RecordAndVerify(ctx, got, o, client.NewLog(s.Client), s.Source(), time.Now())
	if bad := new(receipt.NegativeError); errors.As(err, &bad) {
		return nil, fault.New(fault.ExitOfVerdict(bad.Verdict), bad.Error(), remote.AdviceOnReceipt(bad, s))
	}
	return report, s.Failure(ctx, err)
}

// Kept verifies the receipt of the request in a file, which an earlier run has written.
// A file that is something else is an error.
func (a *Answer) Kept(ctx context.Context, path string) (*receipt.Report, error) {
	got, err := fsutil.ParseFile(path, receipt.MaxSize, receipt.Parse, fault.Usage, "", "")
	index := uint64(0)
	if err == nil {
		index, err = ownReceipt(got, a.Challenge, nil)
	}
	if err != nil {
		return nil, fault.New(fault.Usage, path+" exists already and is not replaced", "it is not the receipt of this request; name another file, or move that one away")
	}
	report := receipt.Verify(ctx, got, a.Verify)
	if !report.OK {
		return nil, fault.New(fault.ExitOfVerdict(report.Verdict), fmt.Sprintf("%s is the receipt of this request, and is %s", path, report.Verdict), "td verify says why; move it away to get the receipt again")
	}
	a.Accepted(index)
	return report, nil
}

// exchange sends the proof and fetches the receipt. A server that was restarted has
// forgotten the request, but knows whether it accepted it. A request that was answered
// with another proof has its receipt too.
func (a *Answer) exchange(ctx context.Context) (*receipt.Receipt, error) {
	accepted, refused := a.Server.Send(ctx, a.Challenge.RequestID, a.Challenge.Tag, a.Proof, 0)
	wait := a.Wait
	if refused != nil {
		if !errors.Is(refused, protocol.CodeSubmissionRejected) && !errors.Is(refused, protocol.CodeAlreadyConsumed) {
			return nil, newChallenge(a.Server.Failure(ctx, refused))
		}
		wait = min(wait, lookupWait)
	}
	got, err := a.Server.Receipt(ctx, a.Challenge.RequestID, wait)
	switch {
	case refused != nil && errors.Is(err, protocol.CodeNotFound):
		return nil, newChallenge(a.Server.Failure(ctx, refused))
	case err != nil:
		return nil, a.Server.Failure(ctx, err)
	}
	index, err := ownReceipt(got, a.Challenge, accepted)
	if err != nil {
		return nil, err
	}
	a.Accepted(index)
	return got, nil
}

// lookupWait is how long the receipt of a refused answer is waited for: a leaf that the
// server accepted just before it stopped is published soon after its next start.
const lookupWait = 5 * time.Second

// newChallenge adds to a refusal that ends a request how to go on.
func newChallenge(err error) error {
	if f := new(fault.Fault); errors.As(err, &f) && f.Hint == "" && f.Exit == fault.Negative && f.Code != protocol.CodeAlreadyConsumed {
		f.Hint = "begin again with td challenge and a new private file"
	}
	return err
}

// ownReceipt checks that a receipt is about the challenge, and about the leaf that was
// acknowledged if there is an acknowledgement. It returns the index of the leaf.
func ownReceipt(got *receipt.Receipt, ch *api.Challenge, accepted *client.Accepted) (index uint64, err error) {
	leaf, err := protocol.ParseLeaf(got.Leaf)
	if err != nil {
		return 0, fault.New(fault.Negative, "the server sent a receipt that does not verify: "+remote.Detail(err), remote.DoNotRely)
	}
	if err := client.CompareLeaf(&leaf, ch, accepted); err != nil {
		return 0, fault.New(fault.Negative, fmt.Sprintf("the receipt is not about this challenge: %v", err),
			"if the challenge is as the server sent it, "+remote.DoNotRely)
	}
	return leaf.Seq, nil
}

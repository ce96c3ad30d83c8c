package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"runtime"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/terradourada/td/api"
	"github.com/terradourada/td/claim"
	"github.com/terradourada/td/client"
	"github.com/terradourada/td/internal/fault"
	"github.com/terradourada/td/internal/fsutil"
	"github.com/terradourada/td/internal/remote"
	"github.com/terradourada/td/internal/termui"
	"github.com/terradourada/td/protocol"
	"github.com/terradourada/td/receipt"
)

const (
	// submitTries is how often an event is submitted whose request ended
	// through no fault of its own.
	submitTries = 3
	// receiptWait is how long the receipt of an accepted proof is waited for.
	receiptWait = time.Minute
	// pushAtOnce is how many pushed events wait for the server at a time.
	pushAtOnce = 8
	// conflictTries and conflictPause bound the wait for an answer in work.
	conflictTries = 20
	conflictPause = 500 * time.Millisecond
)

// submitRun is one "td submit". Each event is one goroutine's work from
// beginning to end; hands bounds how many prove at a time, so that each
// processor makes one proof while other events wait for the server.
type submitRun struct {
	server   *remote.Server
	template client.Submission // everything but the event
	push     bool
	dir      string
	start    time.Time
	met      func() error // meets the server, once

	input    *events
	state    *submitState
	trust    *receipt.TrustStore
	log      receipt.Log
	verify   receipt.Options
	progress *termui.Progress
	stdout   io.Writer
	stderr   io.Writer
	asJSON   bool
	headed   bool // the table has its head; guarded by the progress
	prover   func() (*claim.Prover, error)
	hands    chan struct{}

	mu                          sync.Mutex // guards what follows
	receipted, earlier, refused int
	unvouched                   int             // of the receipts
	origins                     map[string]bool // logs whose checkpoints were recorded as believed
	warnings                    map[string]bool // of all receipts
}

// prepare sets up what depends on the claim.
func (r *submitRun) prepare(sub *client.Submission) {
	cores := runtime.GOMAXPROCS(0)
	r.hands = make(chan struct{}, cores)
	r.verify.Trust = r.trust
	if sub.List != nil {
		r.verify.Lists = receipt.NewLists(sub.List)
	}
	r.prover = sync.OnceValues(func() (*claim.Prover, error) { return newProver(sub) })
}

// newProver loads the one claim that is proved.
func newProver(sub *client.Submission) (*claim.Prover, error) {
	if sub.Claim != claim.Group {
		return claim.NewProver(sub.Claim)
	}
	p, err := claim.NewProver(claim.Open) // none at all would mean all six
	if err != nil {
		return nil, err
	}
	return p, p.AddList(sub.List)
}

// job is one event on its way to a receipt.
type job struct {
	line   int
	params []byte // canonical, pointers to arrays written out
	event  []byte // canonical
	sent   *sent  // nil until it is about to be answered
}

// run works through the input. On an error nothing more is begun; what was
// begun is in the state.
func (r *submitRun) run(ctx context.Context) error {
	group, inner := errgroup.WithContext(ctx)
	jobs := make(chan *job)
	group.Go(func() error {
		defer close(jobs)
		return r.read(inner, jobs)
	})
	workers := 2*cap(r.hands) + 4 // some wait for the server while others prove
	if r.push {
		workers = pushAtOnce
	}
	for range workers {
		group.Go(func() error {
			for j := range jobs {
				if err := r.one(inner, j); err != nil {
					return err
				}
			}
			return nil
		})
	}
	return r.server.Failure(ctx, group.Wait())
}

// read turns the input into jobs, in order, so that equal events meet their
// earlier requests in order too.
func (r *submitRun) read(ctx context.Context, jobs chan<- *job) error {
	for {
		// A read of a terminal or a pipe cannot be interrupted; it is left behind.
		n, err := within(ctx, r.input.next)
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
		j, err := r.newJob(n)
		if err != nil {
			if err := r.refuse(n.line, err); err != nil {
				return err
			}
			continue
		}
		select {
		case jobs <- j:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// within gives what f gives, or the end of ctx; f then goes on alone.
func within[T any](ctx context.Context, f func() (T, error)) (T, error) {
	type result struct {
		value T
		err   error
	}
	done := make(chan result, 1)
	go func() {
		v, err := f()
		done <- result{v, err}
	}()
	select {
	case r := <-done:
		return r.value, r.err
	case <-ctx.Done():
		var none T
		return none, ctx.Err()
	}
}

// newJob brings an event into canonical form. Parameters were found good before
// there was an event, so that whatever is wrong with them now is the event's.
func (r *submitRun) newJob(n numbered) (*job, error) {
	event, err := protocol.Canonicalize(n.text)
	if err != nil {
		return nil, err
	}
	params, err := claim.PrepareParams(r.template.Claim, r.template.Params, event)
	if err != nil {
		return nil, err
	}
	j := &job{line: n.line, params: params, event: event}
	j.sent = r.state.take(j.digest(r))
	return j, nil
}

func (j *job) digest(r *submitRun) protocol.Digest {
	return eventDigest(r.template.Claim.String(), j.params, j.event)
}

// refuse reports an event that gets no receipt.
func (r *submitRun) refuse(line int, err error) error {
	r.mu.Lock()
	r.refused++
	r.mu.Unlock()
	return r.tell(submitted{Line: line, Code: protocol.CodeOf(err).String(), Detail: remote.Detail(err)})
}

// one brings one event to its receipt, or reports why it gets none.
func (r *submitRun) one(ctx context.Context, j *job) error {
	for try := 1; ; try++ {
		err := r.try(ctx, j)
		switch {
		case err == nil:
			return nil
		case j.sent == nil && notProvable(err):
			return r.refuse(j.line, err)
		case j.sent == nil && startOver(err) && try < submitTries:
		default:
			return err
		}
	}
}

// try takes a job as far as it goes. If it fails with j.sent nil, nothing was
// accepted and nothing is left behind; else the next run takes up the request.
func (r *submitRun) try(ctx context.Context, j *job) error {
	if j.sent != nil && j.sent.done {
		if there, err := r.earlierReceipt(j); there || err != nil {
			return err
		}
	}
	if err := r.met(); err != nil {
		return err
	}
	var err error
	switch {
	case j.sent != nil:
		err = r.takeUp(ctx, j)
	case r.push:
		err = r.pushOne(ctx, j)
	default:
		err = r.proveOne(ctx, j)
	}
	if err != nil {
		return err
	}
	got, err := r.receipt(ctx, j)
	if err != nil {
		return err
	}
	return r.keep(ctx, j, got)
}

// earlierReceipt reports a receipt that an earlier run has written.
func (r *submitRun) earlierReceipt(j *job) (there bool, err error) {
	if !fsutil.Exists(receiptPath(r.dir, j.sent.id)) && fsutil.Exists(openingPath(r.dir, j.sent.id)) {
		return false, nil // it got lost; without both files they were moved elsewhere
	}
	if err := r.state.forget(j.sent, false); err != nil {
		return true, err
	}
	r.mu.Lock()
	r.earlier++
	r.mu.Unlock()
	return true, r.tell(r.submitted(j, j.sent.index, true))
}

func (r *submitRun) submitted(j *job, index uint64, earlier bool) submitted {
	return submitted{
		Line: j.line, Request: j.sent.id.String(), Index: index, Earlier: earlier,
		Receipt: receiptPath(r.dir, j.sent.id), Opening: openingPath(r.dir, j.sent.id),
	}
}

// proveOne gets a challenge, proves, and answers it. Opening and answer are on
// disk before the answer is sent.
func (r *submitRun) proveOne(ctx context.Context, j *job) error {
	s := r.template
	s.Params, s.Event = j.params, j.event
	draft, err := client.NewDraft(&s, protocol.Element{})
	if err != nil {
		return err
	}
	ch, err := r.server.Challenge(ctx, draft.Request())
	if err != nil {
		return err
	}
	got := time.Now()
	proof, err := r.prove(ctx, draft, ch)
	if err != nil {
		return err
	}
	ttl := r.ttl()
	if p, err := protocol.ParsePayload(ch.Payload[:]); err == nil {
		ttl = time.Duration(p.TTL) * time.Millisecond
	}
	if err := r.begin(j, &sent{id: ch.RequestID, until: got.Add(ttl)}, draft.Opening(ch)); err != nil {
		return err
	}
	if err := r.state.saveAnswer(ch.RequestID, ch.Tag, proof); err != nil {
		return err
	}
	return r.answer(ctx, j, ch.Tag, proof)
}

// prove waits for a free processor.
func (r *submitRun) prove(ctx context.Context, draft *client.Draft, ch *api.Challenge) ([]byte, error) {
	select {
	case r.hands <- struct{}{}:
		defer func() { <-r.hands }()
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	prover, err := r.prover()
	if err != nil {
		return nil, err
	}
	return draft.Prove(ctx, prover, ch, protocol.LocalClient)
}

func (r *submitRun) ttl() time.Duration {
	if r.template.TTL != 0 {
		return r.template.TTL
	}
	return protocol.DefaultTTL * time.Millisecond
}

// begin records that a request may be accepted from now on.
func (r *submitRun) begin(j *job, e *sent, opening *receipt.Opening) error {
	e.digest, e.line, e.push = j.digest(r), j.line, r.push
	if err := r.state.sending(e); err != nil {
		return err
	}
	j.sent = e
	return writeOpening(r.dir, opening)
}

// answer sends a proof. A request that the server does not know any more may
// have been accepted all the same; only its receipt can tell.
func (r *submitRun) answer(ctx context.Context, j *job, tag protocol.Tag, proof []byte) error {
	err := r.send(ctx, j.sent.id, tag, proof)
	var p *client.Problem
	if !errors.As(err, &p) {
		return err
	}
	if ended := startOver(err) || notProvable(err) || errors.Is(err, protocol.CodeProofRejected); !ended {
		return err
	}
	if _, gone := r.server.Receipt(ctx, j.sent.id, 0); gone != nil {
		return r.afterLookup(j, err, gone)
	}
	return nil
}

// send sends a proof until it is decided on: a conflict may mean that an earlier
// try of the very same answer is in work.
func (r *submitRun) send(ctx context.Context, id protocol.RequestID, tag protocol.Tag, proof []byte) error {
	for range conflictTries {
		_, err := r.server.Send(ctx, id, tag, proof, 0)
		if !errors.Is(err, protocol.CodeConflict) {
			return err
		}
		select {
		case <-time.After(conflictPause):
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	_, err := r.server.Send(ctx, id, tag, proof, 0)
	return err
}

// afterLookup decides on a request whose answer was refused, by what the server
// says about its receipt.
func (r *submitRun) afterLookup(j *job, refused, gone error) error {
	var p *client.Problem
	if !errors.As(gone, &p) || p.Retryable || p.Code == protocol.CodeInternal {
		return gone
	}
	return r.drop(j, refused)
}

// drop forgets a request that ended without acceptance, and gives the reason.
func (r *submitRun) drop(j *job, reason error) error {
	err := r.state.forget(j.sent, true)
	if err == nil {
		err = r.state.lost(j.sent)
	}
	if err != nil {
		return err
	}
	j.sent = nil
	return reason
}

// errNeverSent is a request whose answer was not sent before an interruption.
var errNeverSent = protocol.Fail(protocol.CodeExpired, "the run was interrupted before the answer was sent")

// takeUp continues a request of an earlier run: it sends the very same answer
// again, which changes nothing if it had arrived.
func (r *submitRun) takeUp(ctx context.Context, j *job) error {
	if j.sent.done || j.sent.push {
		return nil // nothing is left but to fetch the receipt
	}
	tag, proof, ok := r.state.answer(j.sent.id)
	if !ok {
		if fsutil.Exists(receiptPath(r.dir, j.sent.id)) {
			return nil // the interruption came before the state said so
		}
		return r.drop(j, errNeverSent)
	}
	return r.answer(ctx, j, tag, proof)
}

// pushOne hands the event to the server and keeps the opening that it gives.
func (r *submitRun) pushOne(ctx context.Context, j *job) error {
	got := time.Now()
	p, err := r.server.Push(ctx, eventRequest(r.template.Claim, j.params, j.event, r.template.TTL), 0)
	if err != nil {
		return err
	}
	return r.begin(j, &sent{id: p.RequestID, until: got.Add(r.ttl())}, p.Opening)
}

// receipt fetches the receipt of a request. A pushed one may still fail.
func (r *submitRun) receipt(ctx context.Context, j *job) (*receipt.Receipt, error) {
	wait := receiptWait
	if j.sent.push && !j.sent.done {
		wait = min(max(time.Until(j.sent.until), 0)+5*time.Second, protocol.MaxTTL*time.Millisecond)
	}
	got, err := r.server.Receipt(ctx, j.sent.id, wait)
	var p *client.Problem
	switch {
	case err == nil:
		return got, nil
	case !errors.As(err, &p) || p.Retryable || p.Code == protocol.CodeInternal:
		return nil, err
	case j.sent.push && !j.sent.done:
		if p.Code == protocol.CodeNotFound {
			err = protocol.Wrap(protocol.CodeExpired, "the server did not accept the event in time", err)
		}
		return nil, r.drop(j, err)
	}
	return nil, &fault.Fault{
		Exit: fault.Unavailable,
		What: fmt.Sprintf("line %d was accepted, but there is no receipt yet: %s", j.line, remote.Detail(err)),
		Hint: "run the same command again later; it asks for the receipt only", Code: p.Code,
	}
}

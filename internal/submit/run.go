package submit

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
	"github.com/terradourada/td/internal/input"
	"github.com/terradourada/td/internal/remote"
	"github.com/terradourada/td/protocol"
	"github.com/terradourada/td/receipt"
)

const (
	// submitTries is how often an event is submitted if its requests end for
	// reasons outside of the event.
	submitTries = 3
	// ReceiptWait is how long the receipt of an accepted proof is waited for.
	ReceiptWait = time.Minute
	// pushAtOnce is how many pushed events wait for the server at a time.
	pushAtOnce = 8
)

// run is one run. Each event is the work of one goroutine from beginning to end;
// slots bounds how many prove at a time, so that each processor makes one proof while
// other events wait for the server.
type run struct {
	Options
	check  func() error // is checkServer, once
	input  *input.Reader
	told   map[int]bool // lines whose refusal was reported by checkAll
	state  *state
	log    receipt.Log
	verify receipt.Options
	names  pattern
	prover func() (*claim.Prover, error)
	slots  chan struct{}

	mu       sync.Mutex // guards what follows
	report   Report
	origins  map[string]bool // logs whose checkpoints were recorded as believed
	warnings map[string]bool // of all receipts
}

func newRun(ctx context.Context, o Options) *run {
	r := &run{
		Options: o, log: client.NewLog(o.Server.Client),
		slots: make(chan struct{}, runtime.GOMAXPROCS(0)),
		told:  map[int]bool{}, origins: map[string]bool{}, warnings: map[string]bool{},
		verify: receipt.Options{Trust: o.Trust, AllowSelfAsserted: o.AllowSelfAsserted},
		prover: sync.OnceValues(func() (*claim.Prover, error) { return NewProver(&o.Submission) }),
	}
	if list := o.Submission.List; list != nil {
		r.verify.Lists = receipt.NewLists(list)
	}
	r.check = sync.OnceValue(func() error { return r.checkServer(ctx) })
	return r
}

// job is one event on its way to a receipt.
type job struct {
	line     int
	numbers  int // texts that became numbers
	prepared *claim.Prepared
	request  request

	place    int    // line under which a request is recorded
	reserved string // name of the receipt, taken before anything is sent
	equalTo  *Place // an equal event of another input
}

// run submits every event of the input. After an error no other event is begun. Every
// request that was begun is in the state.
func (r *run) run(ctx context.Context) error {
	group, inner := errgroup.WithContext(ctx)
	jobs := make(chan *job)
	group.Go(func() error {
		defer close(jobs)
		return r.read(inner, jobs)
	})
	workers := 2*cap(r.slots) + 4 // some wait for the server while others prove
	if r.Push {
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
	return r.Server.Failure(ctx, group.Wait())
}

// read turns the input into jobs, in order, so that equal events take their earlier
// requests in order.
func (r *run) read(ctx context.Context, jobs chan<- *job) error {
	for {
		// A read of a terminal or a pipe cannot be interrupted; it continues alone.
		e, err := within(ctx, r.input.Next)
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
		p, err := r.examine(&e)
		if err != nil {
			return err
		}
		if p == nil {
			continue
		}
		select {
		case jobs <- r.newJob(&e, p):
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// within returns what f returns, or the error of ctx if that ends first. Then f continues
// alone.
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

// checkAll checks every event and begins again. It reports whether there is one to send.
func (r *run) checkAll(ctx context.Context) (send bool, err error) {
	for total := 0; ; total++ {
		e, err := within(ctx, r.input.Next)
		switch {
		case errors.Is(err, io.EOF) && (r.Check || total == r.report.Refused):
			return false, nil
		case errors.Is(err, io.EOF):
			r.Total(total)
			r.report.Checked, r.report.Changed = 0, 0
			return true, r.input.Rewind()
		case err != nil:
			return false, err
		}
		p, err := r.examine(&e)
		if err != nil {
			return false, err
		}
		if p == nil {
			r.told[e.Line] = true
			continue
		}
		r.report.Checked++
	}
}

// examine prepares an event and checks that it satisfies the claim. It reports one that
// does not, and returns nil for it. The parameters were checked before, so what is wrong
// with them now is due to the event.
func (r *run) examine(e *input.Event) (*claim.Prepared, error) {
	if e.Err != nil {
		return nil, r.refuse(e.Line, e.Err)
	}
	s := r.Submission
	s.Event = e.Text
	p, err := s.Prepare()
	if err != nil {
		return nil, r.refuse(e.Line, err)
	}
	if _, err := s.Draft(p, protocol.Element{}); err != nil {
		if notProvable(err) {
			return nil, r.refuse(e.Line, err)
		}
		return nil, err
	}
	if e.Numbers > 0 {
		r.count(&r.report.Changed)
	}
	return p, nil
}

// newJob begins an event, or continues what an earlier run began.
func (r *run) newJob(e *input.Event, p *claim.Prepared) *job {
	j := &job{line: e.Line, numbers: e.Numbers, prepared: p}
	var other *request
	if j.request, other = r.state.take(j.digest(), j.earlierDigest(), e.Line); other != nil {
		j.equalTo = &Place{other.input, other.line}
	}
	j.place = j.request.line
	return j
}

func (j *job) digest() protocol.Digest {
	params := j.prepared.Params()
	return eventDigest(params.Claim().String(), params.Bytes(), j.prepared.Event())
}

// earlierDigest returns the digest under which an earlier version recorded an event whose
// arrays hold arrays. Elsewhere it equals digest.
func (j *job) earlierDigest() protocol.Digest {
	return eventDigest(j.prepared.Params().Claim().String(), j.prepared.Once(), j.prepared.Event())
}

// count adds one to a number of the report.
func (r *run) count(n *int) {
	r.mu.Lock()
	defer r.mu.Unlock()
	*n++
}

// refuse reports an event that gets no receipt, once.
func (r *run) refuse(line int, err error) error {
	if r.told[line] {
		return nil
	}
	r.count(&r.report.Refused)
	return r.Print(Result{Line: line, Code: protocol.CodeOf(err).String(), Detail: remote.Detail(err)})
}

// one gets the receipt of one event, or reports why there is none.
func (r *run) one(ctx context.Context, j *job) error {
	for try := 1; ; try++ {
		err := r.try(ctx, j)
		switch {
		case err == nil:
			return nil
		case j.request.stage == unsent && notProvable(err):
			return r.refuse(j.line, err)
		case j.request.stage == unsent && startOver(err) && try < submitTries:
		default:
			return err
		}
	}
}

// try tries once to get the receipt of a job. If it fails and the request is [unsent],
// nothing was accepted and nothing is left behind. Otherwise the next run continues the
// request.
func (r *run) try(ctx context.Context, j *job) error {
	if j.request.stage == done && !r.lostReceipt(j) {
		return r.earlierReceipt(j)
	}
	if err := r.reserveName(j); err != nil {
		return err
	}
	if err := r.check(); err != nil {
		return err
	}
	var err error
	switch {
	case j.request.stage != unsent:
		err = r.resume(ctx, j)
	case r.Push:
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

// lostReceipt reports whether a receipt that was written is lost. If the opening is gone
// too, both files were moved elsewhere.
func (r *run) lostReceipt(j *job) bool {
	return !fsutil.Exists(r.receiptPath(j)) && fsutil.Exists(openingPath(r.Dir, j.request.id))
}

// earlierReceipt reports a receipt that an earlier run has written.
func (r *run) earlierReceipt(j *job) error {
	if err := r.state.forget(j.request.id, false); err != nil {
		return err
	}
	r.count(&r.report.Earlier)
	return r.Print(r.result(j, true))
}

func (r *run) result(j *job, earlier bool) Result {
	return Result{
		Line: j.line, Numbers: j.numbers, Request: j.request.id.String(), Index: j.request.index, Earlier: earlier,
		Receipt: r.receiptPath(j), Opening: openingPath(r.Dir, j.request.id), EqualTo: j.equalTo,
	}
}

// proveOne gets a challenge, proves, and answers it. Opening and answer are on
// disk before the answer is sent.
func (r *run) proveOne(ctx context.Context, j *job) error {
	var draft *client.Draft
	var ch *api.Challenge
	err := r.Server.Anew(ctx, func() (err error) { // a blind is for one request only
		if draft, err = r.Submission.Draft(j.prepared, protocol.Element{}); err == nil {
			ch, err = r.Server.Challenge(ctx, draft.Request())
		}
		return err
	})
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
	if err := r.begin(j, request{id: ch.RequestID, until: got.Add(ttl)}, draft.Opening(ch)); err != nil {
		return err
	}
	if err := r.state.saveAnswer(ch.RequestID, ch.Tag, proof); err != nil {
		return err
	}
	return r.answer(ctx, j, ch.Tag, proof)
}

// prove waits for a slot and proves.
func (r *run) prove(ctx context.Context, draft *client.Draft, ch *api.Challenge) ([]byte, error) {
	select {
	case r.slots <- struct{}{}:
		defer func() { <-r.slots }()
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	prover, err := r.prover()
	if err != nil {
		return nil, err
	}
	return draft.Prove(ctx, prover, ch, r.Server.ClientID())
}

func (r *run) ttl() time.Duration {
	if r.Submission.TTL != 0 {
		return r.Submission.TTL
	}
	return protocol.DefaultTTL * time.Millisecond
}

// begin records that a request may be accepted from now on.
func (r *run) begin(j *job, q request, opening *receipt.Opening) error {
	q.stage, q.digest, q.input, q.line, q.push = sent, j.digest(), r.state.input, j.place, r.Push
	if err := r.state.sending(&q); err != nil {
		return err
	}
	j.request = q
	return writeOpening(r.Dir, opening)
}

// answer sends a proof. A request that the server has forgotten may still have been
// accepted, so the server is asked for its receipt.
func (r *run) answer(ctx context.Context, j *job, tag protocol.Tag, proof []byte) error {
	_, err := r.Server.Send(ctx, j.request.id, tag, proof, 0)
	var p *client.Problem
	if !errors.As(err, &p) {
		return err
	}
	if ended := startOver(err) || notProvable(err) || errors.Is(err, protocol.CodeProofRejected); !ended {
		return err
	}
	if _, gone := r.Server.Receipt(ctx, j.request.id, lookupWait); gone != nil {
		return r.afterLookup(j, err, gone)
	}
	return nil
}

// afterLookup decides on a request whose answer was refused, by the server's answer about
// its receipt.
func (r *run) afterLookup(j *job, refused, gone error) error {
	var p *client.Problem
	if !errors.As(gone, &p) || p.Retryable || p.Code == protocol.CodeInternal {
		return gone
	}
	return r.drop(j, refused)
}

// drop forgets a request that ended without acceptance, and returns the reason.
func (r *run) drop(j *job, reason error) error {
	if err := r.state.forget(j.request.id, true); err != nil {
		return err
	}
	if err := r.state.lost(j.request.id); err != nil {
		return err
	}
	j.request = request{}
	return reason
}

// errNeverSent is the reason for dropping a request whose answer was never sent.
var errNeverSent = protocol.Fail(protocol.CodeExpired, "the run was interrupted before the answer was sent")

// resume continues a request of an earlier run. It sends the same answer again, which
// changes nothing if the first one arrived.
func (r *run) resume(ctx context.Context, j *job) error {
	if j.request.stage == done || j.request.push {
		return nil // nothing is left but to fetch the receipt
	}
	tag, proof, ok := r.state.answer(j.request.id)
	if !ok {
		if fsutil.Exists(r.receiptPath(j)) {
			return nil // the interruption came before the state said so
		}
		return r.drop(j, errNeverSent)
	}
	return r.answer(ctx, j, tag, proof)
}

// pushOne sends the event to the server and keeps the opening that it returns.
func (r *run) pushOne(ctx context.Context, j *job) error {
	got := time.Now()
	p, err := r.Server.Push(ctx, j.prepared, r.Submission.TTL, 0)
	if err != nil {
		return r.explained(j, err)
	}
	return r.begin(j, request{id: p.RequestID, until: got.Add(r.ttl())}, p.Opening)
}

// explained returns the reason of a refusal as this machine finds it. The server's does
// not name values.
func (r *run) explained(j *job, refused error) error {
	if notProvable(refused) {
		s := r.Submission
		if _, err := s.Draft(j.prepared, protocol.Element{}); protocol.CodeOf(err) == protocol.CodeOf(refused) {
			return err
		}
	}
	return refused
}

// receipt fetches the receipt of a request. A pushed one may still fail.
func (r *run) receipt(ctx context.Context, j *job) (*receipt.Receipt, error) {
	wait := ReceiptWait
	if j.request.stage == sent && j.request.push {
		wait = min(max(time.Until(j.request.until), 0)+5*time.Second, protocol.MaxTTL*time.Millisecond)
	}
	got, err := r.Server.Receipt(ctx, j.request.id, wait)
	var p *client.Problem
	switch {
	case err == nil:
		return got, nil
	case !errors.As(err, &p) || p.Retryable || p.Code == protocol.CodeInternal:
		return nil, err
	case j.request.stage == sent && j.request.push:
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

// notProvable reports whether a refusal is about the event alone, so that the other events
// continue.
func notProvable(err error) bool {
	switch protocol.CodeOf(err) {
	case protocol.CodeEventNotCanonicalisable, protocol.CodeEventNotEncodable, protocol.CodeStatementFalse,
		protocol.CodeNullifierUsed:
		return true
	}
	return false
}

// startOver reports whether a request ended without acceptance for a reason outside of its
// event.
func startOver(err error) bool {
	switch protocol.CodeOf(err) {
	case protocol.CodeExpired, protocol.CodeInvalidated, protocol.CodeSubmissionRejected,
		protocol.CodeProverTimeout, protocol.CodeProverBadResponse, protocol.CodeProverTagMismatch:
		return true
	}
	return false
}

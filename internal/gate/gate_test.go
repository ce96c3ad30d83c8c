package gate_test

import (
	"context"
	"errors"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/terradourada/td/claim"
	"github.com/terradourada/td/internal/gate"
	"github.com/terradourada/td/internal/journal"
	"github.com/terradourada/td/internal/lifecycle"
	"github.com/terradourada/td/protocol"
)

func TestAccept(t *testing.T) {
	o := newServices(t)
	c := o.proved()
	first, err := o.accept(c.answer)
	if err != nil {
		t.Fatal(err)
	}
	again, err := o.accept(c.answer)
	if err != nil || again != first {
		t.Errorf("the same answer again: got %d, %v, want %d", again, err, first)
	}
	other := c.answer
	other.Proof, err = provers(t).Prove(t.Context(), c.statement, c.Inputs, c.assignment)
	if err != nil {
		t.Fatal(err)
	}
	_, err = o.accept(other)
	wantCode(t, "another proof for an accepted request", err, protocol.CodeAlreadyConsumed)
	if len(o.rows) != 1 || o.endings[lifecycle.PhaseAccepted] != 1 {
		t.Errorf("got %d rows and %d accepted, want one of each", len(o.rows), o.endings[lifecycle.PhaseAccepted])
	}
	o.check()
}

// TestRefusedWithoutTrace: these answers consume nothing, so that the right one
// still wins afterwards, and they all look alike.
func TestRefusedWithoutTrace(t *testing.T) {
	o := newServices(t)
	c, foreign := o.proved(), o.mustOpen()
	cases := map[string]func(*gate.Answer){
		"wrong tag":    func(a *gate.Answer) { a.Tag[31] ^= 1 },
		"foreign tag":  func(a *gate.Answer) { a.Tag = foreign.Tag },
		"unknown id":   func(a *gate.Answer) { a.RequestID[0] ^= 1 },
		"wrong client": func(a *gate.Answer) { a.Client = "somebody else" },
	}
	var said string
	for name, change := range cases {
		a := c.answer
		change(&a)
		_, err := o.accept(a)
		wantCode(t, name, err, protocol.CodeSubmissionRejected)
		if said == "" {
			said = err.Error()
		}
		if err.Error() != said {
			t.Errorf("%s: %q differs from %q", name, err, said)
		}
	}
	short := c.answer
	short.Proof = short.Proof[:663]
	_, err := o.accept(short)
	wantCode(t, "short proof", err, protocol.CodeMalformedRequest)
	for name, hold := range map[string]struct {
		change func()
		want   protocol.Code
	}{
		"frozen":     {func() { o.frozen = !o.frozen }, protocol.CodeFrozen},
		"unwritable": {func() { o.unwritable = !o.unwritable }, protocol.CodeLedgerUnavailable},
		"lagging":    {func() { o.behind = !o.behind }, protocol.CodeLedgerUnavailable},
	} {
		o.set(hold.change)
		_, err := o.accept(c.answer)
		wantCode(t, name, err, hold.want)
		o.set(hold.change)
	}
	if _, err := o.accept(c.answer); err != nil {
		t.Errorf("the right answer after all that: %v", err)
	}
	o.check()
}

func TestFalseProofEndsIt(t *testing.T) {
	o := newServices(t)
	a, b := o.proved(), o.proved()
	swapped := a.answer
	swapped.Proof = b.answer.Proof
	_, err := o.accept(swapped)
	wantCode(t, "another request's proof", err, protocol.CodeProofRejected)
	_, err = o.accept(a.answer)
	wantCode(t, "the right proof afterwards", err, protocol.CodeProofRejected)
	if o.endings[lifecycle.PhaseRejected] != 1 {
		t.Errorf("got %d rejected, want 1", o.endings[lifecycle.PhaseRejected])
	}
	if _, err := o.accept(b.answer); err != nil {
		t.Errorf("the other request was harmed: %v", err)
	}
	o.check()
}

func TestParallelAnswers(t *testing.T) {
	o := newServices(t)
	c := o.proved()
	var mu sync.Mutex
	got := map[protocol.Code]int{}
	indexes := map[uint64]bool{}
	var wg sync.WaitGroup
	for range 64 {
		wg.Go(func() {
			index, err := o.accept(c.answer)
			mu.Lock()
			defer mu.Unlock()
			got[protocol.CodeOf(err)]++
			if err == nil {
				indexes[index] = true
			}
		})
	}
	wg.Wait()
	if got[protocol.CodeNone] != 64 || len(indexes) != 1 || len(o.rows) != 1 {
		t.Errorf("got codes %v, indexes %v, %d rows; want the one index 64 times", got, indexes, len(o.rows))
	}
	o.check()
}

// TestImpatientClient: who waits for a claimed request hears conflict when his
// time is over; the winner goes on.
func TestImpatientClient(t *testing.T) {
	o := newServices(t)
	c := o.proved()
	inside, leave := make(chan struct{}), make(chan struct{})
	o.faults["redeem"] = &fault{hook: func() { close(inside); <-leave }}
	won := make(chan error)
	ctx, cancel := context.WithCancel(t.Context())
	go func() { _, err := o.gate.Accept(ctx, c.answer); won <- err }()
	<-inside
	cancel() // the winner's client is gone
	short, cancelShort := context.WithTimeout(t.Context(), time.Millisecond)
	defer cancelShort()
	_, err := o.gate.Accept(short, c.answer)
	wantCode(t, "the loser", err, protocol.CodeConflict)
	close(leave)
	if err := <-won; err != nil {
		t.Errorf("the winner, whose client had gone: %v", err)
	}
	o.check()
}

// TestFailures is the failure table: what the client hears when an organ fails
// at one step, what a repeated answer hears, and how many rows there are.
func TestFailures(t *testing.T) {
	type row struct {
		call   string
		fault  func(o *services) fault
		first  protocol.Code // what the answer, or Open for issue and anchor, gets
		again  protocol.Code // what the same answer gets afterwards, at once
		later  protocol.Code // and once everything has settled
		rows   int
		killed bool // the epoch is destroyed
	}
	plain := func(f fault) func(*services) fault { return func(*services) fault { return f } }
	freeze := func(o *services) fault { return fault{hook: func() { o.set(func() { o.frozen = true }) }} }
	die := func(o *services) fault {
		return fault{hook: func() { o.set(func() { o.epochDead = true }); o.gate.EpochEnded(protocol.EpochID{7}) }}
	}
	const none, invalidated, unavailable = protocol.CodeNone, protocol.CodeInvalidated, protocol.CodeLedgerUnavailable
	refused := protocol.Fail(protocol.CodeLedgerUnavailable, "surely not written")
	unknown := errors.Join(journal.ErrUnknown, errPlanted)
	table := map[string]row{
		"issue: error":                {"issue", plain(fault{err: protocol.Fail(protocol.CodeOverloaded, "full")}), protocol.CodeOverloaded, none, none, 0, false},
		"issue: error but done":       {"issue", plain(fault{err: errPlanted, done: true}), protocol.CodeInternal, none, none, 0, false},
		"issue: epoch dies":           {"issue", die, invalidated, none, none, 0, false},
		"anchor: error":               {"anchor", plain(fault{err: invalidatedErr}), invalidated, none, none, 0, false},
		"anchor: epoch dies":          {"anchor", die, invalidated, none, none, 0, false},
		"redeem: error":               {"redeem", plain(fault{err: errPlanted}), invalidated, invalidated, invalidated, 0, false},
		"redeem: error but done":      {"redeem", plain(fault{err: errPlanted, done: true}), invalidated, invalidated, invalidated, 0, false},
		"redeem: panic":               {"redeem", plain(fault{panic: true}), invalidated, invalidated, invalidated, 0, false},
		"redeem: freeze":              {"redeem", freeze, invalidated, invalidated, invalidated, 0, false},
		"redeem: epoch dies":          {"redeem", die, invalidated, invalidated, invalidated, 0, false},
		"redeem: tagger forgot":       {"redeem", func(o *services) fault { return fault{hook: func() { o.set(func() { clear(o.tags) }) }} }, invalidated, invalidated, invalidated, 0, true},
		"redeem: tagger says used":    {"redeem", func(o *services) fault { return fault{hook: func() { o.set(o.useAll) }} }, invalidated, invalidated, invalidated, 0, true},
		"redeem: tagger has other":    {"redeem", func(o *services) fault { return fault{hook: func() { o.set(o.changeTags) }} }, invalidated, invalidated, invalidated, 0, true},
		"redeem: late":                {"redeem", func(o *services) fault { return fault{hook: func() { o.set(o.expireTags) }} }, protocol.CodeExpired, protocol.CodeExpired, protocol.CodeExpired, 0, false},
		"issued: error":               {"issued", plain(fault{err: invalidatedErr}), invalidated, invalidated, invalidated, 0, false},
		"issued: freeze":              {"issued", freeze, invalidated, invalidated, invalidated, 0, false},
		"issued: epoch dies":          {"issued", die, invalidated, invalidated, invalidated, 0, false},
		"commit: refused":             {"commit", plain(fault{err: refused}), invalidated, invalidated, invalidated, 0, false},
		"commit: panic":               {"commit", plain(fault{panic: true}), unavailable, unavailable, invalidated, 0, false},
		"commit: unknown, not done":   {"commit", plain(fault{err: unknown}), unavailable, unavailable, invalidated, 0, false},
		"commit: unknown, done":       {"commit", plain(fault{err: unknown, done: true}), unavailable, none, none, 1, false},
		"commit: freeze before":       {"commit", freeze, invalidated, invalidated, invalidated, 0, false},
		"commit: epoch dies before":   {"commit", die, invalidated, invalidated, invalidated, 0, false},
		"commit: nullifier is there":  {"commit", plain(fault{err: protocol.Fail(protocol.CodeNullifierUsed, "")}), protocol.CodeNullifierUsed, protocol.CodeNullifierUsed, protocol.CodeNullifierUsed, 0, false},
		"commit: commitment is there": {"commit", plain(fault{err: protocol.Fail(protocol.CodeConflict, "")}), protocol.CodeConflict, protocol.CodeConflict, protocol.CodeConflict, 0, false},
	}
	for name, r := range table {
		t.Run(name, func(t *testing.T) {
			o := newServices(t)
			if r.call == "issue" || r.call == "anchor" {
				f := r.fault(o)
				o.faults[r.call] = &f
				_, err := o.open()
				wantCode(t, "open", err, r.first)
				if n := o.sessions.Pending(); n != 0 {
					t.Errorf("%d sessions are pending after a failed open", n)
				}
				return
			}
			c := o.proved()
			f := r.fault(o)
			o.set(func() { o.faults[r.call] = &f })
			_, err := o.accept(c.answer)
			wantCode(t, "first", err, r.first)
			short, cancel := context.WithTimeout(t.Context(), 10*time.Millisecond)
			defer cancel()
			_, err = o.gate.Accept(short, c.answer)
			if got := protocol.CodeOf(err); got != r.again && got != r.later {
				t.Errorf("again: got %v, want %v or %v", got, r.again, r.later)
			}
			_, err = o.accept(c.answer) // waits for what is unknown
			wantCode(t, "later", err, r.later)
			if len(o.rows) != r.rows {
				t.Errorf("got %d rows, want %d", len(o.rows), r.rows)
			}
			if o.destroyed != r.killed {
				t.Errorf("epoch destroyed: got %v, want %v", o.destroyed, r.killed)
			}
			if n := o.sessions.Pending(); n != 0 {
				t.Errorf("%d sessions are pending after the end", n)
			}
			o.check()
		})
	}
}

var invalidatedErr = protocol.Fail(protocol.CodeInvalidated, "the epoch has ended")

func (o *services) useAll() {
	for _, it := range o.tags {
		it.used = true
	}
}

func (o *services) changeTags() {
	for _, it := range o.tags {
		it.tag[0] ^= 1
	}
}

func (o *services) expireTags() {
	for _, it := range o.tags {
		it.expires = time.Now().Add(-time.Second)
	}
}

// TestUnknownCommitIsRead: while the journal cannot be read either, the outcome
// stays unknown; then it is what the journal says.
func TestUnknownCommitIsRead(t *testing.T) {
	o := newServices(t)
	c := o.proved()
	down := make(chan struct{})
	o.faults["commit"] = &fault{err: errors.Join(journal.ErrUnknown, errPlanted), done: true}
	o.faults["lookup"] = &fault{err: errPlanted, hook: func() { close(down) }}
	_, err := o.accept(c.answer)
	wantCode(t, "first", err, protocol.CodeLedgerUnavailable)
	<-down
	index, err := o.accept(c.answer)
	if err != nil || index != 0 {
		t.Errorf("after the journal came back: got %d, %v", index, err)
	}
	o.check()
}

// TestReceiptOfUndecided: while the commit of a request is in work, its receipt
// is waited for like that of any pending request.
func TestReceiptOfUndecided(t *testing.T) {
	o := newServices(t)
	c := o.mustOpen()
	s, _ := o.sessions.Get(c.RequestID)
	o.faults["lookup"] = &fault{
		err:  errors.Join(journal.ErrUnknown, protocol.CodeLedgerUnavailable),
		hook: func() { s.Step(lifecycle.EventExpire{}, protocol.Digest{}) },
	}
	_, err := o.gate.Receipt(t.Context(), c.RequestID)
	wantCode(t, "receipt", err, protocol.CodeExpired)
}

func TestOpenRefused(t *testing.T) {
	o := newServices(t)
	st, _ := statement(t)
	good := gate.OpenRequest{Claim: claim.Open, Params: []byte(`{}`), Commitment: st.Commitment(), Client: client}
	cases := map[string]struct {
		change func(*gate.OpenRequest)
		world  func()
		want   protocol.Code
	}{
		"unknown claim": {func(r *gate.OpenRequest) { r.Claim = "no/1" }, nil, protocol.CodeUnknownClaim},
		"claim not offered": {func(r *gate.OpenRequest) {
			r.Claim = claim.Sum
			r.Params = []byte(`{"at":["/a"],"hi":1,"lo":0,"scale":0}`)
		}, nil, protocol.CodeUnknownClaim},
		"bad params":   {func(r *gate.OpenRequest) { r.Params = []byte(`{"a":1}`) }, nil, protocol.CodeMalformedRequest},
		"short life":   {func(r *gate.OpenRequest) { r.TTL = 999 * time.Millisecond }, nil, protocol.CodeMalformedRequest},
		"long life":    {func(r *gate.OpenRequest) { r.TTL = 601 * time.Second }, nil, protocol.CodeMalformedRequest},
		"on hold":      {nil, func() { o.issueHeld = true }, protocol.CodeFrozen},
		"not writable": {nil, func() { o.unwritable = true }, protocol.CodeLedgerUnavailable},
		"no epoch":     {nil, func() { o.epochDead = true }, protocol.CodeDraining},
	}
	for name, c := range cases {
		r := good
		if c.change != nil {
			c.change(&r)
		}
		if c.world != nil {
			o.set(c.world)
		}
		_, err := o.gate.Open(t.Context(), r)
		wantCode(t, name, err, c.want)
		o.set(func() { o.issueHeld, o.unwritable, o.epochDead = false, false, false })
	}
	if o.seq != 0 {
		t.Errorf("refused requests used %d numbers of the tagger", o.seq)
	}
	for range 100 {
		if _, err := o.open(); err != nil {
			t.Fatal(err)
		}
	}
	_, err := o.open()
	wantCode(t, "one more than the table holds", err, protocol.CodeOverloaded)
}

func TestExpiry(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		o := newServices(t)
		st, _ := statement(t)
		ch, err := o.gate.Open(t.Context(), gate.OpenRequest{Claim: claim.Open, Params: []byte(`{}`), Commitment: st.Commitment(), TTL: time.Second, Client: client})
		if err != nil {
			t.Fatal(err)
		}
		time.Sleep(1500 * time.Millisecond)
		synctest.Wait()
		_, err = o.accept(gate.Answer{RequestID: ch.RequestID, Tag: ch.Tag, Proof: make([]byte, protocol.ProofSize), Client: client})
		wantCode(t, "late answer", err, protocol.CodeExpired)
		if o.cancelled != 1 || o.endings[lifecycle.PhaseExpired] != 1 || o.sessions.Pending() != 0 {
			t.Errorf("got %d cancelled, %d expired, %d pending", o.cancelled, o.endings[lifecycle.PhaseExpired], o.sessions.Pending())
		}
	})
}

func TestPush(t *testing.T) {
	push := gate.PushRequest{Claim: claim.Open, Params: []byte(`{}`), Event: []byte(`{ "b": 1.0, "a": "x" }`), Client: client}
	good := func(*services) {}
	cases := map[string]struct {
		world func(*services)
		want  protocol.Code
		asked int // how many bad answers are left over of two
	}{
		"good":               {good, protocol.CodeNone, 0},
		"bad proof once":     {func(o *services) { o.proofs = [][]byte{make([]byte, 664)} }, protocol.CodeNone, 0},
		"bad proof for ever": {func(o *services) { o.proofs = [][]byte{make([]byte, 664), make([]byte, 3), {}} }, protocol.CodeProverBadResponse, 1},
		"wrong tag":          {func(o *services) { o.wrongTag = true }, protocol.CodeProverTagMismatch, 0},
		"timeout":            {func(o *services) { o.proveErr = protocol.Fail(protocol.CodeProverTimeout, "slow") }, protocol.CodeProverTimeout, 0},
		"no prover":          {func(o *services) { o.proveErr = protocol.Fail(protocol.CodeOverloaded, "busy") }, protocol.CodeOverloaded, 0},
		"unheard-of error":   {func(o *services) { o.proveErr = errPlanted }, protocol.CodeInvalidated, 0},
		"signer gone":        {func(o *services) { o.faults["issued"] = &fault{err: invalidatedErr} }, protocol.CodeInvalidated, 0},
		"unknown commit": {func(o *services) {
			o.faults["commit"] = &fault{err: errors.Join(journal.ErrUnknown, errPlanted), done: true}
			o.faults["lookup"] = &fault{err: errPlanted}
		}, protocol.CodeNone, 0},
		"unknown commit that was none": {func(o *services) {
			o.faults["commit"] = &fault{err: errors.Join(journal.ErrUnknown, errPlanted)}
		}, protocol.CodeInvalidated, 0},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			o := newServices(t)
			c.world(o)
			p, wait, err := o.gate.Push(t.Context(), push)
			if err != nil {
				t.Fatal(err)
			}
			if p.Opening.Event != `{"a":"x","b":1}` || p.Opening.RequestID != p.RequestID {
				t.Errorf("opening: got event %q of request %v", p.Opening.Event, p.Opening.RequestID)
			}
			_, err = wait(t.Context())
			wantCode(t, "outcome", err, c.want)
			if (err == nil) != (len(o.rows) == 1) || len(o.proofs) != c.asked {
				t.Errorf("got %d rows and %d answers left over", len(o.rows), len(o.proofs))
			}
			if o.sessions.Pending() != 0 {
				t.Error("the session is still pending")
			}
			o.check()
		})
	}
}

// TestDrain: a stop waits for the events that are being proved. Those that do not end
// within the grace end with draining, not with a code of the prover.
func TestDrain(t *testing.T) {
	for _, c := range []struct {
		name  string
		want  protocol.Code
		ended int
	}{{"in time", protocol.CodeNone, 0}, {"too late", protocol.CodeDraining, 1}} {
		t.Run(c.name, func(t *testing.T) {
			o := newServices(t)
			hangs := make(chan struct{})
			o.set(func() { o.proveHangs = hangs })
			push := gate.PushRequest{Claim: claim.Open, Params: []byte(`{}`), Event: []byte(`{}`), Client: client}
			_, wait, err := o.gate.Push(t.Context(), push)
			if err != nil {
				t.Fatal(err)
			}
			<-hangs
			grace, over := context.WithCancel(t.Context())
			ended := make(chan int)
			go func() { ended <- o.gate.Drain(grace) }()
			for err = nil; !errors.Is(err, protocol.CodeDraining); { // from some moment on
				_, err = o.open()
			}
			_, _, err = o.gate.Push(t.Context(), push)
			wantCode(t, "a push meanwhile", err, protocol.CodeDraining)
			if c.ended == 0 {
				<-hangs
			} else {
				over()
			}
			if got := <-ended; got != c.ended {
				t.Errorf("%d events were ended, want %d", got, c.ended)
			}
			over()
			_, err = wait(t.Context())
			wantCode(t, "outcome", err, c.want)
			if strings.Contains(o.log.String(), "prover") {
				t.Errorf("the log blames the prover: %s", &o.log)
			}
		})
	}
}

func TestPushRefused(t *testing.T) {
	o := newServices(t)
	for name, c := range map[string]struct {
		req  gate.PushRequest
		want protocol.Code
	}{
		"not JSON":      {gate.PushRequest{Claim: claim.Open, Params: []byte(`{}`), Event: []byte(`{"a":1,}`)}, protocol.CodeEventNotCanonicalisable},
		"bad params":    {gate.PushRequest{Claim: claim.Open, Params: []byte(`[]`), Event: []byte(`{}`)}, protocol.CodeMalformedRequest},
		"out of band":   {gate.PushRequest{Claim: claim.Range, Params: []byte(`{"offset":0,"scale":0,"values":[{"at":"/a","hi":5,"lo":1}]}`), Event: []byte(`{"a":6}`)}, protocol.CodeStatementFalse},
		"no such field": {gate.PushRequest{Claim: claim.Range, Params: []byte(`{"offset":0,"scale":0,"values":[{"at":"/b","hi":5,"lo":1}]}`), Event: []byte(`{"a":6}`)}, protocol.CodeEventNotEncodable},
	} {
		_, _, err := o.gate.Push(t.Context(), c.req)
		wantCode(t, name, err, c.want)
	}
	good := gate.PushRequest{Claim: claim.Open, Params: []byte(`{}`), Event: []byte(`{}`)}
	for name, hold := range map[string]struct {
		change func(on bool)
		want   protocol.Code
	}{
		"acceptance on hold": {func(on bool) { o.frozen = on }, protocol.CodeFrozen},
		"log lags behind":    {func(on bool) { o.behind = on }, protocol.CodeLedgerUnavailable},
	} {
		o.set(func() { hold.change(true) })
		_, _, err := o.gate.Push(t.Context(), good)
		wantCode(t, name, err, hold.want)
		o.set(func() { hold.change(false) })
	}
	if o.seq != 0 {
		t.Errorf("refused events used %d numbers of the tagger", o.seq)
	}
}

// TestObserved: each call tells its outcome exactly once.
func TestObserved(t *testing.T) {
	o := newServices(t)
	c := o.proved()
	bad := c.answer
	bad.Tag[0] ^= 1
	_, _ = o.accept(bad)
	_, _ = o.accept(c.answer)
	want := []protocol.Code{protocol.CodeNone, protocol.CodeSubmissionRejected, protocol.CodeNone}
	if len(o.outcomes) != len(want) {
		t.Fatalf("got %d outcomes, want %d", len(o.outcomes), len(want))
	}
	for i, w := range want {
		if o.outcomes[i].Code != w {
			t.Errorf("outcome %d: got %v, want %v", i, o.outcomes[i].Code, w)
		}
	}
}

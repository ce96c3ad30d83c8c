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
	s := newServices(t)
	c := s.proved()
	first, err := s.accept(c.answer)
	if err != nil {
		t.Fatal(err)
	}
	again, err := s.accept(c.answer)
	if err != nil || again != first {
		t.Errorf("the same answer again: got %d, %v, want %d", again, err, first)
	}
	other := c.answer
	other.Proof, err = provers(t).Prove(t.Context(), c.statement, c.Inputs, c.assignment)
	if err != nil {
		t.Fatal(err)
	}
	_, err = s.accept(other)
	wantCode(t, "another proof for an accepted request", err, protocol.CodeAlreadyConsumed)
	if len(s.rows) != 1 || s.endings[lifecycle.PhaseAccepted] != 1 {
		t.Errorf("got %d rows and %d accepted, want one of each", len(s.rows), s.endings[lifecycle.PhaseAccepted])
	}
	s.check()
}

// TestRefusedWithoutTrace: these answers consume nothing, so the valid one is accepted
// afterwards. The client cannot tell the refusals apart.
func TestRefusedWithoutTrace(t *testing.T) {
	s := newServices(t)
	c, foreign := s.proved(), s.mustOpen()
	cases := map[string]func(*gate.Answer){
		"wrong tag":    func(a *gate.Answer) { a.Tag[31] ^= 1 },
		"foreign tag":  func(a *gate.Answer) { a.Tag = foreign.Tag },
		"unknown id":   func(a *gate.Answer) { a.RequestID[0] ^= 1 },
		"wrong client": func(a *gate.Answer) { a.Client = "another client" },
	}
	var said string
	for name, change := range cases {
		a := c.answer
		change(&a)
		_, err := s.accept(a)
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
	_, err := s.accept(short)
	wantCode(t, "short proof", err, protocol.CodeMalformedRequest)
	for name, hold := range map[string]struct {
		change func()
		want   protocol.Code
	}{
		"frozen":     {func() { s.frozen = !s.frozen }, protocol.CodeFrozen},
		"unwritable": {func() { s.unwritable = !s.unwritable }, protocol.CodeLedgerUnavailable},
		"lagging":    {func() { s.behind = !s.behind }, protocol.CodeLedgerUnavailable},
	} {
		s.set(hold.change)
		_, err := s.accept(c.answer)
		wantCode(t, name, err, hold.want)
		s.set(hold.change)
	}
	if _, err := s.accept(c.answer); err != nil {
		t.Errorf("the valid answer afterwards: %v", err)
	}
	s.check()
}

func TestFalseProofEndsIt(t *testing.T) {
	s := newServices(t)
	a, b := s.proved(), s.proved()
	swapped := a.answer
	swapped.Proof = b.answer.Proof
	_, err := s.accept(swapped)
	wantCode(t, "another request's proof", err, protocol.CodeProofRejected)
	_, err = s.accept(a.answer)
	wantCode(t, "the right proof afterwards", err, protocol.CodeProofRejected)
	if s.endings[lifecycle.PhaseRejected] != 1 {
		t.Errorf("got %d rejected, want 1", s.endings[lifecycle.PhaseRejected])
	}
	if _, err := s.accept(b.answer); err != nil {
		t.Errorf("the other request was not accepted: %v", err)
	}
	s.check()
}

func TestParallelAnswers(t *testing.T) {
	s := newServices(t)
	c := s.proved()
	var mu sync.Mutex
	got := map[protocol.Code]int{}
	indexes := map[uint64]bool{}
	var wg sync.WaitGroup
	for range 64 {
		wg.Go(func() {
			index, err := s.accept(c.answer)
			mu.Lock()
			defer mu.Unlock()
			got[protocol.CodeOf(err)]++
			if err == nil {
				indexes[index] = true
			}
		})
	}
	wg.Wait()
	if got[protocol.CodeNone] != 64 || len(indexes) != 1 || len(s.rows) != 1 {
		t.Errorf("got codes %v, indexes %v, %d rows; want the one index 64 times", got, indexes, len(s.rows))
	}
	s.check()
}

// TestImpatientClient: a call that waits for a claimed request returns conflict when
// its context ends; the winner goes on.
func TestImpatientClient(t *testing.T) {
	s := newServices(t)
	c := s.proved()
	inside, leave := make(chan struct{}), make(chan struct{})
	s.faults["redeem"] = &fault{hook: func() { close(inside); <-leave }}
	won := make(chan error)
	ctx, cancel := context.WithCancel(t.Context())
	go func() { _, err := s.gate.Accept(ctx, c.answer); won <- err }()
	<-inside
	cancel() // the winner's client disconnects
	short, cancelShort := context.WithTimeout(t.Context(), time.Millisecond)
	defer cancelShort()
	_, err := s.gate.Accept(short, c.answer)
	wantCode(t, "the loser", err, protocol.CodeConflict)
	close(leave)
	if err := <-won; err != nil {
		t.Errorf("the winner, whose client has disconnected: %v", err)
	}
	s.check()
}

// TestFailures is the failure table: the code of an answer when a service fails at one
// step, the code of the same answer again, and the number of rows.
func TestFailures(t *testing.T) {
	type row struct {
		call   string
		fault  func(s *services) fault
		first  protocol.Code // of the answer, or of Open for issue and anchor
		again  protocol.Code // of the same answer at once afterwards
		later  protocol.Code // of the same answer after the outcome is known
		rows   int
		killed bool // the epoch is destroyed
	}
	plain := func(f fault) func(*services) fault { return func(*services) fault { return f } }
	freeze := func(s *services) fault { return fault{hook: func() { s.set(func() { s.frozen = true }) }} }
	hold := func(s *services) fault { return fault{hook: func() { s.set(func() { s.issueHeld = true }) }} }
	die := func(s *services) fault {
		return fault{hook: func() { s.set(func() { s.epochDead = true }); s.gate.EpochEnded(protocol.EpochID{7}) }}
	}
	const none, invalidated, unavailable = protocol.CodeNone, protocol.CodeInvalidated, protocol.CodeLedgerUnavailable
	refused := protocol.Fail(protocol.CodeLedgerUnavailable, "surely not written")
	unknown := errors.Join(journal.ErrUnknown, errPlanted)
	table := map[string]row{
		"issue: error":                {"issue", plain(fault{err: protocol.Fail(protocol.CodeOverloaded, "full")}), protocol.CodeOverloaded, none, none, 0, false},
		"issue: error but done":       {"issue", plain(fault{err: errPlanted, done: true}), protocol.CodeInternal, none, none, 0, false},
		"issue: epoch ends":           {"issue", die, invalidated, none, none, 0, false},
		"anchor: error":               {"anchor", plain(fault{err: invalidatedErr}), invalidated, none, none, 0, false},
		"anchor: epoch ends":          {"anchor", die, invalidated, none, none, 0, false},
		"anchor: hold":                {"anchor", hold, protocol.CodeFrozen, none, none, 0, false},
		"find: epoch ends after it":   {"find", die, invalidated, none, none, 0, false},
		"redeem: error":               {"redeem", plain(fault{err: errPlanted}), invalidated, invalidated, invalidated, 0, false},
		"redeem: error but done":      {"redeem", plain(fault{err: errPlanted, done: true}), invalidated, invalidated, invalidated, 0, false},
		"redeem: panic":               {"redeem", plain(fault{panic: true}), invalidated, invalidated, invalidated, 0, false},
		"redeem: freeze":              {"redeem", freeze, invalidated, invalidated, invalidated, 0, false},
		"redeem: epoch ends":          {"redeem", die, invalidated, invalidated, invalidated, 0, false},
		"redeem: tagger lost it":      {"redeem", func(s *services) fault { return fault{hook: func() { s.set(func() { clear(s.tags) }) }} }, invalidated, invalidated, invalidated, 0, true},
		"redeem: tagger says used":    {"redeem", func(s *services) fault { return fault{hook: func() { s.set(s.useAll) }} }, invalidated, invalidated, invalidated, 0, true},
		"redeem: tagger has other":    {"redeem", func(s *services) fault { return fault{hook: func() { s.set(s.changeTags) }} }, invalidated, invalidated, invalidated, 0, true},
		"redeem: late":                {"redeem", func(s *services) fault { return fault{hook: func() { s.set(s.expireTags) }} }, protocol.CodeExpired, protocol.CodeExpired, protocol.CodeExpired, 0, false},
		"issued: error":               {"issued", plain(fault{err: invalidatedErr}), invalidated, invalidated, invalidated, 0, false},
		"issued: panic":               {"issued", plain(fault{panic: true}), invalidated, invalidated, invalidated, 0, false},
		"issued: freeze":              {"issued", freeze, invalidated, invalidated, invalidated, 0, false},
		"issued: epoch ends":          {"issued", die, invalidated, invalidated, invalidated, 0, false},
		"commit: refused":             {"commit", plain(fault{err: refused}), invalidated, invalidated, invalidated, 0, false},
		"commit: panic":               {"commit", plain(fault{panic: true}), unavailable, unavailable, invalidated, 0, false},
		"commit: unknown, not done":   {"commit", plain(fault{err: unknown}), unavailable, unavailable, invalidated, 0, false},
		"commit: unknown, done":       {"commit", plain(fault{err: unknown, done: true}), unavailable, none, none, 1, false},
		"commit: freeze before":       {"commit", freeze, invalidated, invalidated, invalidated, 0, false},
		"commit: epoch ends before":   {"commit", die, invalidated, invalidated, invalidated, 0, false},
		"commit: nullifier is there":  {"commit", plain(fault{err: protocol.Fail(protocol.CodeNullifierUsed, "")}), protocol.CodeNullifierUsed, protocol.CodeNullifierUsed, protocol.CodeNullifierUsed, 0, false},
		"commit: commitment is there": {"commit", plain(fault{err: protocol.Fail(protocol.CodeConflict, "")}), protocol.CodeConflict, protocol.CodeConflict, protocol.CodeConflict, 0, false},
	}
	for name, r := range table {
		t.Run(name, func(t *testing.T) {
			s := newServices(t)
			if r.call == "issue" || r.call == "anchor" || r.call == "find" {
				f := r.fault(s)
				s.faults[r.call] = &f
				_, err := s.open()
				wantCode(t, "open", err, r.first)
				if n := s.sessions.Pending(); n != 0 {
					t.Errorf("%d sessions are pending after a failed open", n)
				}
				return
			}
			c := s.proved()
			f := r.fault(s)
			s.set(func() { s.faults[r.call] = &f })
			_, err := s.accept(c.answer)
			wantCode(t, "first", err, r.first)
			short, cancel := context.WithTimeout(t.Context(), 10*time.Millisecond)
			defer cancel()
			_, err = s.gate.Accept(short, c.answer)
			if got := protocol.CodeOf(err); got != r.again && got != r.later {
				t.Errorf("again: got %v, want %v or %v", got, r.again, r.later)
			}
			_, err = s.accept(c.answer) // waits for the outcome
			wantCode(t, "later", err, r.later)
			if len(s.rows) != r.rows {
				t.Errorf("got %d rows, want %d", len(s.rows), r.rows)
			}
			if s.destroyed != r.killed {
				t.Errorf("epoch destroyed: got %v, want %v", s.destroyed, r.killed)
			}
			if n := s.sessions.Pending(); n != 0 {
				t.Errorf("%d sessions are pending after the end", n)
			}
			s.check()
		})
	}
}

// TestPanics: a panic of a service ends neither the process nor the work of the gate, and
// no place is lost with it. After one in Destroy the gate does not use the epoch again.
func TestPanics(t *testing.T) {
	push := gate.PushRequest{Claim: claim.Open, Params: []byte(`{}`), Event: []byte(`{}`), Client: client}
	for name, c := range map[string]struct {
		more  func(s *services)                  // other faults
		run   func(s *services, c *opened) error // meets the panic
		want  protocol.Code                      // of run
		again protocol.Code                      // of a request opened afterwards
	}{
		"issue":  {run: func(s *services, _ *opened) error { _, err := s.open(); return err }, want: protocol.CodeInternal},
		"anchor": {run: func(s *services, _ *opened) error { _, _, err := s.gate.Push(s.t.Context(), push); return err }, want: protocol.CodeInternal},
		"prove":  {run: func(s *services, _ *opened) error { return s.push(push) }, want: protocol.CodeInvalidated},
		"lookup": {
			more: func(s *services) {
				s.faults["commit"] = &fault{err: errors.Join(journal.ErrUnknown, errPlanted), done: true}
			},
			run: func(s *services, c *opened) error {
				_, _ = s.accept(c.answer)
				_, err := s.accept(c.answer)
				return err
			},
		},
		"cancel": {
			run: func(s *services, c *opened) error {
				s.gate.Invalidate(gate.Filter{})
				_, err := s.accept(c.answer)
				return err
			},
			want: protocol.CodeInvalidated,
		},
		"destroy": {
			more: func(s *services) { s.tags = nil },
			run:  func(s *services, c *opened) error { _, err := s.accept(c.answer); return err },
			want: protocol.CodeInvalidated, again: protocol.CodeInvalidated,
		},
	} {
		t.Run(name, func(t *testing.T) {
			s := newServices(t)
			o := s.proved()
			s.set(func() {
				s.faults[name] = &fault{panic: true}
				if c.more != nil {
					c.more(s)
				}
			})
			wantCode(t, "with the panic", recovered(func() error { return c.run(s, o) }), c.want)
			s.set(func() {
				if s.tags == nil {
					s.tags = map[protocol.RequestID]*issuedTag{}
				}
			})
			s.gate.Invalidate(gate.Filter{})
			if n := s.sessions.Pending(); n != 0 {
				t.Errorf("%d places are taken", n)
			}
			_, err := s.open()
			wantCode(t, "afterwards", err, c.again)
			s.gate.Drain(t.Context()) // hangs if a place for pushed events was lost
			s.check()
		})
	}
}

// recovered calls do as a server calls its handlers.
func recovered(do func() error) (err error) {
	defer func() {
		if recover() != nil {
			err = protocol.CodeInternal
		}
	}()
	return do()
}

// push pushes an event and waits for its outcome.
func (s *services) push(req gate.PushRequest) error {
	_, wait, err := s.gate.Push(s.t.Context(), req)
	if err == nil {
		_, err = wait(s.t.Context())
	}
	return err
}

var invalidatedErr = protocol.Fail(protocol.CodeInvalidated, "the epoch has ended")

func (s *services) useAll() {
	for _, it := range s.tags {
		it.used = true
	}
}

func (s *services) changeTags() {
	for _, it := range s.tags {
		it.tag[0] ^= 1
	}
}

func (s *services) expireTags() {
	for _, it := range s.tags {
		it.expires = time.Now().Add(-time.Second)
	}
}

// TestEpochEnded: the end of an epoch ends its requests at once. Their tags are not
// cancelled, because the tagger ends too.
func TestEpochEnded(t *testing.T) {
	s := newServices(t)
	c := s.proved()
	s.gate.EpochEnded(protocol.EpochID{8}) // another one
	if n, of := s.sessions.Pending(), s.sessions.PendingOf(0); n != 1 || of != 1 {
		t.Errorf("%d sessions are pending after the end of another epoch, %d of the payer, want 1", n, of)
	}
	s.died = true // an epoch that has ended counts no further
	s.gate.EpochEnded(protocol.EpochID{7})
	if n, of := s.sessions.Pending(), s.sessions.PendingOf(0); n != 0 || of != 0 || s.cancelled != 0 {
		t.Errorf("%d sessions are pending, %d of the payer, and %d tags cancelled, want none", n, of, s.cancelled)
	}
	_, err := s.accept(c.answer)
	wantCode(t, "the answer afterwards", err, protocol.CodeInvalidated)
	s.check()
}

// TestEndedEpochIsNotAsked: an answer that claims its request when the epoch has just ended
// is refused, and the tagger is not asked.
func TestEndedEpochIsNotAsked(t *testing.T) {
	s := newServices(t)
	c := s.proved()
	s.set(func() { s.epochDead = true })
	_, err := s.accept(c.answer)
	wantCode(t, "answer", err, protocol.CodeInvalidated)
	if s.tags[c.RequestID].used {
		t.Error("the tag was redeemed")
	}
	s.check()
}

// TestUnknownCommitIsRead: the outcome of a commit stays unknown until the journal can
// be read.
func TestUnknownCommitIsRead(t *testing.T) {
	s := newServices(t)
	c := s.proved()
	down := make(chan struct{})
	s.faults["commit"] = &fault{err: errors.Join(journal.ErrUnknown, errPlanted), done: true}
	s.faults["lookup"] = &fault{err: errPlanted, hook: func() { close(down) }}
	_, err := s.accept(c.answer)
	wantCode(t, "first", err, protocol.CodeLedgerUnavailable)
	<-down
	index, err := s.accept(c.answer)
	if err != nil || index != 0 {
		t.Errorf("after the journal came back: got %d, %v", index, err)
	}
	s.check()
}

// TestReceiptOfUndecided: while a request is being committed, Receipt waits as for any
// pending request.
func TestReceiptOfUndecided(t *testing.T) {
	s := newServices(t)
	c := s.mustOpen()
	pending, _ := s.sessions.Get(c.RequestID)
	s.died = true // the step below goes around the gate, so the epoch does not count it
	s.faults["lookup"] = &fault{
		err:  errors.Join(journal.ErrUnknown, protocol.CodeLedgerUnavailable),
		hook: func() { pending.Step(lifecycle.EventExpire{}, protocol.Digest{}) },
	}
	_, err := s.gate.Receipt(t.Context(), c.RequestID)
	wantCode(t, "receipt", err, protocol.CodeExpired)
}

func TestOpenRefused(t *testing.T) {
	s := newServices(t)
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
		"on hold":      {nil, func() { s.issueHeld = true }, protocol.CodeFrozen},
		"not writable": {nil, func() { s.unwritable = true }, protocol.CodeLedgerUnavailable},
		"no epoch":     {nil, func() { s.epochDead = true }, protocol.CodeDraining},
	}
	for name, c := range cases {
		r := good
		if c.change != nil {
			c.change(&r)
		}
		if c.world != nil {
			s.set(c.world)
		}
		_, err := s.gate.Open(t.Context(), r)
		wantCode(t, name, err, c.want)
		s.set(func() { s.issueHeld, s.unwritable, s.epochDead = false, false, false })
	}
	if s.seq != 0 {
		t.Errorf("refused requests used %d numbers of the tagger", s.seq)
	}
	for range 100 {
		if _, err := s.open(); err != nil {
			t.Fatal(err)
		}
	}
	_, err := s.open()
	wantCode(t, "one more than the table holds", err, protocol.CodeOverloaded)
}

// TestSealed: the refusals of a sealed log say that they are permanent.
func TestSealed(t *testing.T) {
	s := newServices(t)
	c := s.proved()
	s.set(func() { s.sealed = true })
	_, opened := s.open()
	_, answered := s.accept(c.answer)
	for what, err := range map[string]error{"open": opened, "answer": answered} {
		wantCode(t, what, err, protocol.CodeFrozen)
		if !errors.Is(err, protocol.ErrPermanent) {
			t.Errorf("%s: %v is not permanent", what, err)
		}
	}
}

// TestOtherElectorate: parameters with the id of a member list and the name of another
// electorate are refused. A member could get a second nullifier by them.
func TestOtherElectorate(t *testing.T) {
	secret := claim.NewMemberSecret()
	list, err := claim.NewList("Orchard council", []protocol.Member{secret.Member()})
	if err != nil {
		t.Fatal(err)
	}
	s := newServicesWith(t, func(c *gate.Config) {
		council := c.Claims[0] // its key is not used
		council.ID, council.List = claim.Group, list
		c.Claims = append(c.Claims, council)
	})
	params, err := claim.GroupParams(list, "2026/budget", secret)
	if err != nil {
		t.Fatal(err)
	}
	st, _ := statement(t)
	for _, c := range []struct {
		params string
		want   protocol.Code
	}{
		{string(params), protocol.CodeNone},
		{strings.Replace(string(params), "Orchard", "Harbour", 1), protocol.CodeMalformedRequest},
	} {
		_, err := s.gate.Open(t.Context(), gate.OpenRequest{Claim: claim.Group, Params: []byte(c.params), Commitment: st.Commitment(), Client: client})
		wantCode(t, c.params, err, c.want)
	}
}

// TestHeld: while issue is held a request waits with its place in the table. What was
// frozen meanwhile is refused as frozen.
func TestHeld(t *testing.T) {
	s := newServices(t)
	none := protocol.Fail(protocol.CodeDraining, "no epoch")
	s.set(func() {
		s.faults["begin"] = &fault{err: none, hook: func() {
			if n := s.sessions.Pending(); n != 1 {
				t.Errorf("%d places are taken", n)
			}
		}}
	})
	_, err := s.open()
	wantCode(t, "until its time is over", err, protocol.CodeDraining)
	if got := protocol.DetailOf(err); !strings.Contains(got, "no epoch is active") {
		t.Errorf("without an epoch the refusal says %q", got)
	}
	s.set(func() {
		s.faults["begin"] = &fault{err: none, hook: func() { s.set(func() { s.issueHeld = true }) }}
	})
	_, err = s.open()
	wantCode(t, "frozen meanwhile", err, protocol.CodeFrozen)
	s.set(func() { s.issueHeld = false })
	s.set(func() {
		s.faults["begin"] = &fault{hook: func() { s.set(func() { s.issueHeld = true }) }}
	})
	_, err = s.open()
	wantCode(t, "frozen, and let in", err, protocol.CodeFrozen)
	if n := s.sessions.Pending(); n != 0 {
		t.Errorf("%d places are taken", n)
	}
}

func TestExpiry(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newServices(t)
		st, _ := statement(t)
		ch, err := s.gate.Open(t.Context(), gate.OpenRequest{Claim: claim.Open, Params: []byte(`{}`), Commitment: st.Commitment(), TTL: time.Second, Client: client})
		if err != nil {
			t.Fatal(err)
		}
		time.Sleep(1500 * time.Millisecond)
		synctest.Wait()
		_, err = s.accept(gate.Answer{RequestID: ch.RequestID, Tag: ch.Tag, Proof: make([]byte, protocol.ProofSize), Client: client})
		wantCode(t, "late answer", err, protocol.CodeExpired)
		if s.cancelled != 1 || s.endings[lifecycle.PhaseExpired] != 1 || s.sessions.Pending() != 0 {
			t.Errorf("got %d cancelled, %d expired, %d pending", s.cancelled, s.endings[lifecycle.PhaseExpired], s.sessions.Pending())
		}
	})
}

// TestClientOfSession: a session carries the index of the client that opened it, and a
// commitment to its id.
func TestClientOfSession(t *testing.T) {
	s := newServices(t)
	st, _ := statement(t)
	ch, err := s.gate.Open(t.Context(), gate.OpenRequest{Claim: claim.Open, Params: []byte(`{}`), Commitment: st.Commitment(), Client: "north", Index: 7})
	if err != nil {
		t.Fatal(err)
	}
	pushed, wait, err := s.gate.Push(t.Context(), gate.PushRequest{Claim: claim.Open, Params: []byte(`{}`), Event: []byte(`{}`), Client: "south", Index: 8})
	if err != nil {
		t.Fatal(err)
	}
	_, _ = wait(t.Context()) // what becomes of it does not matter here
	for _, c := range []struct {
		request protocol.RequestID
		id      string
		index   uint32
	}{{ch.RequestID, "north", 7}, {pushed.RequestID, "south", 8}} {
		one, ok := s.sessions.Get(c.request)
		if !ok || one.Index != c.index || one.Client != protocol.ClientCommitment(one.Salt, c.id) {
			t.Errorf("%s: %v, index %d", c.id, ok, one.Index)
		}
	}
}

func TestPush(t *testing.T) {
	push := gate.PushRequest{Claim: claim.Open, Params: []byte(`{}`), Event: []byte(`{ "b": 1.0, "a": "x" }`), Client: client}
	good := func(*services) {}
	cases := map[string]struct {
		world func(*services)
		want  protocol.Code
		asked int // how many bad answers are left over
	}{
		"good":                 {good, protocol.CodeNone, 0},
		"bad proof once":       {func(s *services) { s.proofs = [][]byte{make([]byte, 664)} }, protocol.CodeNone, 0},
		"bad proof every time": {func(s *services) { s.proofs = [][]byte{make([]byte, 664), make([]byte, 3), {}} }, protocol.CodeProverBadResponse, 1},
		"wrong tag":            {func(s *services) { s.wrongTag = true }, protocol.CodeProverTagMismatch, 0},
		"timeout":              {func(s *services) { s.proveErr = protocol.Fail(protocol.CodeProverTimeout, "slow") }, protocol.CodeProverTimeout, 0},
		"no prover":            {func(s *services) { s.proveErr = protocol.Fail(protocol.CodeOverloaded, "busy") }, protocol.CodeOverloaded, 0},
		"error without a code": {func(s *services) { s.proveErr = errPlanted }, protocol.CodeInvalidated, 0},
		"signer gone":          {func(s *services) { s.faults["issued"] = &fault{err: invalidatedErr} }, protocol.CodeInvalidated, 0},
		"unknown commit": {func(s *services) {
			s.faults["commit"] = &fault{err: errors.Join(journal.ErrUnknown, errPlanted), done: true}
			s.faults["lookup"] = &fault{err: errPlanted}
		}, protocol.CodeNone, 0},
		"unknown commit that was none": {func(s *services) {
			s.faults["commit"] = &fault{err: errors.Join(journal.ErrUnknown, errPlanted)}
		}, protocol.CodeInvalidated, 0},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			s := newServices(t)
			c.world(s)
			p, wait, err := s.gate.Push(t.Context(), push)
			if err != nil {
				t.Fatal(err)
			}
			if p.Opening.Event != `{"a":"x","b":1}` || p.Opening.RequestID != p.RequestID {
				t.Errorf("opening: got event %q of request %v", p.Opening.Event, p.Opening.RequestID)
			}
			_, err = wait(t.Context())
			wantCode(t, "outcome", err, c.want)
			if (err == nil) != (len(s.rows) == 1) || len(s.proofs) != c.asked {
				t.Errorf("got %d rows and %d answers left over", len(s.rows), len(s.proofs))
			}
			if s.sessions.Pending() != 0 {
				t.Error("the session is still pending")
			}
			s.check()
		})
	}
}

// TestDrain: Drain waits for the events that are being proved. Events that do not end
// in time end with draining, not with a code of the prover.
func TestDrain(t *testing.T) {
	for _, c := range []struct {
		name  string
		want  protocol.Code
		ended int
	}{{"in time", protocol.CodeNone, 0}, {"too late", protocol.CodeDraining, 1}} {
		t.Run(c.name, func(t *testing.T) {
			s := newServices(t)
			hangs := make(chan struct{})
			s.set(func() { s.proveHangs = hangs })
			push := gate.PushRequest{Claim: claim.Open, Params: []byte(`{}`), Event: []byte(`{}`), Client: client}
			_, wait, err := s.gate.Push(t.Context(), push)
			if err != nil {
				t.Fatal(err)
			}
			<-hangs
			grace, over := context.WithCancel(t.Context())
			ended := make(chan int)
			go func() { ended <- s.gate.Drain(grace) }()
			for err = nil; !errors.Is(err, protocol.CodeDraining); { // Drain runs in another goroutine
				_, err = s.open()
			}
			_, _, err = s.gate.Push(t.Context(), push)
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
			if strings.Contains(s.log.String(), "prover") {
				t.Errorf("the log blames the prover: %s", &s.log)
			}
		})
	}
}

func TestPushRefused(t *testing.T) {
	s := newServices(t)
	for name, c := range map[string]struct {
		req  gate.PushRequest
		want protocol.Code
	}{
		"not JSON":      {gate.PushRequest{Claim: claim.Open, Params: []byte(`{}`), Event: []byte(`{"a":1,}`)}, protocol.CodeEventNotCanonicalisable},
		"bad params":    {gate.PushRequest{Claim: claim.Open, Params: []byte(`[]`), Event: []byte(`{}`)}, protocol.CodeMalformedRequest},
		"out of band":   {gate.PushRequest{Claim: claim.Range, Params: []byte(`{"offset":0,"scale":0,"values":[{"at":"/a","hi":5,"lo":1}]}`), Event: []byte(`{"a":6}`)}, protocol.CodeStatementFalse},
		"no such field": {gate.PushRequest{Claim: claim.Range, Params: []byte(`{"offset":0,"scale":0,"values":[{"at":"/b","hi":5,"lo":1}]}`), Event: []byte(`{"a":6}`)}, protocol.CodeEventNotEncodable},
	} {
		_, _, err := s.gate.Push(t.Context(), c.req)
		wantCode(t, name, err, c.want)
	}
	good := gate.PushRequest{Claim: claim.Open, Params: []byte(`{}`), Event: []byte(`{}`)}
	for name, hold := range map[string]struct {
		change func(on bool)
		want   protocol.Code
	}{
		"acceptance on hold": {func(on bool) { s.frozen = on }, protocol.CodeFrozen},
		"log lags behind":    {func(on bool) { s.behind = on }, protocol.CodeLedgerUnavailable},
	} {
		s.set(func() { hold.change(true) })
		_, _, err := s.gate.Push(t.Context(), good)
		wantCode(t, name, err, hold.want)
		s.set(func() { hold.change(false) })
	}
	if s.seq != 0 {
		t.Errorf("refused events used %d numbers of the tagger", s.seq)
	}
}

// TestObserved: the outcome of each call is reported exactly once.
func TestObserved(t *testing.T) {
	s := newServices(t)
	c := s.proved()
	bad := c.answer
	bad.Tag[0] ^= 1
	_, _ = s.accept(bad)
	_, _ = s.accept(c.answer)
	want := []protocol.Code{protocol.CodeNone, protocol.CodeSubmissionRejected, protocol.CodeNone}
	if len(s.outcomes) != len(want) {
		t.Fatalf("got %d outcomes, want %d", len(s.outcomes), len(want))
	}
	for i, w := range want {
		if s.outcomes[i].Code != w {
			t.Errorf("outcome %d: got %v, want %v", i, s.outcomes[i].Code, w)
		}
	}
}

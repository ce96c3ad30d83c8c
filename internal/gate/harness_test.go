package gate_test

import (
	"bytes"
	"cmp"
	"context"
	"crypto/rand"
	"crypto/sha256"
	"errors"
	"log/slog"
	"sync"
	"testing"
	"time"

	"github.com/terradourada/td/claim"
	"github.com/terradourada/td/internal/gate"
	"github.com/terradourada/td/internal/journal"
	"github.com/terradourada/td/internal/ledger"
	"github.com/terradourada/td/internal/lifecycle"
	"github.com/terradourada/td/internal/limit"
	"github.com/terradourada/td/internal/session"
	"github.com/terradourada/td/protocol"
)

// fault is how one call of a service fails; the zero value does not fail.
type fault struct {
	err   error // what the call returns
	done  bool  // the call has its effect in spite of the error
	panic bool
	hook  func() // runs first: a freeze, or the end of the epoch
}

func (f *fault) strike() error {
	if f.hook != nil {
		f.hook()
	}
	if f.panic {
		panic("planted")
	}
	return f.err
}

// services are a backend in memory. Its tagger, journal and epochs follow the
// contracts of the gate's interfaces; faults make single calls fail.
type services struct {
	t        *testing.T
	gate     *gate.Gate
	sessions *session.Table

	mu         sync.Mutex
	faults     map[string]*fault // by call: begin, issue, anchor, find, redeem, issued, commit, lookup, prove, cancel, destroy
	epochDead  bool
	destroyed  bool
	frozen     bool
	issueHeld  bool
	sealed     bool // frozen for good
	unwritable bool
	behind     bool // the ledger is too far behind
	seq        uint64
	anchored   []protocol.RequestID // by position
	tags       map[protocol.RequestID]*issuedTag
	rows       []journal.Acceptance
	pending    int // requests that the epoch counts as pending
	died       bool
	endings    map[lifecycle.Phase]int
	cancelled  int
	outcomes   []gate.Outcome
	proofs     [][]byte // answers of the prover, in order; a valid one if empty
	wrongTag   bool
	proveErr   error
	proveHangs chan struct{} // if set, Prove sends once when it is called and once before it goes on
	log        bytes.Buffer
}

type issuedTag struct {
	tag     protocol.Tag
	expires time.Time
	used    bool
}

func newServices(t *testing.T) *services {
	t.Helper()
	return newServicesWith(t, func(*gate.Config) {})
}

func newServicesWith(t *testing.T, change func(*gate.Config)) *services {
	t.Helper()
	s := &services{
		t: t, faults: map[string]*fault{}, tags: map[protocol.RequestID]*issuedTag{}, endings: map[lifecycle.Phase]int{},
		sessions: session.New(session.Config{MaxPending: 100}),
	}
	vk, ok := claim.KnownKey(claim.Open)
	if !ok {
		t.Fatal("no key for open/1")
	}
	cfg := gate.Config{
		Epochs: (*fakeEpochs)(s), Sessions: s.sessions, Journal: (*fakeJournal)(s), Holds: (*fakeHolds)(s),
		Ledger: (*fakeLedger)(s), Prover: (*fakeProver)(s),
		Claims: []gate.Claim{{ID: claim.Open, Key: vk, Fingerprint: vk.Fingerprint(claim.Open, protocol.ListID{})}},
		Log:    slog.New(slog.NewTextHandler(&s.log, nil)),
		Observe: func(out gate.Outcome) {
			s.mu.Lock()
			defer s.mu.Unlock()
			s.outcomes = append(s.outcomes, out)
		},
	}
	change(&cfg)
	s.gate = gate.New(cfg)
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() { defer close(done); _ = s.gate.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		<-done
		if n := len(s.sessions.List(protocol.RequestID{}, 0, func(*session.Session, *session.Open) bool { return true })); !s.died && n != s.pending {
			t.Errorf("the epoch counts %d pending requests, and there are %d", s.pending, n)
		}
	})
	return s
}

func (s *services) strike(call string) (*fault, error) {
	s.mu.Lock()
	f := s.faults[call]
	delete(s.faults, call)
	s.mu.Unlock()
	if f == nil {
		return &fault{}, nil
	}
	return f, f.strike()
}

func (s *services) set(change func()) {
	s.mu.Lock()
	defer s.mu.Unlock()
	change()
}

type fakeEpochs services

func (e *fakeEpochs) Begin(context.Context, time.Duration) (gate.Epoch, error) {
	if _, err := (*services)(e).strike("begin"); err != nil {
		return nil, err
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.epochDead || e.destroyed {
		return nil, protocol.Fail(protocol.CodeDraining, "none")
	}
	e.pending++
	return (*fakeEpoch)(e), nil
}

func (e *fakeEpochs) Find(id protocol.EpochID) (gate.Epoch, bool) {
	e.mu.Lock()
	live := id == protocol.EpochID{7} && !e.epochDead && !e.destroyed
	e.died = e.died || e.epochDead || e.destroyed // it counts no further
	e.mu.Unlock()
	_, _ = (*services)(e).strike("find") // what happens right after the answer
	return (*fakeEpoch)(e), live
}

type fakeEpoch services

func (*fakeEpoch) ID() protocol.EpochID { return protocol.EpochID{7} }
func (*fakeEpoch) Number() uint64       { return 1 }

// leave counts a request that a panic ends, as an epoch does.
func (e *fakeEpoch) leave() {
	if p := recover(); p != nil {
		(*services)(e).set(func() { e.pending-- })
		panic(p)
	}
}

func (e *fakeEpoch) Issue(_ context.Context, draft *protocol.EncodedPayload) (protocol.EncodedPayload, protocol.Tag, error) {
	defer e.leave()
	f, err := (*services)(e).strike("issue")
	e.mu.Lock()
	defer e.mu.Unlock()
	if err != nil {
		e.pending--
	}
	if err != nil && !f.done {
		return protocol.EncodedPayload{}, protocol.Tag{}, err
	}
	p, parseErr := protocol.ParseDraft(draft[:])
	if parseErr != nil {
		return protocol.EncodedPayload{}, protocol.Tag{}, parseErr
	}
	e.seq++
	p.Seq = e.seq
	it := &issuedTag{expires: time.Now().Add(time.Duration(p.TTL) * time.Millisecond)}
	_, _ = rand.Read(it.tag[:])
	e.tags[p.RequestID] = it
	return p.Encode(), it.tag, err
}

func (e *fakeEpoch) Anchor(_ context.Context, p *protocol.EncodedPayload) (protocol.Anchor, uint64, error) {
	defer e.leave()
	_, err := (*services)(e).strike("anchor")
	e.mu.Lock()
	defer e.mu.Unlock()
	if err != nil {
		e.pending--
	}
	e.anchored = append(e.anchored, protocol.RequestID(p[16:32]))
	return protocol.Anchor(protocol.H2F("test-anchor", p[:])), uint64(len(e.anchored) - 1), err
}

func (e *fakeEpoch) Issued(_ context.Context, position uint64) (protocol.Issued, error) {
	if _, err := (*services)(e).strike("issued"); err != nil {
		return protocol.Issued{}, err
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	return protocol.Issued{Position: position, SignedRoot: protocol.SignedRoot{Size: uint64(len(e.anchored)), Signature: [64]byte{1}}}, nil
}

func (e *fakeEpoch) Redeem(ctx context.Context, p *protocol.EncodedPayload, tag protocol.Tag) (protocol.Redemption, error) {
	f, err := (*services)(e).strike("redeem")
	err = cmp.Or(err, ctx.Err())
	if err != nil && !f.done {
		return 0, err
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	it := e.tags[protocol.RequestID(p[16:32])]
	switch {
	case it == nil:
		return protocol.RedeemUnknown, err
	case !it.tag.Equal(tag):
		return protocol.RedeemMismatch, err
	case it.used:
		return protocol.RedeemUsed, err
	case time.Now().After(it.expires):
		return protocol.RedeemExpired, err
	}
	it.used = true
	return protocol.RedeemOK, err
}

func (e *fakeEpoch) Cancel(_ context.Context, id protocol.RequestID) error {
	_, _ = (*services)(e).strike("cancel")
	e.mu.Lock()
	defer e.mu.Unlock()
	e.cancelled++
	delete(e.tags, id)
	return nil
}

func (e *fakeEpoch) Withdraw() { (*services)(e).set(func() { e.pending-- }) }

func (e *fakeEpoch) Ended(how lifecycle.Phase) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.pending--
	e.endings[how]++
}

func (e *fakeEpoch) Destroy() {
	_, _ = (*services)(e).strike("destroy")
	e.mu.Lock()
	defer e.mu.Unlock()
	e.destroyed = true
}

type fakeJournal services

func (j *fakeJournal) Accept(ctx context.Context, _ time.Time, a *journal.Acceptance) (journal.Entry, error) {
	f, err := (*services)(j).strike("commit")
	err = cmp.Or(err, ctx.Err())
	if err != nil && !f.done {
		return journal.Entry{}, err
	}
	j.mu.Lock()
	defer j.mu.Unlock()
	p, parseErr := protocol.ParsePayload(a.Leaf.Payload[:])
	switch {
	case parseErr != nil:
		return journal.Entry{}, parseErr
	case j.frozen:
		return journal.Entry{}, protocol.Fail(protocol.CodeFrozen, "frozen")
	case j.epochDead || j.destroyed:
		return journal.Entry{}, protocol.Fail(protocol.CodeInvalidated, "epoch is dead")
	}
	for i := range j.rows {
		if q, _ := protocol.ParsePayload(j.rows[i].Leaf.Payload[:]); q.RequestID == p.RequestID || q.Commitment == p.Commitment {
			return journal.Entry{}, protocol.Fail(protocol.CodeConflict, "there already")
		}
	}
	j.rows = append(j.rows, *a)
	return journal.Entry{Seq: uint64(len(j.rows) - 1)}, err
}

func (j *fakeJournal) Accepted(_ context.Context, id protocol.RequestID) (journal.Entry, bool, error) {
	if _, err := (*services)(j).strike("lookup"); err != nil {
		return journal.Entry{}, false, err
	}
	j.mu.Lock()
	defer j.mu.Unlock()
	for i := range j.rows {
		if q, _ := protocol.ParsePayload(j.rows[i].Leaf.Payload[:]); q.RequestID == id {
			return journal.Entry{Seq: uint64(i)}, true, nil
		}
	}
	return journal.Entry{}, false, nil
}

func (*fakeJournal) ClaimLeaf(context.Context, protocol.Digest) (e journal.Entry, found bool, err error) {
	return e, false, nil
}

func (*fakeJournal) EpochLeaf(context.Context, protocol.EpochID) (e journal.Entry, found bool, err error) {
	return e, false, nil
}

func (*fakeJournal) EpochLeafByKey(context.Context, [32]byte) (e journal.Entry, found bool, err error) {
	return e, false, nil
}

func (*fakeJournal) Leaf(context.Context, uint64) (e journal.Entry, found bool, err error) {
	return e, false, nil
}

func (*fakeJournal) Withdrawals(context.Context, protocol.EpochID, protocol.Digest, uint64, int) ([]journal.Entry, error) {
	return nil, nil
}

type fakeHolds services

func (h *fakeHolds) Check(op journal.Operation, _ protocol.Digest) error {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.sealed {
		return protocol.Wrap(protocol.CodeFrozen, "sealed", protocol.ErrPermanent)
	}
	if op == journal.Issue && h.issueHeld || op == journal.Accept && h.frozen {
		return protocol.CodeFrozen
	}
	return nil
}

func (h *fakeHolds) Writable() bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	return !h.unwritable
}

type fakeLedger services

func (l *fakeLedger) Admit() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.behind {
		return protocol.CodeLedgerUnavailable
	}
	return nil
}

func (*fakeLedger) Await(context.Context, uint64) (ledger.Checkpoint, error) {
	return ledger.Checkpoint{}, protocol.CodeLedgerUnavailable
}

func (*fakeLedger) Proof(context.Context, ledger.Checkpoint, uint64) (string, error) {
	return "", protocol.CodeNotFound
}

type fakeProver services

func (p *fakeProver) Prove(ctx context.Context, job *gate.Job) ([]byte, protocol.Tag, error) {
	if _, err := (*services)(p).strike("prove"); err != nil {
		return nil, protocol.Tag{}, err
	}
	p.mu.Lock()
	wrong, err, hangs := p.wrongTag, p.proveErr, p.proveHangs
	var proof []byte
	if len(p.proofs) > 0 {
		proof, p.proofs = p.proofs[0], p.proofs[1:]
	}
	p.mu.Unlock()
	if hangs != nil {
		hangs <- struct{}{}
		select {
		case hangs <- struct{}{}:
		case <-ctx.Done():
			return nil, protocol.Tag{}, ctx.Err()
		}
	}
	tag := job.Tag
	if wrong {
		tag[0] ^= 1
	}
	if err != nil || proof != nil {
		return proof, tag, err
	}
	proof, err = provers(p.t).Prove(ctx, job.Statement, job.Inputs, job.Assignment)
	return proof, tag, err
}

// theProver is one prover for all tests, because its keys take long to make.
var theProver = sync.OnceValues(func() (*claim.Prover, error) { return claim.NewProver(claim.Open) })

func provers(t *testing.T) *claim.Prover {
	t.Helper()
	p, err := theProver()
	if err != nil {
		t.Fatal(err)
	}
	return p
}

const client = "client"

// opened is a challenge with what its client knows besides.
type opened struct {
	*gate.Challenge
	answer     gate.Answer // a valid one, without the proof
	statement  *claim.Statement
	assignment *claim.Assignment
}

// statement makes a fresh commitment for open/1.
func statement(t *testing.T) (*claim.Statement, *claim.Assignment) {
	t.Helper()
	params, err := claim.ParseParams(claim.Open, []byte(`{}`))
	if err != nil {
		t.Fatal(err)
	}
	cm, assignment, err := claim.Commit(params, []byte(`{"n":1}`), claim.NewBlind())
	if err != nil {
		t.Fatal(err)
	}
	st, err := claim.NewStatement(params, cm)
	if err != nil {
		t.Fatal(err)
	}
	return st, assignment
}

func (s *services) open() (*opened, error) { return s.openBy(limit.Payer{Local: true}) }

func (s *services) openBy(by limit.Payer) (*opened, error) {
	s.t.Helper()
	st, assignment := statement(s.t)
	ch, err := s.gate.Open(s.t.Context(), gate.OpenRequest{Claim: claim.Open, Params: []byte(`{}`), Commitment: st.Commitment(), Client: client, By: by})
	if err != nil {
		return nil, err
	}
	return &opened{Challenge: ch, statement: st, assignment: assignment, answer: gate.Answer{RequestID: ch.RequestID, Tag: ch.Tag, Client: client, By: by}}, nil
}

func (s *services) mustOpen() *opened {
	s.t.Helper()
	c, err := s.open()
	if err != nil {
		s.t.Fatalf("open: %v", err)
	}
	return c
}

// proved returns a challenge with a valid answer.
func (s *services) proved() *opened {
	s.t.Helper()
	c := s.mustOpen()
	proof, err := provers(s.t).Prove(s.t.Context(), c.statement, c.Inputs, c.assignment)
	if err != nil {
		s.t.Fatalf("prove: %v", err)
	}
	c.answer.Proof = proof
	return c
}

func (s *services) accept(a gate.Answer) (uint64, error) {
	return s.gate.Accept(s.t.Context(), a)
}

// check verifies what must hold after each step: at most one row for each request, and
// in each row a proof that verifies against what was issued.
func (s *services) check() {
	s.t.Helper()
	s.mu.Lock()
	defer s.mu.Unlock()
	seen := map[protocol.RequestID]bool{}
	for i := range s.rows {
		row := &s.rows[i]
		p, err := protocol.ParsePayload(row.Leaf.Payload[:])
		if err != nil {
			s.t.Fatalf("row %d: %v", i, err)
		}
		if seen[p.RequestID] {
			s.t.Errorf("request %v is accepted twice", p.RequestID)
		}
		seen[p.RequestID] = true
		if at := row.Leaf.Issued.Position; at >= row.Leaf.Issued.Size || s.anchored[at] != p.RequestID {
			s.t.Errorf("request %v is shown at position %d of the issued tree, which belongs to another request", p.RequestID, at)
		}
		params, _ := claim.ParseParams(claim.Open, row.Leaf.Params)
		st, err := claim.NewStatement(params, p.Commitment)
		if err != nil {
			s.t.Fatal(err)
		}
		vk, _ := claim.KnownKey(claim.Open)
		if err := claim.Verify(vk, st.Inputs(row.Leaf.Anchor, protocol.ContextElement(&row.Leaf.Payload), row.Leaf.TagHash), row.Leaf.Proof); err != nil {
			s.t.Errorf("row %d does not verify: %v", i, err)
		}
		if row.ProofDigest != protocol.Digest(sha256.Sum256(row.Leaf.Proof)) {
			s.t.Errorf("row %d has another proof's digest", i)
		}
	}
}

func wantCode(t *testing.T, what string, err error, want protocol.Code) {
	t.Helper()
	if got := protocol.CodeOf(err); got != want {
		t.Errorf("%s: got code %v (%v), want %v", what, got, err, want)
	}
}

var errPlanted = errors.New("planted")

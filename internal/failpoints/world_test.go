package failpoints_test

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"testing"
	"testing/cryptotest"
	"testing/synctest"
	"time"

	"github.com/terradourada/td/audit"
	"github.com/terradourada/td/claim"
	"github.com/terradourada/td/client"
	"github.com/terradourada/td/internal/epochs"
	"github.com/terradourada/td/internal/gate"
	"github.com/terradourada/td/internal/journal"
	"github.com/terradourada/td/internal/lifecycle"
	"github.com/terradourada/td/internal/principal"
	"github.com/terradourada/td/internal/testdata/logtest"
	"github.com/terradourada/td/protocol"
)

// The clock of the gate moves in steps, and requests are opened at the begin of one: so
// a request has the same payload in most cells, and its proof is made once.
const (
	clockStep = time.Minute
	ttl       = 50 * time.Second
	probeAt   = 3 * time.Minute // from the begin of a cell
	patience  = 10 * time.Second
)

const clientID = "client"

// world is a data directory with the processes that have run on it, one after the other,
// and what their clients know.
type world struct {
	*testing.T
	base     string // of the directories
	dir      string
	core     *core
	faulty   *core // that gets the fault
	at       step  // where
	what     fault
	old      []*core
	attempts map[uint64]int // see core
	began    time.Time
	seed     uint64 // of what the next request draws
	requests []*request
	abort    context.CancelFunc // of the caller of the flow

	mu    sync.Mutex
	holds []held
}

// held is the index of a freeze leaf.
type held struct{ freeze, thaw uint64 }

// request is a request of a client.
type request struct {
	*gate.Challenge
	answer     gate.Answer // without the proof before prove
	statement  *claim.Statement
	assignment *claim.Assignment
	accepted   []uint64 // what was acknowledged
	over       bool     // its client learnt that it is not accepted
	core       *core    // that has issued it
}

// newWorld starts a core with an ACTIVE epoch on an empty directory.
func newWorld(t *testing.T, base string) *world {
	t.Helper()
	w := &world{T: t, base: base, dir: filepath.Join(base, "0"), began: time.Now(), attempts: map[uint64]int{}}
	if err := os.Mkdir(w.dir, 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(w.dir, "journal.db"), emptyJournal(), 0o600); err != nil {
		t.Fatal(err)
	}
	w.start(false)
	t.Cleanup(func() {
		if !slices.Contains(w.old, w.core) { // after Fatal
			w.stop()
		}
	})
	w.ready()
	return w
}

// emptyJournal returns a journal without leaves. Making it takes as long as the rest of a
// cell.
var emptyJournal = sync.OnceValue(func() []byte {
	dir, err := os.MkdirTemp("", "td-failpoints-")
	if err != nil {
		panic(err)
	}
	defer func() { _ = os.RemoveAll(dir) }()
	path := filepath.Join(dir, "journal.db")
	j, err := journal.Open(context.Background(), journal.Config{Path: path, Origin: logtest.Origin})
	if err == nil {
		err = j.Close()
	}
	if err != nil {
		panic(err)
	}
	b, err := os.ReadFile(path)
	if err != nil {
		panic(err)
	}
	return b
})

// start starts a core on the present directory. If armed, its start is the flow.
func (w *world) start(armed bool) {
	w.Helper()
	p, there := &points{}, make(chan struct{})
	p.act = map[fault]func(){
		killed:    w.kill,
		frozen:    func() { <-there; w.freeze() },
		cancelled: func() { w.abort() },
		stopped:   func() { <-there; w.core.cancel("epochs") },
	}
	if armed {
		p.arm(w.at, w.what)
	}
	w.core = newCore(w.T, p, w.dir, w.attempts)
	if armed {
		w.faulty = w.core
	}
	close(there)
}

// ready waits for the first epoch of a core.
func (w *world) ready() {
	w.Helper()
	select {
	case <-w.core.epochs.Ready():
	case <-time.After(patience):
		w.Fatal("no epoch is active")
	}
	w.settle()
}

// settle waits until nothing is under way.
func (w *world) settle() {
	time.Sleep(time.Second)
	synctest.Wait()
}

// kill leaves the directory of the process behind as it is now; its successor gets a
// copy.
func (w *world) kill() {
	next := w.dir + "k"
	if err := copyData(w.dir, next); err != nil {
		w.Error(err)
	}
	w.dir = next
}

// restart stops the core, or what is left of a killed one, and starts the next one.
func (w *world) restart() {
	w.Helper()
	w.stop()
	w.start(false)
	w.ready()
}

func (w *world) stop() {
	w.Helper()
	dead := w.core.p.isDead()
	done := make(chan []error, 1)
	go func() { done <- w.core.stop(w.T) }()
	select {
	case errs := <-done:
		if len(errs) > 0 && !dead && !w.core.p.struck {
			w.Errorf("services: %v", errs)
		}
	case <-time.After(time.Hour):
		w.Fatal("the core does not stop")
	}
	w.old = append(w.old, w.core)
}

// operator is the request behind a control action.
var operator = journal.Request{
	Actor: principal.Principal{Kind: principal.LocalUser, UID: 1000}, Role: principal.Commander, Action: "test", Target: "all", Reason: "a test",
}

// freeze stops acceptance, then issue.
func (w *world) freeze() {
	entries, err := w.core.journal.Stop(context.Background(), time.Now(), operator,
		protocol.Control{Action: protocol.ActionFreezeAccept}, protocol.Control{Action: protocol.ActionFreezeIssue})
	if err != nil {
		w.Fatalf("freeze: %v", err)
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	w.holds = append(w.holds, held{freeze: entries[0].Seq})
}

// isFrozen reports whether a freeze is in force.
func (w *world) isFrozen() bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	return len(w.holds) > 0 && w.holds[len(w.holds)-1].thaw == 0
}

// thaw checks that the freeze holds, and ends it.
func (w *world) thaw() {
	w.Helper()
	if _, err := w.open(w.Context()); !errors.Is(err, protocol.CodeFrozen) {
		w.Errorf("open during a freeze: %v", err)
	}
	e, err := w.core.journal.Control(w.Context(), time.Now(), operator, protocol.Control{Action: protocol.ActionThawIssue}, protocol.Control{Action: protocol.ActionThawAccept})
	if err != nil {
		w.Fatalf("thaw: %v", err)
	}
	w.holds[len(w.holds)-1].thaw = e[1].Seq
}

// align waits until the clock of the gate moves.
func (w *world) align() {
	time.Sleep(time.Until(time.Now().Truncate(clockStep).Add(clockStep)))
	synctest.Wait()
}

// protect calls do as the server calls its handlers.
func protect(do func() error) (err error) {
	defer func() {
		if recover() != nil {
			err = protocol.CodeInternal
		}
	}()
	return do()
}

// reseed makes what the next request draws the same in every cell.
func (w *world) reseed() {
	w.seed++
	cryptotest.SetGlobalRandom(w.T, w.seed)
}

// open opens a request with content of its own.
func (w *world) open(ctx context.Context) (*request, error) {
	w.Helper()
	w.reseed()
	statement, assignment := statementOf(w)
	r := &request{statement: statement, assignment: assignment, core: w.core}
	err := protect(func() (err error) {
		r.Challenge, err = w.core.gate.Open(ctx, gate.OpenRequest{
			Claim: claim.Open, Params: []byte(`{}`), Commitment: statement.Commitment(), TTL: ttl, Client: clientID,
		})
		return err
	})
	if w.core.p.isDead() {
		return nil, errDead
	}
	if err != nil {
		return nil, err
	}
	if w.isFrozen() {
		w.Error("a request is issued after a freeze has returned")
	}
	r.answer = gate.Answer{RequestID: r.RequestID, Tag: r.Tag, Client: clientID}
	w.requests = append(w.requests, r)
	return r, nil
}

// proved opens a request and proves it.
func (w *world) proved() *request {
	w.Helper()
	w.align()
	r, err := w.open(w.Context())
	if err != nil {
		w.Fatalf("open: %v", err)
	}
	r.prove(w)
	return r
}

func (r *request) prove(w *world) {
	r.answer.Proof = prove(w, r.statement, r.Inputs, r.assignment)
}

// accept sends the answer of a request and records what is acknowledged.
func (w *world) accept(ctx context.Context, r *request) error {
	c := w.core
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	var index uint64
	err := protect(func() (err error) { index, err = c.gate.Accept(ctx, r.answer); return err })
	if c.p.isDead() {
		return errDead // its client has no answer
	}
	r.learn(index, err)
	return err
}

// learn records an answer.
func (r *request) learn(index uint64, err error) {
	switch protocol.CodeOf(err) {
	case protocol.CodeNone:
		r.accepted = append(r.accepted, index)
	case protocol.CodeInvalidated, protocol.CodeExpired, protocol.CodeProofRejected, protocol.CodeProverBadResponse:
		r.over = true
	}
}

// push pushes an event and waits for its outcome.
func (w *world) push(ctx context.Context) {
	w.Helper()
	w.reseed()
	c, r := w.core, &request{core: w.core}
	var index uint64
	err := protect(func() error {
		p, wait, err := c.gate.Push(ctx, gate.PushRequest{Claim: claim.Open, Params: []byte(`{}`), Event: []byte(`{"n":1}`), TTL: ttl, Client: clientID})
		if err != nil {
			return err
		}
		if !c.p.isDead() {
			r.Challenge = &gate.Challenge{RequestID: p.RequestID}
			w.requests = append(w.requests, r)
		}
		late, cancel := context.WithTimeout(ctx, 2*clockStep)
		defer cancel()
		index, err = wait(late)
		return err
	})
	if !c.p.isDead() {
		r.learn(index, err)
	}
}

func statementOf(t testing.TB) (*claim.Statement, *claim.Assignment) {
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

var (
	theProver = sync.OnceValues(func() (*claim.Prover, error) { return claim.NewProver(claim.Open) })
	proofs    = struct {
		sync.Mutex
		of   map[protocol.Digest][]byte
		made int
	}{of: map[protocol.Digest][]byte{}}
)

// prove returns a proof over inputs. It makes each proof once.
func prove(t testing.TB, st *claim.Statement, inputs []protocol.Element, assignment *claim.Assignment) []byte {
	t.Helper()
	h := sha256.New()
	for _, x := range inputs {
		h.Write(x[:])
	}
	key := protocol.Digest(h.Sum(nil))
	proofs.Lock()
	defer proofs.Unlock()
	if proof, ok := proofs.of[key]; ok {
		return proof
	}
	p, err := theProver()
	if err != nil {
		t.Fatal(err)
	}
	proof, err := p.Prove(context.Background(), st, inputs, assignment)
	if err != nil {
		t.Fatal(err)
	}
	proofs.of[key] = proof
	proofs.made++
	return proof
}

// prover proves pushed events.
type prover struct {
	t testing.TB
	p *points
}

func (v prover) Prove(_ context.Context, job *gate.Job) (proof []byte, tag protocol.Tag, err error) {
	err = v.p.pass("prover.Prove", func() error {
		proof, tag = prove(v.t, job.Statement, job.Inputs, job.Assignment), job.Tag
		return nil
	})
	return proof, tag, err
}

// recover brings a core back to work after a fault, and checks that it works.
func (w *world) recover() {
	w.Helper()
	struck := w.core.p.disarm()
	switch {
	case w.core.p.isDead():
		w.restart()
	case struck && w.core.p.fault == stopped:
		w.restart()
	}
	w.settle()
	if w.isFrozen() {
		for _, r := range w.requests { // whatever was not accepted before
			_ = w.again(r)
		}
		w.thaw()
	}
	for _, r := range w.requests {
		_ = w.again(r)
	}
	w.probe()
}

// again sends the same answer again. It must not be accepted at another index.
func (w *world) again(r *request) error {
	if r.answer.Proof == nil {
		return nil
	}
	err := w.accept(w.Context(), r)
	if err != nil && len(r.accepted) > 0 && r.core == w.core {
		w.Errorf("an accepted request, answered again: %v", err)
	}
	return err
}

// probe checks that requests are issued and accepted, that every request of the flow has
// ended, and that no epoch waits for one.
func (w *world) probe() {
	w.Helper()
	time.Sleep(time.Until(w.began.Add(probeAt)))
	w.settle()
	if n := w.core.sessions.Pending(); n != 0 {
		w.Errorf("%d places of sessions are taken when all have ended", n)
	}
	if all := w.core.epochs.Status(); len(all) != 1 || all[0].Phase != lifecycle.EpochActive || all[0].Pending != 0 {
		w.Errorf("epochs: %+v", all)
	}
	r, err := w.reopen()
	if err != nil {
		w.Fatalf("open when the fault is over: %v", err)
	}
	r.prove(w)
	if err := w.accept(w.Context(), r); err != nil {
		w.Errorf("accept when the fault is over: %v", err)
	}
}

// reopen opens a request. An epoch that the gate distrusts must be rotated first.
func (w *world) reopen() (*request, error) {
	w.align()
	r, err := w.open(w.Context())
	if !errors.Is(err, protocol.CodeInvalidated) || w.core.p.at.call != "epoch.Destroy" || w.core.p.fault != panicked {
		return r, err
	}
	if _, err := w.core.epochs.Rotate(w.Context(), epochs.Now); err != nil {
		return nil, err
	}
	return w.open(w.Context())
}

// finish stops the last core and checks all that is left.
func (w *world) finish() {
	w.Helper()
	w.stop()
	for _, c := range w.old {
		w.checkKeyholders(c)
	}
	w.checkAudit()
	w.checkLog(w.leaves())
}

// checkKeyholders checks what the keyholders of one process were asked.
func (w *world) checkKeyholders(c *core) {
	w.Helper()
	signers, taggers := c.children()
	for i, s := range signers {
		if !isClosed(s.done) && !c.p.isDead() {
			w.Errorf("signer %d is left behind", i)
		}
		if len(s.gave) > 1 {
			w.Errorf("signer %d hands over to %v", i, s.gave)
		}
		if s.late > 0 {
			w.Errorf("signer %d was asked for %d anchors after its key was wiped", i, s.late)
		}
	}
	for i, t := range taggers {
		if !isClosed(t.done) && !c.p.isDead() {
			w.Errorf("tagger %d is left behind", i)
		}
		for id, one := range t.tags {
			if one.redeemed > 1 {
				w.Errorf("the tag of %v was redeemed %d times", id, one.redeemed)
			}
		}
	}
}

func isClosed(c <-chan struct{}) bool {
	select {
	case <-c:
		return true
	default:
		return false
	}
}

// checkAudit audits the published log by the rules of an auditor.
func (w *world) checkAudit() {
	w.Helper()
	report, err := audit.Run(context.Background(), client.NewLogDir(filepath.Join(w.dir, "ledger")), audit.Options{AllowSelfAsserted: true})
	if err != nil {
		w.Errorf("audit: %v", err)
		return
	}
	if !report.OK {
		w.Errorf("audit: %s %q", report.Verdict, report.Faults)
	}
}

// leaves returns the leaves of the journal. The published log must have the same.
func (w *world) leaves() (leaves []*protocol.Leaf) {
	w.Helper()
	entries := w.core.leaves
	log := client.NewLogDir(filepath.Join(w.dir, "ledger"))
	size, err := log.Size(context.Background())
	if err != nil || size != uint64(len(entries)) {
		w.Errorf("the published log has %d leaves (%v), the journal %d", size, err, len(entries))
	}
	err = log.Leaves(context.Background(), size, func(index uint64, leaf []byte) error {
		if index >= uint64(len(entries)) || !slices.Equal(leaf, entries[index].Leaf) {
			return fmt.Errorf("leaf %d differs", index)
		}
		return nil
	})
	if err != nil {
		w.Errorf("log: %v", err)
	}
	for _, e := range entries {
		leaf, err := protocol.ParseLeaf(e.Leaf)
		if err != nil {
			w.Fatal(err)
		}
		leaves = append(leaves, &leaf)
	}
	return leaves
}

// checkLog checks the log against what the clients and the keyholders know.
func (w *world) checkLog(leaves []*protocol.Leaf) {
	w.Helper()
	at := map[protocol.RequestID][]uint64{}
	opened, closed := map[protocol.EpochID]int{}, map[protocol.EpochID]int{}
	ended := map[protocol.EpochID]uint64{}
	for i, leaf := range leaves {
		switch b := leaf.Body.(type) {
		case *protocol.Accepted:
			p, _ := protocol.ParsePayload(b.Payload[:]) // the journal has parsed it
			at[p.RequestID] = append(at[p.RequestID], uint64(i))
			ended[p.EpochID]++
			for _, h := range w.holds {
				if h.freeze < uint64(i) && uint64(i) < h.thaw {
					w.Errorf("leaf %d was accepted between the freeze %d and the thaw %d", i, h.freeze, h.thaw)
				}
			}
			if !w.wasIssued(p.EpochID, b.Issued.Position, p.RequestID) {
				w.Errorf("leaf %d was not issued at position %d", i, b.Issued.Position)
			}
		case *protocol.EpochOpen:
			opened[b.ID]++
		case *protocol.EpochClose:
			closed[b.ID]++
			w.checkClose(i, b, ended[b.ID])
		}
	}
	for _, r := range w.requests {
		got := at[r.RequestID]
		if len(got) > 1 {
			w.Errorf("request %v is accepted at %v", r.RequestID, got)
		}
		if r.over && len(got) > 0 {
			w.Errorf("request %v is accepted at %v, and its client was refused", r.RequestID, got)
		}
		if w.what == cancelled && len(got) == 0 && w.wasRedeemed(r.RequestID) {
			w.Errorf("request %v was redeemed and is lost, because its client has gone", r.RequestID)
		}
		for _, index := range r.accepted {
			if !slices.Contains(got, index) {
				w.Errorf("request %v was acknowledged at %d and is at %v", r.RequestID, index, got)
			}
		}
	}
	for id, n := range opened {
		if n != 1 || closed[id] != 1 {
			w.Errorf("epoch %v has %d open and %d close leaves", id, n, closed[id])
		}
	}
}

// checkClose checks the counts of a close leaf.
func (w *world) checkClose(i int, c *protocol.EpochClose, accepted uint64) {
	w.Helper()
	s := w.signer(c.ID)
	sum := c.Accepted + c.Rejected + c.Expired + c.Invalidated
	orderly := c.Reason == protocol.CloseRotated || c.Reason == protocol.CloseShutdown
	switch {
	case s == nil:
		w.Errorf("leaf %d closes an epoch without a signer", i)
	case c.Accepted != accepted:
		w.Errorf("leaf %d counts %d accepted, want %d", i, c.Accepted, accepted)
	case orderly && (sum != c.Issued.Size || c.Issued.Size != s.epoch.Issued.Size()):
		w.Errorf("leaf %d does not add up: %+v, issued %d", i, c, s.epoch.Issued.Size())
	case !orderly && c.Reason != protocol.CloseLost && sum < s.epoch.Issued.Size():
		w.Errorf("leaf %d counts less than was issued: %+v, issued %d", i, c, s.epoch.Issued.Size())
	}
}

// signer returns the signer of an epoch.
func (w *world) signer(id protocol.EpochID) *signer {
	for _, c := range w.old {
		signers, _ := c.children()
		for _, s := range signers {
			if s.EpochID() == id {
				return s
			}
		}
	}
	return nil
}

func (w *world) wasRedeemed(id protocol.RequestID) bool {
	for _, c := range w.old {
		_, taggers := c.children()
		for _, t := range taggers {
			if one := t.tags[id]; one != nil && one.redeemed > 0 {
				return true
			}
		}
	}
	return false
}

func (w *world) wasIssued(epoch protocol.EpochID, position uint64, id protocol.RequestID) bool {
	s := w.signer(epoch)
	return s != nil && position < uint64(len(s.issued)) && s.issued[position] == id
}

package journal_test

import (
	"context"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"math"
	"path/filepath"
	"sync/atomic"
	"testing"
	"time"

	"github.com/terradourada/td/internal/journal"
	"github.com/terradourada/td/internal/principal"
	"github.com/terradourada/td/protocol"
)

// opener opens the journal under test; called again with the same config it
// opens the same journal.
type opener func(testing.TB, journal.Config) *journal.Journal

// newSQLite returns the opener for SQLite in a temporary directory.
func newSQLite(tb testing.TB) opener {
	tb.Helper()
	return sqliteAt(filepath.Join(tb.TempDir(), "journal.db"))
}

// sqliteAt returns the opener for SQLite at a path.
func sqliteAt(path string) opener {
	return func(tb testing.TB, cfg journal.Config) *journal.Journal {
		tb.Helper()
		cfg.Path = path
		j, err := openFree(tb, cfg)
		if err != nil {
			tb.Fatal(err)
		}
		return j
	}
}

// openFree opens a journal that this process has had open. A child that another
// test has just started holds the lock too, until it executes its program.
func openFree(tb testing.TB, cfg journal.Config) (*journal.Journal, error) {
	tb.Helper()
	for end := time.Now().Add(10 * time.Second); ; time.Sleep(5 * time.Millisecond) {
		j, err := journal.Open(tb.Context(), cfg)
		if journal.CauseOf(err) != journal.CauseLocked || time.Now().After(end) {
			return j, err
		}
	}
}

// log is a running journal with one epoch open and one claim registered, and
// what it should hold by now.
type log struct {
	testing.TB
	*journal.Journal
	open  opener
	cfg   journal.Config
	stop  func()
	epoch protocol.EpochOpen
	vk    protocol.Digest
	now   time.Time
	told  []journal.Entry // by Config.Committed; read it while no write is under way
}

var unique atomic.Uint64

// bytes32 returns 32 bytes that no other call returns, a canonical field
// element.
func bytes32() [32]byte {
	d := sha256.Sum256(binary.BigEndian.AppendUint64([]byte("journal test"), unique.Add(1)))
	d[0] = 0
	return d
}

func bytes16() [16]byte { b := bytes32(); return [16]byte(b[1:]) }

// newLog opens and runs a journal with an epoch and a claim (two leaves).
func newLog(tb testing.TB, open opener, cfg journal.Config) *log {
	tb.Helper()
	l := emptyLog(tb, open, cfg)
	l.openEpoch()
	l.vk = l.addClaim()
	return l
}

func emptyLog(tb testing.TB, open opener, cfg journal.Config) *log {
	tb.Helper()
	l := &log{TB: tb, open: open, cfg: cfg, now: time.UnixMilli(1_800_000_000_000)}
	l.cfg.Committed = func(e []journal.Entry) { l.told = append(l.told, e...) }
	l.start()
	tb.Cleanup(func() { l.stop() })
	return l
}

func (l *log) start() {
	l.Helper()
	j := l.open(l.TB, l.cfg)
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- j.Run(ctx) }()
	l.Journal = j
	l.stop = func() {
		cancel()
		if err := <-done; err != nil {
			l.Error(err)
		}
		if err := j.Close(); err != nil {
			l.Error(err)
		}
		l.stop = func() {}
	}
}

func (l *log) restart() {
	l.Helper()
	l.stop()
	l.start()
}

func (l *log) openEpoch() {
	l.Helper()
	l.epoch = l.nextEpoch()
	l.mustAppend(&l.epoch)
}

// nextEpoch returns an epoch that the journal can open next.
func (l *log) nextEpoch() protocol.EpochOpen {
	l.Helper()
	n, id, index, err := l.LastEpoch(l.Context())
	if err != nil {
		l.Fatal(err)
	}
	return protocol.EpochOpen{
		Number: n + 1, ID: bytes16(), Instance: bytes16(), CheckpointKey: bytes32(), Previous: id, PreviousIndex: index,
	}
}

func (l *log) closeEpoch() {
	l.Helper()
	l.mustAppend(&protocol.EpochClose{
		ID: l.epoch.ID, Number: l.epoch.Number, Reason: protocol.CloseRotated, Issued: issued().SignedRoot,
	})
}

// issued returns a fresh place in an issued tree, greater than all before. The
// journal verifies no signature.
func issued() protocol.Issued {
	n := unique.Add(1)
	return protocol.Issued{Position: n, SignedRoot: signedRoot(n + 1), Path: []protocol.Digest{bytes32(), bytes32()}}
}

func signedRoot(size uint64) protocol.SignedRoot {
	return protocol.SignedRoot{Size: size, Root: bytes32(), Signature: [64]byte{1}}
}

func claimLeaf() *protocol.ClaimLeaf {
	return &protocol.ClaimLeaf{ClaimID: "open/1", List: protocol.ListID(bytes32()), VK: make([]byte, protocol.VKSize)}
}

func (l *log) addClaim() protocol.Digest {
	l.Helper()
	c := claimLeaf()
	l.mustAppend(c)
	return protocol.VKFingerprint(c.ClaimID, c.List, c.SRS, c.VK)
}

func (l *log) mustAppend(body protocol.LeafBody) journal.Entry {
	l.Helper()
	var e journal.Entry
	var err error
	if incident, ok := body.(*protocol.Incident); ok {
		e, err = l.Incident(l.Context(), l.now, asked("incident"), incident.Kind)
	} else {
		e, err = l.Append(l.Context(), l.now, body)
	}
	if err != nil {
		l.Fatal(err)
	}
	return e
}

// acceptance returns a fresh one under the log's epoch and claim.
func (l *log) acceptance() *journal.Acceptance { return acceptance(&l.epoch, l.vk) }

func acceptance(e *protocol.EpochOpen, vk protocol.Digest) *journal.Acceptance {
	p := protocol.Payload{
		Mode: protocol.ModePull, RequestID: bytes16(), Nonce: bytes32(), EpochID: e.ID, EpochNumber: e.Number,
		Seq: 1, TTL: protocol.DefaultTTL, Commitment: bytes32(), Client: bytes32(), VK: vk, Statement: bytes32(), Instance: e.Instance,
	}
	proof := make([]byte, 0, protocol.ProofSize+32)
	for len(proof) < protocol.ProofSize {
		b := bytes32()
		proof = append(proof, b[:]...)
	}
	proof = proof[:protocol.ProofSize]
	return &journal.Acceptance{
		Leaf: protocol.Accepted{
			Payload: p.Encode(), Anchor: bytes32(), TagHash: bytes32(), Issued: issued(), Params: []byte("{}"), Proof: proof,
		},
		Claim:       "open/1",
		ProofDigest: sha256.Sum256(proof),
	}
}

// change edits the payload of an acceptance.
func change(a *journal.Acceptance, edit func(*protocol.Payload)) *journal.Acceptance {
	p := payload(a)
	edit(&p)
	a.Leaf.Payload = p.Encode()
	return a
}

func payload(a *journal.Acceptance) protocol.Payload {
	p, err := protocol.ParsePayload(a.Leaf.Payload[:])
	if err != nil {
		panic(err)
	}
	return p
}

func request(a *journal.Acceptance) protocol.RequestID { return payload(a).RequestID }

func (l *log) accept(a *journal.Acceptance) error {
	_, err := l.Accept(l.Context(), l.now, a)
	return err
}

func (l *log) mustAccept(a *journal.Acceptance) journal.Entry {
	l.Helper()
	e, err := l.Accept(l.Context(), l.now, a)
	if err != nil {
		l.Fatal(err)
	}
	return e
}

func (l *log) control(action protocol.ControlAction, target protocol.Digest) error {
	_, err := l.Control(l.Context(), l.now, asked(action.String()), protocol.Control{Action: action, Target: target})
	return err
}

// asked is a request of the operator with uid 1000.
func asked(action string) journal.Request {
	return journal.Request{
		Actor: principal.Principal{Kind: principal.LocalUser, UID: 1000}, Role: principal.Operator, Action: action, Target: "all", Reason: "a test",
	}
}

func (l *log) mustControl(action protocol.ControlAction, target protocol.Digest) {
	l.Helper()
	if err := l.control(action, target); err != nil {
		l.Fatal(err)
	}
}

// want checks the code of an outcome, and that the outcome is known.
func want(tb testing.TB, what string, err error, code protocol.Code) {
	tb.Helper()
	if got := protocol.CodeOf(err); got != code || errors.Is(err, journal.ErrUnknown) {
		tb.Errorf("%s: got %v, want %v", what, err, code)
	}
}

// check re-verifies everything: the log by its own rules, the index against the
// log, and the listener against both.
func (l *log) check(size uint64) {
	l.Helper()
	n, err := l.Size(l.Context())
	if err != nil || n != size {
		l.Errorf("size is %d (%v), want %d", n, err, size)
	}
	if len(l.told) != int(size) {
		l.Errorf("the listener heard of %d entries, want %d", len(l.told), size)
	}
	entries := checkLog(l, l.Journal)
	for i, e := range entries {
		if i < len(l.told) && (l.told[i].Seq != e.Seq || string(l.told[i].Leaf) != string(e.Leaf)) {
			l.Fatalf("the listener heard of another entry %d", i)
		}
	}
}

// checkLog reads the whole log and checks it as an auditor would, without the
// journal's help. It then checks that the index finds each entry.
func checkLog(tb testing.TB, j *journal.Journal) []journal.Entry {
	tb.Helper()
	a := auditor{
		seen: make(map[[32]byte]bool), epochs: make(map[protocol.EpochID]*audited),
		claims: make(map[protocol.Digest]bool), stopped: make(map[protocol.Digest]bool),
	}
	var all []journal.Entry
	for {
		part, err := j.Leaves(tb.Context(), uint64(len(all)), 1000)
		if err != nil {
			tb.Fatal(err)
		}
		if len(part) == 0 {
			break
		}
		for _, e := range part {
			a.entry(tb, j, uint64(len(all)), e)
			all = append(all, e)
		}
	}
	if n, err := j.Size(tb.Context()); err != nil || n != uint64(len(all)) {
		tb.Errorf("size is %d (%v), but %d leaves can be read", n, err, len(all))
	}
	a.last(tb, j)
	mustVerifyAudit(tb, j)
	return all
}

// auditor replays a log.
type auditor struct {
	time        uint64
	withdrawals uint32
	seen        map[[32]byte]bool // request ids (padded), anchors, commitments
	epochs      map[protocol.EpochID]*audited
	latest      audited                  // epoch; zero before the first
	claims      map[protocol.Digest]bool // registered
	stopped     map[protocol.Digest]bool // accept is held or retired; zero for all
	sealed      bool
}

// audited is an epoch of the log.
type audited struct {
	number, index  uint64 // of the leaf that opened it
	id             protocol.EpochID
	closed, dead   bool // dead: closed or revoked
	accepted       uint64
	greatestIssued protocol.SignedRoot
}

func (a *auditor) entry(tb testing.TB, j *journal.Journal, seq uint64, e journal.Entry) {
	tb.Helper()
	leaf, err := protocol.ParseLeaf(e.Leaf)
	if err != nil {
		tb.Fatalf("leaf %d: %v", seq, err)
	}
	if e.Seq != seq || leaf.Seq != seq || leaf.Time < a.time {
		tb.Fatalf("leaf %d is numbered %d/%d, time %d after %d", seq, e.Seq, leaf.Seq, leaf.Time, a.time)
	}
	if leaf.Withdrawals != a.withdrawals {
		tb.Errorf("leaf %d counts %d withdrawals before it, want %d", seq, leaf.Withdrawals, a.withdrawals)
	}
	a.time = leaf.Time
	switch b := leaf.Body.(type) {
	case *protocol.Accepted:
		a.accepted(tb, j, e, b)
	case *protocol.EpochOpen:
		if b.Number <= a.latest.number || b.Previous != a.latest.id || b.PreviousIndex != a.latest.index {
			tb.Errorf("leaf %d: epoch %d after %d, previous %s at %d, want %s at %d",
				seq, b.Number, a.latest.number, b.Previous, b.PreviousIndex, a.latest.id, a.latest.index)
		}
		a.latest = audited{number: b.Number, index: seq, id: b.ID}
		opened := a.latest
		a.epochs[b.ID] = &opened
	case *protocol.EpochClose:
		a.closed(tb, seq, b)
	case *protocol.ClaimLeaf:
		a.claims[protocol.VKFingerprint(b.ClaimID, b.List, b.SRS, b.VK)] = true
	case *protocol.Control:
		a.control(b)
	}
}

func (a *auditor) closed(tb testing.TB, seq uint64, c *protocol.EpochClose) {
	tb.Helper()
	e := a.epochs[c.ID]
	if e == nil || e.closed {
		tb.Fatalf("leaf %d closes an epoch that is not open", seq)
	}
	e.closed, e.dead = true, true
	if c.Accepted != e.accepted {
		tb.Errorf("leaf %d counts %d accepted, want %d", seq, c.Accepted, e.accepted)
	}
	switch orderly := c.Reason == protocol.CloseShutdown || c.Reason == protocol.CloseRotated; {
	case !orderly && c.Issued != e.greatestIssued:
		tb.Errorf("leaf %d has the issued root of size %d, want the greatest accepted one, %d", seq, c.Issued.Size, e.greatestIssued.Size)
	case orderly && (c.Issued.Size < e.greatestIssued.Size || c.Issued.Size != c.Accepted+c.Rejected+c.Expired+c.Invalidated):
		tb.Errorf("leaf %d does not add up: %+v", seq, c)
	}
}

// last compares the end of the log with what the journal reports about it.
func (a *auditor) last(tb testing.TB, j *journal.Journal) {
	tb.Helper()
	number, id, index, err := j.LastEpoch(tb.Context())
	if err != nil || number != a.latest.number || id != a.latest.id || index != a.latest.index {
		tb.Errorf("LastEpoch returned %d, %s at %d (%v), want %+v", number, id, index, err, a.latest)
	}
	all, err := j.Withdrawals(tb.Context(), protocol.EpochID{}, protocol.Digest{}, math.MaxUint64, math.MaxInt)
	if err != nil || len(all) != int(a.withdrawals) {
		tb.Errorf("%d withdrawals are listed (%v), want %d", len(all), err, a.withdrawals)
	}
	for i, e := range all {
		leaf, err := protocol.ParseLeaf(e.Leaf)
		if err != nil || leaf.Withdrawals != uint32(i) || !leaf.Withdraws() || leaf.Seq != e.Seq {
			tb.Errorf("withdrawal %d is leaf %d with number %d (%v)", i, e.Seq, leaf.Withdrawals, err)
		}
	}
}

func (a *auditor) control(c *protocol.Control) {
	switch c.Action {
	case protocol.ActionFreezeAccept:
		a.stopped[c.Target] = true
	case protocol.ActionThawAccept:
		delete(a.stopped, c.Target)
	case protocol.ActionSeal:
		a.sealed = true
	case protocol.ActionRetireVK:
		target := c.Target
		target[0] ^= 0xff // no thaw ends it
		a.stopped[target] = true
		a.withdrawals++
	case protocol.ActionRevokeEpoch:
		a.epochs[protocol.EpochID(c.Target[:])].dead = true
		a.withdrawals++
	}
}

func (a *auditor) accepted(tb testing.TB, j *journal.Journal, e journal.Entry, b *protocol.Accepted) {
	tb.Helper()
	p, err := protocol.ParsePayload(b.Payload[:])
	if err != nil {
		tb.Fatal(err)
	}
	retired := p.VK
	retired[0] ^= 0xff
	if a.sealed || a.stopped[protocol.Digest{}] || a.stopped[p.VK] || a.stopped[retired] {
		tb.Errorf("leaf %d was accepted during a freeze", e.Seq)
	}
	epoch := a.epochs[p.EpochID]
	if epoch == nil || epoch.dead || epoch.number != p.EpochNumber || !a.claims[p.VK] {
		tb.Fatalf("leaf %d was accepted under a dead epoch or an unknown claim", e.Seq)
	}
	epoch.accepted++
	if b.Issued.Size > epoch.greatestIssued.Size {
		epoch.greatestIssued = b.Issued.SignedRoot
	}
	var id [32]byte
	copy(id[:], p.RequestID[:])
	id[31] = 1
	for _, v := range [][32]byte{id, b.Anchor, [32]byte(p.Commitment)} {
		if a.seen[v] {
			tb.Errorf("leaf %d repeats a request id, anchor or commitment", e.Seq)
		}
		a.seen[v] = true
	}
	f, ok, err := j.Accepted(tb.Context(), p.RequestID)
	if err != nil || !ok || f.Seq != e.Seq || string(f.Leaf) != string(e.Leaf) {
		tb.Errorf("the index finds %d (%v, %v) for leaf %d", f.Seq, ok, err, e.Seq)
	}
}

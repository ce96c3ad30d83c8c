package control_test

import (
	"context"
	"crypto/rand"
	"log/slog"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/terradourada/td/claim"
	"github.com/terradourada/td/internal/control"
	"github.com/terradourada/td/internal/epochs"
	"github.com/terradourada/td/internal/gate"
	"github.com/terradourada/td/internal/journal"
	"github.com/terradourada/td/internal/ledger"
	"github.com/terradourada/td/internal/lifecycle"
	"github.com/terradourada/td/internal/principal"
	"github.com/terradourada/td/internal/session"
	"github.com/terradourada/td/protocol"
)

// world is a control over a real gate and a real journal. Its one epoch is in memory.
type world struct {
	*control.Control
	t        *testing.T
	journal  *journal.Journal
	gate     *gate.Gate
	sessions *session.Table
	vk       protocol.Digest
	diverged chan struct{}

	mu      sync.Mutex
	tags    map[protocol.RequestID]protocol.Tag
	anchors uint64
	ended   map[lifecycle.Phase]int
	rotated []epochs.How
	id      protocol.EpochID
}

func newWorld(t *testing.T) *world {
	t.Helper()
	w := &world{t: t, diverged: make(chan struct{}), tags: map[protocol.RequestID]protocol.Tag{}, ended: map[lifecycle.Phase]int{}, id: protocol.EpochID{7}}
	var err error
	if w.journal, err = journal.Open(t.Context(), journal.Config{Path: filepath.Join(t.TempDir(), "journal.db")}); err != nil {
		t.Fatal(err)
	}
	w.run(w.journal.Run, func() {
		if err := w.journal.Close(); err != nil {
			t.Error(err)
		}
	})
	key, _ := claim.KnownKey(claim.Open)
	w.vk = key.Fingerprint(claim.Open, protocol.ListID{})
	for _, body := range []protocol.LeafBody{
		&protocol.ClaimLeaf{ClaimID: string(claim.Open), SRS: claim.SRSDigest(), VK: key.Encode()},
		&protocol.EpochOpen{Number: 1, ID: w.id, CheckpointKey: [32]byte{1}},
	} {
		if _, err := w.journal.Append(t.Context(), time.Now(), body); err != nil {
			t.Fatal(err)
		}
	}
	w.sessions = session.New(session.Config{})
	w.gate = gate.New(gate.Config{
		Epochs: w, Sessions: w.sessions, Journal: w.journal, Holds: w.journal, Ledger: noLedger{},
		Claims: []gate.Claim{{ID: claim.Open, Key: key, Fingerprint: w.vk}}, Log: discard(),
	})
	w.run(w.gate.Run, nil)
	w.Control = control.New(control.Config{
		Journal: w.journal, Gate: w.gate, Epochs: machine{w}, Diverged: w.diverged,
		Claims: map[claim.ID][]protocol.Digest{claim.Open: {w.vk}}, Log: discard(),
	})
	return w
}

// run runs a service until the end of the test.
func (w *world) run(service func(context.Context) error, then func()) {
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- service(ctx) }()
	w.t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			w.t.Error(err)
		}
		if then != nil {
			then()
		}
	})
}

func by(reason string) control.By {
	return control.By{Actor: principal.Principal{Kind: principal.LocalUser, UID: 1000}, Role: principal.Commander, Reason: reason}
}

// rows returns the audit rows.
func (w *world) rows() []journal.AuditRow {
	w.t.Helper()
	rows, err := w.journal.AuditRows(w.t.Context(), 0, 1000)
	if err != nil {
		w.t.Fatal(err)
	}
	return rows
}

// open opens a request of a commitment.
func (w *world) open() (*gate.Challenge, *claim.Statement, *claim.Assignment, error) {
	params, _ := claim.ParseParams(claim.Open, []byte(`{}`))
	cm, assignment, err := claim.Commit(params, []byte(`{"n":1}`), claim.NewBlind())
	if err != nil {
		return nil, nil, nil, err
	}
	st, err := claim.NewStatement(params, cm)
	if err != nil {
		return nil, nil, nil, err
	}
	c, err := w.gate.Open(w.t.Context(), gate.OpenRequest{Claim: claim.Open, Params: []byte(`{}`), Commitment: cm, Client: "local"})
	return c, st, assignment, err
}

func (w *world) mustOpen() *gate.Challenge {
	w.t.Helper()
	c, _, _, err := w.open()
	if err != nil {
		w.t.Fatal(err)
	}
	return c
}

// prover is one prover for all tests, because its keys take long to make.
var prover = sync.OnceValues(func() (*claim.Prover, error) { return claim.NewProver(claim.Open) })

// answer returns a valid answer to a new request.
func (w *world) answer() gate.Answer {
	w.t.Helper()
	c, st, assignment, err := w.open()
	if err != nil {
		w.t.Fatal(err)
	}
	p, err := prover()
	if err != nil {
		w.t.Fatal(err)
	}
	proof, err := p.Prove(w.t.Context(), st, c.Inputs, assignment)
	if err != nil {
		w.t.Fatal(err)
	}
	return gate.Answer{RequestID: c.RequestID, Tag: c.Tag, Proof: proof, Client: "local"}
}

func (w *world) Begin(context.Context, time.Duration) (gate.Epoch, error) { return w, nil }

func (w *world) Find(id protocol.EpochID) (gate.Epoch, bool) { return w, id == w.id }

func (w *world) ID() protocol.EpochID { return w.id }
func (w *world) Number() uint64       { return 1 }
func (w *world) Destroy()             {}

func (w *world) Issue(_ context.Context, draft *protocol.EncodedPayload) (protocol.EncodedPayload, protocol.Tag, error) {
	p, err := protocol.ParseDraft(draft[:])
	if err != nil {
		return protocol.EncodedPayload{}, protocol.Tag{}, err
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	var tag protocol.Tag
	_, _ = rand.Read(tag[:])
	w.tags[p.RequestID] = tag
	p.Seq = uint64(len(w.tags))
	return p.Encode(), tag, nil
}

func (w *world) Anchor(_ context.Context, p *protocol.EncodedPayload) (protocol.Anchor, uint64, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.anchors++
	return protocol.Anchor(protocol.H2F("test-anchor", p[:])), w.anchors - 1, nil
}

func (w *world) Issued(_ context.Context, position uint64) (protocol.Issued, error) {
	return protocol.Issued{Position: position, SignedRoot: protocol.SignedRoot{Size: 1 << 20, Signature: [64]byte{1}}}, nil
}

func (w *world) Redeem(_ context.Context, p *protocol.EncodedPayload, tag protocol.Tag) (protocol.Redemption, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.tags[protocol.RequestID(p[16:32])] != tag {
		return protocol.RedeemMismatch, nil
	}
	return protocol.RedeemOK, nil
}

func (w *world) Cancel(context.Context, protocol.RequestID) error { return nil }

func (*world) Withdraw() {}

func (w *world) Ended(how lifecycle.Phase) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.ended[how]++
}

// machine is what package epochs does, at once.
type machine struct{ *world }

func (w machine) Seal(ctx context.Context, s epochs.Seal) (uint64, error) {
	s.Stop()
	if _, err := w.journal.Append(ctx, time.Now(), &protocol.EpochClose{ID: w.id, Number: 1, Reason: protocol.CloseLost}); err != nil {
		return 0, err
	}
	return s.Commit(ctx)
}

func (w machine) Rotate(_ context.Context, how epochs.How) (epochs.Rotated, error) {
	w.rotated = append(w.rotated, how)
	return epochs.Rotated{Number: 2}, nil
}

func (w machine) EndAll() (await func(context.Context) (epochs.Rotated, error)) {
	w.rotated = append(w.rotated, epochs.Now)
	return func(context.Context) (epochs.Rotated, error) { return epochs.Rotated{Number: 2}, nil }
}

type noLedger struct{}

func (noLedger) Admit() error { return nil }

func (noLedger) Await(context.Context, uint64) (ledger.Checkpoint, error) {
	return ledger.Checkpoint{}, protocol.CodeLedgerUnavailable
}

func (noLedger) Proof(context.Context, ledger.Checkpoint, uint64) (string, error) {
	return "", protocol.CodeNotFound
}

func discard() *slog.Logger { return slog.New(slog.DiscardHandler) }

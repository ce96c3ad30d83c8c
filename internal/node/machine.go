package node

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/terradourada/td/claim"
	"github.com/terradourada/td/internal/attest"
	"github.com/terradourada/td/internal/config"
	"github.com/terradourada/td/internal/control"
	"github.com/terradourada/td/internal/epochs"
	"github.com/terradourada/td/internal/fault"
	"github.com/terradourada/td/internal/gate"
	"github.com/terradourada/td/internal/keyholder"
	"github.com/terradourada/td/internal/prover"
	"github.com/terradourada/td/internal/sandbox"
	"github.com/terradourada/td/internal/session"
	"github.com/terradourada/td/internal/telemetry"
	"github.com/terradourada/td/protocol"
)

// machine issues and accepts: epochs, gate and prover over the records. It holds no
// key of the protocol.
type machine struct {
	*records
	claims []gate.Claim
	epochs *epochs.Manager
	gate   *gate.Gate
	sealed bool         // no epoch opens, and nothing is written
	pool   *prover.Pool // nil if the server does not prove

	sessions *session.Table
}

// newMachine wires the machine. Until it is started no epoch is active, and what
// needs a key is refused with draining; receipts are derived from the records alone.
func (n *node) newMachine(ctx context.Context) (*machine, error) {
	cfg, r := n.Settings, n.records
	least, err := sandbox.ParseGrade(cfg.MinGrade)
	if err != nil {
		return nil, err
	}
	state, err := r.journal.State(ctx)
	if err != nil {
		return nil, err
	}
	m := &machine{records: r, claims: n.claims, sealed: state.Sealed}
	var instance protocol.InstanceID
	_, _ = rand.Read(instance[:]) // never returns an error, see crypto/rand
	report := &n.reporting
	starter := reportedStarter{Starter(n.children, cfg, nil), report}
	died := func(role string) { report.change(telemetry.ChildDied, role, 1) }
	breached := func(role string) { report.change(telemetry.KeyholderBreached, role, 1) }
	keys := keyholder.Config{Died: died, Breached: breached, Log: n.Log, Capacity: uint32(cfg.MaxSessions) * 2, MinGrade: least, Core: n.confined, Starter: starter}
	m.epochs = epochs.New(epochs.Config{
		StartSigner: func(ctx context.Context, number uint64) (epochs.Signer, error) {
			return keyholder.StartSigner(ctx, keys, keyholder.SignerStart{Origin: r.journal.Origin(), Number: number, Instance: instance})
		},
		StartTagger: func(ctx context.Context, id protocol.EpochID, number uint64) (epochs.Tagger, error) {
			t, err := keyholder.StartTagger(ctx, keys, id, number)
			if err != nil {
				return nil, err
			}
			report.tagger.Store(t)
			return t, nil
		},
		Journal:    r.journal,
		Ledger:     r.ledger,
		Instance:   instance,
		Build:      n.build,
		Log:        n.Log,
		Invalidate: func(id protocol.EpochID) { m.gate.EpochEnded(id) },
		MaxIssued:  cfg.MaxIssued,
		Schedule:   schedule(cfg),
		Now:        now,
		Sealed:     m.sealed,

		DeathLimit:  cfg.DeathLimit,
		DeathWindow: cfg.DeathWindow,
		Freeze:      func(ctx context.Context) error { return r.freeze(ctx, reasonDeaths) },

		Differs: func(what string) { report.change(telemetry.RootsDiffer, what, 1) },

		Attest:     attestEpochs(n.attestor),
		MustAttest: cfg.Attestation != attest.WantAuto,
	})
	m.sessions = session.New(session.Config{MaxPending: cfg.MaxSessions})
	g := gate.Config{
		Epochs:        gateEpochs{m.epochs},
		Sessions:      m.sessions,
		Observe:       report.observeGate,
		Journal:       r.journal,
		Holds:         r.journal,
		Ledger:        r.ledger,
		Claims:        m.claims,
		Instance:      instance,
		Policy:        policy(cfg, m.claims),
		Log:           n.Log,
		Now:           now,
		DefaultTTL:    cfg.TTL(),
		VerifyWorkers: cfg.VerifyWorkers,
		Marks:         report.marker(),
	}
	if cfg.Prover == config.ProverLocal && !cfg.ReadOnly {
		m.pool = prover.NewPool(prover.PoolConfig{Workers: cfg.ProverWorkers, Queue: cfg.ProverQueue, Log: n.Log, Starter: starter, Died: died})
		g.Prover = gateProver{m.pool, report.change}
		g.MaxPush = cfg.ProverQueue
	}
	if n.calculator != nil {
		g.Calculate = n.calculator.Do
	}
	m.gate = gate.New(g)
	return m, nil
}

// schedule returns when epochs are rotated.
func schedule(cfg *config.Config) epochs.Schedule {
	from, to := cfg.Window()
	return epochs.Schedule{Off: cfg.Rotation == config.RotationManual, MaxAge: cfg.MaxAge, From: from, To: to}
}

// startMachine registers the claims, starts the services, and waits until the first
// epoch is active and has signed a checkpoint.
func (n *node) startMachine(ctx context.Context) error {
	m, s := n.machine, n.services
	if !m.sealed {
		if err := m.registerClaims(ctx); err != nil {
			return err
		}
	}
	control, err := m.newControl(ctx)
	if err != nil {
		return err
	}
	n.control = control
	if err := n.breakGlass(ctx); err != nil {
		return err
	}
	if m.pool != nil && !m.sealed {
		s.start("prover", m.pool.Run)
	}
	s.start("epochs", m.epochs.Run)
	s.start("gate", m.gate.Run)
	s.start("pace of the collector", func(ctx context.Context) error { return paceCollector(ctx, m.sessions.Pending) })
	s.start("watch on the ledger", m.freezeOnDivergence)
	s.start("control", control.Run)
	if err := n.startWatch(ctx); err != nil {
		return err
	}
	if err := n.startAdmin(ctx); err != nil {
		return err
	}
	if m.sealed {
		n.Log.Info("log is sealed; it is served and nothing is added")
		return nil
	}
	if err := m.awaitEpoch(ctx, s); err != nil {
		return err
	}
	return m.awaitCheckpoint(ctx)
}

// newControl returns what acts on this core. Every claim has its leaf.
func (m *machine) newControl(ctx context.Context) (*control.Control, error) {
	entries, err := m.journal.ClaimLeaves(ctx)
	if err != nil {
		return nil, err
	}
	claims := make(map[claim.ID][]protocol.Digest)
	for _, e := range entries {
		_, body, err := bodyOf[*protocol.ClaimLeaf](e)
		if err != nil {
			return nil, err
		}
		id := claim.ID(body.ClaimID)
		claims[id] = append(claims[id], protocol.VKFingerprint(body.ClaimID, body.List, body.SRS, body.VK))
	}
	return control.New(control.Config{
		Journal: m.journal, Gate: m.gate, Epochs: m.epochs, Diverged: m.ledger.Diverged(), Claims: claims, Log: m.log, Now: now,
	}), nil
}

// registerClaims commits the claim leaf of every claim that has none yet: a claim
// may be issued once its leaf is committed (section 12).
func (m *machine) registerClaims(ctx context.Context) error {
	for i := range m.claims {
		cl := &m.claims[i]
		_, known, err := m.journal.ClaimLeaf(ctx, cl.Fingerprint)
		if err != nil {
			return err
		}
		if known {
			continue
		}
		leaf := &protocol.ClaimLeaf{ClaimID: string(cl.ID), SRS: claim.SRSDigest(), VK: cl.Key.Encode()}
		if cl.List != nil {
			leaf.List = cl.List.ID()
		}
		if _, err := m.journal.Append(ctx, now(), leaf); err != nil {
			return fmt.Errorf("commit claim leaf: %w", err)
		}
	}
	return nil
}

// awaitEpoch waits for the first epoch. It returns an error if a service ends
// instead.
func (m *machine) awaitEpoch(ctx context.Context, s *services) error {
	select {
	case <-m.epochs.Ready():
		return nil
	case ended := <-s.ended:
		if refusal := new(sandbox.Refusal); errors.As(ended.err, &refusal) {
			return fault.New(fault.Config, refusal.Error(), "td doctor shows what this machine offers; --min-grade asks for less")
		}
		return fmt.Errorf("%s ended at start: %w", ended.name, ended.reason())
	case <-ctx.Done():
		return ctx.Err()
	case <-time.After(time.Minute):
		why := "signer or tagger has not answered"
		if trouble := m.epochs.Trouble(); trouble != nil {
			why = trouble.Why
		}
		return fault.New(fault.Unexpected, "no epoch opened within a minute: "+why, "the log above says more: look for epoch did not open")
	}
}

// awaitCheckpoint waits for a checkpoint that covers the leaf of the newest epoch.
func (m *machine) awaitCheckpoint(ctx context.Context) error {
	_, _, index, err := m.journal.LastEpoch(ctx)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, firstCheckpoint)
	defer cancel()
	if _, err := m.ledger.Await(ctx, index); err != nil {
		return fmt.Errorf("first checkpoint: %w", err)
	}
	return nil
}

// loadClaims returns the claims in force: the fixed ones and one for each member
// list. The self-test of the verifier runs beside it.
func loadClaims(lists []*claim.List) ([]gate.Claim, error) {
	var claims []gate.Claim
	for _, id := range claim.IDs() {
		if key, ok := claim.KnownKey(id); ok {
			claims = append(claims, gate.Claim{ID: id, Key: key, Fingerprint: key.Fingerprint(id, protocol.ListID{})})
		}
	}
	of := make([]gate.Claim, len(lists))
	var group errgroup.Group
	group.Go(claim.SelfTest)
	for i, l := range lists {
		group.Go(func() error {
			key, err := l.VerifyingKey()
			if err != nil {
				return err
			}
			of[i] = gate.Claim{ID: claim.Group, List: l, Key: key, Fingerprint: key.Fingerprint(claim.Group, l.ID())}
			return nil
		})
	}
	if err := group.Wait(); err != nil {
		return nil, err
	}
	return append(claims, of...), nil
}

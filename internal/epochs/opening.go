package epochs

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/terradourada/td/internal/lifecycle"
	"github.com/terradourada/td/internal/sandbox"
	"github.com/terradourada/td/protocol"
)

// opening is one run of [lifecycle.StepOpening].
type opening struct {
	m     *Manager
	state lifecycle.Opening
	giver *Epoch // the epoch before, nil if none is ACTIVE
	next  *Epoch // nil before its keyholders have started
	leaf  *protocol.EpochOpen
	proof []byte // evidence of hardware, if it is required
	seq   uint64 // of the leaf, once it is in the log
	tries int    // failed steps in a row

	heldAt time.Time // since when issue is held
}

// open opens the next epoch, in a rotation if one is ACTIVE. A rotation returns an error
// if the epoch before stays ACTIVE. Else open goes on until it has an epoch; an error
// means that ctx has ended or that trying again cannot help.
func (m *Manager) open(ctx context.Context) (*Epoch, error) {
	o := &opening{m: m}
	o.giver, _ = m.Active()
	var code protocol.Code
	if o.state, code = lifecycle.BeginOpening(o.giver != nil, m.draining()); code != protocol.CodeNone {
		return nil, protocol.Fail(code, "too many epochs are draining")
	}
	for o.state.Step != lifecycle.OpeningIdle {
		step := o.state.Step
		outcome, err := o.take(ctx)
		if err != nil && (ctx.Err() != nil || m.neverReady() && errors.As(err, new(*sandbox.Refusal))) {
			o.giveUp()
			return nil, err
		}
		o.report(step, outcome, err)
		o.state = lifecycle.StepOpening(o.state, lifecycle.OpeningLearnt{
			Outcome: outcome,
			Giver:   o.giver != nil && !o.giver.destroyed() && !isClosed(o.giver.signer.Done()),
			Next:    o.next != nil && !isClosed(o.next.signer.Done()) && !isClosed(o.next.tagger.Done()),
		})
		if o.state.Step == lifecycle.OpeningIdle && step != lifecycle.OpeningActivate {
			o.drop()
			return nil, fmt.Errorf("the next epoch did not start: %w", err)
		}
	}
	return o.next, nil
}

// report counts and logs the failure of a step. While no epoch is ACTIVE, each reason is
// logged once.
func (o *opening) report(step lifecycle.OpeningStep, outcome lifecycle.Outcome, err error) {
	switch {
	case outcome == lifecycle.OutcomeDone:
		o.tries = 0
		return
	case err == nil:
		return
	}
	o.tries++
	if o.state.Giver == lifecycle.GiverActive || o.m.noteTrouble(kindOf(err)) {
		o.m.cfg.Log.Error("epoch did not open", "step", step.String(), "held", o.state.Held, "retry_in_ms", o.pause().Milliseconds(), "err", err)
	}
}

// pause returns how long to wait before the next attempt.
func (o *opening) pause() time.Duration {
	if o.tries == 0 {
		return backoff(o.m.troubles)
	}
	return backoff(max(o.m.troubles, 1) + o.tries)
}

// take carries out the step under way. The steps from the hold on do not end with ctx:
// an epoch that has handed over needs its successor. Only the pauses do.
func (o *opening) take(run context.Context) (lifecycle.Outcome, error) {
	ctx, step := run, o.state.Step
	o.m.begin()
	if o.outdated() {
		o.drop()
		return lifecycle.OutcomeFailed, errForced
	}
	if step == lifecycle.OpeningFind || step == lifecycle.OpeningStart && o.state.Giver != lifecycle.GiverActive {
		if !sleep(ctx, o.pause()) {
			return lifecycle.OutcomeFailed, ctx.Err()
		}
	}
	if o.giver != nil && step != lifecycle.OpeningStart {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(context.WithoutCancel(ctx), closeTimeout)
		defer cancel()
	}
	var err error
	switch step {
	case lifecycle.OpeningStart:
		err = o.start(ctx)
	case lifecycle.OpeningDrain:
		err = o.drain(ctx)
	case lifecycle.OpeningRoot:
		err = o.root(ctx)
	case lifecycle.OpeningCheckpoint:
		o.m.cfg.Ledger.UnsetSigner(o.giver) // the epoch refuses what the ledger sends or asks for from now on
		err = o.giver.lastCheckpoint(ctx)
	case lifecycle.OpeningHandover:
		err = o.handover(ctx)
	case lifecycle.OpeningWrite:
		err = o.write(ctx)
	case lifecycle.OpeningFind:
		return o.find(ctx)
	case lifecycle.OpeningDestroy:
		o.giver.Destroy()
	case lifecycle.OpeningActivate:
		err = o.activate(run)
	default:
		panic("epochs: internal error: unknown step of an opening")
	}
	if err != nil {
		return lifecycle.OutcomeFailed, err
	}
	return lifecycle.OutcomeDone, nil
}

// start starts both children of the next epoch. If it fails, both have ended.
func (o *opening) start(ctx context.Context) error {
	m := o.m
	forces := m.forced.Load()
	o.drop()
	m.collect(ctx)
	if err := m.settleDeaths(ctx); err != nil {
		return err
	}
	if err := m.closeLost(ctx); err != nil {
		return fmt.Errorf("close lost epochs: %w", err)
	}
	last, previous, index, err := m.cfg.Journal.LastEpoch(ctx)
	if err != nil {
		return err
	}
	number := max(last, m.floor) + 1
	signer, err := m.cfg.StartSigner(ctx, number)
	if err != nil {
		return fmt.Errorf("start signer: %w", err)
	}
	tagger, err := m.cfg.StartTagger(ctx, signer.EpochID(), number)
	if err != nil {
		return errors.Join(fmt.Errorf("start tagger: %w", err), signer.Close())
	}
	o.next = m.newEpoch(number, signer, tagger)
	o.next.forces = forces
	signs, tags := signer.Posture(), tagger.Posture()
	o.leaf = &protocol.EpochOpen{
		Number:        number,
		ID:            o.next.id,
		Instance:      m.cfg.Instance,
		PublicKey:     signer.PublicKey(),
		Build:         m.cfg.Build,
		SignerGrade:   uint8(signs.Grade()),
		TaggerGrade:   uint8(tags.Grade()),
		Posture:       PostureDigest(signs, tags),
		CheckpointKey: signer.CheckpointKey(),
		Previous:      previous,
		PreviousIndex: index,
	}
	if !m.mustAttest() {
		return nil
	}
	// A machine without evidence adds nothing to the log.
	if o.proof, err = m.attest(ctx, o.leaf); err != nil {
		o.drop()
		return fmt.Errorf("%w: %w", errAttest, err)
	}
	return nil
}

func (m *Manager) newEpoch(number uint64, s Signer, t Tagger) *Epoch {
	e := &Epoch{
		number: number, id: s.EpochID(), signer: s, tagger: t, log: m.cfg.Log, differs: m.cfg.Differs, jitter: m.cfg.Random(),
		maxIssued: m.cfg.MaxIssued, soon: m.cfg.MaxIssued - m.cfg.MaxIssued/8,
		suspect: make(chan struct{}), idle: make(chan struct{}),
	}
	e.crowded = func() {
		select {
		case m.crowded <- struct{}{}:
		default:
		}
	}
	return e
}

// outdated reports whether the keys of the next epoch are older than a forced rotation,
// and may be dropped at this step. Once its leaf may be in the log, the epoch becomes
// ACTIVE and ends at once, so that it is closed like any other.
func (o *opening) outdated() bool {
	switch o.state.Step {
	case lifecycle.OpeningFind, lifecycle.OpeningActivate, lifecycle.OpeningDestroy:
		return false
	default:
		return o.next != nil && o.next.forces != o.m.forced.Load()
	}
}

// errForced ends the opening of an epoch whose keys are older than a forced rotation.
var errForced = errors.New("all epochs were ended, also the one that opens")

// drop ends the children of an epoch that is not to open.
func (o *opening) drop() {
	if o.next != nil {
		o.m.reap(o.next)
		o.next = nil
	}
}

// giveUp ends an opening that the end of the core overtakes. The epoch before is closed
// with the others.
func (o *opening) giveUp() {
	o.drop()
	o.m.change(func(t *turn) { t.held = false })
}

// drain holds issue, waits for the requests that are being issued and wipes the key
// that anchors.
func (o *opening) drain(ctx context.Context) error {
	m, e := o.m, o.giver
	o.heldAt = m.cfg.Now()
	m.change(func(t *turn) { t.held = true })
	effects, err := e.step(m.cfg.Now(), lifecycle.EpochDrain{Reason: protocol.CloseRotated, Draining: m.draining()})
	if err != nil {
		return err // it has failed meanwhile
	}
	quiet, cancel := context.WithTimeout(ctx, m.cfg.CloseGrace)
	defer cancel()
	e.awaitQuiet(quiet)
	for _, effect := range effects {
		if effect == lifecycle.EpochEffectWipe {
			err = errors.Join(err, e.signer.Wipe(ctx))
		}
	}
	return err
}

// root gets the root that the epoch before drains on.
func (o *opening) root(ctx context.Context) error {
	root, err := o.giver.signer.IssuedRoot(ctx)
	if err == nil {
		o.giver.keepRoot(root)
	}
	return err
}

func (o *opening) handover(ctx context.Context) (err error) {
	o.m.floor = o.leaf.Number // also if the signature is lost
	if o.leaf.Handover, err = o.giver.handover(ctx, o.leaf); err == nil {
		_ = o.giver.signer.Wipe(ctx) // of the checkpoint key; a signer that does not answer is killed
	}
	return err
}

// write commits the open leaf, and the evidence if there is some.
func (o *opening) write(ctx context.Context) error {
	o.m.collect(ctx)
	if err := o.m.settleDeaths(ctx); err != nil {
		return err
	}
	if !o.state.Handed {
		o.leaf.Handover = protocol.SignedRoot{}
	}
	entry, err := o.m.cfg.Journal.Append(ctx, o.m.cfg.Now(), o.leaf)
	if err != nil {
		return fmt.Errorf("commit epoch-open leaf: %w", err)
	}
	o.seq = entry.Seq
	return o.saveProof(ctx)
}

// saveProof stores the evidence before the epoch issues anything.
func (o *opening) saveProof(ctx context.Context) error {
	if o.proof == nil {
		return nil
	}
	err := o.m.cfg.Journal.SaveAttestation(ctx, o.leaf.ID, o.proof)
	if err != nil && !errors.Is(err, protocol.CodeConflict) { // it is stored already
		return fmt.Errorf("store attestation: %w", err)
	}
	return nil
}

// find looks for the open leaf. The journal decides an entry of unknown outcome before
// the next one, so a leaf that is not there is written again.
func (o *opening) find(ctx context.Context) (lifecycle.Outcome, error) {
	_, id, index, err := o.m.cfg.Journal.LastEpoch(ctx)
	if err == nil && id != o.leaf.ID {
		return lifecycle.OutcomeFailed, nil
	}
	if err == nil {
		o.seq = index
		err = o.saveProof(ctx)
	}
	if err != nil {
		return lifecycle.OutcomeUnknown, err
	}
	return lifecycle.OutcomeDone, nil
}

// activate makes the next epoch ACTIVE and lets the epoch before drain.
func (o *opening) activate(ctx context.Context) error {
	m, e := o.m, o.next
	m.cfg.Ledger.SetSigner(e, o.seq)
	if _, err := e.step(m.cfg.Now(), lifecycle.EpochOpened{}); err != nil {
		return err
	}
	e.index = o.seq
	m.change(func(t *turn) { t.active, t.held, t.live = e, false, append(t.live, e) })
	if e.forces != m.forced.Load() {
		e.force() // meanwhile, which may not have seen it among the others
	}
	m.keepers.Go(func() { m.keep(ctx, e) })
	if o.giver != nil {
		o.giver.release()
		giver := o.giver
		m.reaped.Go(func() { _ = giver.signer.Close() }) // it has no key any more
	}
	if m.neverReady() {
		close(m.ready)
	}
	m.clear()
	m.describe(e, o)
	m.attestLater(ctx, e, o.leaf)
	return nil
}

// describe logs an epoch that has become ACTIVE.
func (m *Manager) describe(e *Epoch, o *opening) {
	signs, tags := e.signer.Posture(), e.tagger.Posture()
	attrs := []any{
		"epoch", e.id.String(), "number", e.number, "seq", o.seq,
		"signer_grade", signs.Grade().String(), "tagger_grade", tags.Grade().String(),
	}
	if o.state.Held {
		attrs = append(attrs, "handed_over", o.state.Handed, "held_ms", m.cfg.Now().Sub(o.heldAt).Milliseconds())
	}
	m.cfg.Log.Info("epoch active", attrs...)
	m.cfg.Log.Info("posture", "number", e.number, "digest", o.leaf.Posture.String())
	signs.Log(m.cfg.Log, "signer", "number", e.number)
	tags.Log(m.cfg.Log, "tagger", "number", e.number)
}

// PostureDigest returns the posture of an epoch as in its open leaf:
// D("TD-V1-posture", text of the signer's posture, text of the tagger's).
func PostureDigest(signer, tagger sandbox.Posture) protocol.Digest {
	return protocol.D("TD-V1-posture", []byte(signer.Text()), []byte(tagger.Text()))
}

// closeTimeout bounds the commit of a leaf.
const closeTimeout = 10 * time.Second

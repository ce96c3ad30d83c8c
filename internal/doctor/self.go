package doctor

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"time"

	"github.com/terradourada/td/claim"
	"github.com/terradourada/td/internal/config"
	"github.com/terradourada/td/internal/keyholder"
	"github.com/terradourada/td/internal/node"
	"github.com/terradourada/td/internal/prover"
	"github.com/terradourada/td/internal/sandbox"
	"github.com/terradourada/td/protocol"
)

// keyholders starts a signer and a tagger as a server does, takes one request
// through them, and returns how they are protected.
func (d *doctor) keyholders(ctx context.Context) map[string]sandbox.Posture {
	const id = "keyholders"
	begun := time.Now()
	p, err := tryKeyholders(ctx, d.cfg)
	refusal := new(sandbox.Refusal)
	switch {
	case errors.As(err, &refusal):
		d.bad(sandbox.StateMissing, sectionSelfTest, id, refusal.Error(), "--min-grade asks for less")
	case err != nil:
		d.bad(sandbox.StateMissing, sectionSelfTest, id, err.Error(), "the log of td serve says more")
	default:
		d.ok(sectionSelfTest, id, fmt.Sprintf("signer grade %s, tagger grade %s; a payload was tagged, anchored and redeemed once, in %d ms",
			p[sectionSigner].Grade(), p[sectionTagger].Grade(), time.Since(begun).Milliseconds()))
	}
	return p
}

// tryKeyholders returns the postures of the keyholders that it could start.
func tryKeyholders(ctx context.Context, cfg *config.Config) (postures map[string]sandbox.Posture, err error) {
	postures = map[string]sandbox.Posture{}
	least, err := sandbox.ParseGrade(cfg.MinGrade)
	if err != nil {
		return postures, err
	}
	keys := keyholder.Config{Capacity: 16}
	children, err := node.StartLauncher(ctx, cfg, nil)
	if err != nil {
		return postures, err
	}
	keys.Starter = node.Starter(children, cfg, nil)
	if children != nil {
		defer func() { err = errors.Join(err, children.Close()) }()
		uid, _ := node.CoreUser(cfg, cfg.Attestation)
		if keys.Core, err = node.TryCore(ctx, uid, children.Closed()); err != nil {
			return postures, err
		}
	}
	random := randomBytes()
	instance := protocol.InstanceID(random[:16])
	signer, err := keyholder.StartSigner(ctx, keys, keyholder.SignerStart{Origin: "doctor", Number: 1, Instance: instance})
	if err != nil {
		return postures, fmt.Errorf("the signer does not start: %w", err)
	}
	defer func() { err = errors.Join(err, signer.Close()) }()
	postures[sectionSigner] = signer.Posture()
	tagger, err := keyholder.StartTagger(ctx, keys, signer.EpochID(), 1)
	if err != nil {
		return postures, fmt.Errorf("the tagger does not start: %w", err)
	}
	defer func() { err = errors.Join(err, tagger.Close()) }()
	postures[sectionTagger] = tagger.Posture()
	if err := handshake(ctx, signer, tagger, instance); err != nil {
		return postures, err
	}
	return postures, errors.Join(signer.Posture().Require("signer", least), tagger.Posture().Require("tagger", least))
}

// handshake takes one request through both keyholders.
func handshake(ctx context.Context, signer *keyholder.Signer, tagger *keyholder.Tagger, instance protocol.InstanceID) error {
	random := randomBytes()
	draft := protocol.Payload{
		Mode:        protocol.ModePull,
		RequestID:   protocol.RequestID(random[:16]),
		Nonce:       protocol.Nonce(randomBytes()),
		EpochID:     signer.EpochID(),
		EpochNumber: 1,
		IssuedAt:    uint64(time.Now().UnixMilli()),
		TTL:         protocol.DefaultTTL,
		Commitment:  protocol.Commitment(protocol.SmallElement(1)),
		Instance:    instance,
	}
	encoded := draft.Encode()
	payload, tag, err := tagger.Issue(ctx, &encoded)
	if err != nil {
		return fmt.Errorf("the tagger does not tag: %w", err)
	}
	if _, _, err := signer.Anchor(ctx, &payload); err != nil {
		return fmt.Errorf("the signer does not anchor: %w", err)
	}
	for _, want := range []protocol.Redemption{protocol.RedeemOK, protocol.RedeemUsed} {
		got, err := tagger.Redeem(ctx, &payload, tag)
		if err != nil {
			return fmt.Errorf("the tagger does not redeem: %w", err)
		}
		if got != want {
			return errors.New("the tagger does not redeem a tag exactly once")
		}
	}
	return nil
}

// randomBytes returns 32 bytes of the system's random source.
func randomBytes() (b [32]byte) {
	_, _ = rand.Read(b[:]) // never returns an error, see crypto/rand
	return b
}

// prover starts a prover as a server does and has it prove one statement.
func (d *doctor) prover(ctx context.Context) {
	const id = "prover"
	if d.cfg.Prover != config.ProverLocal {
		d.ok(sectionSelfTest, id, "none is configured; pushed events are refused")
		return
	}
	begun := time.Now()
	if err := tryProver(ctx, d.cfg); err != nil {
		d.bad(sandbox.StateMissing, sectionSelfTest, id, err.Error(), "--prover none does without: clients then prove themselves")
		return
	}
	d.ok(sectionSelfTest, id, fmt.Sprintf("started, and its proof verifies, in %d ms", time.Since(begun).Milliseconds()))
}

// proverPatience bounds the start of a prover and one proof.
const proverPatience = 30 * time.Second

func tryProver(ctx context.Context, cfg *config.Config) error {
	job, err := sampleJob()
	if err != nil {
		return err
	}
	ctx, cancel := context.WithCancel(ctx)
	pool, ended := prover.NewPool(prover.PoolConfig{Workers: 1, Starter: node.Starter(nil, cfg, nil)}), make(chan error, 1)
	go func() { ended <- pool.Run(ctx) }()
	answer, err := pool.Prove(ctx, job)
	cancel()
	<-ended
	if err != nil {
		return fmt.Errorf("the prover does not prove: %w", err)
	}
	key, _ := claim.KnownKey(claim.Open)
	if !answer.Tag.Equal(job.Tag) {
		return errors.New("the prover returned another tag")
	}
	return claim.Verify(key, job.Inputs, answer.Proof)
}

// sampleJob returns a proof of open/1 to make, with made-up public inputs.
func sampleJob() (*prover.Job, error) {
	params, err := claim.ParseParams(claim.Open, []byte(`{}`))
	if err != nil {
		return nil, err
	}
	cm, assignment, err := claim.Commit(params, []byte(`{}`), claim.NewBlind())
	if err != nil {
		return nil, err
	}
	st, err := claim.NewStatement(params, cm)
	if err != nil {
		return nil, err
	}
	tag := protocol.Tag(randomBytes())
	return &prover.Job{
		Claim:      claim.Open,
		Params:     params.Bytes(),
		Commitment: cm,
		Inputs:     st.Inputs(protocol.Anchor(protocol.SmallElement(1)), protocol.SmallElement(2), protocol.TagElement(tag)),
		Assignment: assignment,
		Tag:        tag,
		Deadline:   time.Now().Add(proverPatience),
	}, nil
}

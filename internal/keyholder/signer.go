package keyholder

import (
	"context"
	"encoding/binary"
	"time"

	"github.com/terradourada/td/internal/sandbox"
	"github.com/terradourada/td/protocol"
)

const kindSigner = "signer"

// Signer is the core's side of one signer process. Its methods may be called
// from any goroutine; none waits longer than its context, the life of the
// process or [Config.AnswerTimeout]. The code of an error is invalidated when
// the process is gone, or the context ended after the request was sent.
type Signer struct {
	link  *link
	start SignerStart
	ready signerReady
}

// StartSigner starts a signer, which draws its keys and its epoch id, and waits
// until it is ready. The context bounds the start, not the life of the process.
func StartSigner(ctx context.Context, cfg Config, start SignerStart) (*Signer, error) {
	if err := start.check(); err != nil {
		return nil, err
	}
	began := time.Now()
	start.uid = cfg.UID
	l, b, err := startLink(ctx, cfg, kindSigner, signerRequests(), signerAnswers(), start.frame(), signerReadySize)
	if err != nil {
		return nil, err
	}
	ready, err := parseSignerReady(b)
	if err == nil {
		err = l.judge(ready.posture)
	}
	if err != nil {
		return nil, l.abort(err)
	}
	l.serve()
	l.cfg.Log.Info("signer ready", "pid", l.child.process.Pid, "epoch", ready.epoch.String(), "took", time.Since(began),
		"grade", ready.posture.Grade().String())
	return &Signer{link: l, start: start, ready: ready}, nil
}

// EpochID names the epoch; the signer drew it.
func (s *Signer) EpochID() protocol.EpochID { return s.ready.epoch }

// PublicKey is the ML-DSA-65 public key of the epoch (FIPS 204 encoding).
func (s *Signer) PublicKey() [protocol.MLDSAPublicKeySize]byte { return s.ready.publicKey }

// CheckpointKey is the Ed25519 public key that signs the epoch's checkpoints.
func (s *Signer) CheckpointKey() [32]byte { return s.ready.checkpoint }

// Posture is what the signer said of its own protection when it was ready. Its
// probes are not to be changed.
func (s *Signer) Posture() sandbox.Posture { return s.ready.posture }

// Anchor gives the anchor of a payload of this epoch, at most once for each
// sequence number: after a refusal ([ErrRefused], code invalidated) there is no
// other. It does not wait for a free slot (code overloaded). A payload of
// another epoch, number or instance has code invalidated and is not sent.
func (s *Signer) Anchor(ctx context.Context, payload *protocol.EncodedPayload) (protocol.Anchor, error) {
	p, err := protocol.ParsePayload(payload[:])
	if err != nil {
		return protocol.Anchor{}, err
	}
	if p.EpochID != s.ready.epoch || p.EpochNumber != s.start.Number || p.Instance != s.start.Instance {
		return protocol.Anchor{}, protocol.Wrap(protocol.CodeInvalidated, "The request belongs to another epoch.", errForeign)
	}
	f, err := s.link.call(ctx, false, reqAnchor, payload[:])
	switch {
	case err != nil:
		return protocol.Anchor{}, err
	case f.code == ansRefused:
		return protocol.Anchor{}, protocol.Wrap(protocol.CodeInvalidated, "The request can no longer be anchored.", ErrRefused)
	case f.code != ansAnchor || protocol.CheckElement(f.body[:protocol.ElementSize]) != nil:
		return protocol.Anchor{}, s.link.unexpected()
	}
	return protocol.Anchor(f.body[:protocol.ElementSize]), nil
}

// Checkpoint gives the Ed25519 signature of the note text of a checkpoint of
// the epoch's origin, size and root (C2SP tlog-checkpoint, signed-note
// signature without its key hash). It is refused ([ErrRefused], code internal)
// for a smaller size than before, for another root of the same size, and after
// the hand-over; before the first checkpoint the tree counts as empty.
func (s *Signer) Checkpoint(ctx context.Context, size uint64, root [32]byte) ([64]byte, error) {
	return s.signature(ctx, reqCheckpoint, binary.BigEndian.AppendUint64(nil, size), root[:])
}

// Handover signs that the next epoch has this id, number and checkpoint key
// (section 12), with size and root of the last checkpoint it signed (of the
// empty tree if there was none). It is the last thing the checkpoint key does:
// refused ([ErrRefused], code internal) the second time, and for a number that
// does not grow or an id that does not change.
func (s *Signer) Handover(ctx context.Context, next protocol.EpochID, number uint64, key [32]byte) ([64]byte, error) {
	return s.signature(ctx, reqHandover, next[:], binary.BigEndian.AppendUint64(nil, number), key[:])
}

func (s *Signer) signature(ctx context.Context, code byte, body ...[]byte) ([64]byte, error) {
	f, err := s.link.call(ctx, true, code, body...)
	switch {
	case err != nil:
		return [64]byte{}, err
	case f.code == ansRefused:
		return [64]byte{}, protocol.Wrap(protocol.CodeInternal, "The signer refused to sign.", ErrRefused)
	case f.code != ansSignature:
		return [64]byte{}, s.link.unexpected()
	}
	return [64]byte(f.body[:64]), nil
}

// Wipe destroys the ML-DSA key, after the anchors that were asked for before,
// and, after the hand-over, the checkpoint key. It can be repeated.
func (s *Signer) Wipe(ctx context.Context) error {
	return s.link.order(ctx, reqWipe)
}

// Done closes when the process is gone, and with it every key.
func (s *Signer) Done() <-chan struct{} { return s.link.done }

// Err is why the process ended, nil while it lives and after an orderly
// [Signer.Close].
func (s *Signer) Err() error { return s.link.Err() }

// Close ends the process and waits for it, killing it after
// [Config.CloseGrace]. It can be repeated.
func (s *Signer) Close() error { return s.link.Close() }

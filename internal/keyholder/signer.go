package keyholder

import (
	"context"
	"crypto/ed25519"
	"encoding/binary"
	"slices"
	"sync"
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
	link   *link
	start  SignerStart
	ready  signerReady
	issued issuedTree

	telling sync.Mutex // held while the log is sent to the signer
	begun   bool       // guarded by telling
}

// StartSigner starts a signer, which draws its keys, and waits until it is ready. The
// context bounds the start, not the life of the process.
func StartSigner(ctx context.Context, cfg Config, start SignerStart) (*Signer, error) {
	if err := start.check(); err != nil {
		return nil, err
	}
	began := time.Now()
	l, b, err := startLink(ctx, cfg, kindSigner, signerRequests(), signerAnswers(), start.frame(), signerReadySize)
	if err != nil {
		return nil, err
	}
	ready, err := parseSignerReady(b)
	if err == nil {
		err = l.judge(&ready.posture)
	}
	if err != nil {
		return nil, l.abort(err)
	}
	s := &Signer{link: l, start: start, ready: ready, issued: issuedTree{origin: start.Origin, epoch: ready.epoch, key: ready.checkpoint}}
	l.serve()
	l.cfg.Log.Info("signer ready", "pid", l.child.PID, "epoch", ready.epoch.String(), "took_ms", time.Since(began).Milliseconds(),
		"grade", ready.posture.Grade().String())
	return s, nil
}

// EpochID names the epoch. It follows from the two public keys.
func (s *Signer) EpochID() protocol.EpochID { return s.ready.epoch }

// PublicKey is the ML-DSA-65 public key of the epoch (FIPS 204 encoding).
func (s *Signer) PublicKey() [protocol.MLDSAPublicKeySize]byte { return s.ready.publicKey }

// CheckpointKey is the Ed25519 public key that signs the epoch's checkpoints.
func (s *Signer) CheckpointKey() [32]byte { return s.ready.checkpoint }

// Posture is what the signer said of its own protection when it was ready. Its
// probes are not to be changed.
func (s *Signer) Posture() sandbox.Posture { return s.ready.posture }

// Anchor returns the anchor of a payload of this epoch and its position in the
// issued tree, counted from 0, at most once for each sequence number: after a
// refusal ([ErrRefused], code invalidated) there is no other. It does not wait
// for a free slot (code overloaded). A payload of another epoch, number or
// instance has code invalidated and is not sent.
func (s *Signer) Anchor(ctx context.Context, payload *protocol.EncodedPayload) (protocol.Anchor, uint64, error) {
	p, err := protocol.ParsePayload(payload[:])
	if err != nil {
		return protocol.Anchor{}, 0, err
	}
	if p.EpochID != s.ready.epoch || p.EpochNumber != s.start.Number || p.Instance != s.start.Instance {
		return protocol.Anchor{}, 0, protocol.Wrap(protocol.CodeInvalidated, "the request belongs to another epoch", errForeign)
	}
	sent := *payload // the caller may have given up, and reuse its own, when the answer is read
	record := func(f *frame) error { return s.record(f, p.RequestID, &sent) }
	f, err := s.link.call(ctx, false, record, reqAnchor, sent[:])
	switch {
	case err != nil:
		return protocol.Anchor{}, 0, err
	case f.code == ansRefused:
		return protocol.Anchor{}, 0, protocol.Wrap(protocol.CodeInvalidated, "the request can no longer be anchored", ErrRefused)
	}
	a, position := anchorOf(&f)
	return a, position, nil
}

// Begin sends the signer the compact range of the log before its epoch-open
// leaf: once, and before [Signer.Extend]. The context does not end it: it
// returns nil, an error after which the signer is gone, or [ErrRefused] (code
// internal) the second time.
func (s *Signer) Begin(ctx context.Context, tree protocol.Range) error {
	s.telling.Lock()
	defer s.telling.Unlock()
	if s.begun {
		return protocol.Wrap(protocol.CodeInternal, "the signer knows the log already", ErrRefused)
	}
	s.begun = true
	size := binary.BigEndian.AppendUint64(nil, tree.Size())
	var bodies [][]byte
	nodes := tree.Nodes()
	for first := 0; first == 0 || first < len(nodes); first += frameHashes {
		part := nodes[first:min(first+frameHashes, len(nodes))]
		bodies = append(bodies, slices.Concat(size, []byte{byte(first)}, joinDigests(part)))
	}
	return s.tell(ctx, reqTree, bodies)
}

// Extend sends the signer the next leaf hashes of the log ([protocol.LeafHash]),
// in order. The context does not end it: it returns nil, an error after which
// the signer is gone, or [ErrRefused] (code internal) before [Signer.Begin].
func (s *Signer) Extend(ctx context.Context, leafHashes []protocol.Digest) error {
	s.telling.Lock()
	defer s.telling.Unlock()
	if !s.begun {
		return protocol.Wrap(protocol.CodeInternal, "the signer does not know the log yet", ErrRefused)
	}
	var bodies [][]byte
	for part := range slices.Chunk(leafHashes, frameHashes) {
		bodies = append(bodies, append([]byte{byte(len(part))}, joinDigests(part)...))
	}
	return s.tell(ctx, reqLeaves, bodies)
}

// tell sends bodies one after the other and then waits for all answers.
func (s *Signer) tell(ctx context.Context, code byte, bodies [][]byte) error {
	ctx = context.WithoutCancel(ctx)
	requests := make([]sent, 0, len(bodies))
	for _, body := range bodies {
		request, err := s.link.send(ctx, true, waiting{check: isDone}, code, body)
		if err != nil {
			return err
		}
		requests = append(requests, request)
	}
	for _, request := range requests {
		if _, err := s.link.wait(ctx, request); err != nil {
			return err
		}
	}
	return nil
}

// Checkpoint has the signer sign the log that it was sent. The signature is the
// Ed25519 signature of the note text (C2SP tlog-checkpoint, signed-note
// signature without its key hash); the caller compares size and root with its
// own log. It is refused ([ErrRefused], code internal) before [Signer.Begin]
// and after the hand-over.
func (s *Signer) Checkpoint(ctx context.Context) (protocol.SignedRoot, error) {
	return s.signedRoot(ctx, nil, reqCheckpoint)
}

// Handover signs that the next epoch has this id, number and checkpoint key
// (section 12). It returns size and root of the last checkpoint the key signed
// (of the empty tree if there was none), over which it signs, with the
// signature, which was verified. It is refused ([ErrRefused], code internal) before [Signer.Wipe],
// before an [Signer.IssuedRoot] over every anchor, the second time, and for a
// number that does not grow or an id that does not change.
func (s *Signer) Handover(ctx context.Context, next protocol.EpochID, number uint64, key [32]byte) (protocol.SignedRoot, error) {
	h := protocol.Handover{Origin: s.start.Origin, Previous: s.ready.epoch, Next: next, Number: number, Key: key}
	verify := func(r *protocol.SignedRoot) error {
		h.Size, h.Root = r.Size, r.Root
		if digest := h.Digest(); !ed25519.Verify(s.ready.checkpoint[:], digest[:], r.Signature[:]) {
			return errMalformed
		}
		return nil
	}
	return s.signedRoot(ctx, verify, reqHandover, next[:], binary.BigEndian.AppendUint64(nil, number), key[:])
}

// signedRoot is a call that is answered by a signed root or refused. A check
// judges the root where it is read; nil takes any.
func (s *Signer) signedRoot(ctx context.Context, check func(*protocol.SignedRoot) error, code byte, body ...[]byte) (protocol.SignedRoot, error) {
	f, err := s.link.call(ctx, true, func(f *frame) error {
		switch {
		case f.code == ansRefused:
			return nil
		case f.code != ansRoot:
			return errMalformed
		case check == nil:
			return nil
		}
		r := parseRoot(f)
		return check(&r)
	}, code, body...)
	switch {
	case err != nil:
		return protocol.SignedRoot{}, err
	case f.code == ansRefused:
		return protocol.SignedRoot{}, protocol.Wrap(protocol.CodeInternal, "the signer refused to sign", ErrRefused)
	}
	return parseRoot(&f), nil
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

package failpoints_test

import (
	"context"
	"crypto/ed25519"
	"crypto/sha256"
	"encoding/base64"
	"fmt"
	"sync"
	"time"

	"github.com/terradourada/td/internal/sandbox"
	"github.com/terradourada/td/internal/testdata/logtest"
	"github.com/terradourada/td/protocol"
)

// child is a keyholder without a process.
type child struct {
	p    *points
	kind string
	done chan struct{}
	once sync.Once
}

func (c *child) exit()                 { c.once.Do(func() { close(c.done) }) }
func (c *child) Done() <-chan struct{} { return c.done }

func (*child) Posture() sandbox.Posture { return sandbox.Posture{} }

// Close ends the child, also if it does not end in order.
func (c *child) Close() error {
	defer c.exit()
	return c.p.pass(c.kind+".Close", func() error { return nil })
}

// ask makes a call to a keyholder, which fails once it has exited.
func (c *child) ask(name string, do func() error) error {
	return c.p.pass(c.kind+"."+name, func() error {
		select {
		case <-c.done:
			return protocol.Fail(protocol.CodeInvalidated, "the process is gone")
		default:
			return do()
		}
	})
}

// signer keeps the rules of a signer. Its anchors are no signatures.
type signer struct {
	child
	number uint64

	mu      sync.Mutex
	epoch   *logtest.Epoch
	log     protocol.Range // that it was sent
	checked protocol.SignedRoot
	held    protocol.SignedRoot // of the issued tree
	issued  []protocol.RequestID
	wiped   bool // the ML-DSA key
	silent  bool // the checkpoint key is wiped, too
	gave    []protocol.EpochID
	late    int // anchors that were asked for after the wipe
}

// newSigner returns a signer whose keys follow from number and attempt.
func newSigner(p *points, number uint64, attempt int) *signer {
	seed := sha256.Sum256(fmt.Appendf(nil, "signer %d %d", number, attempt))
	key := ed25519.NewKeyFromSeed(seed[:])
	open := &protocol.EpochOpen{Number: number, CheckpointKey: [32]byte(key.Public().(ed25519.PublicKey))}
	open.ID = protocol.DeriveEpochID(open.PublicKey[:], open.CheckpointKey)
	return &signer{
		child:  child{p: p, kind: "signer", done: make(chan struct{})},
		number: number,
		epoch:  &logtest.Epoch{Open: open, Key: key},
	}
}

func (s *signer) EpochID() protocol.EpochID                    { return s.epoch.Open.ID }
func (s *signer) PublicKey() [protocol.MLDSAPublicKeySize]byte { return s.epoch.Open.PublicKey }
func (s *signer) CheckpointKey() [32]byte                      { return s.epoch.Open.CheckpointKey }
func refusedBySigner(what string) error                        { return protocol.Fail(protocol.CodeInternal, what) }
func (s *signer) locked(do func() error) (locked func() error) {
	return func() error { s.mu.Lock(); defer s.mu.Unlock(); return do() }
}
func (s *signer) askLocked(name string, do func() error) error { return s.ask(name, s.locked(do)) }

// Anchor takes a position of the issued tree.
func (s *signer) Anchor(_ context.Context, payload *protocol.EncodedPayload) (a protocol.Anchor, position uint64, err error) {
	sent := *payload
	err = s.askLocked("Anchor", func() error {
		if s.wiped {
			s.late++
			return protocol.Fail(protocol.CodeInvalidated, "the key is wiped")
		}
		id := protocol.RequestID(sent[16:32])
		a = protocol.Anchor(protocol.H2F("test-anchor", sent[:]))
		position = s.epoch.Issued.Size()
		s.epoch.Issue(protocol.IssuedDigest(id, &sent, a))
		s.issued = append(s.issued, id)
		return nil
	})
	return a, position, err
}

// Issued uses the root that is held, also after the signer is gone.
func (s *signer) Issued(_ context.Context, position uint64) (i protocol.Issued, err error) {
	err = s.p.pass("signer.Issued", s.locked(func() error {
		select {
		case <-s.done:
		default:
			if position >= s.held.Size && !s.silent {
				s.held = s.epoch.IssuedRoot()
			}
		}
		if position >= s.held.Size {
			return protocol.Fail(protocol.CodeInvalidated, "no root covers it")
		}
		i = s.epoch.Place(position, s.held.Size)
		return nil
	}))
	return i, err
}

func (s *signer) IssuedRoot(context.Context) (r protocol.SignedRoot, err error) {
	err = s.askLocked("IssuedRoot", func() error {
		if s.silent {
			return refusedBySigner("the checkpoint key is wiped")
		}
		s.held = s.epoch.IssuedRoot()
		r = s.held
		return nil
	})
	return r, err
}

func (s *signer) Begin(_ context.Context, tree protocol.Range) error {
	return s.askLocked("Begin", func() error { s.log = tree.Clone(); return nil })
}

func (s *signer) Extend(_ context.Context, leafHashes []protocol.Digest) error {
	return s.askLocked("Extend", func() error {
		for _, h := range leafHashes {
			s.log.Append(h)
		}
		return nil
	})
}

func (s *signer) Checkpoint(context.Context) (r protocol.SignedRoot, err error) {
	err = s.askLocked("Checkpoint", func() error {
		if len(s.gave) > 0 {
			return refusedBySigner("it has handed over")
		}
		r = protocol.SignedRoot{Size: s.log.Size(), Root: s.log.Root()}
		text := fmt.Sprintf("%s\n%d\n%s\n", logtest.Origin, r.Size, base64.StdEncoding.EncodeToString(r.Root[:]))
		r.Signature = [64]byte(ed25519.Sign(s.epoch.Key, []byte(text)))
		s.checked = r
		return nil
	})
	return r, err
}

func (s *signer) Handover(_ context.Context, next protocol.EpochID, number uint64, key [32]byte) (r protocol.SignedRoot, err error) {
	err = s.askLocked("Handover", func() error {
		if !s.wiped || s.held.Size != s.epoch.Issued.Size() || len(s.gave) > 0 || number <= s.number {
			return refusedBySigner("hand-over out of order")
		}
		s.gave = append(s.gave, next)
		to := &protocol.EpochOpen{ID: next, Number: number, CheckpointKey: key}
		if s.checked.Size == 0 {
			s.checked.Root = (&protocol.Range{}).Root()
		}
		s.epoch.HandOver(to, s.checked.Size, s.checked.Root)
		r = to.Handover
		return nil
	})
	return r, err
}

// Wipe wipes the ML-DSA key, after the hand-over the checkpoint key, too.
func (s *signer) Wipe(context.Context) error {
	return s.askLocked("Wipe", func() error {
		s.wiped, s.silent = true, len(s.gave) > 0
		return nil
	})
}

// tagger keeps the rules of a tagger.
type tagger struct {
	child

	mu     sync.Mutex
	seq    uint64
	tags   map[protocol.RequestID]*oneTag
	forgot bool // it has lost its table
}

type oneTag struct {
	payload  protocol.EncodedPayload
	tag      protocol.Tag
	expires  time.Time
	closed   bool
	redeemed int
}

func newTagger(p *points) *tagger {
	return &tagger{child: child{p: p, kind: "tagger", done: make(chan struct{})}, tags: map[protocol.RequestID]*oneTag{}}
}

// forget loses the table.
func (t *tagger) forget() {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.forgot = true
}

func (t *tagger) askLocked(name string, do func() error) error {
	return t.ask(name, func() error { t.mu.Lock(); defer t.mu.Unlock(); return do() })
}

func (t *tagger) Issue(_ context.Context, draft *protocol.EncodedPayload) (p protocol.EncodedPayload, tag protocol.Tag, err error) {
	sent := *draft
	err = t.askLocked("Issue", func() error {
		parsed, err := protocol.ParseDraft(sent[:])
		if err != nil {
			return err
		}
		if t.tags[parsed.RequestID] != nil {
			return protocol.Fail(protocol.CodeConflict, "tagged before")
		}
		t.seq++
		parsed.Seq = t.seq
		p = parsed.Encode()
		tag = protocol.Tag(sha256.Sum256(append([]byte("test tag"), p[:]...)))
		t.tags[parsed.RequestID] = &oneTag{payload: p, tag: tag, expires: time.Now().Add(time.Duration(parsed.TTL) * time.Millisecond)}
		return nil
	})
	return p, tag, err
}

func (t *tagger) Redeem(_ context.Context, payload *protocol.EncodedPayload, tag protocol.Tag) (v protocol.Redemption, err error) {
	sent := *payload
	err = t.askLocked("Redeem", func() error {
		one := t.tags[protocol.RequestID(sent[16:32])]
		switch {
		case one == nil || t.forgot:
			v = protocol.RedeemUnknown
		case !one.tag.Equal(tag) || one.payload != sent:
			v = protocol.RedeemMismatch
		case one.closed:
			v = protocol.RedeemUsed
		case !time.Now().Before(one.expires):
			v = protocol.RedeemExpired
		default:
			v = protocol.RedeemOK
			one.closed = true
			one.redeemed++
		}
		return nil
	})
	return v, err
}

func (t *tagger) Cancel(_ context.Context, id protocol.RequestID) error {
	return t.askLocked("Cancel", func() error {
		if one := t.tags[id]; one != nil {
			one.closed = true
		}
		return nil
	})
}

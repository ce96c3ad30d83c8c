package keyholder

import (
	"io"
	"slices"
	"time"

	"github.com/cloudflare/circl/sign/mldsa/mldsa65"

	"github.com/terradourada/td/internal/process"
	"github.com/terradourada/td/internal/sandbox"
	"github.com/terradourada/td/protocol"
)

// Sizes on the wire.
var (
	SignerRequestSize = signerRequests().size()
	SignerAnswerSize  = signerAnswers().size()
	TaggerRequestSize = taggerRequests().size()
	TaggerAnswerSize  = taggerAnswers().size()
)

const (
	SignerReadySize = signerReadySize
	TaggerReadySize = taggerReadySize
	WindowSize      = windowSize
	PostureSize     = postureSize
	MaxNote         = maxNote
)

// Codes of frames.
const (
	ReqStart      = reqStart
	ReqAnchor     = reqAnchor
	ReqCheckpoint = reqCheckpoint
	ReqHandover   = reqHandover
	ReqWipe       = reqWipe
	ReqIssuedRoot = reqIssuedRoot
	ReqTree       = reqTree
	ReqLeaves     = reqLeaves
	ReqIssue      = reqIssue
	ReqRedeem     = reqRedeem
	ReqCancel     = reqCancel
	ReqStats      = reqStats
	AnsDone       = ansDone
	AnsRefused    = ansRefused
	AnsAnchor     = ansAnchor
	AnsRoot       = ansRoot
	AnsIssued     = ansIssued
)

// Exit statuses and what they stand for.
var (
	ErrMalformed = errMalformed
	ErrForeign   = errForeign
	ErrSelfCheck = errSelfCheck
	ExitStatus   = exitStatus
)

type (
	Frame    = frame
	Shape    = shape
	Window   = window
	Table    = table
	Preimage = preimage
)

var (
	NewFrame   = newFrame
	NewTable   = newTable
	ReadFrames = readFrames
	EncodeRoot = encodeRoot
)

// Shapes are all four, requests first.
func Shapes() []Shape {
	return []Shape{signerRequests(), taggerRequests(), signerAnswers(), taggerAnswers()}
}

func (s Shape) Size() int                              { return s.size() }
func (s Shape) Append(b []byte, f *Frame) []byte       { return s.append(b, f) }
func (s Shape) Decode(b []byte) (Frame, error)         { return s.decode(b) }
func (f *Frame) ID() uint64                            { return f.id }
func (f *Frame) Code() byte                            { return f.code }
func (f *Frame) Body() []byte                          { return f.body[:] }
func (w *Window) Take(seq uint64) bool                 { return w.take(seq) }
func (t *Table) CancelAll(now time.Duration)           { t.cancelAll(now) }
func (t *Table) Figures(now time.Duration) TaggerStats { return t.figures(now) }

func (t *Table) Cancel(now time.Duration, id protocol.RequestID) { t.cancel(now, id) }

func (t *Table) Issue(now time.Duration, draft *protocol.Payload) (protocol.EncodedPayload, protocol.Code) {
	return t.issue(now, draft)
}

func (t *Table) Redeem(now time.Duration, id protocol.RequestID, p *protocol.EncodedPayload, right bool) protocol.Redemption {
	return t.redeem(now, id, p, right)
}

// ReadSignerStart decodes and encodes again.
func ReadSignerStart(f *Frame) (Frame, error) {
	s, err := parseSignerStart(f)
	return s.frame(), err
}

// ReadTaggerStart decodes and encodes again.
func ReadTaggerStart(f *Frame) (Frame, error) {
	s, err := parseTaggerStart(f)
	return s.frame(), err
}

// SignerStartFrame and TaggerStartFrame are what the core sends first.
func SignerStartFrame(s SignerStart) Frame { return s.frame() }

func TaggerStartFrame(epoch protocol.EpochID, number uint64, capacity uint32) Frame {
	s := taggerStart{epoch: epoch, number: number, capacity: capacity}
	return s.frame()
}

// FakeSignerReady is a ready record of no ML-DSA key.
func FakeSignerReady(epoch protocol.EpochID, checkpoint [32]byte, said ...sandbox.Probe) []byte {
	r := signerReady{epoch: epoch, checkpoint: checkpoint, posture: sandbox.Posture{Probes: said}}
	return r.encode()
}

// ReadyEpoch is the epoch id of a signer's ready record.
func ReadyEpoch(b []byte) (protocol.EpochID, error) {
	r, err := parseSignerReady(b)
	return r.epoch, err
}

// Spawn starts a child without its handshake.
func Spawn(cfg Config, kind string) (*process.Child, error) {
	return cfg.withDefaults().Starter.Start(kind)
}

// Requests is how many requests were sent.
func (s *Signer) Requests() uint64 {
	s.link.mu.Lock()
	defer s.link.mu.Unlock()
	return s.link.last
}

// IssuedTree is the core's copy of an issued tree, with its seams open.
type IssuedTree struct{ t issuedTree }

func (t *IssuedTree) Add(position uint64, digest protocol.Digest) error {
	return t.t.add(position, digest)
}
func (t *IssuedTree) Place(position uint64) (protocol.Issued, bool)   { return t.t.place(position) }
func (t *IssuedTree) Hold(r *protocol.SignedRoot, least uint64) error { return t.t.hold(r, least) }

// NewIssuedTree is an empty one.
func NewIssuedTree(origin string, epoch protocol.EpochID, key [32]byte) *IssuedTree {
	return &IssuedTree{issuedTree{origin: origin, epoch: epoch, key: key}}
}

// Pid and Waiting look into a link.
func (s *Signer) Pid() int     { return s.link.child.PID }
func (s *Signer) Waiting() int { return len(s.link.slots) }
func (t *Tagger) Pid() int     { return t.link.child.PID }
func (t *Tagger) Waiting() int { return len(t.link.slots) }

// OriginKey is the ML-DSA key of a signer with its seams open.
type OriginKey struct{ k *originKey }

// ExpandOriginKey has its secret part on the heap.
func ExpandOriginKey(seed [32]byte) OriginKey {
	return OriginKey{expandOriginKey(&originSecret{seed: seed})}
}

func (o OriginKey) Private() *mldsa65.PrivateKey { return &o.k.mem.private }
func (o OriginKey) Public() *mldsa65.PublicKey   { return o.k.public }
func (o OriginKey) Encoded() []byte              { return o.k.encoded[:] }
func (o OriginKey) Wipe()                        { o.k.wipe() }
func (o OriginKey) SpoilPublic(other OriginKey)  { o.k.public = other.k.public }

func (o OriginKey) Sign(p *protocol.EncodedPayload, buf *Preimage) error {
	return o.k.sign(p, protocol.PayloadDigest(p), buf)
}

func (o OriginKey) Anchor(p *protocol.EncodedPayload, buf *Preimage) (protocol.Anchor, error) {
	return o.k.anchor(p, buf)
}

// ServeSpoiltSigner runs a signer whose signatures do not verify, after its
// start, and returns its end.
func ServeSpoiltSigner(sock io.ReadWriter, start SignerStart, ready chan<- protocol.EpochID) error {
	s, err := newSignerProgram(start, 2)
	if err == nil {
		err = s.draw()
	}
	if err != nil {
		return err
	}
	s.origin.public = expandOriginKey(new(originSecret)).public
	ready <- s.epoch
	return s.serve(sock)
}

// IssueInParallel has goroutines assign positions to anchors, as workers do, and
// returns the answers in the order of the queue.
func IssueInParallel(goroutines, each int) []Frame {
	s := &signerProgram{answers: make(chan frame, goroutines)}
	for range goroutines {
		go func() {
			for range each {
				s.issue(new(frame), protocol.Anchor{}, protocol.Digest{})
			}
		}()
	}
	answers := make([]Frame, goroutines*each)
	for i := range answers {
		answers[i] = <-s.answers
	}
	return answers
}

// Program is a signer or a tagger that runs in this process, after its start and
// without a sandbox.
type Program struct {
	Run   func(sock io.ReadWriter) error
	Clear func() bool // nothing is in its region
	Spoil func()      // its next own signature does not verify
}

// NewSigner is a signer with two workers.
func NewSigner(start SignerStart) (Program, error) {
	s, err := newSignerProgram(start, 2)
	return Program{
		Run: func(sock io.ReadWriter) error { return s.run(sock, sandbox.Posture{}) },
		Clear: func() bool {
			for _, buf := range s.memory.preimages {
				if *buf != (preimage{}) {
					return false
				}
			}
			return *s.memory.origin == originSecret{} && *s.memory.check == checkpointSecret{}
		},
		Spoil: func() { s.check.public[0] ^= 1 },
	}, err
}

// NewTagger is a tagger of epoch number 1.
func NewTagger(epoch protocol.EpochID) (Program, error) {
	t, err := newTaggerProgram(taggerStart{epoch: epoch, number: 1, capacity: 1}, sinceBoot)
	return Program{
		Run:   func(sock io.ReadWriter) error { return t.run(sock, sandbox.Posture{}) },
		Clear: func() bool { return *t.memory.tag == tagSecret{} },
	}, err
}

// Secrets are one value of every type that holds or reaches a key.
func Secrets() []any {
	s, err := newSignerMemory(1)
	if err != nil {
		panic(err)
	}
	t, err := newTaggerMemory()
	if err != nil {
		panic(err)
	}
	return []any{s, t, s.region, expandOriginKey(s.origin), newCheckpointKey(s.check, "o"), newTagKey(t.tag)}
}

// HMAC is hmacSHA256 with scratch of its own, which it also returns.
func HMAC(key [32]byte, message []byte) (sum [32]byte, work []byte) {
	work = make([]byte, 64+len(message)+32)
	return hmacSHA256(&key, work, message), work
}

// SignEd25519 expands a seed and signs; it returns what is left of the secret
// part too.
func SignEd25519(seed [32]byte, message []byte) (public [32]byte, sig [64]byte, left []byte) {
	m := &checkpointSecret{seed: seed}
	m.expand(&public)
	sig = m.sign(public[:], message)
	return public, sig, slices.Concat(m.seed[:], m.work[:], m.wide[:], m.nonce.Bytes())
}

// EncodePosture and ParsePosture are a posture on the wire.
var (
	EncodePosture = encodePosture
	ParsePosture  = parsePosture
)

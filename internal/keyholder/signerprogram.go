package keyholder

import (
	"encoding/binary"
	"errors"
	"io"
	"os"
	"runtime"
	"runtime/debug"
	"sync"

	"github.com/terradourada/td/internal/sandbox"
	"github.com/terradourada/td/protocol"
)

// errForeign is a payload that no honest core sends to this epoch.
var errForeign = errors.New("keyholder: payload is not of this epoch")

// errSocket is a socket that failed otherwise than by its end.
var errSocket = errors.New("keyholder: socket failed")

// signerGC makes the collector of a signer run often, in percent. What a
// signature leaves on the heap is erased when the collector frees it, and the
// runtime's record of what to erase takes longer to add to the longer it gets.
const signerGC = 1

// SignerMain is the signer program: it serves the core at the other end of sock
// until that end closes, then returns nil. If it is root it becomes the user uid
// first, unless that is 0. Any breach of the protocol and any
// signature that does not verify end it with an error. It must have its process
// to itself, and the process must exit when it returns. The keys are drawn when
// the process is locked down, and wiped before it returns.
func SignerMain(sock *os.File, uid int) error {
	debug.SetTraceback("none") // a trace prints words of the stack
	debug.SetGCPercent(signerGC)
	f, err := readStart(sock, signerRequests())
	if err != nil {
		return err
	}
	start, err := parseSignerStart(&f)
	if err != nil {
		return err
	}
	s, err := newSignerProgram(start, runtime.GOMAXPROCS(0))
	if err != nil {
		return err
	}
	stage("mapped")
	posture, err := lockDown(s.memory.region.Report(), uid)
	if err != nil {
		return err
	}
	stage("locked down")
	err = s.run(sock, posture)
	stage("over")
	return err
}

// signerProgram is a running signer. The goroutine that reads frames owns all
// of it but what mu guards. The workers use the origin key, and only between a
// job's place in jobs and its Done in signing, which the reader awaits before it
// wipes.
type signerProgram struct {
	start  SignerStart
	epoch  protocol.EpochID
	memory *signerMemory
	origin *originKey
	check  *checkpointKey
	seen   window
	log    toldLog

	// using is held for reading while something is done with a key, and for
	// nothing else that could take long. The end of the program takes it for
	// good, before it wipes the region.
	using sync.RWMutex

	jobs    chan job // to the workers
	signing sync.WaitGroup
	answers chan frame // to the writer
	fault   chan error // the first value ends the program

	// mu is held while an anchor takes its position and its answer is queued, so
	// that answers stand on the socket in order of position. The writer does not
	// take it.
	mu      sync.Mutex
	issued  protocol.Range // over every anchor so far
	covered bool           // the last signed root of it covers every position
}

// job is a request for an anchor, and the request id in its payload.
type job struct {
	frame frame
	id    protocol.RequestID
}

// newSignerProgram maps the memory of a signer that has no keys yet.
func newSignerProgram(start SignerStart, workers int) (*signerProgram, error) {
	memory, err := newSignerMemory(workers)
	if err != nil {
		return nil, err
	}
	return &signerProgram{
		memory:  memory,
		start:   start,
		jobs:    make(chan job, 64),
		answers: make(chan frame, 64),
		fault:   make(chan error, 1),
	}, nil
}

// run draws the keys, says that the signer is ready and serves until the socket
// ends. No key is left in the region when it returns, however it ends.
func (s *signerProgram) run(sock io.ReadWriter, p sandbox.Posture) error {
	defer s.wipe()
	if err := s.draw(); err != nil {
		return err
	}
	stage("drawn")
	ready := signerReady{epoch: s.epoch, publicKey: s.origin.encoded, checkpoint: s.check.public, posture: p}
	if _, err := sock.Write(ready.encode()); err != nil {
		return errSocket
	}
	return s.serve(sock)
}

// draw makes the keys, and of them the epoch id.
func (s *signerProgram) draw() (err error) {
	if s.origin, err = newOriginKey(s.memory.origin, s.memory.preimages[0]); err != nil {
		return err
	}
	s.check = newCheckpointKey(s.memory.check, s.start.Origin)
	s.epoch = protocol.DeriveEpochID(s.origin.encoded[:], s.check.public)
	return nil
}

// wipe clears the region. What is being computed with a key ends first, and
// nothing begins afterwards: a worker or the reader that wants to waits for the
// end of the process.
func (s *signerProgram) wipe() {
	s.using.Lock()
	s.memory.region.Wipe()
}

func (s *signerProgram) serve(sock io.ReadWriter) error {
	for _, buf := range s.memory.preimages {
		go s.work(buf)
	}
	go func() { s.end(writeFrames(sock, signerAnswers(), s.answers, nil)) }()
	go func() { s.end(readFrames(sock, signerRequests(), s.handle)) }()
	return <-s.fault
}

// end ends the program; only the first call counts.
func (s *signerProgram) end(err error) {
	select {
	case s.fault <- err:
	default:
	}
}

func (s *signerProgram) answer(f *frame, code byte, body ...[]byte) {
	s.answers <- newFrame(f.id, code, body...)
}

// handle takes one request, in the order of the stream.
func (s *signerProgram) handle(f *frame) error {
	switch f.code {
	case reqAnchor:
		return s.anchor(f)
	case reqCheckpoint:
		r, ok, err := s.checkpoint()
		return s.signed(f, r, ok, err)
	case reqIssuedRoot:
		r, ok, err := s.issuedRoot()
		return s.signed(f, r, ok, err)
	case reqHandover:
		r, ok, err := s.handover(f)
		return s.signed(f, r, ok, err)
	case reqTree:
		return s.done(f, s.log.begin(f.body[:treeSize]))
	case reqLeaves:
		return s.done(f, s.log.extend(f.body[:leavesSize]))
	case reqWipe:
		s.signing.Wait()
		s.using.RLock()
		s.origin.wipe()
		s.check.wipe()
		s.using.RUnlock()
		s.answer(f, ansDone)
	default:
		return errMalformed
	}
	return nil
}

// anchor checks a payload and passes it to the workers.
func (s *signerProgram) anchor(f *frame) error {
	p, err := protocol.ParsePayload(f.body[:protocol.PayloadSize])
	if err != nil || p.EpochID != s.epoch || p.EpochNumber != s.start.Number || p.Instance != s.start.Instance {
		return errForeign
	}
	if !s.origin.live || !s.seen.take(p.Seq) {
		s.answer(f, ansRefused)
		return nil
	}
	s.signing.Add(1)
	s.jobs <- job{*f, p.RequestID}
	return nil
}

// checkpoint signs the log that the core has sent.
func (s *signerProgram) checkpoint() (r protocol.SignedRoot, ok bool, err error) {
	if !s.log.begun {
		return r, false, nil
	}
	s.using.RLock()
	defer s.using.RUnlock()
	return s.check.checkpoint(s.log.tree.Size(), s.log.tree.Root())
}

// issuedRoot signs the issued tree. The answers that it covers are queued, so
// its own comes after them.
func (s *signerProgram) issuedRoot() (protocol.SignedRoot, bool, error) {
	s.mu.Lock()
	size, root := s.issued.Size(), s.issued.Root()
	s.covered = true
	s.mu.Unlock()
	s.using.RLock()
	defer s.using.RUnlock()
	return s.check.issuedRoot(s.epoch, size, root)
}

// handover is refused while there may be anchors that no signed root covers.
func (s *signerProgram) handover(f *frame) (r protocol.SignedRoot, ok bool, err error) {
	h := protocol.Handover{
		Previous: s.epoch,
		Next:     protocol.EpochID(f.body[:16]),
		Number:   binary.BigEndian.Uint64(f.body[16:]),
		Key:      [32]byte(f.body[24:56]),
	}
	s.mu.Lock()
	covered := s.covered
	s.mu.Unlock()
	if s.origin.live || !covered || h.Number <= s.start.Number {
		return r, false, nil
	}
	s.using.RLock()
	defer s.using.RUnlock()
	return s.check.handover(h)
}

// signed answers a request for a signature of the checkpoint key.
func (s *signerProgram) signed(f *frame, r protocol.SignedRoot, ok bool, err error) error {
	switch {
	case err != nil:
		return err
	case !ok:
		s.answer(f, ansRefused)
	default:
		s.answer(f, ansRoot, encodeRoot(&r))
	}
	return nil
}

// done answers a request that has no other answer.
func (s *signerProgram) done(f *frame, err error) error {
	if err == nil {
		s.answer(f, ansDone)
	}
	return err
}

// work anchors payloads, in one buffer of its own.
func (s *signerProgram) work(buf *preimage) {
	for j := range s.jobs {
		payload := (*protocol.EncodedPayload)(j.frame.body[:protocol.PayloadSize])
		s.using.RLock()
		a, err := s.origin.anchor(payload, buf)
		s.using.RUnlock()
		if err != nil {
			s.end(err)
			return
		}
		digest := protocol.IssuedDigest(j.id, payload, a)
		s.issue(&j.frame, a, protocol.LeafHash(digest[:]))
		s.signing.Done()
	}
}

// issue assigns an anchor the next position of the issued tree and queues its
// answer.
func (s *signerProgram) issue(f *frame, a protocol.Anchor, leafHash protocol.Digest) {
	s.mu.Lock()
	defer s.mu.Unlock()
	var position [8]byte
	binary.BigEndian.PutUint64(position[:], s.issued.Size())
	s.issued.Append(leafHash)
	s.covered = false
	s.answer(f, ansAnchor, a[:], position[:])
}

// readStart reads the first frame of a socket.
func readStart(r io.Reader, s shape) (frame, error) {
	b := make([]byte, s.size())
	switch _, err := io.ReadFull(r, b); {
	case errors.Is(err, io.ErrUnexpectedEOF):
		return frame{}, errMalformed
	case err != nil:
		return frame{}, errSocket
	}
	f, err := s.decode(b)
	if err == nil && f.id != 0 {
		err = errMalformed
	}
	return f, err
}

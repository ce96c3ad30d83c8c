package keyholder

import (
	"crypto/rand"
	"encoding/binary"
	"errors"
	"io"
	"os"
	"runtime"
	"runtime/debug"
	"sync"

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
// until that end closes, then returns nil. Any breach of the protocol and any
// signature that does not verify end it with an error. It must have its process
// to itself, and the process must exit when it returns: that destroys the keys.
func SignerMain(sock *os.File) error {
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
	posture, err := lockDown(s.memory.region.Report(), start.uid)
	if err != nil {
		return err
	}
	ready := signerReady{
		epoch:      s.epoch,
		publicKey:  s.origin.encoded,
		checkpoint: s.check.public,
		posture:    posture,
	}
	if _, err := sock.Write(ready.encode()); err != nil {
		return errSocket
	}
	return s.serve(sock)
}

// signerProgram is a running signer. The goroutine that reads frames owns all
// of it; the workers only use the origin key, and only between a frame's place
// in jobs and its Done in signing, which the reader awaits before it wipes.
type signerProgram struct {
	start  SignerStart
	epoch  protocol.EpochID
	memory *signerMemory
	origin *originKey
	check  *checkpointKey
	seen   window

	jobs    chan frame // to the workers
	signing sync.WaitGroup
	answers chan frame // to the writer
	fault   chan error // the first value ends the program
}

func newSignerProgram(start SignerStart, workers int) (*signerProgram, error) {
	memory, err := newSignerMemory(workers)
	if err != nil {
		return nil, err
	}
	s := &signerProgram{
		memory:  memory,
		start:   start,
		jobs:    make(chan frame, 64),
		answers: make(chan frame, 64),
		fault:   make(chan error, 1),
	}
	_, _ = rand.Read(s.epoch[:]) // never fails
	if s.origin, err = newOriginKey(memory.origin, memory.preimages[0]); err != nil {
		return nil, err
	}
	s.check = newCheckpointKey(memory.check, start.Origin)
	return s, nil
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
		sig, ok, err := s.check.checkpoint(binary.BigEndian.Uint64(f.body[:]), protocol.Digest(f.body[8:40]))
		return s.signed(f, sig, ok, err)
	case reqHandover:
		sig, ok, err := s.handover(f)
		return s.signed(f, sig, ok, err)
	case reqWipe:
		s.signing.Wait()
		s.origin.wipe()
		s.check.wipe()
		s.answer(f, ansDone)
	default:
		return errMalformed
	}
	return nil
}

// anchor checks a payload and gives it to the workers.
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
	s.jobs <- *f
	return nil
}

func (s *signerProgram) handover(f *frame) (sig [64]byte, ok bool, err error) {
	h := protocol.Handover{
		Previous: s.epoch,
		Next:     protocol.EpochID(f.body[:16]),
		Number:   binary.BigEndian.Uint64(f.body[16:]),
		Key:      [32]byte(f.body[24:56]),
	}
	if h.Number <= s.start.Number {
		return sig, false, nil
	}
	return s.check.handover(h)
}

// signed answers a request for a signature of the checkpoint key.
func (s *signerProgram) signed(f *frame, sig [64]byte, ok bool, err error) error {
	switch {
	case err != nil:
		return err
	case !ok:
		s.answer(f, ansRefused)
	default:
		s.answer(f, ansSignature, sig[:])
	}
	return nil
}

// work anchors payloads, in one buffer of its own.
func (s *signerProgram) work(buf *preimage) {
	for f := range s.jobs {
		a, err := s.origin.anchor((*protocol.EncodedPayload)(f.body[:protocol.PayloadSize]), buf)
		s.signing.Done()
		if err != nil {
			s.end(err)
			return
		}
		s.answer(&f, ansAnchor, a[:])
	}
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

package keyholder

import (
	"io"
	"os"
	"runtime/debug"
	"time"

	"github.com/terradourada/td/internal/sandbox"
	"github.com/terradourada/td/protocol"
)

// taggerGC keeps the heap of a tagger near what its table needs, in percent.
const taggerGC = 25

// TaggerMain is the tagger program; it is run and ends like [SignerMain].
func TaggerMain(sock *os.File, uid int) error {
	debug.SetTraceback("none") // a trace prints words of the stack
	debug.SetGCPercent(taggerGC)
	f, err := readStart(sock, taggerRequests())
	if err != nil {
		return err
	}
	start, err := parseTaggerStart(&f)
	if err != nil {
		return err
	}
	t, err := newTaggerProgram(start, sinceBoot)
	if err != nil {
		return err
	}
	stage("mapped")
	posture, err := lockDown(t.memory.region.Report(), uid)
	if err != nil {
		return err
	}
	stage("locked down")
	err = t.run(sock, posture)
	stage("over")
	return err
}

// taggerProgram is a running tagger. It is one goroutine: an answer takes
// microseconds, less than to wake another goroutine for it.
type taggerProgram struct {
	start   taggerStart
	memory  *taggerMemory
	key     *tagKey
	table   *table
	clock   func() time.Duration // since boot
	answers []byte               // frames, to what was read last
}

// newTaggerProgram maps the memory of a tagger that has no key yet.
func newTaggerProgram(start taggerStart, clock func() time.Duration) (*taggerProgram, error) {
	memory, err := newTaggerMemory()
	if err != nil {
		return nil, err
	}
	return &taggerProgram{
		start:   start,
		memory:  memory,
		table:   newTable(int(start.capacity)),
		clock:   clock,
		answers: make([]byte, 0, coalesce),
	}, nil
}

// run draws the key, says that the tagger is ready and answers until the socket
// ends. No key is left in the region when it returns, however it ends.
func (t *taggerProgram) run(sock io.ReadWriter, p sandbox.Posture) error {
	defer t.memory.region.Wipe()
	t.key = newTagKey(t.memory.tag)
	stage("drawn")
	if _, err := sock.Write(t.start.encodeReady(p)); err != nil {
		return errSocket
	}
	return readFrames(answering{t, sock}, taggerRequests(), t.handle)
}

// answering is a socket on which the answers to what was read go out before
// anything else is read.
type answering struct {
	program *taggerProgram
	sock    io.ReadWriter
}

func (a answering) Read(b []byte) (int, error) {
	if len(a.program.answers) > 0 {
		if _, err := a.sock.Write(a.program.answers); err != nil {
			return 0, err
		}
		a.program.answers = a.program.answers[:0]
	}
	return a.sock.Read(b)
}

func (t *taggerProgram) answer(f *frame, code byte, body ...[]byte) {
	a := newFrame(f.id, code, body...)
	t.answers = taggerAnswers().append(t.answers, &a)
}

// handle takes one request, in the order of the stream.
func (t *taggerProgram) handle(f *frame) error {
	now := t.clock()
	switch f.code {
	case reqIssue:
		return t.issue(now, f)
	case reqRedeem:
		return t.redeem(now, f)
	case reqCancel:
		t.table.cancel(now, protocol.RequestID(f.body[:16]))
		t.answer(f, ansDone)
	case reqCancelAll:
		t.table.cancelAll(now)
		t.answer(f, ansDone)
	case reqStats:
		s := t.table.figures(now)
		t.answer(f, ansStats, s.encode())
	default:
		return errMalformed
	}
	return nil
}

func (t *taggerProgram) issue(now time.Duration, f *frame) error {
	draft, err := protocol.ParseDraft(f.body[:protocol.PayloadSize])
	if err != nil || draft.Seq != 0 || !t.own(&draft) {
		return errForeign
	}
	switch p, code := t.table.issue(now, &draft); code {
	case protocol.CodeNone:
		tag := t.key.tag(&p)
		t.answer(f, ansIssued, p[:], tag[:])
	case protocol.CodeOverloaded:
		t.answer(f, ansFull)
	default:
		t.answer(f, ansRefused)
	}
	return nil
}

func (t *taggerProgram) redeem(now time.Duration, f *frame) error {
	encoded := protocol.EncodedPayload(f.body[:protocol.PayloadSize])
	p, err := protocol.ParsePayload(encoded[:])
	if err != nil || !t.own(&p) {
		return errForeign
	}
	right := t.key.check(&encoded, protocol.Tag(f.body[protocol.PayloadSize:]))
	verdict := t.table.redeem(now, p.RequestID, &encoded, right)
	t.answer(f, ansRedemption, []byte{byte(verdict)})
	return nil
}

func (t *taggerProgram) own(p *protocol.Payload) bool {
	return p.EpochID == t.start.epoch && p.EpochNumber == t.start.number
}

package process

import (
	"encoding/binary"
	"errors"

	"github.com/terradourada/td/protocol"
)

// Frames, as the package comment describes them.
const (
	opStart byte = 1
	opKill  byte = 2

	ansReady   byte = 1
	ansStarted byte = 2
	ansFailed  byte = 3
	ansEnded   byte = 4

	requestSize = 6
	answerHead  = 9
	maxText     = 200
)

var errMalformed = errors.New("launcher: malformed frame")

// request is a frame of the core.
type request struct {
	op, kind byte
	id       uint32
}

func (r request) encode() []byte {
	return binary.BigEndian.AppendUint32([]byte{r.op, r.kind}, r.id)
}

// parseRequest reads a packet of the core; kinds is how many there are.
func parseRequest(b []byte, kinds int) (request, error) {
	if len(b) != requestSize {
		return request{}, errMalformed
	}
	r := request{b[0], b[1], binary.BigEndian.Uint32(b[2:])}
	start := r.op == opStart && int(r.kind) < kinds
	kill := r.op == opKill && r.kind == 0
	if !start && !kill || r.id == 0 {
		return request{}, errMalformed
	}
	return r, nil
}

// answer is a frame of the launcher.
type answer struct {
	op    byte
	id    uint32
	value int32
	text  string
}

// encode makes the text fit: what is not printable becomes a question mark, what
// is too long is cut.
func (a answer) encode() []byte {
	b := binary.BigEndian.AppendUint32([]byte{a.op}, a.id)
	b = binary.BigEndian.AppendUint32(b, uint32(a.value))
	text := protocol.Printable(a.text)
	return append(b, text[:min(len(text), maxText)]...)
}

// parseAnswer reads a packet of the launcher.
func parseAnswer(b []byte) (answer, error) {
	if len(b) < answerHead || len(b) > answerHead+maxText {
		return answer{}, errMalformed
	}
	a := answer{b[0], binary.BigEndian.Uint32(b[1:]), int32(binary.BigEndian.Uint32(b[5:])), string(b[answerHead:])}
	if a.op < ansReady || a.op > ansEnded || (a.id == 0) != (a.op == ansReady) || a.text != protocol.Printable(a.text) {
		return answer{}, errMalformed
	}
	return a, nil
}

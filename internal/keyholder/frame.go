package keyholder

import (
	"encoding/binary"
	"errors"
	"io"
	"slices"

	"github.com/terradourada/td/protocol"
)

const (
	headerSize = 16
	maxBody    = protocol.PayloadSize + 32 // the largest body: payload and tag
	signerBody = 8 + 32 + 64               // of an answer of the signer: a signed root

	// coalesce bounds one read and one write, in bytes.
	coalesce = 64 << 10
)

// Codes of requests. Start is common; the rest belongs to one program.
const (
	reqStart byte = 1

	reqAnchor     byte = 2
	reqCheckpoint byte = 3
	reqHandover   byte = 4
	reqWipe       byte = 5
	reqIssuedRoot byte = 6
	reqTree       byte = 7
	reqLeaves     byte = 8

	reqIssue     byte = 2
	reqRedeem    byte = 3
	reqCancel    byte = 4
	reqCancelAll byte = 5
	reqStats     byte = 6
)

// Codes of answers.
const (
	ansDone    byte = 1
	ansRefused byte = 2

	ansAnchor byte = 3
	ansRoot   byte = 4

	ansIssued     byte = 3
	ansRedemption byte = 4
	ansStats      byte = 5
	ansFull       byte = 6
)

// errMalformed is any breach of the format of the stream.
var errMalformed = errors.New("keyholder: malformed frame")

// frame is one request or answer, without its padding to a shape.
type frame struct {
	id   uint64
	code byte
	body [maxBody]byte
}

// newFrame is a frame with a body put together from parts.
func newFrame(id uint64, code byte, parts ...[]byte) frame {
	f := frame{id: id, code: code}
	n := 0
	for _, p := range parts {
		n += copy(f.body[n:], p)
	}
	return f
}

// shape is the format of the frames of one program in one direction: the size
// of every body, and how much of it each code uses. A code that is not listed
// (used is -1) does not exist.
type shape struct {
	body int
	used []int // by code
}

func signerRequests() shape {
	return shape{body: maxBody, used: []int{-1, signerStartSize, protocol.PayloadSize, 0, 16 + 8 + 32, 0, 0, treeSize, leavesSize}}
}

func signerAnswers() shape {
	return shape{body: signerBody, used: []int{-1, 0, 0, protocol.ElementSize + 8, signerBody}}
}

func taggerRequests() shape {
	return shape{body: maxBody, used: []int{-1, taggerStartSize, protocol.PayloadSize, maxBody, 16, 0, 0}}
}

func taggerAnswers() shape {
	return shape{body: maxBody, used: []int{-1, 0, 0, maxBody, 1, 8 * statsFields, 0}}
}

// size is the number of bytes of every frame of the shape.
func (s shape) size() int { return headerSize + s.body }

// append encodes f behind b.
func (s shape) append(b []byte, f *frame) []byte {
	b = binary.BigEndian.AppendUint64(b, f.id)
	b = append(b, f.code, 0, 0, 0, 0, 0, 0, 0)
	return append(b, f.body[:s.body]...)
}

// decode reads one frame from exactly size bytes.
func (s shape) decode(b []byte) (frame, error) {
	f := frame{id: binary.BigEndian.Uint64(b), code: b[8]}
	if int(f.code) >= len(s.used) || s.used[f.code] < 0 {
		return frame{}, errMalformed
	}
	body := b[headerSize:s.size()]
	if !zero(b[9:headerSize]) || !zero(body[s.used[f.code]:]) {
		return frame{}, errMalformed
	}
	copy(f.body[:], body)
	return f, nil
}

func zero(b []byte) bool {
	return !slices.ContainsFunc(b, func(c byte) bool { return c != 0 })
}

// readFrames hands every frame of r to handle, in order, taking as many as one
// read returns; handle may use its argument until it returns. It returns nil at an end between two frames, errMalformed, the
// error of r, or what handle returned.
func readFrames(r io.Reader, s shape, handle func(*frame) error) error {
	size := s.size()
	buf := make([]byte, 0, coalesce)
	var f frame
	for {
		n, err := r.Read(buf[len(buf):cap(buf)])
		buf = buf[:len(buf)+n]
		rest := buf
		for ; len(rest) >= size; rest = rest[size:] {
			var broken error
			if f, broken = s.decode(rest[:size]); broken != nil {
				return broken
			}
			if err := handle(&f); err != nil {
				return err
			}
		}
		buf = buf[:copy(buf, rest)]
		switch {
		case err == io.EOF && len(buf) == 0:
			return nil
		case err == io.EOF:
			return errMalformed
		case err != nil:
			return err
		}
	}
}

// writeFrames writes what comes out of the queue, as many frames as are waiting
// in one write, until stop closes or w fails.
func writeFrames(w io.Writer, s shape, queue <-chan frame, stop <-chan struct{}) error {
	buf := make([]byte, 0, coalesce)
	for {
		select {
		case <-stop:
			return nil
		case f := <-queue:
			buf = s.append(buf[:0], &f)
		}
		for more := true; more && len(buf)+s.size() <= cap(buf); {
			select {
			case f := <-queue:
				buf = s.append(buf, &f)
			default:
				more = false
			}
		}
		if _, err := w.Write(buf); err != nil {
			return err
		}
	}
}

package notify

import (
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io"
)

// maxFrame bounds a frame, in bytes. Its half has room for the alerts that fire under a
// flood from many networks and for all that have ended, so that the end of each is posted.
const maxFrame = 512 << 10

// The operations.
const (
	opSinks     = "sinks"
	opAdd       = "add"
	opRemove    = "remove"
	opNotice    = "notice"
	opHeartbeat = "heartbeat"
	opSync      = "sync"
	opTest      = "test"
	opForward   = "forward"
)

// request is a frame of the core.
type request struct {
	ID   uint64          `json:"id"`
	Op   string          `json:"op"`
	Body json.RawMessage `json:"body,omitempty"`
}

// answer is a frame of the notifier.
type answer struct {
	ID    uint64          `json:"id"`
	Error string          `json:"error,omitempty"`
	Body  json.RawMessage `json:"body,omitempty"`
}

// message is the body of notice, heartbeat and test.
type message struct {
	ID   string `json:"id"`
	Sink string `json:"sink,omitempty"` // of a test
	Body []byte `json:"body"`
}

var errFrame = errors.New("notify: malformed frame")

// writeFrame writes a value as one frame, in one write.
func writeFrame(w io.Writer, v any) error {
	b, err := json.Marshal(v)
	if err != nil {
		return err
	}
	if len(b) > maxFrame {
		return fmt.Errorf("notify: a frame of %d bytes", len(b))
	}
	_, err = w.Write(append(binary.BigEndian.AppendUint32(nil, uint32(len(b))), b...))
	return err
}

// readFrame reads one frame into a value.
func readFrame(r io.Reader, v any) error {
	var head [4]byte
	if _, err := io.ReadFull(r, head[:]); err != nil {
		return err
	}
	n := binary.BigEndian.Uint32(head[:])
	if n > maxFrame {
		return errFrame
	}
	b := make([]byte, n)
	if _, err := io.ReadFull(r, b); err != nil {
		return err
	}
	if json.Unmarshal(b, v) != nil {
		return errFrame
	}
	return nil
}

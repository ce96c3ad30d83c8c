package prover

import (
	"errors"
	"fmt"
	"net"
	"os"
	"syscall"
	"time"

	"github.com/terradourada/td/internal/process"
)

// handoff is a listener whose connections arrive, as descriptors, over one
// socket that was there from the start: one byte and one descriptor each.
type handoff struct{ sock *net.UnixConn }

// newHandoff takes over a socket.
func newHandoff(f *os.File) (*handoff, error) {
	c, err := process.Conn(f)
	if err != nil {
		return nil, err
	}
	return &handoff{c}, nil
}

// Accept returns the next connection, and io.EOF when the other side is gone.
func (h *handoff) Accept() (net.Conn, error) {
	_, f, err := process.Receive(h.sock, make([]byte, 1))
	if err == nil && f == nil {
		err = errors.New("prover: message without a connection")
	}
	if err != nil {
		return nil, err
	}
	return process.Conn(f)
}

// Close closes the socket.
func (h *handoff) Close() error { return h.sock.Close() }

// Addr is that of the socket, which has no name.
func (h *handoff) Addr() net.Addr { return h.sock.LocalAddr() }

// sendTimeout bounds the sending of one descriptor: a prover that takes none
// is stuck.
const sendTimeout = time.Second

// dial makes a connection and hands its other end over the socket.
func dial(sock *net.UnixConn) (net.Conn, error) {
	own, child, err := process.Pair(syscall.SOCK_STREAM)
	if err != nil {
		return nil, errors.Join(errUnreached, err)
	}
	defer child.Close()
	c, err := process.Conn(own)
	if err != nil {
		return nil, errors.Join(errUnreached, err)
	}
	_ = sock.SetWriteDeadline(time.Now().Add(sendTimeout))
	if err := process.Send(sock, []byte{0}, child); err != nil {
		_ = c.Close()
		return nil, fmt.Errorf("%w: %w", errUnreached, err)
	}
	return c, nil
}

package prover

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"time"

	"golang.org/x/sys/unix"
)

// handoff is a listener whose connections arrive, as descriptors, over one
// socket that was there from the start: one byte and one descriptor each.
type handoff struct{ sock *net.UnixConn }

// newHandoff takes over a socket.
func newHandoff(f *os.File) (*handoff, error) {
	c, err := unixConn(f)
	if err != nil {
		return nil, err
	}
	return &handoff{c}, nil
}

// Accept gives the next connection, and io.EOF when the other side is gone.
func (h *handoff) Accept() (net.Conn, error) {
	var one [1]byte
	rights := make([]byte, unix.CmsgSpace(4))
	n, rn, _, _, err := h.sock.ReadMsgUnix(one[:], rights)
	if err == nil && n == 0 {
		err = io.EOF
	}
	if err != nil {
		return nil, err
	}
	fd, err := received(rights[:rn])
	if err != nil {
		return nil, err
	}
	return unixConn(os.NewFile(uintptr(fd), "connection"))
}

// Close closes the socket.
func (h *handoff) Close() error { return h.sock.Close() }

// Addr is that of the socket, which has no name.
func (h *handoff) Addr() net.Addr { return h.sock.LocalAddr() }

// received is the one descriptor of a message.
func received(rights []byte) (int, error) {
	messages, err := unix.ParseSocketControlMessage(rights)
	if err != nil || len(messages) != 1 {
		return 0, errors.New("prover: message without a connection")
	}
	fds, err := unix.ParseUnixRights(&messages[0])
	if err != nil || len(fds) != 1 {
		for _, fd := range fds {
			_ = unix.Close(fd)
		}
		return 0, errors.New("prover: message without exactly one connection")
	}
	return fds[0], nil
}

// sendTimeout bounds the sending of one descriptor: a prover that takes none
// is stuck.
const sendTimeout = time.Second

// dial makes a connection and hands its other end over the socket.
func dial(_ context.Context, sock *net.UnixConn) (net.Conn, error) {
	ours, theirs, err := socketpair()
	if err != nil {
		return nil, err
	}
	defer func() { _ = theirs.Close() }()
	c, err := unixConn(ours)
	if err != nil {
		return nil, err
	}
	_ = sock.SetWriteDeadline(time.Now().Add(sendTimeout))
	if _, _, err := sock.WriteMsgUnix([]byte{0}, unix.UnixRights(int(theirs.Fd())), nil); err != nil {
		_ = c.Close()
		return nil, fmt.Errorf("prover: handing over a connection: %w", err)
	}
	return c, nil
}

func socketpair() (a, b *os.File, err error) {
	fds, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return nil, nil, fmt.Errorf("prover: socketpair: %w", err)
	}
	return os.NewFile(uintptr(fds[0]), "prover"), os.NewFile(uintptr(fds[1]), "core"), nil
}

// unixConn makes a connection of a socket's descriptor and closes that.
func unixConn(f *os.File) (*net.UnixConn, error) {
	c, err := net.FileConn(f)
	_ = f.Close()
	if err != nil {
		return nil, fmt.Errorf("prover: not a socket: %w", err)
	}
	u, ok := c.(*net.UnixConn)
	if !ok {
		_ = c.Close()
		return nil, errors.New("prover: not a Unix socket")
	}
	return u, nil
}

// userPeer admits Unix sockets whose other end was made by a user.
func userPeer(uid int) func(net.Conn) error {
	return func(c net.Conn) error {
		u, ok := c.(*net.UnixConn)
		if !ok {
			return errors.New("prover: not a Unix socket")
		}
		raw, err := u.SyscallConn()
		if err != nil {
			return err
		}
		var peer *unix.Ucred
		var perr error
		if err := raw.Control(func(fd uintptr) { peer, perr = unix.GetsockoptUcred(int(fd), unix.SOL_SOCKET, unix.SO_PEERCRED) }); err != nil {
			return err
		}
		if perr != nil {
			return perr
		}
		if int(peer.Uid) != uid {
			return fmt.Errorf("prover: the other end belongs to user %d", peer.Uid)
		}
		return nil
	}
}

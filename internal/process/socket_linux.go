package process

import (
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/signal"
	"syscall"

	"golang.org/x/sys/unix"
)

// Begin is the first step of a child's program: it returns the socket that the
// process was started with. The process then ends with its socket alone: a
// terminal's Ctrl-C and a service manager's SIGTERM reach the whole group, and the
// core still needs its children while it stops in order. An error is printed: it
// is for a user who started the process by hand.
//
// The socket is non-blocking: a thread that is blocked in a read wakes the Go
// runtime's monitor, in a signer under load more than once for each anchor.
func Begin() (sock *os.File, ok bool) {
	var st unix.Stat_t
	err := unix.Fstat(ChildSocket, &st)
	if err != nil || st.Mode&unix.S_IFMT != unix.S_IFSOCK {
		err = errByHand
	} else {
		err = unix.SetNonblock(ChildSocket, true)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return nil, false
	}
	signal.Ignore(syscall.SIGINT, syscall.SIGTERM, syscall.SIGHUP)
	return os.NewFile(ChildSocket, "core"), true
}

// Pair returns the two ends of a Unix socket of a type. The first does not block
// its thread, the second is as a child is given it.
func Pair(socketType int) (own, child *os.File, err error) {
	fds, err := unix.Socketpair(unix.AF_UNIX, socketType|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return nil, nil, fmt.Errorf("process: socketpair: %w", err)
	}
	child = os.NewFile(uintptr(fds[1]), "child")
	if err := unix.SetNonblock(fds[0], true); err != nil {
		_ = unix.Close(fds[0])
		_ = child.Close()
		return nil, nil, fmt.Errorf("process: socketpair: %w", err)
	}
	return os.NewFile(uintptr(fds[0]), "core"), child, nil
}

// Send writes a message, with a descriptor if f is not nil.
func Send(c *net.UnixConn, b []byte, f *os.File) error {
	var rights []byte
	if f != nil {
		rights = unix.UnixRights(int(f.Fd()))
	}
	_, _, err := c.WriteMsgUnix(b, rights, nil)
	return err
}

var errRights = errors.New("process: message with more than one descriptor")

// Receive reads a message into b, and returns its length and the descriptor that
// came with it, or nil. The end of the socket is io.EOF.
func Receive(c *net.UnixConn, b []byte) (int, *os.File, error) {
	rights := make([]byte, unix.CmsgSpace(4))
	n, rn, _, _, err := c.ReadMsgUnix(b, rights)
	if err == nil && n == 0 {
		err = io.EOF
	}
	if err != nil || rn == 0 {
		return n, nil, err
	}
	messages, err := unix.ParseSocketControlMessage(rights[:rn])
	if err != nil || len(messages) != 1 {
		return 0, nil, errRights
	}
	fds, err := unix.ParseUnixRights(&messages[0])
	if err != nil || len(fds) != 1 {
		for _, fd := range fds {
			_ = unix.Close(fd)
		}
		return 0, nil, errRights
	}
	_ = unix.SetNonblock(fds[0], true) // a read would hold a thread otherwise
	return n, os.NewFile(uintptr(fds[0]), "received"), nil
}

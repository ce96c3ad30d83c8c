package admin

import (
	"errors"
	"net"

	"golang.org/x/sys/unix"
)

// peer is the process at the other end of a Unix socket, as the kernel names it: that
// which connected, or that which listens.
type peer struct{ uid, gid uint32 }

// peerOf asks the kernel who made the other end of a Unix socket.
func peerOf(c net.Conn) (p peer, err error) {
	u, ok := c.(*net.UnixConn)
	if !ok {
		return p, errors.New("admin: not a Unix socket")
	}
	raw, err := u.SyscallConn()
	if err != nil {
		return p, err
	}
	var cred *unix.Ucred
	var cerr error
	if err := raw.Control(func(fd uintptr) { cred, cerr = unix.GetsockoptUcred(int(fd), unix.SOL_SOCKET, unix.SO_PEERCRED) }); err != nil {
		return p, err
	}
	if cerr != nil {
		return p, cerr
	}
	return peer{cred.Uid, cred.Gid}, nil
}

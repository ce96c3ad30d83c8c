package admin

import (
	"errors"
	"net"
	"unsafe" // for a system call that x/sys has no function for

	"golang.org/x/sys/unix"
)

// peer is the process at the other end of a Unix socket, as the kernel names it: that
// which connected, or that which listens. The groups are those of the moment at which it
// connected; a process id, which can be used again, is not looked at.
type peer struct {
	uid, gid uint32
	groups   []uint32
}

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
	var asked error
	err = raw.Control(func(fd uintptr) {
		var cred *unix.Ucred
		if cred, asked = unix.GetsockoptUcred(int(fd), unix.SOL_SOCKET, unix.SO_PEERCRED); asked == nil {
			p.uid, p.gid = cred.Uid, cred.Gid
			p.groups, asked = peerGroups(fd)
		}
	})
	return p, errors.Join(err, asked)
}

// maxGroups bounds the groups of a process; it is the kernel's own bound.
const maxGroups = 1 << 16

// peerGroups asks for the supplementary groups (SO_PEERGROUPS, Linux 4.13).
func peerGroups(fd uintptr) ([]uint32, error) {
	for n := 64; n <= maxGroups; n *= 32 {
		groups := make([]uint32, n)
		size := uint32(4 * n)
		_, _, errno := unix.Syscall6(unix.SYS_GETSOCKOPT, fd, unix.SOL_SOCKET, unix.SO_PEERGROUPS,
			uintptr(unsafe.Pointer(&groups[0])), uintptr(unsafe.Pointer(&size)), 0) //nolint:gosec // the kernel takes addresses
		switch {
		case errno == 0:
			return groups[:min(size/4, uint32(n))], nil
		case errno != unix.ERANGE:
			return nil, errno
		}
	}
	return nil, unix.ERANGE
}

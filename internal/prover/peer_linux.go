package prover

import (
	"errors"
	"fmt"
	"net"

	"golang.org/x/sys/unix"
)

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

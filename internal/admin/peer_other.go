//go:build !linux

package admin

import (
	"errors"
	"net"
)

// peer is the process at the other end of a Unix socket.
type peer struct {
	uid, gid uint32
	groups   []uint32
}

// peerOf refuses: no other system is supported.
func peerOf(net.Conn) (peer, error) {
	return peer{}, errors.New("admin: who is at the other end of a socket is known on Linux only")
}

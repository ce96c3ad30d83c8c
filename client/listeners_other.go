//go:build !linux

package client

import (
	"errors"
	"net/netip"
)

// listeners returns an error: the sockets of this system are not read.
func listeners(netip.AddrPort) (map[uint64]uint32, error) {
	return nil, errors.New("listening sockets can be read on Linux only")
}

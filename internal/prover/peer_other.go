//go:build !linux

package prover

import (
	"errors"
	"net"
)

func userPeer(int) func(net.Conn) error {
	return func(net.Conn) error { return errors.New("prover: local provers run on Linux only") }
}

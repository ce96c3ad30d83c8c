//go:build !linux

package prover

import (
	"context"
	"errors"
	"net"
	"os"
)

var errLinux = errors.New("prover: local provers run on Linux only")

type handoff struct{ net.Listener }

func unixConn(*os.File) (*net.UnixConn, error)              { return nil, errLinux }
func newHandoff(*os.File) (*handoff, error)                 { return nil, errLinux }
func dial(context.Context, *net.UnixConn) (net.Conn, error) { return nil, errLinux }
func userPeer(int) func(net.Conn) error                     { return func(net.Conn) error { return errLinux } }

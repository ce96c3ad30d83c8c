//go:build !linux

package prover

import (
	"context"
	"errors"
	"net"
	"os"
)

var errLinux = errors.New("prover: local provers run on Linux only")

type child struct {
	process *os.Process
	sock    *net.UnixConn
	ended   <-chan string
}

type handoff struct{ net.Listener }

const childSocket = 3

func spawn(*PoolConfig) (*child, error)                     { return nil, errLinux }
func newHandoff(*os.File) (*handoff, error)                 { return nil, errLinux }
func dial(context.Context, *net.UnixConn) (net.Conn, error) { return nil, errLinux }
func userPeer(int) func(net.Conn) error                     { return func(net.Conn) error { return errLinux } }

//go:build !linux

package process

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
)

var errLinux = errors.New("launcher: children run on Linux only")

// Begin prints that the process cannot be used by hand.
func Begin() (sock *os.File, ok bool) {
	fmt.Fprintln(os.Stderr, errByHand)
	return nil, false
}

// Pair returns an error on this system.
func Pair(int) (own, child *os.File, err error) { return nil, nil, errLinux }

// Send returns an error on this system.
func Send(*net.UnixConn, []byte, *os.File) error { return errLinux }

// Receive returns an error on this system.
func Receive(*net.UnixConn, []byte) (int, *os.File, error) { return 0, nil, errLinux }

// Start starts nothing on this system.
func (Direct) Start(string) (*Child, error) { return nil, errLinux }

// Launcher does not exist on this system.
type Launcher struct{}

// ShortTurns does nothing on this system.
func ShortTurns() error { return nil }

// lowerPriority does nothing on this system.
func lowerPriority() error { return nil }

// Launch starts nothing on this system.
func Launch(context.Context, map[string][]string, map[string]*os.File) (*Launcher, error) {
	return nil, errors.Join(errLinux, errors.ErrUnsupported)
}

// Start starts nothing on this system.
func (*Launcher) Start(string) (*Child, error) { return nil, errLinux }

// Closed reports false.
func (*Launcher) Closed() bool { return false }

// Run returns at once.
func (*Launcher) Run(context.Context) error { return errLinux }

// Close does nothing.
func (*Launcher) Close() error { return nil }

// RunLauncher has no arguments of its own on this system.
func RunLauncher([]string) (status int, ok bool) { return 0, false }

//go:build !linux

package process

import (
	"context"
	"errors"
	"os"
)

var errLinux = errors.New("launcher: children run on Linux only")

// Socket returns an error on this system.
func Socket() (*os.File, error) { return nil, errByHand }

// Start starts nothing on this system.
func (Direct) Start(string) (*Child, error) { return nil, errLinux }

// Launcher does not exist on this system.
type Launcher struct{}

// Launch starts nothing on this system.
func Launch(context.Context, map[string][]string) (*Launcher, error) {
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

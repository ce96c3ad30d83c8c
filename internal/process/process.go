package process

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"time"
)

// Argument is the first argument of a launcher.
const Argument = "internal-launcher"

// Descriptors of a child.
const (
	ChildSocket = 3 // its socket
	ChildFile   = 4 // its file, if its kind has one
)

var errByHand = errors.New("this command is started by the server and cannot be used by hand")

// Child is a started process.
type Child struct {
	PID  int
	Sock *os.File // the core's end of its socket; does not block its thread
	kill func()
	*ending
}

// Kill ends the child by SIGKILL; it does nothing if the child has ended.
func (c *Child) Kill() { c.kill() }

// Stop waits for the end of the child, kills it after a grace, and returns how
// it ended once it is reaped.
func (c *Child) Stop(grace time.Duration) End {
	late := time.NewTimer(grace)
	defer late.Stop()
	select {
	case <-c.gone:
	case <-late.C:
		c.kill()
	}
	return c.End()
}

// ending is the end of a process that may still run.
type ending struct {
	gone chan struct{} // closed when it is reaped
	how  End           // once gone is closed
}

func newEnding() *ending { return &ending{gone: make(chan struct{})} }

// set records the end, once.
func (e *ending) set(how End) {
	e.how = how
	close(e.gone)
}

// Ended is closed when the process is reaped.
func (e *ending) Ended() <-chan struct{} { return e.gone }

// End waits until the process is reaped and returns how it ended.
func (e *ending) End() End {
	<-e.gone
	return e.how
}

// End is how a process ended.
type End struct {
	Code int    // its exit status; -1 if a signal ended it or it is not known
	Text string // the same in words, for the log
}

// Direct starts children from this process, whose user and privileges they
// have: for tests, for tools, and for the launcher itself.
type Direct struct {
	// Programs are the arguments behind the program's name for each kind.
	Programs map[string][]string

	// Files are what children of some kinds are given as descriptor 4; see
	// [Launch].
	Files map[string]*os.File
}

// Conn makes a connection of the descriptor of a Unix socket, and closes that.
func Conn(f *os.File) (*net.UnixConn, error) {
	c, err := net.FileConn(f)
	_ = f.Close()
	if err != nil {
		return nil, fmt.Errorf("process: not a socket: %w", err)
	}
	u, ok := c.(*net.UnixConn)
	if !ok {
		_ = c.Close()
		return nil, errors.New("process: not a Unix socket")
	}
	return u, nil
}

// Exchange runs what reads and writes a socket, and breaks it off with the error
// of the context when the context ends or takes longer than the limit.
func Exchange(ctx context.Context, limit time.Duration, sock interface{ SetDeadline(time.Time) error }, run func() error) error {
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	stop := context.AfterFunc(ctx, func() { _ = sock.SetDeadline(time.Unix(1, 0)) })
	err := run()
	if !stop() {
		return ctx.Err()
	}
	return err
}

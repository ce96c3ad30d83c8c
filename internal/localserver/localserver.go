// Package localserver starts a "td serve" on this machine, from the program
// that is running, for commands that need a server of their own.
package localserver

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"time"
)

// ReadyLine begins the line on standard error by which a server says where it
// listens; the URL follows.
const ReadyLine = "td: ready "

// Times that a server may take.
const (
	startWithin = 30 * time.Second
	stopWithin  = 20 * time.Second
)

// maxStderr bounds what is kept of a server's standard error, in bytes.
const maxStderr = 64 << 10

// Server is a server that was started.
type Server struct {
	cmd    *exec.Cmd
	url    string
	stderr strings.Builder // as err, it is read after done is closed
	done   chan struct{}
	err    error
}

// Start starts a server with arguments of "td serve" and waits until it is
// ready. It runs until [Server.Stop] or [Server.Kill], also when ctx ends.
func Start(ctx context.Context, args ...string) (*Server, error) {
	exe, err := os.Executable()
	if err != nil {
		return nil, err
	}
	s := &Server{cmd: exec.CommandContext(context.WithoutCancel(ctx), exe, append([]string{"serve"}, args...)...), done: make(chan struct{})}
	pipe, err := s.cmd.StderrPipe()
	if err != nil {
		return nil, err
	}
	s.cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true} // Ctrl-C reaches this process alone, which stops the server
	if err := s.cmd.Start(); err != nil {
		return nil, err
	}
	ready := make(chan string, 1)
	go s.watch(pipe, ready)
	select {
	case s.url = <-ready:
		return s, nil
	case <-s.done:
		return nil, fmt.Errorf("the server exited at its start: %w\n%s", s.reason(), s.stderr.String())
	case <-ctx.Done():
		s.Kill()
		return nil, ctx.Err()
	case <-time.After(startWithin):
		s.Kill()
		return nil, fmt.Errorf("the server was not ready within %v\n%s", startWithin, s.stderr.String())
	}
}

// watch reads the server's standard error until it ends. It sends the URL of the ready
// line, keeps the other lines, and waits for the process.
func (s *Server) watch(pipe io.Reader, ready chan<- string) {
	defer close(s.done)
	lines := bufio.NewScanner(pipe)
	for lines.Scan() {
		if url, ok := strings.CutPrefix(lines.Text(), ReadyLine); ok {
			ready <- url
		} else if s.stderr.Len() < maxStderr {
			s.stderr.WriteString(lines.Text() + "\n")
		}
	}
	s.err = s.cmd.Wait()
}

// URL returns where the server listens.
func (s *Server) URL() string { return s.url }

// PID returns the process id of the server's core.
func (s *Server) PID() int { return s.cmd.Process.Pid }

// Explain adds the server's standard error to an error if the server has exited, because
// it then holds the reason.
func (s *Server) Explain(err error) error {
	select {
	case <-s.done:
		return fmt.Errorf("%w; the server had exited: %w\n%s", err, s.reason(), s.stderr.String())
	default:
		return err
	}
}

func (s *Server) reason() error {
	if s.err == nil {
		return errors.New("exit status 0")
	}
	return s.err
}

// Stop asks the server to end and waits for it.
func (s *Server) Stop() error {
	if err := s.cmd.Process.Signal(syscall.SIGTERM); err != nil {
		return err
	}
	select {
	case <-s.done:
		return s.err
	case <-time.After(stopWithin):
		s.Kill()
		return fmt.Errorf("it had to be killed\n%s", s.stderr.String())
	}
}

// Kill ends the server if it still runs.
func (s *Server) Kill() {
	_ = s.cmd.Process.Kill()
	<-s.done
}

package proctest

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"os/exec"
	"strings"
	"sync"
	"syscall"
	"time"
)

// StopTime is the limit for a server to end in order.
const StopTime = 30 * time.Second

const (
	startTime = 60 * time.Second // limit for a server to be ready
	goneTime  = 10 * time.Second // limit for its children to end after it
)

// Server is a "td serve" with its children, in a process group of its own.
type Server struct {
	cmd   *exec.Cmd
	ready chan string   // receives its URL once
	done  chan struct{} // closed when its status was read
	err   error         // of the process; set before done is closed

	mu  sync.Mutex
	log bytes.Buffer // its standard error
}

// Launch starts a server with arguments of "td serve" and returns at once.
func Launch(binary string, args ...string) (*Server, error) {
	Starting.RLock()
	defer Starting.RUnlock()
	s := &Server{ready: make(chan string, 1), done: make(chan struct{})}
	s.cmd = exec.Command(binary, append([]string{"serve"}, args...)...)
	s.cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	pipe, err := s.cmd.StderrPipe()
	if err != nil {
		return nil, err
	}
	if err := s.cmd.Start(); err != nil {
		return nil, err
	}
	go s.watch(pipe)
	return s, nil
}

func (s *Server) watch(pipe io.Reader) {
	lines := bufio.NewScanner(pipe)
	for lines.Scan() {
		if url, ok := strings.CutPrefix(lines.Text(), "td: ready "); ok {
			s.ready <- url
		}
		s.mu.Lock()
		s.log.WriteString(lines.Text() + "\n")
		s.mu.Unlock()
	}
	s.err = s.cmd.Wait()
	close(s.done)
}

// Await waits until the server is ready and returns its URL; if it does not become
// ready, it is killed.
func (s *Server) Await() (url string, err error) {
	select {
	case url = <-s.ready:
		return url, nil
	case <-s.done:
		err = fmt.Errorf("the server ended at start (%w): %s", s.err, s.Sentence())
	case <-time.After(startTime):
		err = fmt.Errorf("the server is not ready after %v", startTime)
	}
	return "", errors.Join(err, s.Kill())
}

// Done is closed when the server has ended.
func (s *Server) Done() <-chan struct{} { return s.done }

// PID returns the process id of the core.
func (s *Server) PID() int { return s.cmd.Process.Pid }

// Sentence returns the last error that the server printed.
func (s *Server) Sentence() (last string) {
	for line := range strings.Lines(s.Said()) {
		if said, ok := strings.CutPrefix(strings.TrimSpace(line), "error: "); ok {
			last = said
		}
	}
	return last
}

// Said returns everything that the server has written to standard error.
func (s *Server) Said() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.log.String()
}

// Kill sends SIGKILL and waits until the children have ended too.
func (s *Server) Kill() error {
	all := s.Processes()
	_ = s.cmd.Process.Kill()
	<-s.done
	return AwaitGone(all)
}

// Stop sends SIGTERM and waits for the end, whatever the exit status.
func (s *Server) Stop() error {
	all := s.Processes()
	_ = s.cmd.Process.Signal(syscall.SIGTERM)
	select {
	case <-s.done:
		return AwaitGone(all)
	case <-time.After(StopTime):
		return errors.Join(fmt.Errorf("the server runs %v after SIGTERM", StopTime), s.Kill())
	}
}

// Processes returns the launcher and the children, by kind.
func (s *Server) Processes() map[string]int {
	all := Children(s.cmd.Process.Pid)
	if l := all["launcher"]; l != 0 {
		for kind, pid := range Children(l) {
			all[kind] = pid
		}
	}
	return all
}

// AwaitChild waits for the child of a kind.
func (s *Server) AwaitChild(kind string) (pid int, err error) {
	err = Eventually(goneTime, "there is no "+kind, func() bool {
		pid = s.Processes()[kind]
		return pid != 0
	})
	return pid, err
}

// AwaitGone waits until no process of the kinds has its id any more.
func AwaitGone(kinds map[string]int) error {
	for kind, pid := range kinds {
		err := Eventually(goneTime, kind+" outlives the core", func() bool {
			return Gone(pid, kind)
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// Eventually polls, because other processes and the kernel give no channel to
// wait on.
func Eventually(within time.Duration, complaint string, ok func() bool) error {
	for deadline := time.Now().Add(within); !ok(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(deadline) {
			return fmt.Errorf("%s after %v", complaint, within)
		}
	}
	return nil
}

package faults_test

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

	"github.com/terradourada/td/client"
	"github.com/terradourada/td/internal/testdata/proctest"
)

const (
	startTime = 60 * time.Second // limit for a server to be ready
	stopTime  = 30 * time.Second // limit for a server to end in order
	goneTime  = 10 * time.Second // limit for its children to end after it
)

// server is a "td serve" with its children.
type server struct {
	*client.Client
	cmd   *exec.Cmd
	url   string
	ready chan string   // receives its URL once
	done  chan struct{} // closed when its status was read
	err   error         // of the process; set before done is closed

	mu  sync.Mutex
	log bytes.Buffer // its standard error
}

// launch starts a server and returns at once.
func launch(binary string, args ...string) (*server, error) {
	starting.RLock()
	defer starting.RUnlock()
	s := &server{ready: make(chan string, 1), done: make(chan struct{})}
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

func (s *server) watch(pipe io.Reader) {
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

// await waits until the server is ready; if it does not become ready, it is
// killed.
func (s *server) await() (err error) {
	select {
	case s.url = <-s.ready:
		s.Client, err = client.New(s.url, client.Config{Retries: -1})
	case <-s.done:
		err = fmt.Errorf("the server ended at start (%w): %s", s.err, s.sentence())
	case <-time.After(startTime):
		err = fmt.Errorf("the server is not ready after %v", startTime)
	}
	if err != nil {
		return errors.Join(err, s.kill())
	}
	return nil
}

// sentence returns the last error that the server printed.
func (s *server) sentence() (last string) {
	for line := range strings.Lines(s.said()) {
		if said, ok := strings.CutPrefix(strings.TrimSpace(line), "error: "); ok {
			last = said
		}
	}
	return last
}

// said returns everything that the server has written to standard error.
func (s *server) said() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.log.String()
}

// kill sends SIGKILL and waits until the children have ended too.
func (s *server) kill() error {
	all := s.processes()
	_ = s.cmd.Process.Kill()
	<-s.done
	return awaitGone(all)
}

// stop sends SIGTERM and waits for the end, whatever the exit status.
func (s *server) stop() error {
	all := s.processes()
	_ = s.cmd.Process.Signal(syscall.SIGTERM)
	select {
	case <-s.done:
		return awaitGone(all)
	case <-time.After(stopTime):
		return errors.Join(fmt.Errorf("the server runs %v after SIGTERM", stopTime), s.kill())
	}
}

// processes returns the launcher and the children, by kind.
func (s *server) processes() map[string]int {
	all := proctest.Children(s.cmd.Process.Pid)
	if l := all["launcher"]; l != 0 {
		for kind, pid := range proctest.Children(l) {
			all[kind] = pid
		}
	}
	return all
}

// awaitChild waits for the child of a kind.
func (s *server) awaitChild(kind string) (pid int, err error) {
	err = eventually(goneTime, "there is no "+kind, func() bool {
		pid = s.processes()[kind]
		return pid != 0
	})
	return pid, err
}

func awaitGone(kinds map[string]int) error {
	for kind, pid := range kinds {
		err := eventually(goneTime, kind+" outlives the core", func() bool {
			return proctest.Gone(pid, kind)
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// eventually polls, because other processes and the kernel give no channel to
// wait on.
func eventually(within time.Duration, complaint string, ok func() bool) error {
	for deadline := time.Now().Add(within); !ok(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(deadline) {
			return fmt.Errorf("%s after %v", complaint, within)
		}
	}
	return nil
}

package process

import (
	"errors"
	"io"
	"net"
	"os"
	"os/exec"
	"strings"
	"sync"

	"golang.org/x/sys/unix"

	"github.com/terradourada/td/internal/sandbox"
)

// Exit statuses of a launcher.
const (
	exitOK        = 0
	exitStart     = 2 // also of a panic
	exitMalformed = 3
)

// maxChildren bounds the children that live at a time: three, and those of an
// epoch that ends while the next one begins.
const maxChildren = 16

// RunLauncher runs a launcher if the arguments of a process ask for it, and returns
// its exit status with true. Any other arguments are not for it. It belongs
// first in main, with the children that the launcher starts.
func RunLauncher(args []string) (status int, ok bool) {
	if len(args) < 2 || args[1] != Argument {
		return 0, false
	}
	if len(args) == 2 { // a trial: see dumpable
		return dumpableNow(), true
	}
	kinds, direct := readPrograms(args[2:])
	sock, ok := Begin()
	if !ok || sandbox.EnterLauncher(len(direct.Files) > 0) != nil {
		return exitStart, true
	}
	conn, err := Conn(sock)
	if err != nil {
		return exitStart, true
	}
	if endWith(os.Getppid(), conn) != nil {
		return exitStart, true
	}
	s := server{conn: conn, kinds: kinds, start: direct.Start, children: map[uint32]*Child{}}
	if s.send(answer{op: ansReady, value: int32(dumpable())}, nil) != nil || errors.Is(s.serve(), errMalformed) {
		return exitMalformed, true
	}
	return exitOK, true
}

// endWith closes the socket when the core's process ends: a core under an
// attacker's control could have passed the other end to another process. The
// kernel's own signal at a parent's death does not reach from one user to another.
func endWith(pid int, conn *net.UnixConn) error {
	fd, err := unix.PidfdOpen(pid, 0)
	if errors.Is(err, unix.ENOSYS) {
		return nil // before Linux 5.3: the socket has to do
	}
	if err != nil {
		return err
	}
	go func() {
		defer func() { _ = unix.Close(fd) }()
		for {
			if _, err := unix.Poll([]unix.PollFd{{Fd: int32(fd), Events: unix.POLLIN}}, -1); !errors.Is(err, unix.EINTR) {
				_ = conn.Close()
				return
			}
		}
	}()
	return nil
}

// dumpable starts a trial child and returns PR_GET_DUMPABLE of its first
// instructions. 1 means that other processes of its user may open it; so does a
// trial that fails.
func dumpable() int {
	trial := exec.Cmd{Path: self, Args: []string{"td", Argument}, Env: []string{}, Dir: "/"}
	var ended *exec.ExitError
	if err := trial.Run(); err != nil && !errors.As(err, &ended) {
		return 1
	}
	if code := trial.ProcessState.ExitCode(); code == 0 || code == 2 {
		return code
	}
	return 1
}

func dumpableNow() int {
	value, err := unix.PrctlRetInt(unix.PR_GET_DUMPABLE, 0, 0, 0, 0)
	if err != nil {
		return 1
	}
	return value
}

// withFile ends the name of a kind whose children are given a file.
const withFile = "+"

// readPrograms reads arguments of the form KIND,ARG,ARG. The files are the descriptors
// behind the socket, in the order of their kinds.
func readPrograms(args []string) (kinds []string, d Direct) {
	d = Direct{Programs: map[string][]string{}, Files: map[string]*os.File{}}
	for _, arg := range args {
		words := strings.Split(arg, ",")
		kind, has := strings.CutSuffix(words[0], withFile)
		if has {
			d.Files[kind] = os.NewFile(uintptr(ChildSocket+1+len(d.Files)), kind)
		}
		kinds = append(kinds, kind)
		d.Programs[kind] = words[1:]
	}
	return kinds, d
}

// server is the launcher's side of the socket.
type server struct {
	conn  *net.UnixConn
	kinds []string
	start func(kind string) (*Child, error)
	last  uint32 // id of the last start

	writing sync.Mutex

	mu       sync.Mutex // guards what follows
	children map[uint32]*Child
	waiters  sync.WaitGroup
}

// serve answers requests until the socket ends or a request is malformed. It
// returns when every child is reaped.
func (s *server) serve() error {
	defer s.waiters.Wait()
	defer s.killAll()
	b := make([]byte, requestSize+1)
	for {
		n, err := s.conn.Read(b)
		if err != nil {
			return err
		}
		if n == 0 {
			return io.EOF
		}
		r, err := parseRequest(b[:n], len(s.kinds))
		if err == nil {
			err = s.obey(r)
		}
		if err != nil {
			return err
		}
	}
}

// obey carries out a request; an error ends the launcher.
func (s *server) obey(r request) error {
	if (r.op == opStart) != (r.id > s.last) { // a new id, or one that was given out
		return errMalformed
	}
	if r.op == opKill {
		s.mu.Lock()
		defer s.mu.Unlock()
		if c := s.children[r.id]; c != nil { // else it has just ended
			c.Kill()
		}
		return nil
	}
	s.last = r.id
	c, err := s.begin(s.kinds[r.kind])
	if err != nil {
		return s.send(answer{op: ansFailed, id: r.id, text: err.Error()}, nil)
	}
	s.mu.Lock()
	s.children[r.id] = c
	s.mu.Unlock()
	err = s.send(answer{op: ansStarted, id: r.id, value: int32(c.PID)}, c.Sock)
	_ = c.Sock.Close()
	s.waiters.Go(func() { s.await(r.id, c) })
	return err
}

func (s *server) begin(kind string) (*Child, error) {
	s.mu.Lock()
	n := len(s.children)
	s.mu.Unlock()
	if n >= maxChildren {
		return nil, errors.New("too many children")
	}
	return s.start(kind)
}

// await waits for the end of a child and reports it to the core.
func (s *server) await(id uint32, c *Child) {
	end := c.End()
	s.mu.Lock()
	delete(s.children, id)
	s.mu.Unlock()
	_ = s.send(answer{op: ansEnded, id: id, value: int32(end.Code), text: end.Text}, nil) // a core that is gone ends serve, too
}

func (s *server) killAll() {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, c := range s.children {
		c.Kill()
	}
}

// send writes one frame, with a descriptor if there is one.
func (s *server) send(a answer, f *os.File) error {
	s.writing.Lock()
	defer s.writing.Unlock()
	return Send(s.conn, a.encode(), f)
}

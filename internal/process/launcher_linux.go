package process

import (
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"net"
	"os"
	"slices"
	"strings"
	"sync"
	"time"

	"golang.org/x/sys/unix"

	"github.com/terradourada/td/internal/sandbox"
)

// defaultPatience bounds every wait for the launcher: for its being ready, for an
// answer to a start, for the end of a child that was killed, and for its own end.
const defaultPatience = 10 * time.Second

// Launcher is the core's side of a launcher process. Its methods may be called
// from any goroutine.
type Launcher struct {
	conn     *net.UnixConn
	patience time.Duration
	pid      int
	process  *ending
	closed   bool
	kinds    []string
	writing  sync.Mutex

	mu    sync.Mutex // guards what follows
	last  uint32     // id of the last start
	held  map[uint32]*pending
	cause error // why it is down; nil while it is up
}

// pending is a child that has not ended.
type pending struct {
	started  chan startedChild // one value
	answered bool              // that it has started
	child    *ending
}

type startedChild struct {
	pid  int
	sock *os.File
	err  error
}

// Launch starts a launcher for children of these kinds; the values are the
// arguments behind the program's name, without commas. It waits until the
// launcher has given up what it does not need. Builds in which a program cannot
// restrict all of its threads have none: the error is errors.ErrUnsupported.
//
// A child of a kind with a file is given that as descriptor 4, and may connect to other
// machines. Launch leaves the files open.
//
// Call it before this process gives up its privileges. The launcher ends, and
// its children with it, when this process does.
func Launch(ctx context.Context, programs map[string][]string, files map[string]*os.File) (*Launcher, error) {
	if !sandbox.AllThreads {
		return nil, fmt.Errorf("launcher: this build cannot restrict one: %w", errors.ErrUnsupported)
	}
	args, kinds := []string{Argument}, slices.Sorted(maps.Keys(programs))
	var given []*os.File
	for _, kind := range kinds {
		name := kind
		if f := files[kind]; f != nil {
			given = append(given, f)
			name += withFile
		}
		args = append(args, strings.Join(append([]string{name}, programs[kind]...), ","))
	}
	// Otherwise another process of this user could open the copy through /proc and
	// make it readable again: seals do not cover the mode.
	if err := unix.Prctl(unix.PR_SET_DUMPABLE, 0, 0, 0, 0); err != nil {
		return nil, fmt.Errorf("launcher: this process cannot be made undumpable: %w", err)
	}
	path, executable, err := unreadable()
	if err != nil {
		return nil, fmt.Errorf("launcher: copy of the executable: %w", err)
	}
	if executable != nil {
		defer executable.Close()
	}
	core, theirs, err := Pair(unix.SOCK_SEQPACKET)
	if err != nil {
		return nil, err
	}
	defer theirs.Close()
	conn, err := Conn(core)
	if err != nil {
		return nil, err
	}
	cmd, err := command(path, args, append([]*os.File{theirs}, given...)...)
	if err != nil {
		return nil, errors.Join(err, conn.Close())
	}
	end, err := start(cmd)
	if err != nil {
		return nil, errors.Join(fmt.Errorf("launcher: %w", err), conn.Close())
	}
	_ = theirs.Close() // so that its end is the end of the socket
	l := newLauncher(conn, cmd.Process.Pid, end, kinds, defaultPatience)
	if err := l.awaitReady(ctx); err != nil {
		_ = cmd.Process.Kill()
		l.fail(err)
		<-end.gone
		return nil, err
	}
	go l.read()
	return l, nil
}

func newLauncher(conn *net.UnixConn, pid int, process *ending, kinds []string, patience time.Duration) *Launcher {
	l := &Launcher{conn: conn, patience: patience, pid: pid, process: process, kinds: kinds, held: map[uint32]*pending{}}
	go func() {
		<-process.gone
		l.fail(errEnded)
	}()
	return l
}

// unreadable returns the path of a copy of the executable that this user may
// execute but not read: see the package comment. Root can read everything; for it
// the path is that of the executable, and its children become other users. The same
// path is returned on a system without such copies (vm.memfd_noexec=2, a security
// module), and [Launcher.Closed] reports false there.
func unreadable() (path string, keep *os.File, err error) {
	if os.Geteuid() == 0 {
		return self, nil, nil
	}
	from, err := os.Open(self)
	if err != nil {
		return "", nil, err
	}
	defer from.Close()
	fd, err := unix.MemfdCreate("td", unix.MFD_CLOEXEC|unix.MFD_ALLOW_SEALING|unix.MFD_EXEC)
	if errors.Is(err, unix.EINVAL) { // before Linux 6.3
		fd, err = unix.MemfdCreate("td", unix.MFD_CLOEXEC|unix.MFD_ALLOW_SEALING)
	}
	if err != nil {
		return self, nil, nil // the trial child shows it
	}
	// A high number stays out of the way of the child's descriptors.
	high, err := unix.FcntlInt(uintptr(fd), unix.F_DUPFD_CLOEXEC, 100)
	_ = unix.Close(fd)
	if err != nil {
		return "", nil, err
	}
	to := os.NewFile(uintptr(high), "executable")
	if err := fill(to, from); err != nil {
		return "", nil, errors.Join(err, to.Close())
	}
	return fmt.Sprintf("/proc/self/fd/%d", high), to, nil
}

// fill copies the executable and makes the copy unreadable and unchangeable.
func fill(to, from *os.File) error {
	_, err := io.Copy(to, from)
	if err != nil {
		return err
	}
	if err := to.Chmod(0o111); err != nil {
		return err
	}
	_, err = unix.FcntlInt(to.Fd(), unix.F_ADD_SEALS, unix.F_SEAL_SEAL|unix.F_SEAL_SHRINK|unix.F_SEAL_GROW|unix.F_SEAL_WRITE)
	return err
}

// awaitReady reads the first frame.
func (l *Launcher) awaitReady(ctx context.Context) error {
	var a answer
	err := Exchange(ctx, l.patience, l.conn, func() (err error) {
		a, _, err = l.receive()
		return err
	})
	switch {
	case errors.Is(err, io.EOF):
		return errors.New("launcher: it exited before it was ready, as it does when it is traced")
	case err != nil:
		return fmt.Errorf("launcher: not ready: %w", err)
	case a.op != ansReady:
		return errMalformed
	}
	l.closed = a.value != 1
	return nil
}

// Closed reports whether its children are closed to other processes of their
// user from their first instruction.
func (l *Launcher) Closed() bool { return l.closed }

// PID is the process id of the launcher.
func (l *Launcher) PID() int { return l.pid }

// Start starts a child of a kind.
func (l *Launcher) Start(kind string) (*Child, error) {
	index := slices.Index(l.kinds, kind)
	if index < 0 {
		return nil, fmt.Errorf("launcher: no program for a child of kind %q", kind)
	}
	p := &pending{started: make(chan startedChild, 1), child: newEnding()}
	id, err := l.ask(byte(index), p)
	if err != nil {
		return nil, err
	}
	late := time.NewTimer(l.patience)
	defer late.Stop()
	select {
	case s := <-p.started:
		if s.err != nil {
			return nil, fmt.Errorf("launcher: start %s: %w", kind, s.err)
		}
		return &Child{PID: s.pid, Sock: s.sock, ending: p.child, kill: func() { l.kill(id) }}, nil
	case <-late.C:
		l.fail(errSilent)
		return nil, errSilent
	}
}

var errSilent = errors.New("launcher: it does not answer")

// ask sends a start with the next id: the ids grow on the socket, too.
func (l *Launcher) ask(kind byte, p *pending) (uint32, error) {
	l.writing.Lock()
	defer l.writing.Unlock()
	l.mu.Lock()
	if l.cause != nil {
		defer l.mu.Unlock()
		return 0, l.cause
	}
	l.last++
	id := l.last
	l.held[id] = p
	l.mu.Unlock()
	return id, l.write(request{opStart, kind, id})
}

// write sends a frame; after an error the launcher is down, and every call that
// waits for it fails.
func (l *Launcher) write(r request) error {
	_ = l.conn.SetWriteDeadline(time.Now().Add(l.patience))
	if _, err := l.conn.Write(r.encode()); err != nil {
		l.fail(fmt.Errorf("launcher: %w", err))
		return err
	}
	return nil
}

// kill requests the end of a child, and takes the launcher down if the child does
// not end.
func (l *Launcher) kill(id uint32) {
	if !l.holds(id) {
		return
	}
	l.writing.Lock()
	err := l.write(request{op: opKill, id: id})
	l.writing.Unlock()
	if err == nil {
		time.AfterFunc(l.patience, func() {
			if l.holds(id) {
				l.fail(errSilent)
			}
		})
	}
}

func (l *Launcher) holds(id uint32) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.held[id] != nil
}

// read takes answers until the socket ends.
func (l *Launcher) read() {
	for {
		a, sock, err := l.receive()
		if err == nil {
			err = l.deliver(a, sock)
		}
		if errors.Is(err, io.EOF) || errors.Is(err, unix.ECONNRESET) {
			err = errEnded
		}
		if err != nil {
			l.fail(err)
			return
		}
	}
}

// receive reads one frame, and the descriptor that belongs to it.
func (l *Launcher) receive() (answer, *os.File, error) {
	b := make([]byte, answerHead+maxText+1)
	n, sock, err := Receive(l.conn, b)
	if err != nil {
		return answer{}, nil, err
	}
	a, err := parseAnswer(b[:n])
	if err == nil && (sock != nil) != (a.op == ansStarted) {
		err = errMalformed
	}
	if err != nil && sock != nil {
		_ = sock.Close()
	}
	return a, sock, err
}

// deliver passes an answer to the call that waits for it.
func (l *Launcher) deliver(a answer, sock *os.File) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	p := l.held[a.id]
	if p == nil || a.op == ansReady || a.op != ansEnded && p.answered {
		if sock != nil {
			_ = sock.Close()
		}
		return errMalformed
	}
	switch a.op {
	case ansStarted:
		p.answered = true
		p.started <- startedChild{pid: int(a.value), sock: sock}
	case ansFailed:
		delete(l.held, a.id)
		p.started <- startedChild{err: errors.New(a.text)}
	default:
		delete(l.held, a.id)
		p.child.set(End{int(a.value), a.text})
	}
	return nil
}

// fail takes the launcher down; the first cause stays. Its children have ended,
// or are about to: the kernel kills them with it, and each ends with its socket.
func (l *Launcher) fail(cause error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.cause != nil {
		return
	}
	l.cause = cause
	_ = l.conn.Close()
	for id, p := range l.held {
		delete(l.held, id)
		if !p.answered {
			p.started <- startedChild{err: cause}
		}
		p.child.set(End{Code: -1, Text: "its launcher ended"})
	}
}

var (
	errClosed = errors.New("launcher: closed")
	errEnded  = errors.New("launcher: its process ended")
)

// Run waits until the context ends, and then closes the launcher, or until the
// launcher ends by itself, which is an error.
func (l *Launcher) Run(ctx context.Context) error {
	select {
	case <-ctx.Done():
		return l.Close()
	case <-l.process.gone:
		return l.err()
	}
}

// err is why the process ended, nil if it was closed.
func (l *Launcher) err() error {
	l.fail(errEnded) // unless there was another cause
	l.mu.Lock()
	defer l.mu.Unlock()
	if errors.Is(l.cause, errClosed) {
		return nil
	}
	return fmt.Errorf("%w (%s)", l.cause, l.process.how.Text)
}

// Close ends the launcher and the children that are left, and waits for its end.
func (l *Launcher) Close() error {
	l.fail(errClosed)
	late := time.NewTimer(l.patience)
	defer late.Stop()
	select {
	case <-l.process.gone:
		return l.err()
	case <-late.C:
		return errSilent
	}
}

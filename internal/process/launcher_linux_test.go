package process_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"runtime"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/terradourada/td/internal/process"
	"github.com/terradourada/td/internal/sandbox"
)

// launch starts a launcher, which ends with the test.
func launch(t *testing.T) *process.Launcher {
	t.Helper()
	l, err := process.Launch(t.Context(), programs(), nil)
	if errors.Is(err, errors.ErrUnsupported) {
		t.Skip(err)
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Close() })
	return l
}

// starter is what both ways to start a child have in common.
type starter interface {
	Start(kind string) (*process.Child, error)
}

// ways to start a child: with a launcher and without.
func ways() map[string]func(*testing.T) starter {
	return map[string]func(*testing.T) starter{
		"launcher": func(t *testing.T) starter { t.Helper(); return launch(t) },
		"direct":   func(*testing.T) starter { return process.Direct{Programs: programs()} },
	}
}

func start(t *testing.T, s starter, kind string) *process.Child {
	t.Helper()
	c, err := s.Start(kind)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Sock.Close(); c.Kill() })
	return c
}

// end waits for the end of a child.
func end(t *testing.T, c *process.Child) process.End {
	t.Helper()
	select {
	case <-c.Ended():
		return c.End()
	case <-time.After(10 * time.Second):
		t.Fatal("the child does not end")
		return process.End{}
	}
}

func TestChildHasItsSocket(t *testing.T) {
	for name, way := range ways() {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := way(t)
			c := start(t, s, "echo")
			if _, err := io.WriteString(c.Sock, "hello"); err != nil {
				t.Fatal(err)
			}
			b := make([]byte, 5)
			if _, err := io.ReadFull(c.Sock, b); err != nil || string(b) != "hello" {
				t.Fatalf("%q, %v", b, err)
			}
			if err := c.Sock.SetDeadline(time.Now().Add(-time.Second)); err != nil {
				t.Errorf("the socket blocks its thread: %v", err)
			}
			_ = c.Sock.Close()
			if e := end(t, c); e != (process.End{Code: 0, Text: "exit status 0"}) {
				t.Errorf("it ended with %v", e)
			}
		})
	}
}

func TestChildHasItsArguments(t *testing.T) {
	for name, way := range ways() {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := way(t)
			c := start(t, s, "arguments")
			if b, err := io.ReadAll(c.Sock); err != nil || string(b) != `["a" "" "b c"]` {
				t.Errorf("%s, %v", b, err)
			}
		})
	}
}

func TestEnds(t *testing.T) {
	for name, way := range ways() {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := way(t)
			if e := end(t, start(t, s, "exit")); e != (process.End{Code: 7, Text: "exit status 7"}) {
				t.Errorf("it ended with %v", e)
			}
			c := start(t, s, "stay")
			c.Kill()
			if e := end(t, c); e != (process.End{Code: -1, Text: "signal: killed"}) {
				t.Errorf("it ended with %v", e)
			}
			c.Kill() // nothing is there any more
			if c, err := s.Start("other"); err == nil {
				t.Errorf("a child of no kind: %v", c)
			}
		})
	}
}

// Children end with their launcher, and those who wait for them learn it.
func TestLauncherIsKilled(t *testing.T) {
	t.Parallel()
	l := launch(t)
	c := start(t, l, "stay")
	run := make(chan error, 1)
	go func() { run <- l.Run(t.Context()) }()
	if err := unix.Kill(l.PID(), unix.SIGKILL); err != nil {
		t.Fatal(err)
	}
	if e := end(t, c); e.Code != -1 || !strings.Contains(e.Text, "launcher") {
		t.Errorf("it ended with %v", e)
	}
	if err := <-run; err == nil || !strings.Contains(err.Error(), "process ended (signal: killed)") {
		t.Errorf("Run: %v", err)
	}
	goneSoon(t, c.PID)
	if c, err := l.Start("stay"); err == nil {
		t.Errorf("a launcher that is gone starts %v", c)
	}
}

// Run ends the launcher in order, and the children that are left.
func TestRunEnds(t *testing.T) {
	t.Parallel()
	l := launch(t)
	c := start(t, l, "stay")
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := l.Run(ctx); err != nil {
		t.Errorf("Run: %v", err)
	}
	goneSoon(t, c.PID)
	goneSoon(t, l.PID())
	if err := l.Close(); err != nil {
		t.Errorf("Close for the second time: %v", err)
	}
}

// The launcher ends with the core, though another process has its socket still.
func TestEndsWithProcess(t *testing.T) {
	t.Parallel()
	conn, core, err := process.Conns()
	if err != nil {
		t.Fatal(err)
	}
	defer core.Close() // open to the end, and silent
	cmd := exec.Command("/bin/sleep", "60")
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	if err := process.EndWith(cmd.Process.Pid, conn); err != nil {
		t.Fatal(err)
	}
	ended := make(chan error, 1)
	go func() { ended <- process.Serve(conn, nil, nil) }()
	select {
	case err := <-ended:
		t.Fatalf("it ended before the core: %v", err)
	case <-time.After(50 * time.Millisecond):
	}
	_ = cmd.Process.Kill()
	_ = cmd.Wait()
	select {
	case <-ended:
	case <-time.After(10 * time.Second):
		t.Error("the core is gone and the launcher is not")
	}
}

// core launches a launcher with a child that stays, says their process ids, and
// waits to be killed.
func core() {
	l, err := process.Launch(context.Background(), programs(), nil)
	if err != nil {
		fmt.Println(err)
		os.Exit(1)
	}
	c, err := l.Start("stay")
	if err != nil {
		fmt.Println(err)
		os.Exit(1)
	}
	open, err := process.Direct{Programs: programs()}.Start("stay")
	if err != nil {
		fmt.Println(err)
		os.Exit(1)
	}
	fmt.Println(l.PID(), c.PID, open.PID, l.Closed())
	time.Sleep(time.Hour)
}

// When the core is killed, the launcher and its children end, also a child that
// does not look at its socket.
func TestCoreIsKilled(t *testing.T) {
	t.Parallel()
	if !sandbox.AllThreads {
		t.Skip("there is no launcher in this build")
	}
	c := startCore(t, nil)
	_ = c.cmd.Process.Kill()
	_ = c.cmd.Wait()
	for _, pid := range []int{c.launcher, c.child, c.open} {
		goneSoon(t, pid)
	}
}

// coreProcess is a core of its own, and what it has started.
type coreProcess struct {
	cmd                   *exec.Cmd
	launcher, child, open int // open was started directly
	closed                bool
}

// startCore starts one, as this user if there is no other.
func startCore(t *testing.T, user *syscall.Credential) (c coreProcess) {
	t.Helper()
	c.cmd = exec.CommandContext(t.Context(), "/proc/self/exe", coreArgument)
	c.cmd.SysProcAttr = &syscall.SysProcAttr{Credential: user}
	out, err := c.cmd.StdoutPipe()
	if err == nil {
		err = c.cmd.Start()
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.cmd.Process.Kill(); _ = c.cmd.Wait() })
	if _, err := fmt.Fscan(out, &c.launcher, &c.child, &c.open, &c.closed); err != nil {
		t.Fatal(err)
	}
	return c
}

// opened tries to open a process and to attach to it.
func opened(pid int) (outcome string) {
	runtime.LockOSThread()
	f, err := os.OpenFile(fmt.Sprintf("/proc/%d/mem", pid), os.O_RDWR, 0)
	if err == nil {
		_ = f.Close()
		return "memory"
	}
	if !errors.Is(err, os.ErrPermission) {
		return err.Error()
	}
	if err = unix.PtraceAttach(pid); err == nil {
		return "ptrace"
	}
	if !errors.Is(err, os.ErrPermission) {
		return err.Error()
	}
	return "refused"
}

// TestClosedFromTheStart: children of the launcher of a core that is not root
// are closed to other processes of their user although they do nothing for it
// themselves. Those that such a core starts itself are open.
func TestClosedFromTheStart(t *testing.T) {
	t.Parallel()
	if !sandbox.AllThreads {
		t.Skip("there is no launcher in this build")
	}
	var user *syscall.Credential
	if os.Geteuid() == 0 {
		user = &syscall.Credential{Uid: 1000, Gid: 1000}
	}
	c := startCore(t, user)
	if !c.closed {
		t.Skip("this machine has no unreadable executables in memory")
	}
	for what, pid := range map[string]int{"refused": c.child, "memory": c.open} {
		cmd := exec.CommandContext(t.Context(), "/proc/self/exe", openArgument, strconv.Itoa(pid))
		cmd.SysProcAttr = &syscall.SysProcAttr{Credential: user}
		if out, err := cmd.Output(); err != nil || strings.TrimSpace(string(out)) != what {
			t.Errorf("process %d of the same user: %s, %v; want %s", pid, out, err, what)
		}
	}
}

// goneSoon waits for the end of a process that this one may not be the parent
// of; a process that was not reaped counts as gone.
func goneSoon(t *testing.T, pid int) {
	t.Helper()
	for deadline := time.Now().Add(5 * time.Second); ; time.Sleep(5 * time.Millisecond) {
		stat, err := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/stat")
		if err != nil {
			return
		}
		if _, rest, _ := strings.Cut(string(stat), ") "); strings.HasPrefix(rest, "Z") {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("process %d is still there", pid)
		}
	}
}

// TestLauncherHasNothing looks at a launcher from outside: it has its streams,
// its socket and the handles of its children, and of the privileges of root only
// the four that it needs.
func TestLauncherHasNothing(t *testing.T) {
	t.Parallel()
	l := launch(t)
	dir := fmt.Sprintf("/proc/%d/", l.PID())
	if os.Geteuid() != 0 {
		if _, err := os.ReadDir(dir + "fd"); !errors.Is(err, os.ErrPermission) {
			t.Errorf("its own user may look into it: %v", err)
		}
		return
	}
	const four = 1<<unix.CAP_SETUID | 1<<unix.CAP_SETGID | 1<<unix.CAP_KILL | 1<<unix.CAP_IPC_LOCK
	tasks, err := os.ReadDir(dir + "task")
	if err != nil || len(tasks) == 0 {
		t.Fatal(err)
	}
	for _, task := range tasks {
		status, err := os.ReadFile(dir + "task/" + task.Name() + "/status")
		if errors.Is(err, os.ErrNotExist) {
			continue
		}
		if err != nil {
			t.Fatal(err)
		}
		for line := range strings.Lines(string(status)) {
			key, value, _ := strings.Cut(strings.TrimSpace(line), ":\t")
			set, _ := strconv.ParseUint(value, 16, 64)
			switch key {
			case "CapPrm", "CapEff", "CapBnd":
				if set&^four != 0 {
					t.Errorf("thread %s: %s %s", task.Name(), key, value)
				}
			case "CapInh", "CapAmb":
				if set != 0 {
					t.Errorf("thread %s: %s %s", task.Name(), key, value)
				}
			case "NoNewPrivs":
				if value != "1" {
					t.Errorf("thread %s may get new privileges", task.Name())
				}
			}
		}
	}
	fds, err := os.ReadDir(dir + "fd")
	if err != nil {
		t.Fatal(err)
	}
	sockets := 0
	for _, fd := range fds {
		name, err := os.Readlink(dir + "fd/" + fd.Name())
		switch {
		case err != nil: // closed meanwhile
		case strings.HasPrefix(name, "socket:"):
			sockets++
		case name == "/dev/null", strings.HasPrefix(name, "anon_inode:"), strings.HasPrefix(name, "/sys/fs/cgroup/"):
		default:
			t.Errorf("it has %s open", name)
		}
	}
	if sockets != 1 {
		t.Errorf("it has %d sockets", sockets)
	}
	if env, err := os.ReadFile(dir + "environ"); err != nil || len(env) > 0 {
		t.Errorf("its environment is %q, %v", env, err)
	}
}

// TestMalformedRequestEndsIt: a launcher that is asked for what no core asks for
// kills its children, and ends with status 3.
func TestMalformedRequestEndsIt(t *testing.T) {
	t.Parallel()
	const begin, kill = "\x01\x00\x00\x00\x00\x01", "\x02\x00\x00\x00\x00\x01"
	for _, last := range []string{
		"\x01", "\x07\x00\x00\x00\x00\x02", "\x01\x01\x00\x00\x00\x02", // length, op, kind
		begin,                      // an id for the second time
		"\x02\x00\x00\x00\x00\x02", // an id that was never given
		kill + "\x00",
	} {
		core, theirs, err := process.Conns()
		if err != nil {
			t.Fatal(err)
		}
		c, killed := fakeChild(t)
		served := make(chan error, 1)
		go func() {
			served <- process.Serve(theirs, []string{"one"}, func(string) (*process.Child, error) { return c, nil })
		}()
		for _, packet := range []string{begin, last} {
			if _, err := core.Write([]byte(packet)); err != nil {
				t.Fatal(err)
			}
		}
		if err := <-served; !errors.Is(err, process.ErrMalformed) {
			t.Errorf("%q: %v", last, err)
		}
		select {
		case <-killed:
		default:
			t.Errorf("%q: the child lives", last)
		}
		_, _ = core.Close(), theirs.Close()
	}
}

// fakeChild is a child that ends when it is killed.
func fakeChild(t *testing.T) (c *process.Child, killed <-chan struct{}) {
	t.Helper()
	sock, err := os.Open(os.DevNull)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = sock.Close() })
	gone := make(chan struct{})
	return process.Fake(sock, func() { close(gone) }), gone
}

// A real launcher does the same with a real child.
func TestMalformedRequestOfACore(t *testing.T) {
	t.Parallel()
	if !sandbox.AllThreads {
		t.Skip("there is no launcher in this build")
	}
	fds, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_SEQPACKET|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	core, theirs := os.NewFile(uintptr(fds[0]), "core"), os.NewFile(uintptr(fds[1]), "launcher")
	defer core.Close()
	cmd := exec.CommandContext(t.Context(), "/proc/self/exe", process.Argument, "stay,"+strings.Join(programs()["stay"], ","))
	cmd.ExtraFiles = []*os.File{theirs}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	_ = theirs.Close()
	b := make([]byte, 300)
	if _, err := core.Read(b); err != nil || b[0] != 1 {
		t.Fatalf("not ready: %v, %v", b[0], err)
	}
	for _, packet := range []string{"\x01\x00\x00\x00\x00\x01", "?"} {
		if _, err := core.WriteString(packet); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := core.Read(b); err != nil || b[0] != 2 {
		t.Fatalf("not started: %v, %v", b[0], err)
	}
	var ended *exec.ExitError
	if err := cmd.Wait(); !errors.As(err, &ended) || ended.ExitCode() != 3 {
		t.Errorf("the launcher ended with %v", err)
	}
	goneSoon(t, int(b[7])<<8|int(b[8]))
}

// The children that live at a time are bounded.
func TestTooManyChildren(t *testing.T) {
	t.Parallel()
	core, theirs, err := process.Conns()
	if err != nil {
		t.Fatal(err)
	}
	l, over := process.Client(core, "one")
	served := make(chan error, 1)
	go func() {
		err := process.Serve(theirs, []string{"one"}, func(string) (*process.Child, error) {
			c, _ := fakeChild(t)
			return c, nil
		})
		over(process.End{}) // its process ends after that, or Close would find it dead
		served <- err
	}()
	var last *process.Child
	for range process.MaxChildren {
		if last, err = l.Start("one"); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := l.Start("one"); err == nil || !strings.Contains(err.Error(), "too many children") {
		t.Errorf("one more: %v", err)
	}
	last.Kill()
	end(t, last)
	if _, err := l.Start("one"); err != nil {
		t.Errorf("after one has ended: %v", err)
	}
	if err := l.Close(); err != nil {
		t.Error(err)
	}
	if err := <-served; !errors.Is(err, io.EOF) {
		t.Errorf("the launcher ended with %v", err)
	}
}

// A start that fails in the launcher returns its reason.
func TestStartFails(t *testing.T) {
	t.Parallel()
	core, theirs, err := process.Conns()
	if err != nil {
		t.Fatal(err)
	}
	go func() {
		_ = process.Serve(theirs, []string{"one"}, func(string) (*process.Child, error) { return nil, syscall.EAGAIN })
	}()
	l, over := process.Client(core, "one")
	if _, err := l.Start("one"); err == nil || !strings.Contains(err.Error(), "resource temporarily unavailable") {
		t.Errorf("Start: %v", err)
	}
	over(process.End{})
	_ = l.Close()
	if err := process.StartAt("/nonexistent"); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("no such program: %v", err)
	}
}

// TestBadLauncher: a launcher that does not keep to its protocol is given up,
// and no caller waits for it.
func TestBadLauncher(t *testing.T) {
	t.Parallel()
	ended1 := string(process.EndedAnswer(1, 0, "exit status 0"))
	for name, say := range map[string]func(*net.UnixConn){
		"nonsense":      func(c *net.UnixConn) { _, _ = c.Write([]byte("?")) },
		"no descriptor": func(c *net.UnixConn) { _, _ = c.Write(process.StartedAnswer(1, 5)) },
		"foreign id":    func(c *net.UnixConn) { _, _ = c.Write(process.EndedAnswer(9, 0, "x")) },
		"two descriptors": func(c *net.UnixConn) {
			_, _, _ = c.WriteMsgUnix(process.StartedAnswer(1, 5), unix.UnixRights(0, 1), nil)
		},
		"descriptor with another frame": func(c *net.UnixConn) { _, _, _ = c.WriteMsgUnix([]byte(ended1), unix.UnixRights(0), nil) },
		"end of the socket":             func(c *net.UnixConn) { _ = c.Close() },
	} {
		core, theirs, err := process.Conns()
		if err != nil {
			t.Fatal(err)
		}
		l, over := process.Client(core, "one")
		go func() {
			_, _ = theirs.Read(make([]byte, 16)) // the request
			say(theirs)
		}()
		if c, err := l.Start("one"); err == nil {
			t.Errorf("%s: started %v", name, c)
		}
		over(process.End{Code: 1, Text: "exit status 1"})
		if err := l.Run(t.Context()); err == nil {
			t.Errorf("%s: Run returns no error", name)
		}
		_ = theirs.Close()
	}
}

// TestSilentLauncher: one that does not answer, because it is stopped for
// example, is given up; who waits for a start or for the end of a child goes on.
func TestSilentLauncher(t *testing.T) {
	t.Parallel()
	for name, answers := range map[string]bool{"start": false, "kill": true} {
		patience := 50 * time.Millisecond
		if answers {
			patience = time.Second // the start must not be late on a busy machine
		}
		core, theirs, err := process.Conns()
		if err != nil {
			t.Fatal(err)
		}
		l, over := process.ClientOf(core, patience, "one")
		if answers {
			go func() {
				_, _ = theirs.Read(make([]byte, 16)) // the start
				_, _, _ = theirs.WriteMsgUnix(process.StartedAnswer(1, 5), unix.UnixRights(0), nil)
			}()
		}
		c, err := l.Start("one")
		if answers != (err == nil) {
			t.Fatalf("%s: %v", name, err)
		}
		if answers {
			c.Kill()
			if e := end(t, c); e.Code != -1 {
				t.Errorf("%s: it ended with %v", name, e)
			}
		}
		if _, err := l.Start("one"); err == nil || !strings.Contains(err.Error(), "does not answer") {
			t.Errorf("%s: the next start: %v", name, err)
		}
		if err := l.Close(); err == nil {
			t.Errorf("%s: Close says that a process is gone which is still there", name)
		}
		over(process.End{Code: -1, Text: "signal: killed"})
		if err := l.Run(t.Context()); err == nil {
			t.Errorf("%s: Run returns no error", name)
		}
		_ = theirs.Close()
	}
}

// A second word about a start is a fault, too.
func TestStartedTwice(t *testing.T) {
	t.Parallel()
	core, theirs, err := process.Conns()
	if err != nil {
		t.Fatal(err)
	}
	defer theirs.Close()
	l, over := process.Client(core, "one")
	go func() {
		for range 2 {
			_, _, _ = theirs.WriteMsgUnix(process.StartedAnswer(1, 5), unix.UnixRights(int(os.Stdin.Fd())), nil)
		}
	}()
	// The first may come before the request is noted, which is a fault as well.
	if c, err := l.Start("one"); err == nil {
		if e := end(t, c); e.Code != -1 {
			t.Errorf("it ended with %v", e)
		}
	}
	over(process.End{})
	if err := l.Run(t.Context()); err == nil {
		t.Error("Run returns no error")
	}
}

func TestRunChildIsForLaunchers(t *testing.T) {
	for _, args := range [][]string{nil, {"td"}, {"td", "serve"}, {process.Argument}, {"td", "internal-signer"}} {
		if status, ok := process.RunLauncher(args); ok {
			t.Errorf("%q runs a launcher, status %d", args, status)
		}
	}
	cmd := exec.CommandContext(t.Context(), "/proc/self/exe", process.Argument, "echo")
	var said bytes.Buffer
	cmd.Stderr = &said
	var ended *exec.ExitError
	if err := cmd.Run(); !errors.As(err, &ended) || ended.ExitCode() != 2 || !strings.Contains(said.String(), "cannot be used by hand") {
		t.Errorf("by hand: %v\n%s", err, said.String())
	}
}

// TestTracedLauncherEnds: a launcher that is traced from its first instruction
// starts nothing.
func TestTracedLauncherEnds(t *testing.T) {
	runtime.LockOSThread() // the tracer is a thread
	defer runtime.UnlockOSThread()
	fds, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_SEQPACKET|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	_ = unix.Close(fds[0]) // a launcher that is not traced ends in order then, with 0
	theirs := os.NewFile(uintptr(fds[1]), "theirs")
	cmd := exec.CommandContext(t.Context(), "/proc/self/exe", process.Argument, "echo")
	cmd.ExtraFiles, cmd.SysProcAttr = []*os.File{theirs}, &syscall.SysProcAttr{Ptrace: true}
	err = cmd.Start()
	_ = theirs.Close()
	if err != nil {
		t.Skipf("nothing can be traced here: %v", err)
	}
	var status unix.WaitStatus
	for {
		_, err := unix.Wait4(cmd.Process.Pid, &status, unix.WALL, nil)
		if err != nil || status.Exited() || status.Signaled() {
			break
		}
		signal := int(status.StopSignal())
		if signal == int(unix.SIGTRAP) { // of the start itself
			signal = 0
		}
		_ = unix.PtraceCont(cmd.Process.Pid, signal) // it may be gone
	}
	if !status.Exited() || status.ExitStatus() != 2 {
		t.Errorf("it ended with %x", status)
	}
}

// TestChildInheritsNothing: a descriptor that this process was given without
// close-on-exec stays here, also where the kernel has no close_range.
func TestChildInheritsNothing(t *testing.T) {
	for name, keep := range map[string]func() error{"all": process.CloseOnExec, "each": process.CloseEachOnExec} {
		fd, err := unix.Open(os.DevNull, unix.O_RDONLY, 0)
		if err != nil {
			t.Fatal(err)
		}
		if err := keep(); err != nil {
			t.Fatal(err)
		}
		if flags, err := unix.FcntlInt(uintptr(fd), unix.F_GETFD, 0); err != nil || flags&unix.FD_CLOEXEC == 0 {
			t.Errorf("%s: flags %x, %v", name, flags, err)
		}
		_ = unix.Close(fd)
	}
}

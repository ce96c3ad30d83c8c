//go:build linux && !cgo

package sandbox_test

import (
	"bufio"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/terradourada/td/internal/sandbox"
	"github.com/terradourada/td/internal/testdata/proctest"
)

var randRead = rand.Read

// run runs a child and returns what it wrote and how it ended.
func run(t *testing.T, attr *syscall.SysProcAttr, dir string, words ...string) (string, error) {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), "/proc/self/exe", append([]string{childArgument}, words...)...)
	cmd.Env = []string{}
	cmd.Dir = dir
	cmd.SysProcAttr = attr
	out, err := cmd.Output()
	return string(out), err
}

// posture runs a child that enters the sandbox, works, and ends in order.
func posture(t *testing.T, attr *syscall.SysProcAttr, words ...string) sandbox.Posture {
	t.Helper()
	out, err := run(t, attr, "/", append(words, "enter", strconv.Itoa(sandbox.FirstUID), "work")...)
	text, whole := strings.CutSuffix(out, "end\n")
	if err != nil || !whole {
		t.Fatalf("the child did not come to its end: %v\n%s", err, out)
	}
	p, err := sandbox.ParsePosture(sandbox.Prover, text) // no key here
	if err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	t.Log("\n" + text)
	return p
}

// want compares states given as "id=state" and the grade.
func want(t *testing.T, p sandbox.Posture, grade sandbox.Grade, changes ...string) {
	t.Helper()
	expected := map[string]string{}
	for _, c := range changes {
		id, state, _ := strings.Cut(c, "=")
		expected[id] = state
	}
	for _, probe := range p.Probes {
		state := expected[probe.ID]
		if state == "" && probe.ID != sandbox.Swap { // the machine's own affair
			state = "ok"
		}
		if state != "" && probe.State.String() != state {
			t.Errorf("%s is %s (%s), want %s", probe.ID, probe.State, probe.Value, state)
		}
		if probe.State != sandbox.StateOK && (probe.Remedy == "" || probe.Effect == "") {
			t.Errorf("%s is not ok and does not say what to do", probe.ID)
		}
	}
	if p.Grade() != grade {
		t.Errorf("grade %v, want %v", p.Grade(), grade)
	}
}

// asRoot and friends are the users a child is started as.
func asRoot(t *testing.T) *syscall.SysProcAttr {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Skip("only root can give up root")
	}
	return nil
}

func as1000(t *testing.T) *syscall.SysProcAttr {
	t.Helper()
	if os.Geteuid() != 0 {
		return nil // this user is not root
	}
	return &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: 1000, Gid: 1000}}
}

func needLandlock(t *testing.T) {
	t.Helper()
	if v, err := sandbox.LandlockVersion(); err != nil || v < 4 {
		t.Skipf("this kernel's Landlock is version %d (%v), and 4 is needed", v, err)
	}
}

func TestEnterAsRoot(t *testing.T) {
	t.Parallel()
	attr := asRoot(t)
	needLandlock(t)
	want(t, posture(t, attr), sandbox.GradeA)
}

func TestEnterAsUser(t *testing.T) {
	t.Parallel()
	needLandlock(t)
	want(t, posture(t, as1000(t)), sandbox.GradeB, "user=weak")
}

// TestEnterInUserNamespace: root of a namespace that maps nothing else cannot
// become another user.
func TestEnterInUserNamespace(t *testing.T) {
	t.Parallel()
	needLandlock(t)
	attr := &syscall.SysProcAttr{
		Cloneflags:  syscall.CLONE_NEWUSER,
		UidMappings: []syscall.SysProcIDMap{{ContainerID: 0, HostID: os.Geteuid(), Size: 1}},
		GidMappings: []syscall.SysProcIDMap{{ContainerID: 0, HostID: os.Getegid(), Size: 1}},
	}
	if _, err := run(t, attr, "/", "nothing"); err != nil {
		t.Skipf("no user namespace can be made here: %v", err)
	}
	want(t, posture(t, attr), sandbox.GradeB, "user=missing")
}

// TestDegradation: whatever an outer filter takes away, the posture shows it and
// the grade counts it.
func TestDegradation(t *testing.T) {
	t.Parallel()
	needLandlock(t)
	for _, c := range []struct {
		denied  string
		grade   sandbox.Grade
		changes []string
	}{
		{"landlock_create_ruleset", sandbox.GradeB, []string{"landlock=missing"}},
		{"landlock_restrict_self", sandbox.GradeB, []string{"landlock=missing"}},
		{"seccomp", sandbox.GradeD, []string{"seccomp=missing", "self_test=missing"}},
		{"seccomp,landlock_create_ruleset", sandbox.GradeD, []string{"seccomp=missing", "self_test=missing", "landlock=missing"}},
		{"prctl", sandbox.GradeC, []string{"dumpable=missing"}},
		{"setresuid", sandbox.GradeB, []string{"user=missing"}},
		{"setgroups", sandbox.GradeB, []string{"user=missing"}},
	} {
		t.Run(c.denied, func(t *testing.T) {
			t.Parallel()
			attr := asRoot(t)
			p := posture(t, attr, "deny", c.denied)
			want(t, p, c.grade, c.changes...)
			if s := p.Shortfall("signer", c.grade-1); !strings.Contains(s, "min_grade is "+(c.grade-1).String()) {
				t.Errorf("the refusal says %q", s)
			}
		})
	}
}

// TestFilterKills: what is not on the list ends the process at once, with
// SIGSYS.
func TestFilterKills(t *testing.T) {
	t.Parallel()
	for profile, calls := range map[string]map[string]func(){"enter 0": forbidden(), "prover": forbiddenToProvers(), "notifier": forbiddenToNotifiers()} {
		for name := range calls {
			t.Run(profile+"/"+name, func(t *testing.T) {
				t.Parallel()
				out, err := run(t, nil, "/", append(strings.Fields(profile), "call", name)...)
				var ended *exec.ExitError
				if !errors.As(err, &ended) || !strings.HasSuffix(out, "\ntrying\n") {
					t.Fatalf("it lived, or did not get so far: %v\n%s", err, out)
				}
				if status, ok := ended.Sys().(syscall.WaitStatus); !ok || !status.Signaled() || status.Signal() != unix.SIGSYS {
					t.Errorf("it ended with %v\n%s", ended, out)
				}
				if text := sandbox.EndText(ended.ProcessState); !strings.HasPrefix(text, "killed by its sandbox") {
					t.Errorf("its end reads %q", text)
				}
			})
		}
	}
}

// TestFilterRefuses: some calls fail and do not kill, whatever is above an int;
// and what is above an int does not keep a call from being allowed.
func TestFilterRefuses(t *testing.T) {
	t.Parallel()
	for _, profile := range []string{"enter 0", "prover", "notifier sockets"} {
		out, err := run(t, nil, "/", append(strings.Fields(profile), "refused", "admitted", "work")...)
		_, rest, ok := strings.Cut(out, "\n"+sandbox.SelfTest+" ok ")
		if _, wrong, _ := strings.Cut(rest, "\n"); err != nil || !ok || wrong != "end\n" {
			t.Errorf("%s: %v\n%s", profile, err, out)
		}
	}
}

// TestDescriptors: a child has its standard streams, descriptor 3 and the
// poller's two; what was open besides is closed.
func TestDescriptors(t *testing.T) {
	t.Parallel()
	for _, steps := range []string{"enter 0 descriptors", "clutter enter 0 descriptors", "clutter prover descriptors"} {
		c := start(t, steps)
		c.until(sandbox.SelfTest + " ok ")
		dir := fmt.Sprintf("/proc/%d/fd", c.cmd.Process.Pid)
		entries, err := os.ReadDir(dir)
		if err != nil {
			t.Skipf("the child's descriptors cannot be seen here: %v", err)
		}
		kinds := map[string]int{}
		for _, e := range entries {
			target, err := os.Readlink(filepath.Join(dir, e.Name()))
			if err != nil {
				t.Fatal(err)
			}
			if fd, _ := strconv.Atoi(e.Name()); fd > 3 {
				kinds[target]++
			}
		}
		if want := map[string]int{"anon_inode:[eventpoll]": 1, "anon_inode:[eventfd]": 1}; !maps.Equal(kinds, want) {
			t.Errorf("%s: behind the first four are %v, want %v", steps, kinds, want)
		}
		c.end()
	}
}

// TestTraced: a process that is traced, in whichever thread, does not get
// through.
func TestTraced(t *testing.T) {
	t.Parallel()
	asRoot(t)
	for _, profile := range []string{"enter 0", "prover"} {
		for _, which := range []string{"the first thread", "another thread", "none"} {
			c := start(t, "thread "+profile)
			thread, err := strconv.Atoi(c.until(""))
			if err != nil {
				t.Fatal(err)
			}
			if which == "the first thread" {
				thread = c.cmd.Process.Pid
			}
			ended := func() {}
			if which != "none" {
				ended = seize(t, thread)
			}
			out := c.end()
			ended()
			if refused := strings.Contains(out, "fault: "+sandbox.ErrTraced.Error()); refused != (which != "none") {
				t.Errorf("%s, %s traced: refused: %v\n%s", profile, which, refused, out)
			}
		}
	}
}

// seize traces a thread, which goes on, until it ends; ended waits for that.
func seize(t *testing.T, thread int) (ended func()) {
	t.Helper()
	seized, over := make(chan error), make(chan struct{})
	go func() {
		defer close(over)
		runtime.LockOSThread()         // one thread is the tracer
		defer runtime.UnlockOSThread() // a thread that ends kills the children that it has started
		err := unix.PtraceSeize(thread)
		seized <- err
		for err == nil {
			var status unix.WaitStatus
			switch _, err = unix.Wait4(thread, &status, unix.WALL, nil); {
			case errors.Is(err, unix.EINTR):
				err = nil
			case err == nil && status.Stopped():
				err = unix.PtraceCont(thread, int(status.StopSignal()))
			}
		}
	}()
	if err := <-seized; err != nil {
		t.Skipf("nothing can be traced here: %v", err)
	}
	return func() { <-over }
}

// started is a child that runs.
type started struct {
	t   *testing.T
	cmd *exec.Cmd
	in  io.WriteCloser
	out *bufio.Scanner
}

func start(t *testing.T, steps string) *started {
	t.Helper()
	c := &started{t: t, cmd: exec.CommandContext(t.Context(), "/proc/self/exe", append([]string{childArgument}, strings.Fields(steps)...)...)}
	c.cmd.Env = []string{}
	var err error
	if c.in, err = c.cmd.StdinPipe(); err != nil {
		t.Fatal(err)
	}
	out, err := c.cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	c.out = bufio.NewScanner(out)
	if err := c.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	return c
}

// until reads lines up to one that begins so, and returns that.
func (c *started) until(prefix string) string {
	c.t.Helper()
	for c.out.Scan() {
		if strings.HasPrefix(c.out.Text(), prefix) {
			return c.out.Text()
		}
	}
	c.t.Fatalf("the child ended before it said %q", prefix)
	return ""
}

// end has it go on to its end, and returns what it says until then.
func (c *started) end() (rest string) {
	c.t.Helper()
	if err := c.in.Close(); err != nil {
		c.t.Fatal(err)
	}
	for c.out.Scan() {
		rest += c.out.Text() + "\n"
	}
	_ = c.cmd.Wait() // its output shows the outcome
	return rest
}

// TestNoCoreFile: a child that aborts leaves no core file where the same death
// outside of the sandbox leaves one.
func TestNoCoreFile(t *testing.T) {
	proctest.AllowCoreFiles(t)
	for _, c := range []struct {
		words string
		cores int
	}{
		{"abort", 1}, // the control: there is something to prevent
		{"enter 0 abort", 0},
		{"deny prctl enter 0 abort", 0}, // by the limit alone
	} {
		dir := t.TempDir()
		out, err := run(t, nil, dir, strings.Fields(c.words)...)
		var ended *exec.ExitError
		if !errors.As(err, &ended) || ended.Sys().(syscall.WaitStatus).Signal() != unix.SIGABRT {
			t.Fatalf("%s: ended with %v\n%s", c.words, err, out)
		}
		if cores, _ := filepath.Glob(filepath.Join(dir, "core*")); len(cores) != c.cores {
			t.Errorf("%s: core files %v, want %d", c.words, cores, c.cores)
		}
	}
}

//go:build linux && !cgo

package sandbox_test

import (
	"crypto/rand"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/terradourada/td/internal/sandbox"
)

var randRead = rand.Read

// run runs a child and gives what it wrote and how it ended.
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
		return nil // whoever we are, it is not root
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
// become somebody else.
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
	for name := range forbidden() {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			out, err := run(t, nil, "/", "enter", "0", "call", name)
			var ended *exec.ExitError
			if !errors.As(err, &ended) {
				t.Fatalf("it lived: %v\n%s", err, out)
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

// TestNoCoreFile: a child that aborts leaves no core file where the same death
// outside of the sandbox leaves one.
func TestNoCoreFile(t *testing.T) {
	pattern, err := os.ReadFile("/proc/sys/kernel/core_pattern")
	if err != nil || strings.HasPrefix(string(pattern), "|") || strings.HasPrefix(string(pattern), "/") {
		t.Skipf("core dumps of this machine do not go to the working directory: %q", pattern)
	}
	var before unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_CORE, &before); err != nil {
		t.Fatal(err)
	}
	if err := unix.Setrlimit(unix.RLIMIT_CORE, &unix.Rlimit{Cur: before.Max, Max: before.Max}); err != nil || before.Max == 0 {
		t.Skipf("core dumps cannot be allowed: limit %d, %v", before.Max, err)
	}
	defer func() { _ = unix.Setrlimit(unix.RLIMIT_CORE, &before) }()
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

//go:build !cgo

package main_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"os"
	"os/exec"
	"slices"
	"strings"
	"syscall"
	"testing"
	"text/tabwriter"

	"golang.org/x/sys/unix"

	"github.com/terradourada/td/internal/sandbox"
)

// start is one way to start a server, and what is expected of it.
type start struct {
	name   string
	denied string // what is taken from it, see runDenied
	change func(t *testing.T, cmd *exec.Cmd)
	uid    uint32            // of the core
	uids   map[string]uint32 // of the others, if they have others
	grade  string            // of its keyholders
	graded string            // why it is not A, as the posture says it

	// owner is the user who owns the user namespace of the server, and may open
	// everything in it; 0 if that is root.
	owner uint32
}

// starts are all kinds of them.
func starts() []start {
	user := func(_ *testing.T, cmd *exec.Cmd) {
		cmd.SysProcAttr.Credential = &syscall.Credential{Uid: ordinary, Gid: ordinary}
	}
	const first = sandbox.FirstUID
	return []start{
		{
			name: "root", uid: first + 3, grade: "A",
			uids: map[string]uint32{"launcher": 0, "signer": first, "tagger": first + 1, "prover": first + 2, "notifier": first + 4},
		},
		{name: "user", change: user, uid: ordinary, grade: "A"},
		{name: "user without Landlock", denied: "landlock_create_ruleset", change: user, uid: ordinary, grade: "B", graded: "id=landlock state=missing"},
		{
			name: "root without Landlock", denied: "landlock_create_ruleset", uid: first + 3, grade: "B", graded: "id=landlock state=missing",
			uids: map[string]uint32{"launcher": 0, "signer": first, "tagger": first + 1, "prover": first + 2, "notifier": first + 4},
		},
		{name: "root without capabilities", denied: "capabilities", uid: 0, grade: "B", graded: `id=core state=weak found="user 0, no capability`},
		{
			name: "user namespace", uid: ordinary, grade: "B", graded: `id=core state=weak found="user 0, no capability`, owner: ordinary,
			change: func(t *testing.T, cmd *exec.Cmd) {
				t.Helper()
				unshare, err := exec.LookPath("unshare")
				if err != nil || exec.Command(unshare, "-Ur", "true").Run() != nil {
					t.Skip("no user namespace can be made here")
				}
				program, err := os.Open("/proc/self/exe")
				if err != nil {
					t.Fatal(err)
				}
				t.Cleanup(func() { _ = program.Close() })
				cmd.ExtraFiles = append(cmd.ExtraFiles, program)
				cmd.Args = append([]string{unshare, "-Ur", fmt.Sprintf("/proc/self/fd/%d", 2+len(cmd.ExtraFiles))}, cmd.Args[1:]...)
				cmd.Path = unshare
				cmd.SysProcAttr.Credential = &syscall.Credential{Uid: ordinary, Gid: ordinary}
			},
		},
	}
}

// TestPrivileges is the table of who can open whom: an intruder inside the core
// (from every thread, from new ones, and with the capabilities of a user
// namespace of its own), and one with the credentials of each process of the
// server but without its confinement, against each of the others, by every means that
// Linux has. All of it is refused, or the grade is not A. A process with the
// user of another may stop and end it, which is denial, not theft.
func TestPrivileges(t *testing.T) {
	t.Parallel()
	if os.Geteuid() != 0 {
		t.Skip("NOT SHOWN: only root can start a server in every way, and take the place of its processes")
	}
	var results []tried
	for _, s := range starts() {
		t.Run(s.name, func(t *testing.T) { s.try(t, &results) })
	}
	t.Log("\n" + tableOf(results))
}

// try starts a server, has it tried, and judges the outcome.
func (s *start) try(t *testing.T, table *[]tried) {
	t.Helper()
	data := t.TempDir()
	if err := os.Chmod(data, 0o777); err != nil {
		t.Fatal(err)
	}
	intruders, inside := duplex(t)
	b := launchAs(t, func(cmd *exec.Cmd) {
		cmd.ExtraFiles = []*os.File{inside}
		if s.change != nil {
			s.change(t, cmd)
		}
	}, []string{asIntruder + "=3", deniedCalls + "=" + s.denied}, data, "--notify-allow", "127.0.0.1")
	_ = inside.Close()
	if err := b.await(); err != nil {
		t.Fatal(err)
	}
	if line := lineWith(b.stderr(), `msg="epoch active"`); !strings.Contains(line, "signer_grade="+s.grade) || !strings.Contains(line, "tagger_grade="+s.grade) {
		t.Errorf("want grade %s: %s", s.grade, line)
	}
	if !strings.Contains(b.stderr(), s.graded) {
		t.Errorf("the posture does not say %q", s.graded)
	}
	targets := map[string]int{"launcher": b.launcher(), "signer": b.child("signer", 0), "tagger": b.child("tagger", 0), "prover": b.child("prover", 0), "notifier": b.child("notifier", 0)}

	var results []tried
	if json.NewEncoder(intruders).Encode(targets) != nil || json.NewDecoder(intruders).Decode(&results) != nil {
		t.Fatal("the intruder in the core does not answer: an attempt did not end alike on every thread")
	}
	for _, how := range []string{"every thread", "a new thread", "a namespace of its own"} {
		if !slices.ContainsFunc(results, func(r tried) bool { return r.Actor == "core, "+how }) {
			t.Logf("NOT SHOWN: the core, %s", how)
		}
	}
	scoped := !strings.Contains(s.denied, "landlock")
	for _, r := range results {
		sameUser := s.uids == nil || s.uids[r.Target] == s.uid
		// Landlock holds back its signals, but not limits.
		s.judge(t, r, sameUser && (!scoped || r.Means == limit))
	}

	targets["core"] = b.cmd.Process.Pid
	actors := []string{"core", "signer", "tagger", "prover", "notifier"}
	if s.owner != 0 {
		actors = []string{"owner of the namespace"}
	}
	for _, name := range actors {
		others := maps.Clone(targets)
		delete(others, name)
		uid := s.user(name)
		for _, r := range intrudeAs(t, name, uid, false, others) {
			s.judge(t, r, s.user(r.Target) == uid)
			results = append(results, r)
		}
	}
	control(t, targets["signer"])
	for _, r := range results {
		r.Actor = s.name + ": " + r.Actor
		*table = append(*table, r)
	}
	if s.graded == "" {
		b.alive()
	}
}

// user is the user of one of the server's processes.
func (s *start) user(kind string) uint32 {
	if uid, ok := s.uids[kind]; ok {
		return uid
	}
	return s.uid
}

// judge wants an attempt to be refused.
func (s *start) judge(t *testing.T, r tried, mayStop bool) {
	t.Helper()
	stops := r.Means == signals || r.Means == limit
	switch {
	case r.refused():
	case stops && mayStop && r.Errno == 0:
	case r.Means == "perf_event_open" && r.Errno == unix.ENOENT: // this kernel counts nothing
	case r.Actor == "owner of the namespace": // may do all that, and the grade says so
	default:
		t.Errorf("%s: %s against %s: %v", r.Actor, r.Means, r.Target, outcome(r))
	}
}

// TestMayNotEnd: a root whose launcher could not kill what it starts as another
// user does not start; with children that stay root it does.
func TestMayNotEnd(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("not run: needs root")
	}
	t.Parallel()
	without := []string{deniedCalls + "=kill"}
	b := launchWith(t, without, t.TempDir())
	<-b.done
	var ended *exec.ExitError
	if !errors.As(b.err, &ended) || ended.ExitCode() != 8 || !strings.Contains(b.stderr(), "it lacks CAP_KILL") {
		t.Errorf("the start ended with %v:\n%s", b.err, b.stderr())
	}
	if err := launchWith(t, without, t.TempDir(), "--child-uid", "0", "--min-grade", "C").await(); err != nil {
		t.Errorf("with children that stay root: %v", err)
	}
}

// control makes the attempts as root with all capabilities: they are sound, and
// it is not for their arguments that they are refused to others.
func control(t *testing.T, pid int) {
	t.Helper()
	for _, r := range intrudeAs(t, "root", 0, true, map[string]int{"signer": pid}) {
		if r.Means != limit && r.refused() { // which takes CAP_SYS_RESOURCE, and not every root has that
			t.Errorf("control: %s is refused to root, too (%v): the table is blind", r.Means, outcome(r))
		}
	}
}

// intrudeAs runs an intruder with the credentials of another process: its user,
// no groups, and no capability unless it is all of root.
func intrudeAs(t *testing.T, name string, uid uint32, all bool, targets map[string]int) (results []tried) {
	t.Helper()
	args := []string{intruderArgument, name}
	for kind, pid := range targets {
		args = append(args, fmt.Sprintf("%s=%d", kind, pid))
	}
	cmd := exec.CommandContext(t.Context(), "/proc/self/exe", args...)
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: uid, Gid: uid}}
	if !all && uid == 0 {
		cmd.Env = append(os.Environ(), deniedCalls+"=capabilities")
	}
	var problems bytes.Buffer
	cmd.Stderr = &problems
	out, err := cmd.Output()
	if err == nil {
		err = json.Unmarshal(out, &results)
	}
	if err != nil {
		t.Fatalf("intruder as user %d: %v\n%s", uid, err, problems.String())
	}
	return results
}

// duplex is a socket with two ends.
func duplex(t *testing.T) (a, b *os.File) {
	t.Helper()
	fds, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	a, b = os.NewFile(uintptr(fds[0]), "intruder"), os.NewFile(uintptr(fds[1]), "inside")
	t.Cleanup(func() { _, _ = a.Close(), b.Close() })
	return a, b
}

func outcome(r tried) string {
	if r.Errno == 0 {
		return "it succeeds"
	}
	return r.Errno.Error()
}

// tableOf sums up the attempts: one line for each actor and means.
func tableOf(results []tried) string {
	type cell struct{ actor, means string }
	var order []cell
	outcomes := map[cell]map[string][]string{}
	for _, r := range results {
		c := cell{r.Actor, r.Means}
		if outcomes[c] == nil {
			outcomes[c] = map[string][]string{}
			order = append(order, c)
		}
		word := outcome(r)
		if r.refused() {
			word = "refused"
		}
		if !slices.Contains(outcomes[c][word], r.Target) {
			outcomes[c][word] = append(outcomes[c][word], r.Target)
		}
	}
	var b strings.Builder
	w := tabwriter.NewWriter(&b, 0, 0, 2, ' ', 0)
	refused := map[string][]string{}
	for _, c := range order {
		if words := slices.Sorted(maps.Keys(outcomes[c])); len(words) == 1 && words[0] == "refused" {
			refused[c.actor] = append(refused[c.actor], c.means)
			continue
		}
		for _, word := range slices.Sorted(maps.Keys(outcomes[c])) {
			fmt.Fprintf(w, "%s\t%s\t%s\t%s\n", c.actor, c.means, word, strings.Join(outcomes[c][word], ", "))
		}
	}
	for _, actor := range slices.Sorted(maps.Keys(refused)) {
		fmt.Fprintf(w, "%s\t%d means refused against all\t\t\n", actor, len(refused[actor]))
	}
	_ = w.Flush()
	return b.String()
}

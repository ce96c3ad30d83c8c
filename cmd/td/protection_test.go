package main_test

import (
	"errors"
	"os"
	"path/filepath"
	"runtime/debug"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/terradourada/td/internal/sandbox"
)

// developmentEnv lets servers of a test binary that was built with cgo, as the
// race detector needs it, start without the protection that such a build cannot
// have.
func developmentEnv() []string {
	info, _ := debug.ReadBuildInfo()
	if !slices.Contains(info.Settings, debug.BuildSetting{Key: "CGO_ENABLED", Value: "1"}) {
		return nil
	}
	return []string{"TD_MIN_GRADE=D", "TD_ALLOW_DEVELOPMENT_GRADE=true"}
}

// TestGradeIsRequired: a server that cannot have the grade it must have does not
// start, and one sentence says what is missing and what to do.
func TestGradeIsRequired(t *testing.T) {
	t.Parallel()
	if developmentEnv() != nil {
		t.Skip("a build with cgo has no grade to lose")
	}
	for denied, c := range map[string]struct {
		least string
		want  []string
	}{
		"seccomp":                 {"B", []string{"protection grade D but min_grade is B, because seccomp is missing", "CONFIG_SECCOMP_FILTER"}},
		"landlock_create_ruleset": {"A", []string{"min_grade is A, because", "landlock is missing", "lsm="}},
		"memfd_secret":            {"A", []string{"min_grade is A, because key memory is weak (locked", "memfd_secret", "RLIMIT_MEMLOCK"}},
		"root,memfd_create":       {"A", []string{"min_grade is A, because", "core is weak (user 1000, no capability, launcher apart, but keyholders of this user are open while they start)", "start the server as root"}},
		"root,memlock":            {"A", []string{"min_grade is A, because key memory is missing (plain", "limit 65536", "LimitMEMLOCK=1M"}},
		"memfd_secret,mlock":      {"B", []string{"protection grade C but min_grade is B, because key memory is missing (plain", "LimitMEMLOCK=1M"}}, // without swap too
		"memfd_secret,mlock,landlock_create_ruleset": {"B", []string{"protection grade C but min_grade is B, because key memory is missing (plain", "and landlock is missing", "LimitMEMLOCK=1M"}},
	} {
		t.Run(denied, func(t *testing.T) {
			t.Parallel()
			if strings.Contains(denied, "root") && os.Geteuid() != 0 {
				t.Skip("only root can give up root")
			}
			data := t.TempDir()
			if err := errors.Join(os.Chmod(filepath.Dir(data), 0o755), os.Chmod(data, 0o777)); err != nil {
				t.Fatal(err)
			}
			b := launchWith(t, []string{deniedCalls + "=" + denied}, data, "--min-grade", c.least)
			select {
			case <-b.done:
			case url := <-b.ready:
				t.Fatalf("it serves at %s\n%s", url, b.stderr())
			case <-time.After(60 * time.Second):
				t.Fatalf("it neither starts nor ends\n%s", b.stderr())
			}
			if code := b.cmd.ProcessState.ExitCode(); code != 8 {
				t.Errorf("exit code %d, want 8", code)
			}
			refusal := lineWith(b.stderr(), "error: ")
			for _, part := range c.want {
				if !strings.Contains(refusal, part) {
					t.Errorf("the refusal does not say %q: %s", part, refusal)
				}
			}
		})
	}
}

// TestGradeIsShown: a machine that lacks something still serves at the default
// grade, and says in its log, and for ever in its leaf, how well.
func TestGradeIsShown(t *testing.T) {
	t.Parallel()
	if developmentEnv() != nil {
		t.Skip("a build with cgo has no grade to lose")
	}
	b := launchWith(t, []string{deniedCalls + "=memfd_secret"}, t.TempDir(), "--min-grade", "C")
	select {
	case <-b.ready:
	case <-b.done:
		t.Fatalf("it ended\n%s", b.stderr())
	case <-time.After(60 * time.Second):
		t.Fatalf("it is not ready\n%s", b.stderr())
	}
	line := lineWith(b.stderr(), `msg="epoch active"`)
	if strings.Contains(line, "signer_grade="+sandbox.GradeA.String()) || !strings.Contains(line, "signer_grade=") {
		t.Errorf("the log says %s", line)
	}
	if !strings.Contains(b.stderr(), "of=signer id=key_memory state=weak") {
		t.Error("the posture in the log does not say where the keys are")
	}
	b.stop(30 * time.Second)
}

func lineWith(text, part string) string {
	for line := range strings.Lines(text) {
		if strings.Contains(line, part) {
			return strings.TrimSpace(line)
		}
	}
	return ""
}

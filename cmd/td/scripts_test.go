package main_test

import (
	"bufio"
	"cmp"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"
)

// TestScripts runs testdata/script: td as users call it, against a real server.
// Besides the commands of testscript there are
//
//	code N CMD...         runs a command, which must end with this exit code
//	serve [ARG...]        starts td serve and sets $TD_SERVER; every server of a
//	                      script has the same address
//	halt                  stops it in order; "stop" is a command of testscript that ends the script
//	files N GLOB          wants so many files
//	mode OCTAL GLOB       wants files of this mode
//	replace FILE OLD NEW  changes a file
//	other KIND [ARG...]   starts a server that is not ours; see otherCommand
func TestScripts(t *testing.T) {
	testscript.Run(t, testscript.Params{
		Dir:                 "testdata/script",
		RequireExplicitExec: true,
		Setup:               setupScript(t),
		Cmds: map[string]func(*testscript.TestScript, bool, []string){
			"code":    codeCommand,
			"serve":   serveCommand,
			"halt":    haltCommand,
			"files":   filesCommand,
			"mode":    modeCommand,
			"replace": replaceCommand,
			"other":   otherCommand,
		},
	})
}

// setupScript puts td, which is this very binary, before everything else on the
// path of a script, and sets a home of its own.
func setupScript(t *testing.T) func(*testscript.Env) error {
	t.Helper()
	bin := binDir(t)
	return func(env *testscript.Env) error {
		env.Setenv("PATH", bin+string(os.PathListSeparator)+env.Getenv("PATH"))
		env.Setenv(asProgram, "1")
		env.Setenv("XDG_STATE_HOME", filepath.Join(env.WorkDir, ".state"))
		env.Setenv("TD_PROVER_WORKERS", "1")
		for _, v := range developmentEnv() {
			name, value, _ := strings.Cut(v, "=")
			env.Setenv(name, value)
		}
		env.Values["server"] = &scriptServer{}
		return nil
	}
}

func binDir(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(self, filepath.Join(dir, "td")); err != nil {
		t.Fatal(err)
	}
	return dir
}

func codeCommand(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 2 {
		ts.Fatalf("usage: code N CMD...")
	}
	want, err := strconv.Atoi(args[0])
	ts.Check(err)
	err = ts.Exec(args[1], args[2:]...)
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		ts.Fatalf("%v", err)
	}
	if got := exitCode(err); got != want {
		ts.Fatalf("exit code %d, want %d", got, want)
	}
}

// scriptServer is the server of one script.
type scriptServer struct {
	cmd    *exec.Cmd
	done   chan struct{}
	log    strings.Builder
	listen string // the address of the first one
}

func serveCommand(ts *testscript.TestScript, neg bool, args []string) {
	s, ok := ts.Value("server").(*scriptServer)
	if neg || !ok || s.cmd != nil {
		ts.Fatalf("usage: serve [ARG...], once at a time")
	}
	args = append([]string{"serve", "--listen", cmp.Or(s.listen, "127.0.0.1:0"), "--data", ts.MkAbs("data"), "--log-level", "warn"}, args...)
	td, err := exec.LookPath(filepath.Join(strings.SplitN(ts.Getenv("PATH"), string(os.PathListSeparator), 2)[0], "td"))
	ts.Check(err)
	s.cmd = exec.Command(td, args...)
	s.cmd.Env = append(os.Environ(), asProgram+"=1", "TD_PROVER_WORKERS=1")
	s.cmd.Dir = ts.MkAbs(".")
	pipe, err := s.cmd.StderrPipe()
	ts.Check(err)
	ts.Check(s.cmd.Start())
	ready := make(chan string, 1)
	s.done = make(chan struct{})
	go func() {
		defer close(s.done)
		for lines := bufio.NewScanner(pipe); lines.Scan(); {
			if url, ok := strings.CutPrefix(lines.Text(), "td: ready "); ok {
				ready <- url
			}
			s.log.WriteString(lines.Text() + "\n")
		}
	}()
	ts.Defer(func() {
		if s.cmd != nil {
			_ = s.cmd.Process.Kill()
			_ = s.cmd.Wait()
		}
	})
	select {
	case url := <-ready:
		ts.Setenv("TD_SERVER", url)
		s.listen = strings.TrimPrefix(url, "http://")
	case <-s.done:
		ts.Fatalf("the server ended at start: %v\n%s", s.cmd.Wait(), s.log.String())
	case <-time.After(time.Minute):
		ts.Fatalf("the server is not ready")
	}
}

func haltCommand(ts *testscript.TestScript, neg bool, args []string) {
	s, ok := ts.Value("server").(*scriptServer)
	if neg || len(args) > 0 || !ok || s.cmd == nil {
		ts.Fatalf("usage: halt, after serve")
	}
	ts.Check(s.cmd.Process.Signal(syscall.SIGTERM))
	<-s.done
	err := s.cmd.Wait()
	s.cmd = nil
	if err != nil {
		ts.Fatalf("the server did not stop in order: %v\n%s", err, s.log.String())
	}
}

func filesCommand(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 2 {
		ts.Fatalf("usage: files N GLOB")
	}
	names, err := filepath.Glob(ts.MkAbs(args[1]))
	ts.Check(err)
	if strconv.Itoa(len(names)) != args[0] {
		ts.Fatalf("%d files match %s, want %s", len(names), args[1], args[0])
	}
}

func modeCommand(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 2 {
		ts.Fatalf("usage: mode OCTAL GLOB")
	}
	names, err := filepath.Glob(ts.MkAbs(args[1]))
	ts.Check(err)
	if len(names) == 0 {
		ts.Fatalf("no file matches %s", args[1])
	}
	for _, name := range names {
		info, err := os.Stat(name)
		ts.Check(err)
		if got := fmt.Sprintf("%04o", info.Mode().Perm()); got != args[0] {
			ts.Fatalf("%s has mode %s, want %s", name, got, args[0])
		}
	}
}

func replaceCommand(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 3 {
		ts.Fatalf("usage: replace FILE OLD NEW")
	}
	old := ts.ReadFile(args[0])
	changed := strings.ReplaceAll(old, args[1], args[2])
	if changed == old {
		ts.Fatalf("%s does not hold %q", args[0], args[1])
	}
	ts.Check(os.WriteFile(ts.MkAbs(args[0]), []byte(changed), 0o600))
}

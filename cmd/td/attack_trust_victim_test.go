package main_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/terradourada/td/receipt"
)

// The verdicts of commands, by exit code: those of td verify, and words for the
// exit codes of others.
const (
	accepted    = "accepted" // by a command that has no verdict of its own
	unavailable = receipt.Unavailable
	unvouched   = receipt.Unvouched
	invalid     = receipt.Invalid
	notFound    = "not found" // a file of the log is not there
	unended     = "did not end"
)

var verdictOfExit = map[int]string{
	0: accepted, 2: "usage", 3: invalid, 4: notFound, 7: unavailable, 8: "configuration refused",
	10: receipt.Contradicted, 11: unvouched, 12: receipt.Flagged,
}

// said is what a command said.
type said struct {
	command   string // its words, without arguments
	args      []string
	out, errs string
	exit      int
	verdict   string
	report    verdictReport // of verify and audit
}

// verdictReport is what td verify and td log audit print as JSON.
type verdictReport struct {
	OK          bool     `json:"ok"`
	Verdict     string   `json:"verdict"`
	FailedStep  string   `json:"failed_step"`
	Size        uint64   `json:"size"`
	Withdrawals string   `json:"withdrawals"`
	Warnings    []string `json:"warnings"`
	Faults      []string `json:"faults"`
	Vouched     *struct {
		Rule, How, Server string
	} `json:"vouched"`
}

// says reports whether the command printed a text anywhere.
func (s said) says(text string) bool { return strings.Contains(s.out+s.errs, text) }

// victim is a user with a trust store.
type victim struct {
	t     testing.TB
	home  string
	store string
	env   []string // in addition
}

// newVictim is a user whose trust store is a copy of another one, "" for none.
func newVictim(t testing.TB, store string, env ...string) *victim {
	t.Helper()
	home := t.TempDir()
	v := &victim{t: t, home: home, store: filepath.Join(home, "trust"), env: env}
	if store != "" {
		if err := os.CopyFS(v.store, os.DirFS(store)); err != nil {
			t.Fatal(err)
		}
	}
	return v
}

// commandTime bounds every command: a verifier that does not end is a fault.
const commandTime = 60 * time.Second

// td runs a command as a process.
func (v *victim) td(words int, args ...string) said {
	v.t.Helper()
	return v.wait(v.start(args...), words, args)
}

// running is a command that runs.
type running struct {
	cmd       *exec.Cmd
	cancel    context.CancelFunc
	out, errs bytes.Buffer
}

func (v *victim) start(args ...string) *running {
	v.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), commandTime)
	r := &running{cmd: exec.CommandContext(ctx, "/proc/self/exe", args...), cancel: cancel}
	r.cmd.Env = append(os.Environ(), asProgram+"=1", "XDG_STATE_HOME="+v.home)
	r.cmd.Env = append(r.cmd.Env, v.env...)
	r.cmd.Stdout, r.cmd.Stderr = &r.out, &r.errs
	if err := r.cmd.Start(); err != nil {
		v.t.Fatal(err)
	}
	return r
}

func (v *victim) wait(r *running, words int, args []string) said {
	v.t.Helper()
	defer r.cancel()
	err := r.cmd.Wait()
	s := said{command: "td " + strings.Join(args[:words], " "), args: args, out: r.out.String(), errs: r.errs.String(), exit: exitCode(err)}
	var known bool
	if s.verdict, known = verdictOfExit[s.exit]; !known {
		s.verdict = fmt.Sprintf("exit code %d", s.exit)
	}
	if s.exit == -1 {
		s.verdict = unended
	}
	return s
}

// judge runs a command that prints a verdict and may not touch the trust store.
func (v *victim) judge(words int, args ...string) said {
	v.t.Helper()
	before := v.files()
	s := v.td(words, args...)
	if after := v.files(); after != before {
		v.t.Errorf("td %s wrote into the trust store:\n%s\nbefore:\n%s", strings.Join(args, " "), after, before)
	}
	if err := json.Unmarshal([]byte(s.out), &s.report); err != nil {
		return s // it ended before there was a verdict; the exit code says why
	}
	ofExit, exit := s.verdict, s.exit
	s.verdict = s.report.Verdict
	if exit == 0 && !s.report.OK || exit != 0 && (s.report.OK || ofExit != s.verdict) {
		v.t.Errorf("td %s: exit code %d with the verdict %s, ok %v", strings.Join(args, " "), exit, s.verdict, s.report.OK)
	}
	return s
}

func (v *victim) verify(file string, args ...string) said {
	v.t.Helper()
	return v.judge(1, append([]string{"verify", "-o", "json", "--trust", v.store, file}, args...)...)
}

func (v *victim) audit(args ...string) said {
	v.t.Helper()
	return v.judge(2, append([]string{"log", "audit", "--proofs", "--progress", "none", "-o", "json", "--trust", v.store}, args...)...)
}

// submit has one new event accepted; the receipt is "" if there is none.
func (v *victim) submit(server string, args ...string) (s said, receipt string) {
	v.t.Helper()
	out, event := v.t.TempDir(), filepath.Join(v.t.TempDir(), "event.json")
	if err := os.WriteFile(event, submission().Event, 0o600); err != nil {
		v.t.Fatal(err)
	}
	s = v.td(1, append([]string{"submit", "--claim", "open/1", "--progress", "none", "--trust", v.store, "--out", out, "--server", server, event}, args...)...)
	files, err := filepath.Glob(filepath.Join(out, "*.receipt.json"))
	if err != nil || len(files) > 1 {
		v.t.Fatalf("%q, %v", files, err)
	}
	if len(files) == 1 {
		receipt = files[0]
	}
	return s, receipt
}

// trustAdd is td trust add.
func (v *victim) trustAdd(args ...string) said {
	v.t.Helper()
	return v.td(2, append([]string{"trust", "add", "--trust", v.store}, args...)...)
}

// boundTo wants the log to be bound to a server.
func (v *victim) boundTo(server string) {
	v.t.Helper()
	if s := v.td(2, "trust", "list", "--trust", v.store, "-o", "json"); !s.says(`"server":"` + server + `"`) {
		v.t.Errorf("the log is not bound to %s:\n%s%s", server, s.out, s.errs)
	}
}

// files is the content of the trust store as one text; locks are not content.
func (v *victim) files() string {
	v.t.Helper()
	var b strings.Builder
	err := filepath.WalkDir(v.store, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() || strings.HasSuffix(path, ".lock") {
			return err
		}
		content, err := os.ReadFile(path)
		fmt.Fprintf(&b, "%s %q\n", d.Name(), content)
		return err
	})
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		v.t.Fatal(err)
	}
	return b.String()
}

// trustFile is the one file of the trust store.
func (v *victim) trustFile() string {
	v.t.Helper()
	files, err := filepath.Glob(filepath.Join(v.store, "*.trust"))
	if err != nil || len(files) != 1 {
		v.t.Fatalf("%q, %v", files, err)
	}
	return files[0]
}

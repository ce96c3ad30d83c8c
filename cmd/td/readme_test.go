package main_test

import (
	"bufio"
	"bytes"
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"
)

// typed are the documents whose sh blocks are run, each from top to bottom in
// one empty directory with servers of its own.
var typed = []string{"README.md", "docs/operate.md", "docs/how-to/vote.md", "docs/how-to/auditor.md"}

// TestDocsTyped runs what the documents tell their reader to type. A block
// marked json below a line that names a file is that file. "make X" must be a
// word of the Makefile; "td serve" listens on a free port and is stopped by the
// command "kill", by the next one, or at the end.
func TestDocsTyped(t *testing.T) {
	t.Parallel()
	for _, doc := range typed {
		t.Run(doc, func(t *testing.T) {
			t.Parallel()
			newTerminal(t).follow(fileText(t, "../../"+doc))
		})
	}
}

func fileText(t *testing.T, name string) string {
	t.Helper()
	b, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

// terminal is a reader of a document, with a directory and an environment.
type terminal struct {
	t      *testing.T
	dir    string
	env    []string
	server *exec.Cmd // nil if none runs
}

func newTerminal(t *testing.T) *terminal {
	t.Helper()
	dir := t.TempDir()
	if err := os.Mkdir(filepath.Join(dir, "bin"), 0o755); err != nil {
		t.Fatal(err)
	}
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	testdata, err := filepath.Abs("../../testdata")
	if err != nil {
		t.Fatal(err)
	}
	for link, target := range map[string]string{"bin/td": self, "testdata": testdata} {
		if err := os.Symlink(target, filepath.Join(dir, link)); err != nil {
			t.Fatal(err)
		}
	}
	return &terminal{t: t, dir: dir, env: append(os.Environ(),
		asProgram+"=1", "TD_LISTEN=127.0.0.1:0", "TD_PROVER_WORKERS=1", "HOME="+dir, "XDG_STATE_HOME="+filepath.Join(dir, "state"))}
}

var (
	fencedBlock = regexp.MustCompile("(?ms)^```([a-z]*)\n(.*?)^```$")
	namedFile   = regexp.MustCompile("`([a-z]+\\.jsonl?)`[^`]*$")
)

func (m *terminal) follow(text string) {
	m.t.Helper()
	defer m.stop()
	commands, end := 0, 0
	for _, at := range fencedBlock.FindAllStringSubmatchIndex(text, -1) {
		before := text[end:at[0]]
		end = at[1]
		kind, content := text[at[2]:at[3]], text[at[4]:at[5]]
		if name := namedFile.FindStringSubmatch(before); kind == "json" && name != nil {
			if err := os.WriteFile(filepath.Join(m.dir, name[1]), []byte(content), 0o600); err != nil {
				m.t.Fatal(err)
			}
		}
		if kind != "sh" {
			continue
		}
		for line := range strings.Lines(content) {
			m.enter(strings.TrimSpace(line))
			commands++
		}
	}
	if commands < 4 {
		m.t.Errorf("only %d commands were found", commands)
	}
}

// enter runs one command line.
func (m *terminal) enter(command string) {
	m.t.Helper()
	words := strings.Fields(command)
	switch {
	case words[0] == "make":
		m.target(words[1])
	case slices.Contains(words, "serve"):
		m.serve(words)
	case words[0] == "kill":
		m.stop()
	default:
		cmd := exec.Command("sh", "-c", command)
		cmd.Dir, cmd.Env = m.dir, m.env
		if out, err := cmd.CombinedOutput(); err != nil {
			m.t.Fatalf("%s: %v\n%s", command, err, out)
		}
	}
}

// target wants a word of the Makefile. What it does runs elsewhere: TestDemo,
// and the tests you are reading.
func (m *terminal) target(name string) {
	m.t.Helper()
	if !strings.Contains(fileText(m.t, "../../Makefile"), "\n"+name+":") {
		m.t.Errorf("the Makefile has no %q", name)
	}
}

func (m *terminal) serve(words []string) {
	m.t.Helper()
	m.stop()
	m.server = exec.Command(filepath.Join(m.dir, words[0]), words[1:]...)
	m.server.Dir, m.server.Env = m.dir, m.env
	pipe, err := m.server.StderrPipe()
	if err != nil {
		m.t.Fatal(err)
	}
	if err := m.server.Start(); err != nil {
		m.t.Fatal(err)
	}
	var said strings.Builder
	lines := bufio.NewScanner(pipe)
	for lines.Scan() {
		said.WriteString(lines.Text() + "\n")
		if url, ready := strings.CutPrefix(lines.Text(), "td: ready "); ready {
			m.env = append(m.env, "TD_SERVER="+url, "TD_LISTEN="+strings.TrimPrefix(url, "http://")) // the next one has the same address
			go func() {
				for lines.Scan() { // so that it never waits for its reader
				}
			}()
			return
		}
	}
	_ = m.server.Wait()
	m.server = nil
	m.t.Fatalf("%v did not get ready\n%s", words, said.String())
}

// stop ends the server in order, if one runs.
func (m *terminal) stop() {
	m.t.Helper()
	if m.server == nil {
		return
	}
	if err := m.server.Process.Signal(syscall.SIGTERM); err != nil {
		m.t.Error(err)
	}
	timer := time.AfterFunc(20*time.Second, func() { _ = m.server.Process.Kill() })
	defer timer.Stop()
	if err := m.server.Wait(); err != nil {
		m.t.Errorf("the server did not stop in order: %v", err)
	}
	m.server = nil
}

// TestDemo: the demo gets a receipt for every claim, is refused every attack
// with the promised code, and verifies offline. What it leaves is in the directory
// that --out names.
func TestDemo(t *testing.T) {
	t.Parallel()
	m := newTerminal(t)
	if err := os.Mkdir(filepath.Join(m.dir, "tmp"), 0o755); err != nil {
		t.Fatal(err)
	}
	m.env = append(m.env, "TMPDIR="+filepath.Join(m.dir, "tmp"), "TD_DATA="+filepath.Join(m.dir, "mydata"))
	cmd := exec.Command(filepath.Join(m.dir, "bin", "td"), "demo", "-o", "json", "--out", "receipts")
	cmd.Dir, cmd.Env = m.dir, m.env
	var progress bytes.Buffer
	cmd.Stderr = &progress
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("%v\n%s", err, progress.String())
	}
	var report struct {
		Accepted []struct{ Claim string }
		Refused  []struct {
			Attack, Code string
			SameReceipt  int `json:"same_receipt"`
			TurnedAway   int `json:"turned_away"`
		}
		Verified        int
		TamperedRefused int `json:"tampered_refused"`
	}
	if err := json.Unmarshal(out, &report); err != nil {
		t.Fatal(err)
	}
	if len(report.Accepted) != 7 || report.Verified != 7 || report.TamperedRefused != 7 {
		t.Errorf("%d accepted, %d verified, %d changed ones refused; want 7 of each", len(report.Accepted), report.Verified, report.TamperedRefused)
	}
	want := map[string]string{
		"replay_new_request": "submission_rejected", "wrong_tag": "submission_rejected", "foreign_tag": "submission_rejected",
		"swapped_proofs": "proof_rejected", "false_proof": "proof_rejected", "changed_bound": "proof_rejected",
		"late": "expired", "duplicate_nullifier": "nullifier_used", "parallel_64": "already_consumed",
	}
	for _, r := range report.Refused {
		if r.Code != want[r.Attack] {
			t.Errorf("%s was refused with %s, want %s", r.Attack, r.Code, want[r.Attack])
		}
		if r.Attack == "parallel_64" && (r.SameReceipt < 1 || r.SameReceipt+r.TurnedAway != 64) {
			t.Errorf("64 equal answers: %d accepted, %d turned away", r.SameReceipt, r.TurnedAway)
		}
		delete(want, r.Attack)
	}
	if len(want) != 0 {
		t.Errorf("attacks that were not tried: %v", want)
	}
	for _, pattern := range []string{"*.receipt.json", "*.opening"} {
		if files, _ := filepath.Glob(filepath.Join(m.dir, "receipts", pattern)); len(files) != 7 {
			t.Errorf("%d files %s, want 7", len(files), pattern)
		}
	}
	m.enter("bin/td verify --trust receipts/trust receipts/*.receipt.json | grep '^7 files: valid 7,'")
	for _, pattern := range []string{"state/*", "tmp/*", "mydata"} {
		if files, _ := filepath.Glob(filepath.Join(m.dir, pattern)); len(files) > 0 {
			t.Errorf("left behind: %v", files)
		}
	}
}

package main_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	td "github.com/terradourada/td/cmd/td"
	"github.com/terradourada/td/protocol"
)

// flaky is a way to a server that loses requests or answers.
type flaky struct {
	*httptest.Server
	lose   atomic.Pointer[loss]
	target atomic.Pointer[url.URL]
}

// loss says what is lost: requests of a method whose path has this end, before
// they reach the server or after they were answered.
type loss struct {
	method, suffix string
	answers        bool
}

func newFlaky(t *testing.T, target string) *flaky {
	t.Helper()
	f := &flaky{}
	f.leadTo(t, target)
	proxy := &httputil.ReverseProxy{
		Rewrite:      func(r *httputil.ProxyRequest) { r.SetURL(f.target.Load()) },
		ErrorHandler: func(http.ResponseWriter, *http.Request, error) { panic(http.ErrAbortHandler) },
	}
	f.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		l := f.lose.Load()
		if l == nil || r.Method != l.method || !strings.Contains(r.URL.Path, l.suffix) {
			proxy.ServeHTTP(w, r)
			return
		}
		if l.answers {
			proxy.ServeHTTP(httptest.NewRecorder(), r)
		}
		panic(http.ErrAbortHandler)
	}))
	t.Cleanup(f.Close)
	return f
}

func (f *flaky) leadTo(t *testing.T, target string) {
	t.Helper()
	u, err := url.Parse(target)
	if err != nil {
		t.Fatal(err)
	}
	f.target.Store(u)
}

// submitter runs td submit in this process against one server.
type submitter struct {
	t                 *testing.T
	dir, trust, input string
	recorded          string // name of the input in the index
	args              []string
	events            int
}

func newSubmitter(t *testing.T, events int, args ...string) *submitter {
	t.Helper()
	dir := t.TempDir()
	s := &submitter{
		t: t, dir: filepath.Join(dir, "out"), trust: filepath.Join(dir, "trust"),
		input: filepath.Join(dir, "events.jsonl"), recorded: "../events.jsonl", events: events,
	}
	var b strings.Builder
	for i := range events {
		fmt.Fprintf(&b, "{\"lot\":%d}\n", i/2) // each event twice
	}
	if err := os.WriteFile(s.input, []byte(b.String()), 0o600); err != nil {
		t.Fatal(err)
	}
	s.args = append([]string{"submit", "--claim", "open/1", "--out", s.dir, "--trust", s.trust, "--progress", "none"}, append(args, s.input)...)
	return s
}

// run returns the exit code and what was written to standard error.
func (s *submitter) run(server string) (int, string) {
	s.t.Helper()
	var stderr bytes.Buffer
	return s.runTo(&stderr, server), stderr.String()
}

func (s *submitter) runTo(stderr io.Writer, server string) (code int) {
	return td.Run(append(s.args, "--server", server), strings.NewReader(""), io.Discard, stderr)
}

func (s *submitter) count(pattern string) int {
	s.t.Helper()
	names, err := filepath.Glob(filepath.Join(s.dir, pattern))
	if err != nil {
		s.t.Fatal(err)
	}
	return len(names)
}

// check wants exactly one receipt and one opening for each event, and as many
// leaves in the log as receipts and those that were lost on purpose.
func (s *submitter) check(b *backend, accepted int) {
	s.t.Helper()
	s.checkAtLeast(b, accepted)
	if n := auditedAcceptances(s.t, b, s.trust); n != accepted {
		s.t.Errorf("%d acceptances in the log, want %d", n, accepted)
	}
}

func (s *submitter) checkAtLeast(b *backend, accepted int) {
	s.t.Helper()
	if n := s.count("*.receipt.json"); n != s.events {
		s.t.Errorf("%d receipts, want %d", n, s.events)
	}
	if n := s.count("*.opening"); n != s.events {
		s.t.Errorf("%d openings, want %d", n, s.events)
	}
	if n := s.count(".*.answer"); n != 0 {
		s.t.Errorf("%d answers are left over", n)
	}
	if n := auditedAcceptances(s.t, b, s.trust); n < accepted {
		s.t.Errorf("%d acceptances in the log, want at least %d", n, accepted)
	}
	names, err := filepath.Glob(filepath.Join(s.dir, "*.receipt.json"))
	if err != nil {
		s.t.Fatal(err)
	}
	s.checkIndex(names)
	var stdout, stderr bytes.Buffer
	if code := td.Run(append([]string{"verify", "--trust", s.trust}, names...), nil, &stdout, &stderr); code != 0 {
		s.t.Errorf("td verify: exit code %d\n%s%s", code, &stdout, &stderr)
	}
}

// checkIndex wants one line of the index for each line of the input, about the receipts
// that are there.
func (s *submitter) checkIndex(receipts []string) {
	s.t.Helper()
	b, err := os.ReadFile(filepath.Join(s.dir, "td-submit.index.jsonl"))
	if err != nil {
		s.t.Fatal(err)
	}
	seen := map[int]bool{}
	for line := range strings.Lines(string(b)) {
		var r struct {
			Input, Receipt string
			Line           int
		}
		if err := json.Unmarshal([]byte(line), &r); err != nil || r.Input != s.recorded || seen[r.Line] || !slices.Contains(receipts, filepath.Join(s.dir, r.Receipt)) {
			s.t.Errorf("%v in the index: %s", err, line)
		}
		seen[r.Line] = true
	}
	if len(seen) != s.events {
		s.t.Errorf("the index has %d lines of the input, want %d", len(seen), s.events)
	}
}

// auditedAcceptances audits the log and returns the number of its acceptances.
func auditedAcceptances(t *testing.T, b *backend, trust string) int {
	t.Helper()
	var stdout, stderr bytes.Buffer
	if code := td.Run([]string{"log", "audit", "--trust", trust, "--server", b.url, "--progress", "none", "-o", "json"}, nil, &stdout, &stderr); code != 0 {
		t.Fatalf("td log audit: exit code %d\n%s%s", code, &stdout, &stderr)
	}
	var report struct{ Leaves map[string]int }
	if err := json.Unmarshal(stdout.Bytes(), &report); err != nil {
		t.Fatal(err)
	}
	return report.Leaves["accepted"]
}

// TestSubmitResumes loses requests and answers of every kind: the run stops with
// exit code 7, and the next one brings each event to exactly one receipt.
func TestSubmitResumes(t *testing.T) {
	tests := []struct {
		name string
		lose loss
		args []string
	}{
		{"challenge asked for", loss{"POST", "/v1/challenges", false}, nil},
		{"challenge given", loss{"POST", "/v1/challenges", true}, nil},
		{"answer on its way", loss{"POST", "/proof", false}, nil},
		{"answer accepted", loss{"POST", "/proof", true}, nil},
		{"receipt asked for", loss{"GET", "/v1/receipts/", false}, nil},
		{"receipt given", loss{"GET", "/v1/receipts/", true}, nil},
		{"receipt given, with names", loss{"GET", "/v1/receipts/", true}, []string{"--name", "{index:04}"}},
		{"tile given", loss{"GET", "/tile/", true}, nil},
		{"push on its way", loss{"POST", "/v1/events", false}, []string{"--push"}},
		{"receipt of a push", loss{"GET", "/v1/receipts/", true}, []string{"--push"}},
	}
	for i, test := range tests {
		if testing.Short() && i%2 == 1 {
			continue
		}
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			b := startBackend(t, t.TempDir())
			way := newFlaky(t, b.url)
			s := newSubmitter(t, 6, test.args...)
			way.lose.Store(&test.lose)
			if code, stderr := s.run(way.URL); code != 7 {
				t.Fatalf("exit code %d, want 7\n%s", code, stderr)
			}
			way.lose.Store(nil)
			if code, stderr := s.run(way.URL); code != 0 {
				t.Fatalf("exit code %d, want 0\n%s", code, stderr)
			}
			if slices.Contains(test.args, "--push") {
				s.checkAtLeast(b, s.events) // a push may arrive after its client is gone
				return
			}
			s.check(b, s.events)
		})
	}
}

// TestSubmitAfterRestart loses answers, some before and some after they are
// accepted, and then the server's memory: what was accepted gets its receipt,
// what was not is submitted anew.
func TestSubmitAfterRestart(t *testing.T) {
	for _, accepted := range []bool{false, true} {
		t.Run(fmt.Sprintf("accepted=%v", accepted), func(t *testing.T) {
			t.Parallel()
			data := t.TempDir()
			b := startBackend(t, data)
			way := newFlaky(t, b.url)
			s := newSubmitter(t, 4)
			way.lose.Store(&loss{"POST", "/proof", accepted})
			if code, stderr := s.run(way.URL); code != 7 {
				t.Fatalf("exit code %d, want 7\n%s", code, stderr)
			}
			if s.count(".*.answer") == 0 || s.count("*.opening") != s.count(".*.answer") {
				t.Fatalf("%d answers and %d openings are on disk", s.count(".*.answer"), s.count("*.opening"))
			}
			b.stop(20 * time.Second)
			b = startBackend(t, data)
			way.lose.Store(nil)
			way.leadTo(t, b.url) // the address that the log is bound to stays
			if code, stderr := s.run(way.URL); code != 0 {
				t.Fatalf("exit code %d, want 0\n%s", code, stderr)
			}
			s.check(b, s.events)
		})
	}
}

// TestSubmitResumesEarlierNested continues a directory of an earlier version, which
// replaced only the outer array of a nested one in the digest, and both in what it sent.
func TestSubmitResumesEarlierNested(t *testing.T) {
	t.Parallel()
	b := startBackend(t, t.TempDir())
	way := newFlaky(t, b.url)
	s := newSubmitter(t, 1)
	params := filepath.Join(t.TempDir(), "params.json")
	const event = `{"v":[[1,2],[3]]}`
	if err := errors.Join(
		os.WriteFile(params, []byte(`{"at":["/v"],"lo":0,"hi":9,"scale":0}`), 0o600),
		os.WriteFile(s.input, []byte(event), 0o600),
	); err != nil {
		t.Fatal(err)
	}
	s.args = append(s.args, "--claim", "sum/1", "--params", params)
	way.lose.Store(&loss{"GET", "/v1/receipts/", true})
	if code, stderr := s.run(way.URL); code != 7 {
		t.Fatalf("exit code %d, want 7\n%s", code, stderr)
	}
	state := filepath.Join(s.dir, ".td-submit.state")
	text, err := os.ReadFile(state)
	if err != nil {
		t.Fatal(err)
	}
	earlier := protocol.D("TD-CLI-event", []byte("sum/1"), []byte(`{"at":["/v/0","/v/1"],"hi":9,"lo":0,"scale":0}`), []byte(event))
	// Such a folder has a state of the first format, whose lines name no input.
	s.recorded = ""
	fields := strings.Fields(string(text)) // header, sent, line, digest, request, way, until, input
	changed := strings.NewReplacer(fields[0], "terradourada-submit/1", fields[3], earlier.String(), " "+fields[7], "").Replace(string(text))
	if err := os.WriteFile(state, []byte(changed), 0o600); err != nil {
		t.Fatal(err)
	}
	way.lose.Store(nil)
	for _, want := range []string{"1 receipt written", "1 there already"} {
		if code, stderr := s.run(way.URL); code != 0 || !strings.Contains(stderr, want) {
			t.Fatalf("exit code %d, want 0 and %q\n%s", code, want, stderr)
		}
	}
	s.check(b, 1)
}

// TestSubmitSurvivesKill kills td submit again and again while it works.
func TestSubmitSurvivesKill(t *testing.T) {
	t.Parallel()
	b := startBackend(t, t.TempDir())
	s := newSubmitter(t, 16, "--name", "{line:03}")
	kills := 0
	for round := 0; ; round++ {
		cmd := exec.Command("/proc/self/exe", append(s.args, "--server", b.url)...)
		cmd.Env = append(os.Environ(), asProgram+"=1")
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		ended := make(chan error, 1)
		go func() { ended <- cmd.Wait() }()
		want := s.count("*.receipt.json") + 3
		killed := false
		for done := false; !done; {
			select {
			case err := <-ended:
				if !killed && err != nil {
					t.Fatalf("td submit: %v", err)
				}
				done = true
			case <-time.After(time.Millisecond):
				if !killed && s.count("*.receipt.json") >= want+round%2 {
					_ = cmd.Process.Kill()
					killed, kills = true, kills+1
				}
			}
		}
		if !killed {
			break
		}
	}
	if kills < 3 {
		t.Errorf("it was killed %d times only", kills)
	}
	s.check(b, s.events)
}

// TestSubmitInterrupted wants exit code 130 for Ctrl-C, promptly, and the rest
// by the next run.
func TestSubmitInterrupted(t *testing.T) {
	t.Parallel()
	b := startBackend(t, t.TempDir())
	s := newSubmitter(t, 16)
	cmd := exec.Command("/proc/self/exe", append(s.args, "--server", b.url)...)
	cmd.Env = append(os.Environ(), asProgram+"=1")
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	eventually(t, time.Minute, "there is no receipt", func() bool { return s.count("*.receipt.json") > 1 })
	if err := cmd.Process.Signal(syscall.SIGINT); err != nil {
		t.Fatal(err)
	}
	if code := exitCode(cmd.Wait()); code != 130 {
		t.Fatalf("exit code %d, want 130\n%s", code, &stderr)
	}
	if !strings.Contains(stderr.String(), "error: interrupted\n") {
		t.Errorf("standard error does not say so:\n%s", &stderr)
	}
	if code, stderr := s.run(b.url); code != 0 {
		t.Fatalf("exit code %d, want 0\n%s", code, stderr)
	}
	s.check(b, s.events)
}

// TestSubmitInterruptedAtStdin wants Ctrl-C to work while nothing comes in, and progress in
// JSON to end in JSON then.
func TestSubmitInterruptedAtStdin(t *testing.T) {
	t.Parallel()
	s := newSubmitter(t, 0)
	args := slices.Concat(s.args[:len(s.args)-1], []string{"--server", "http://127.0.0.1:1", "--progress", "json", "-"})
	cmd := exec.Command("/proc/self/exe", args...)
	cmd.Env = append(os.Environ(), asProgram+"=1")
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	defer in.Close()
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	time.Sleep(300 * time.Millisecond) // nothing shows that it waits for input
	if err := cmd.Process.Signal(syscall.SIGINT); err != nil {
		t.Fatal(err)
	}
	if code := exitCode(cmd.Wait()); code != 130 {
		t.Errorf("exit code %d, want 130", code)
	}
	if !strings.HasSuffix(stderr.String(), `{"stage":"ended","exit_code":130,"err":"interrupted"}`+"\n") {
		t.Errorf("standard error does not end with an object:\n%s", &stderr)
	}
}

// TestSubmitRefusesTwoHistories restores an older log behind the user's back.
func TestSubmitRefusesTwoHistories(t *testing.T) {
	t.Parallel()
	data := t.TempDir()
	b := startBackend(t, data)
	s := newSubmitter(t, 2)
	b.stop(20 * time.Second)
	old := copyOf(t, data)
	b = startBackend(t, data)
	if code, stderr := s.run(b.url); code != 0 {
		t.Fatalf("exit code %d, want 0\n%s", code, stderr)
	}
	b.stop(20 * time.Second)
	b = startBackend(t, old)
	again := *s
	again.dir = t.TempDir()
	again.args = []string{"submit", "--claim", "open/1", "--out", again.dir, "--trust", s.trust, "--progress", "none", s.input}
	code, stderr := again.run(b.url)
	if code != 11 || !strings.Contains(stderr, "the server is unvouched") || !strings.Contains(stderr, "nothing was sent") { // the new key could be anybody's
		t.Errorf("exit code %d, want 11\n%s", code, stderr)
	}
	if again.count("*.json") != 0 {
		t.Errorf("%d receipts and openings", again.count("*.json"))
	}
	var out, problems bytes.Buffer
	for _, args := range [][]string{{"trust", "add"}, {"log", "audit"}} {
		if code := td.Run(append(args, "--trust", s.trust, "--server", b.url), nil, &out, &problems); code != 11 {
			t.Errorf("td %s: exit code %d, want 11\n%s", strings.Join(args, " "), code, &problems)
		}
	}
}

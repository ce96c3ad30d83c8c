//go:build memscan && linux

package keyholder_test

import (
	"bufio"
	"bytes"
	"context"
	"crypto/rand"
	"encoding/json"
	"fmt"
	"io"
	"io/fs"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/cloudflare/circl/sign/mldsa/mldsa65"

	"github.com/terradourada/td/claim"
	"github.com/terradourada/td/client"
	"github.com/terradourada/td/internal/secret"
	"github.com/terradourada/td/protocol"
)

// scanServer scans core, signer, tagger and prover of a real server while
// clients use it, and then all that it wrote, answered and said to its
// children.
func scanServer(t *testing.T, level secret.Level, control bool) {
	t.Helper()
	program := os.Getenv("TD_MEMSCAN_PROGRAM")
	if program == "" {
		notScanned(t, "TD_MEMSCAN_PROGRAM names no td that was built for the scan")
	}
	seed := newSeed()
	v := startServer(t, program, seed, level)
	s := newSubject(t, seed, level, v.keyMemory())
	s.outcome.Control, s.outcome.Grade = control, v.grade()
	s.pids = v.processes()
	s.load, s.rest = v.load, v.rest
	s.all("ready")
	s.atWork(freezes(t) / 3)
	s.regions(s.all("at rest"))
	payloads := v.payloads
	s.noSignatures(append(slices.Clone(payloads[:min(16, len(payloads))]), payloads[max(0, len(payloads)-16):]...))
	files := v.files("")
	v.stop()
	for name, content := range v.files(", stopped") {
		files[name] = content
	}
	s.outcome.Hits += v.search(files)
	report(t, s.outcome)
}

// search looks for keys and signatures in all that a server left behind, and
// sees that it was the right thing to look into.
func (v *server) search(files map[string][]byte) (hits int) {
	v.t.Helper()
	secrets := [2]*patterns{keyPatterns(v.seed), signatures(v.seed, v.payloads, 48)}
	sizes := 0
	for name, content := range files {
		sizes += len(content)
		for _, p := range secrets {
			if found := p.findText(content); len(found) > 0 {
				hits += sum(found)
				v.t.Errorf("%s holds %v", name, found)
			}
		}
	}
	v.t.Logf("%d files of %d bytes, signatures of %d payloads", len(files), sizes, len(v.payloads))
	origin := derived(v.seed, "origin")
	public, _ := mldsa65.NewKeyFromSeed(&origin)
	for what, part := range map[string][]byte{
		"journal.db": public.Bytes(), "signer.heard": public.Bytes(), "signer.said": v.payloads[0], "tagger.heard": v.payloads[0],
	} {
		ok := false
		for name, content := range files {
			stem, direction, _ := strings.Cut(what, ".")
			ok = ok || strings.HasPrefix(filepath.Base(name), stem) && strings.Contains(name, direction) && bytes.Contains(content, part)
		}
		if !ok {
			v.t.Errorf("%s does not hold what it should: the search looks into the wrong thing", what)
		}
	}
	return hits
}

// server is a "td serve" that was built for the scan.
type server struct {
	t    *testing.T
	seed string
	dir  string // its data directory
	cmd  *exec.Cmd
	done chan struct{} // closed when it is reaped
	http *client.Client
	halt context.CancelFunc
	busy sync.WaitGroup

	mu       sync.Mutex // guards what follows
	log      bytes.Buffer
	answered bytes.Buffer
	payloads [][]byte // of issued requests
	pulled   int
	pushed   int
}

func startServer(t *testing.T, program, seed string, level secret.Level) *server {
	t.Helper()
	v := &server{t: t, seed: seed, dir: t.TempDir(), done: make(chan struct{})}
	capture := filepath.Join(v.dir, "capture")
	if err := os.Mkdir(capture, 0o700); err != nil {
		t.Fatal(err)
	}
	v.cmd = exec.Command(program, "serve", "--listen", "127.0.0.1:0", "--data", v.dir, "--prover-workers", "1",
		"--log-level", "debug", "--min-grade", "D", "--allow-development-grade", "--death-limit", "0")
	v.cmd.Env = []string{"MEMSCAN_SEED=" + seed, "MEMSCAN_LEVEL=" + level.String(), "MEMSCAN_CAPTURE=" + capture}
	pipe, err := v.cmd.StderrPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := v.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	ready := make(chan string, 1)
	go v.watch(pipe, ready)
	t.Cleanup(func() {
		_ = v.cmd.Process.Kill()
		<-v.done
		if t.Failed() {
			t.Logf("what the server said:\n%s", v.said())
		}
	})
	select {
	case url := <-ready:
		if v.http, err = client.New(url, client.Config{Transport: v, Retries: -1}); err != nil {
			t.Fatal(err)
		}
	case <-v.done:
		t.Fatal("the server ended at its start")
	case <-time.After(time.Minute):
		t.Fatal("the server is not ready")
	}
	return v
}

func (v *server) watch(pipe io.Reader, ready chan<- string) {
	for lines := bufio.NewScanner(pipe); lines.Scan(); {
		if url, ok := strings.CutPrefix(lines.Text(), "td: ready "); ok {
			ready <- url
		}
		v.mu.Lock()
		v.log.WriteString(lines.Text() + "\n")
		v.mu.Unlock()
	}
	_ = v.cmd.Wait() // stop looks at how
	close(v.done)
}

func (v *server) said() string {
	v.mu.Lock()
	defer v.mu.Unlock()
	return v.log.String()
}

// keyMemory is what signer and tagger say of their memory in the server's log.
func (v *server) keyMemory() (said []string) {
	for _, m := range regexp.MustCompile(`of=(?:signer|tagger) id=key_memory state=\w+ found="?([^"\n]+)`).FindAllStringSubmatch(v.said(), -1) {
		said = append(said, m[1])
	}
	if len(said) != 2 {
		v.t.Fatalf("the log says of the children's memory: %q", said)
	}
	return said
}

func (v *server) grade() string {
	return regexp.MustCompile(`signer_grade=(\w)`).FindStringSubmatch(v.said())[1]
}

// processes are the core, its launcher and their children, all there.
func (v *server) processes() map[string]int {
	v.t.Helper()
	pids := map[string]int{"core": v.cmd.Process.Pid}
	eventually(v.t, "launcher, signer, tagger and prover", func() bool {
		for _, parent := range []string{"core", "launcher"} {
			lists, _ := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/children", pids[parent]))
			for _, name := range lists {
				b, _ := os.ReadFile(name)
				for _, field := range strings.Fields(string(b)) {
					args, _ := os.ReadFile("/proc/" + field + "/cmdline")
					if words := strings.Split(string(args), "\x00"); len(words) > 1 && strings.HasPrefix(words[1], "internal-") {
						pids[strings.TrimPrefix(words[1], "internal-")], _ = strconv.Atoi(field)
					}
				}
			}
		}
		return len(pids) == 5
	})
	return pids
}

// load lets clients loose on the server: some answer their challenges with a
// false proof, which takes every step but the last, one has events proved.
func (v *server) load() {
	ctx, cancel := context.WithCancel(v.t.Context())
	v.halt = cancel
	for range 4 {
		v.busy.Go(func() {
			for ctx.Err() == nil {
				v.pull(ctx)
			}
		})
	}
	v.busy.Go(func() {
		for ctx.Err() == nil {
			v.push(ctx)
		}
	})
}

// rest lets them go when each kind has done something.
func (v *server) rest() {
	v.t.Helper()
	for deadline := time.Now().Add(time.Minute); ; time.Sleep(time.Millisecond) {
		v.mu.Lock()
		worked := v.pulled > 0 && v.pushed > 0
		v.mu.Unlock()
		if worked {
			break
		}
		if time.Now().After(deadline) {
			v.t.Fatal("within a minute no request was decided, or none proved")
		}
	}
	v.halt()
	v.busy.Wait()
}

func event() json.RawMessage {
	var b [16]byte
	_, _ = rand.Read(b[:])
	return fmt.Appendf(nil, `{"sealed":"%x"}`, b)
}

func (v *server) pull(ctx context.Context) {
	draft, err := client.NewDraft(&client.Submission{Claim: claim.Open, Params: []byte(`{}`), Event: event()}, protocol.Element{})
	if err != nil {
		v.t.Error(err)
		return
	}
	ch, err := v.http.Challenge(ctx, draft.Request())
	if err != nil {
		return // the end, or overload
	}
	_, err = v.http.Send(ctx, ch.RequestID, ch.Tag, bytes.Repeat([]byte{7}, protocol.ProofSize), 0)
	v.mu.Lock()
	defer v.mu.Unlock()
	v.payloads = append(v.payloads, bytes.Clone(ch.Payload[:]))
	if protocol.CodeOf(err) == protocol.CodeProofRejected {
		v.pulled++
	}
}

func (v *server) push(ctx context.Context) {
	e, err := claim.Prepare(claim.Open, []byte(`{}`), event())
	if err != nil {
		v.t.Fatal(err)
	}
	p, err := v.http.Push(ctx, e, 0, 20*time.Second)
	if err != nil || p.Accepted == nil || p.Accepted.Receipt == nil {
		return
	}
	leaf, err := protocol.ParseLeaf(p.Accepted.Receipt.Leaf)
	accepted, ok := leaf.Body.(*protocol.Accepted)
	if err != nil || !ok {
		v.t.Errorf("a receipt of %T, %v", leaf.Body, err)
		return
	}
	v.mu.Lock()
	defer v.mu.Unlock()
	v.payloads = append(v.payloads, bytes.Clone(accepted.Payload[:]))
	v.pushed++
}

// RoundTrip is http.RoundTripper; it keeps every answer.
func (v *server) RoundTrip(req *http.Request) (*http.Response, error) {
	res, err := http.DefaultTransport.RoundTrip(req)
	if err != nil {
		return nil, err
	}
	defer res.Body.Close()
	body, err := io.ReadAll(res.Body)
	if err != nil {
		return nil, err
	}
	res.Body = io.NopCloser(bytes.NewReader(body))
	v.mu.Lock()
	defer v.mu.Unlock()
	fmt.Fprintf(&v.answered, "%v\n%s\n", res.Header, body)
	return res, nil
}

// stop ends the server in order.
func (v *server) stop() {
	v.t.Helper()
	signal(v.t, v.cmd.Process.Pid, syscall.SIGTERM)
	select {
	case <-v.done:
	case <-time.After(30 * time.Second):
		v.t.Fatal("the server does not stop")
	}
	if code := v.cmd.ProcessState.ExitCode(); code != 0 {
		v.t.Errorf("exit code %d", code)
	}
}

// files are those of the data directory, the log and the answers.
func (v *server) files(when string) map[string][]byte {
	v.t.Helper()
	files := map[string][]byte{"standard error" + when: []byte(v.said()), "answers" + when: v.answered.Bytes()}
	err := filepath.WalkDir(v.dir, func(name string, d fs.DirEntry, err error) error {
		if err != nil || !d.Type().IsRegular() {
			return err
		}
		content, err := os.ReadFile(name)
		files[name+when] = content
		return err
	})
	if err != nil {
		v.t.Fatal(err)
	}
	return files
}

package main_test

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/terradourada/td/claim"
	"github.com/terradourada/td/client"
	"github.com/terradourada/td/internal/process"
	"github.com/terradourada/td/internal/prover"
	"github.com/terradourada/td/protocol"
)

// masterSocket is where the master of a rogue prover listens.
func masterSocket(number int) string { return fmt.Sprintf("@td-rogue-%d", number) }

// runRogueProver is the program of a rogue prover. The launcher has taken TCP from it, but
// not every way out: it passes each connection of the core on to a Unix socket, where its
// master decides what to answer.
func runRogueProver(number int) (status int) {
	sock, ok := process.Begin()
	if !ok {
		return 1
	}
	core, err := process.Conn(sock)
	if err != nil {
		return 1
	}
	for {
		_, f, err := process.Receive(core, make([]byte, 1))
		if err != nil || f == nil {
			return 0
		}
		job, err := process.Conn(f)
		if err != nil {
			return 1
		}
		master, err := net.Dial("unix", masterSocket(number))
		if err != nil {
			return 1
		}
		for from, to := range map[net.Conn]net.Conn{job: master, master: job} {
			go func() {
				_, _ = io.Copy(to, from) // until one of them ends
				_ = to.Close()
			}()
		}
	}
}

// master is who drives a rogue prover. It keeps every job, has a real prover answer it, and
// changes the answer.
type master struct {
	t      *testing.T
	honest http.Handler
	number int

	mu     sync.Mutex
	change func(n int, answer map[string]string) // of job n
	jobs   []map[string]any
	proofs []string // the true ones, in the order of the jobs
}

func newMaster(t *testing.T) *master {
	t.Helper()
	engine := httptest.NewUnstartedServer(nil)
	p, err := claim.NewProver(claim.Open)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() {
		done <- prover.Serve(ctx, engine.Listener, p, prover.Config{Peer: func(net.Conn) error { return nil }})
	}()
	m := &master{t: t, honest: forwardTo(t, "http://"+engine.Listener.Addr().String())}
	m.number = os.Getpid()&0xffff + 1
	ln, err := net.Listen("unix", masterSocket(m.number))
	if err != nil {
		t.Fatal(err)
	}
	s := &httptest.Server{Listener: ln, Config: &http.Server{Handler: m}}
	s.Start()
	t.Cleanup(func() {
		s.Close()
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
	return m
}

// ServeHTTP is http.Handler.
func (m *master) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if r.Method != http.MethodPost {
		m.honest.ServeHTTP(w, r)
		return
	}
	body, err := io.ReadAll(r.Body)
	job := map[string]any{}
	if err != nil || json.Unmarshal(body, &job) != nil {
		m.t.Errorf("a job: %.200s, %v", body, err)
		return
	}
	r.Body = io.NopCloser(bytes.NewReader(body))
	res := httptest.NewRecorder()
	m.honest.ServeHTTP(res, r)
	answer := map[string]string{}
	if err := json.Unmarshal(res.Body.Bytes(), &answer); err != nil || res.Code != http.StatusOK {
		m.t.Errorf("the real prover answered %d %.200s", res.Code, res.Body)
		return
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	m.jobs, m.proofs = append(m.jobs, job), append(m.proofs, answer["proof"])
	if m.change != nil {
		m.change(len(m.jobs)-1, answer)
	}
	w.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(w).Encode(answer) // the core may be gone
}

// answers changes what is answered from now on.
func (m *master) answers(change func(n int, answer map[string]string)) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.change = change
}

// kept returns the jobs so far.
func (m *master) kept() []map[string]any {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.jobs
}

// TestThreat_RogueProver: in push mode a prover with a program of its own sees every event
// and every tag of its jobs, and keeps them: that is the loss. What it keeps is of no use
// for another request or another client, what it answers wrongly is accepted by no one, and
// in pull mode it sees nothing.
func TestThreat_RogueProver(t *testing.T) {
	t.Parallel()
	ctx, data, m := t.Context(), t.TempDir(), newMaster(t)
	b := startBackend(t, data, "--prover", "none")
	b.stop(20 * time.Second)
	_, northKey := addClient(t, data, "north", "challenge proof event")
	_, southKey := addClient(t, data, "south", "challenge proof event")
	b = launchWith(t, []string{marked + "=" + strconv.Itoa(rogueMark+m.number)}, data, "--authenticate", "--log-level", "debug")
	if err := b.await(); err != nil {
		t.Fatal(err)
	}
	north, south := b.as(t, "north", northKey), b.as(t, "south", southKey)
	push := func() (*client.Pushed, error) { return north.push(ctx, 20*time.Second) }

	// It behaves, and keeps what it was sent.
	var accepted []*client.Pushed
	for range 3 {
		p, err := push()
		if err != nil || p.Accepted == nil {
			t.Fatalf("a prover that behaves: %+v, %v", p, err)
		}
		accepted = append(accepted, p)
	}
	jobs := m.kept()
	if len(jobs) < 3 {
		t.Fatalf("it was sent %d jobs: it is not the prover", len(jobs))
	}
	// What it kept of a request that is accepted: the tag, and proofs of other requests.
	for i, p := range accepted {
		var tag protocol.Tag
		if err := tag.UnmarshalText([]byte(fmt.Sprint(jobs[i]["tag"]))); err != nil {
			t.Fatal(err)
		}
		other, err := protocol.DecodeBase64(m.proofs[(i+1)%3])
		if err != nil {
			t.Fatal(err)
		}
		if _, err := north.Send(ctx, p.RequestID, tag, other, 0); protocol.CodeOf(err) != protocol.CodeAlreadyConsumed {
			t.Errorf("a kept tag with another kept proof: %v, want already_consumed", err)
		}
		if _, err := south.Send(ctx, p.RequestID, tag, other, 0); protocol.CodeOf(err) != protocol.CodeSubmissionRejected {
			t.Errorf("a kept tag, as another client: %v, want submission_rejected", err)
		}
	}
	// What it answers wrongly.
	for what, wrong := range map[string]struct {
		change func(n int, answer map[string]string)
		want   protocol.Code
	}{
		"the proof of an old job":          {func(_ int, a map[string]string) { a["proof"] = m.proofs[0] }, protocol.CodeProverBadResponse},
		"the tag of an old job":            {func(_ int, a map[string]string) { a["tag"] = fmt.Sprint(jobs[0]["tag"]) }, protocol.CodeProverTagMismatch},
		"tag and proof of an old job":      {func(_ int, a map[string]string) { a["tag"], a["proof"] = fmt.Sprint(jobs[0]["tag"]), m.proofs[0] }, protocol.CodeProverTagMismatch},
		"noise":                            {func(_ int, a map[string]string) { a["proof"] = "A" + strings.Repeat("B", len(a["proof"])-1) }, protocol.CodeProverBadResponse},
		"no proof":                         {func(_ int, a map[string]string) { a["proof"] = "" }, protocol.CodeProverBadResponse},
		"what an answer has no member for": {func(_ int, a map[string]string) { a["event"] = "x" }, protocol.CodeProverBadResponse},
	} {
		m.answers(wrong.change)
		if p, err := push(); protocol.CodeOf(err) != wrong.want {
			t.Errorf("%s: %+v, %v, want %s", what, p, err, wrong.want)
		}
	}
	// While the job is with it, an accomplice who is another client has tag, proof and
	// request id.
	held, release := make(chan map[string]string, 1), make(chan struct{})
	m.answers(func(_ int, answer map[string]string) {
		held <- answer
		<-release
	})
	p, err := north.push(ctx, 0)
	if err != nil {
		t.Fatal(err)
	}
	stolen := <-held
	var tag protocol.Tag
	proof, err := protocol.DecodeBase64(stolen["proof"])
	if err != nil || tag.UnmarshalText([]byte(stolen["tag"])) != nil {
		t.Fatal(err)
	}
	if _, err := south.Send(ctx, p.RequestID, tag, proof, 0); protocol.CodeOf(err) != protocol.CodeSubmissionRejected {
		t.Errorf("the true answer, by another client: %v, want submission_rejected", err)
	}
	close(release)
	if _, err := north.Receipt(ctx, p.RequestID, 20*time.Second); err != nil {
		t.Errorf("the request of which that was the answer: %v", err)
	}
	m.answers(nil)
	sent := len(m.kept())
	pulled := north.proveAs(t, "north", submission())
	north.wantAccepted(ctx, pulled)
	if len(m.kept()) != sent {
		t.Error("a pulled request reached the prover")
	}
	if _, err := push(); err != nil {
		t.Errorf("a push after the attacks: %v", err)
	}
	b.stop(20 * time.Second)
	if n := len(acceptedIn(t, rowsOf(t, data))); n != 6 {
		t.Errorf("%d are accepted, want 6", n)
	}
}

func forwardTo(t *testing.T, target string) http.Handler {
	t.Helper()
	return forward(&attack{T: t}, target)
}

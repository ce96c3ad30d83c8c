package prover_test

import (
	"context"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/terradourada/td/claim"
	"github.com/terradourada/td/internal/process"
	"github.com/terradourada/td/internal/prover"
	"github.com/terradourada/td/protocol"
)

// TestMain runs the test binary as a prover, or as a hostile one, when it is
// started so.
func TestMain(m *testing.M) {
	if status, ok := prover.RunChild(os.Args); ok {
		os.Exit(status)
	}
	if len(os.Args) == 3 && os.Args[1] == "hostile" {
		hostileChild(os.Args[2])
	}
	os.Exit(m.Run())
}

// misbehaving starts provers that behave badly.
func misbehaving(how string) prover.Starter {
	return process.Direct{Programs: map[string][]string{"prover": {"hostile", how}}}
}

// hostileChild is a prover process that behaves badly.
func hostileChild(how string) {
	ln, err := prover.NewHandoff(os.NewFile(process.ChildSocket, "core"))
	if err != nil || how == "exits at once" {
		os.Exit(1)
	}
	if how == "never ready" {
		select {}
	}
	_ = http.Serve(ln, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch {
		case r.Method == http.MethodGet:
			w.WriteHeader(http.StatusNoContent)
		case how == "exits during the job":
			os.Exit(1)
		case how == "slow":
			<-r.Context().Done()
		}
	}))
	os.Exit(0)
}

// sample is a job that can be proved, and the key that verifies it.
type sample struct {
	prover.Job
	key *claim.VerifyingKey
}

const sampleEvent = `{"batch":"K-17","readings":[20.5,21],"weight":1250.5}`

var sampleParams = map[claim.ID]string{
	claim.Open:        `{}`,
	claim.Range:       `{"offset":0,"scale":2,"values":[{"at":"/readings/0","hi":21,"lo":20},{"at":"/readings/1","hi":21,"lo":21}]}`,
	claim.RecordRange: `{"field":1,"hi":1300,"lo":1250,"offset":0,"scale":1,"schema":["/batch","/weight"]}`,
}

// newSample makes a job with this much time.
func newSample(tb testing.TB, id claim.ID, left time.Duration) *sample {
	tb.Helper()
	params, err := claim.ParseParams(id, []byte(sampleParams[id]))
	if err != nil {
		tb.Fatal(err)
	}
	cm, assignment, err := claim.Commit(params, []byte(sampleEvent), claim.NewBlind())
	if err != nil {
		tb.Fatal(err)
	}
	st, err := claim.NewStatement(params, cm)
	if err != nil {
		tb.Fatal(err)
	}
	key, ok := claim.KnownKey(id)
	if !ok {
		tb.Fatalf("%s has no key", id)
	}
	tag := protocol.Tag{1, 2, 3}
	anchor := protocol.Anchor(protocol.H2F("test", []byte("anchor")))
	return &sample{key: key, Job: prover.Job{
		Claim: id, Params: params.Bytes(), Commitment: cm, Assignment: assignment, Tag: tag, Deadline: time.Now().Add(left),
		Inputs: st.Inputs(anchor, protocol.H2F("test", []byte("context")), protocol.TagElement(tag)),
	}}
}

// check verifies an answer to the sample.
func (s *sample) check(tb testing.TB, a prover.Answer, err error) {
	tb.Helper()
	if err != nil {
		tb.Fatal(err)
	}
	if !a.Tag.Equal(s.Tag) {
		tb.Error("another tag came back")
	}
	if err := claim.Verify(s.key, s.Inputs, a.Proof); err != nil {
		tb.Error(err)
	}
}

// wantCode fails unless err carries the code.
func wantCode(tb testing.TB, err error, want protocol.Code) {
	tb.Helper()
	if got := protocol.CodeOf(err); got != want {
		tb.Fatalf("got %v (%v), want %v", got, err, want)
	}
}

// listen makes a Unix socket and what dials it.
func listen(tb testing.TB) (net.Listener, func(context.Context) (net.Conn, error)) {
	tb.Helper()
	path := filepath.Join(tb.TempDir(), "s")
	ln, err := net.Listen("unix", path)
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() { _ = ln.Close() })
	return ln, func(ctx context.Context) (net.Conn, error) {
		return new(net.Dialer).DialContext(ctx, "unix", path)
	}
}

// serving is a prover in this process.
func serving(tb testing.TB, cfg prover.Config) func(context.Context) (net.Conn, error) {
	tb.Helper()
	p, err := claim.NewProver(claim.Open)
	if err != nil {
		tb.Fatal(err)
	}
	ln, dial := listen(tb)
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- prover.Serve(ctx, ln, p, cfg) }()
	tb.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			tb.Errorf("Serve: %v", err)
		}
	})
	return dial
}

// running is a pool whose Run is under way.
func running(tb testing.TB, cfg prover.PoolConfig) (p *prover.Pool, stop func()) {
	tb.Helper()
	p = prover.NewPool(cfg)
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- p.Run(ctx) }()
	stop = func() {
		tb.Helper()
		cancel()
		select {
		case err := <-done:
			done <- err
		case <-time.After(10 * time.Second):
			tb.Fatal("Run does not return")
		}
	}
	tb.Cleanup(stop)
	return p, stop
}

// awaitReady waits until a prover other than the one given is there.
func awaitReady(tb testing.TB, p *prover.Pool, other int) int {
	tb.Helper()
	late := time.After(20 * time.Second)
	for {
		ready, change := p.Watch()
		if pid := p.PID(); ready && pid != other {
			return pid
		}
		select {
		case <-change:
		case <-late:
			tb.Fatal("no prover is ready")
		}
	}
}

// post sends a raw body and returns status and body.
func post(tb testing.TB, dial func(context.Context) (net.Conn, error), method, path, body string) (int, string) {
	tb.Helper()
	c := http.Client{Transport: &http.Transport{
		DisableKeepAlives: true,
		DialContext:       func(ctx context.Context, _, _ string) (net.Conn, error) { return dial(ctx) },
	}}
	r, err := http.NewRequestWithContext(tb.Context(), method, "http://prover"+path, strings.NewReader(body))
	if err != nil {
		tb.Fatal(err)
	}
	resp, err := c.Do(r)
	if err != nil {
		tb.Fatal(err)
	}
	defer func() { _ = resp.Body.Close() }()
	b, err := io.ReadAll(resp.Body)
	if err != nil {
		tb.Fatal(err)
	}
	return resp.StatusCode, string(b)
}

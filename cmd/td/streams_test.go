package main_test

import (
	"context"
	"encoding/json"
	"net/http"
	"regexp"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/terradourada/td/internal/testdata/proctest"
	"github.com/terradourada/td/protocol"
)

// TestLogReaderExits: neither a reader of the log that is gone nor the end of
// the terminal is anything to the server, its epoch or its stop.
func TestLogReaderExits(t *testing.T) {
	t.Parallel()
	b := startBackend(t, t.TempDir(), limits...)
	pending := b.mustAnswer(t.Context())
	_ = b.pipe.Close()
	b.signal(-b.cmd.Process.Pid, syscall.SIGHUP) // the whole group, as a terminal does
	for range 20 {
		b.ask(http.MethodGet, "/nowhere", "") // each is a line, and a write that fails
	}
	b.wantAccepted(t.Context(), pending)
	if n := b.epochNumber(t.Context()); n != 1 {
		t.Errorf("epoch %d, want the first one still", n)
	}
	b.stop(20 * time.Second)
}

// TestLogNobodyReads: a full pipe blocks no request and no orderly stop.
func TestLogNobodyReads(t *testing.T) {
	t.Parallel()
	b := startBackend(t, t.TempDir(), limits...)
	pending := b.mustAnswer(t.Context())
	b.mu.Lock()
	read := sync.OnceFunc(b.mu.Unlock)
	defer read()
	for range 4000 { // of some 100 bytes each, where a pipe and its reader take 128 KiB
		b.ask(http.MethodGet, "/nowhere", "")
	}
	b.wantAccepted(t.Context(), pending)
	if n := b.epochNumber(t.Context()); n != 1 {
		t.Errorf("epoch %d, want the first one still", n)
	}
	pid := b.cmd.Process.Pid
	b.signal(pid, syscall.SIGTERM)
	eventually(t, 20*time.Second, "it has not ended", func() bool { state, _ := proctest.State(pid); return state == "Z" })
	read()
	if <-b.done; b.err != nil {
		t.Errorf("it did not stop in order: %v", b.err)
	}
}

// TestLogAsJSON: every line is an object, from the first one to the last, none
// is as long as a page, and times are milliseconds by their names.
func TestLogAsJSON(t *testing.T) {
	t.Parallel()
	b := startBackend(t, t.TempDir(), with("--log-format", "json", "--log-level", "debug")...)
	b.wantAccepted(t.Context(), b.mustAnswer(t.Context()))
	b.signal(b.child("signer", 0), syscall.SIGKILL)
	eventually(t, 30*time.Second, "there is no second epoch", func() bool { return b.epochNumber(t.Context()) == 2 })
	b.stop(20 * time.Second)
	seen := map[string]bool{}
	for line := range strings.Lines(b.log.String()) {
		o := map[string]any{}
		if err := json.Unmarshal([]byte(line), &o); err != nil || o["msg"] == "" {
			t.Errorf("no object: %v: %s", err, line)
		}
		if len(line) > 1000 {
			t.Errorf("a line of %d bytes: %s", len(line), line)
		}
		msg, _ := o["msg"].(string)
		seen[msg] = true
		for name, v := range o {
			if _, number := v.(float64); strings.HasSuffix(name, "_ms") != durationName.MatchString(name) || strings.HasSuffix(name, "_ms") && !number {
				t.Errorf("%s = %v is no time in milliseconds: %s", name, v, line)
			}
		}
	}
	for _, msg := range []string{"ready", "measure", "signer ready", "epoch replaced", "stopping", "epoch ended"} {
		if !seen[msg] {
			t.Errorf("nothing says %q", msg)
		}
	}
}

// durationName are the names that times have.
var durationName = regexp.MustCompile(`took|gap|grace|retry|restart|window|(_ms|_us|_ns|_s)$`)

// TestStopUnderPushLoad: what is being proved ends within the grace, or its
// client receives draining; no line or code blames the prover.
func TestStopUnderPushLoad(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name, grace string
		all         bool
	}{{"long grace", "60s", true}, {"no grace", "0s", false}} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			b := startBackend(t, t.TempDir(), "--shutdown-grace", c.grace)
			queued := b.queue(t, 6)
			told := make(chan error, 6)
			for range cap(told) {
				go func() { _, err := b.push(context.WithoutCancel(t.Context()), 30*time.Second); told <- err }()
			}
			first := <-told // the others are in work
			b.stop(90 * time.Second)
			b.judgeStop(t, append(drainAll(told, cap(told)-1), first), c.all)
			if c.all {
				accepted := acceptedIn(t, rowsOf(t, b.data))
				for _, id := range queued {
					if _, ok := accepted[id]; !ok {
						t.Errorf("event %s was in work and is not accepted", id)
					}
				}
			}
			for _, lie := range []string{"prover returned no valid proof", "prover gone", "prover_timeout", "prover_bad_response"} {
				if line := lineWith(b.stderr(), lie); line != "" {
					t.Errorf("it says %s", line)
				}
			}
		})
	}
}

// queue pushes events without waiting for their outcomes.
func (b *backend) queue(t *testing.T, n int) (ids []protocol.RequestID) {
	t.Helper()
	for range n {
		p, err := b.push(t.Context(), 0)
		if err != nil {
			t.Fatal(err)
		}
		ids = append(ids, p.RequestID)
	}
	return ids
}

func drainAll(ch <-chan error, n int) (all []error) {
	for range n {
		all = append(all, <-ch)
	}
	return all
}

// judgeStop checks what clients have received. One whose connection was no longer
// accepted has received nothing, and knows that nothing was issued.
func (b *backend) judgeStop(t *testing.T, told []error, all bool) {
	t.Helper()
	codes := map[protocol.Code]int{}
	for _, err := range told {
		if !died(err) {
			codes[protocol.CodeOf(err)]++
		}
	}
	accepted, draining := codes[protocol.CodeNone], codes[protocol.CodeDraining]
	switch {
	case len(codes) > 2 || accepted == 0:
		t.Errorf("clients received %v", codes)
	case all && draining > 0:
		t.Errorf("%d clients were sent away within the grace", draining)
	case !all && draining == 0:
		t.Errorf("no client received draining: %v", codes)
	}
}

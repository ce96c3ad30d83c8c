package main_test

import (
	"encoding/json"
	"io/fs"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/terradourada/td/api"
	"github.com/terradourada/td/internal/probe"
	"github.com/terradourada/td/internal/telemetry"
	"github.com/terradourada/td/protocol"
)

// TestTelemetry: td probe makes a whole request, and metrics, log and record of a server
// have it, and an answer that was refused.
func TestTelemetry(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	record := filepath.Join(dir, "record")
	b := startBackend(t, filepath.Join(dir, "data"), "--ops", "127.0.0.1:0", "--ops-pprof", "--record", record, "--log-addresses", "hash")
	probeOf := func(exit int, args ...string) (r probe.Report) {
		t.Helper()
		code, stdout, stderr := runTD(append([]string{"probe", "--trust", filepath.Join(dir, "trust"), "-o", "json"}, args...)...)
		if err := json.Unmarshal([]byte(stdout), &r); err != nil || code != exit || r.Exit != exit || len(r.Parts) != len(probe.Names()) {
			t.Errorf("exit code %d, %v\n%s%s", code, err, stdout, stderr)
		}
		return r
	}
	if r := probeOf(0, "--server", b.url, "--claim", "range/1"); !r.OK || r.Index == nil || slices.ContainsFunc(r.Parts, func(p probe.Part) bool { return p.State != probe.OK }) {
		t.Errorf("%+v", r)
	}
	if r := probeOf(7, "--server", "http://127.0.0.1:1"); r.OK || r.Failed != "issue" || r.Parts[1].State != probe.Skipped || r.Error == "" {
		t.Errorf("%+v", r)
	}
	tag := protocol.Tag{1}
	b.ask(http.MethodPost, "/v1/challenges/"+protocol.RequestID{2}.String()+"/proof", strings.Repeat("x", protocol.ProofSize), "Content-Type", api.MediaOctets, api.TagHeader, tag.String())
	metrics := ""
	eventually(t, 20*time.Second, "the metrics lack something", func() bool {
		_, metrics = b.ops("metrics")
		for _, line := range []string{
			`terradourada_http_requests_total{code="none",operation="openChallenge"} 1`,
			`terradourada_http_requests_total{code="submission_rejected",operation="sendProof"} 1`,
			`terradourada_refusals_total{cause="unknown_id",class="submit"} 1`,
			`terradourada_child_up{role="prover"} 1`, `terradourada_child_starts_total{role="signer"} 1`,
			`terradourada_epoch_number 1`, `terradourada_epochs_opened_total 1`, `terradourada_journal_failing 0`, `terradourada_epoch_missing 0`,
			`terradourada_tagger_requests{state="pending"} 0`,
		} {
			if !strings.Contains(metrics, "\n"+line+"\n") {
				return false
			}
		}
		return strings.Contains(metrics, "\nprocess_cpu_seconds_total ") && !strings.Contains(metrics, "terradourada_disk_free_bytes NaN\n")
	})
	for path, want := range map[string]int{"debug/pprof/heap": 200, "debug/pprof/goroutine": 200, "debug/pprof/cmdline": 404, "debug/pprof/": 404} {
		if status, _ := b.ops(path); status != want {
			t.Errorf("%s: %d, want %d", path, status, want)
		}
	}
	if code, _, stderr := runTD("serve", "--data", filepath.Join(dir, "other"), "--listen", "127.0.0.1:0", "--record", filepath.Join(dir, "none", "record")); code != 8 || !strings.Contains(stderr, "cannot be made") {
		t.Errorf("exit code %d\n%s", code, stderr)
	}
	b.stop(20 * time.Second)
	b.mu.Lock()
	log := b.log.String()
	b.mu.Unlock()
	if !strings.Contains(log, "cause=unknown_id") || strings.Contains(log, tag.String()) {
		t.Errorf("the log lacks the refused answer\n%s", log)
	}
	checkRecord(t, record)
}

// checkRecord replays a record and looks for what has happened.
func checkRecord(t *testing.T, name string) {
	t.Helper()
	info, err := os.Stat(name)
	if err != nil || info.Mode() != fs.FileMode(0o600) {
		t.Fatal(info.Mode(), err)
	}
	f, err := os.Open(name)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	seen := replayed{}
	if _, err := telemetry.Replay(f, seen); err != nil {
		t.Error(err)
	}
	for _, what := range []string{"openChallenge none", "sendProof none", "sendProof unknown_id", "epoch_opened", "epoch_closed", "child_started signer"} {
		if !seen[what] {
			t.Errorf("the record lacks %q", what)
		}
	}
}

// replayed holds which kinds of events a record has.
type replayed map[string]bool

func (r replayed) Request(q telemetry.Request) { r[q.Operation+" "+q.Cause.String()] = true }

func (r replayed) Change(c telemetry.Change) {
	r[c.Kind.String()] = true
	r[c.Kind.String()+" "+c.Subject] = true
}

package main_test

import (
	"context"
	"errors"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/terradourada/td/client"
	"github.com/terradourada/td/internal/datadir"
	"github.com/terradourada/td/internal/journal"
	"github.com/terradourada/td/protocol"
)

// wantReads reads everything that needs no key: status, receipt, verification, the log,
// claims and epochs.
func (b *backend) wantReads(ctx context.Context, id protocol.RequestID) {
	b.t.Helper()
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	if _, err := b.Status(ctx); err != nil {
		b.t.Errorf("status: %v", err)
	}
	r, err := b.Receipt(ctx, id, 0)
	if err != nil {
		b.t.Fatalf("receipt: %v", err)
	}
	if report, err := b.Verify(ctx, r, false); err != nil || !report.OK {
		b.t.Errorf("verification: %+v, %v", report, err)
	}
	if _, err := b.Checkpoint(ctx); err != nil {
		b.t.Errorf("checkpoint: %v", err)
	}
	size, _ := publishedIn(b.t, b.data)
	bundlesIn(b.t, b.data, size)
	if claims, err := b.Claims(ctx); err != nil || len(claims) == 0 {
		b.t.Errorf("claims: %v", err)
	}
	if epochs, err := b.Epochs(ctx); err != nil || len(epochs) == 0 {
		b.t.Errorf("epochs: %v", err)
	}
}

// wantRefused sends what would issue and accept, and wants one code that no retry
// changes.
func (b *backend) wantRefused(ctx context.Context, id protocol.RequestID, want protocol.Code) {
	b.t.Helper()
	_, err := b.challenge(ctx, submission())
	_, pushErr := b.push(ctx, 0)
	for what, err := range map[string]error{"challenge": err, "push": pushErr} {
		var p *client.Problem
		if !errors.As(err, &p) || p.Code != want || p.Retryable {
			b.t.Errorf("%s: %v, want %v", what, err, want)
		}
	}
	if want != protocol.CodeForbidden {
		return // an answer to a request that is not known is refused before
	}
	for _, path := range []string{"/v1/challenges", "/v1/challenges/" + id.String() + "/proof", "/v1/events"} {
		req, err := http.NewRequestWithContext(ctx, http.MethodPost, b.url+path, strings.NewReader("{}"))
		if err != nil {
			b.t.Fatal(err)
		}
		req.Header.Set("Content-Type", "application/json")
		res, err := http.DefaultClient.Do(req)
		if err != nil {
			b.t.Fatal(err)
		}
		_ = res.Body.Close() // the status says it
		if res.StatusCode != http.StatusForbidden {
			b.t.Errorf("POST %s: %s", path, res.Status)
		}
	}
}

// holdWriter takes the lock that the journal's writer needs for a transaction: byte 120
// of the file beside a database of SQLite that uses a write-ahead log.
func holdWriter(t *testing.T, data string) (release func()) {
	t.Helper()
	f, err := os.OpenFile(filepath.Join(data, datadir.JournalFile+"-shm"), os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	lock := syscall.Flock_t{Type: syscall.F_WRLCK, Start: 120, Len: 1}
	eventually(t, 5*time.Second, "the lock of the writer is not free", func() bool { return syscall.FcntlFlock(f.Fd(), syscall.F_SETLK, &lock) == nil })
	return func() { _ = f.Close() } // which releases it
}

// TestReading: receipts, verification, the log and the status need no signer, tagger,
// prover and no writer of the journal; they are read from a copy without any of these;
// and from a sealed log, to which no start adds anything.
func TestReading(t *testing.T) {
	t.Parallel()
	ctx := t.Context()
	b := startBackend(t, filepath.Join(t.TempDir(), "data"), limits...)
	a := b.mustAnswer(ctx)
	b.wantAccepted(ctx, a)
	id := a.ch.RequestID
	release := holdWriter(t, b.data)
	for _, pid := range b.children() {
		b.signal(pid, syscall.SIGSTOP)
		defer func() { _ = syscall.Kill(pid, syscall.SIGCONT) }()
	}
	b.wantReads(ctx, id)
	for _, pid := range b.children() {
		b.signal(pid, syscall.SIGCONT)
	}
	release()
	b.kill()

	data := copyOf(t, b.data)
	reader := startBackend(t, data, "--read-only")
	if children := reader.children(); len(children) > 0 {
		t.Errorf("a read-only server has children: %v", children)
	}
	reader.wantReads(ctx, id)
	reader.wantRefused(ctx, id, protocol.CodeForbidden)
	reader.stop(5 * time.Second)

	withJournal(t, data, func(j *journal.Journal) error {
		_, err := j.Control(ctx, time.Now(), journal.Request{Action: "seal", Target: "all"}, protocol.Control{Action: protocol.ActionSeal})
		return err
	})
	sealed := startBackend(t, data, limits...)
	before := len(rowsOf(t, data))
	sealed.wantReads(ctx, id)
	sealed.wantRefused(ctx, id, protocol.CodeFrozen)
	if s, err := sealed.Status(ctx); err != nil || !s.Sealed || s.Epoch != nil || s.Epochs.Why != "the log is sealed" {
		t.Errorf("status of a sealed log: %+v, %v", s, err)
	}
	sealed.stop(10 * time.Second)
	if said := sealed.stderr(); strings.Contains(said, "td submit --server") || !strings.Contains(said, "td: sealed: ") {
		t.Errorf("the start over a sealed log said:\n%s", said)
	}
	if after := len(rowsOf(t, data)); after != before {
		t.Errorf("a start over a sealed log has added %d leaves", after-before)
	}

	reader = startBackend(t, data, "--read-only") // a directory without a write-ahead log
	reader.wantReads(ctx, id)
	reader.stop(5 * time.Second)
}

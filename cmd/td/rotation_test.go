package main_test

import (
	"context"
	"fmt"
	"path/filepath"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/terradourada/td/client"
	"github.com/terradourada/td/protocol"
)

// clients open requests that expire soon, until they are stopped.
type clients struct {
	b      *backend
	opened atomic.Int64
	failed atomic.Int64
	mu     sync.Mutex
	first  error
	took   []time.Duration
}

func (c *clients) run(ctx context.Context) {
	for ctx.Err() == nil {
		draft, err := client.NewDraft(new(submission()), protocol.Element{})
		if err == nil {
			request := draft.Request()
			request.TTLMillis = protocol.MinTTL
			begun := time.Now()
			_, err = c.b.Challenge(ctx, request)
			c.note(time.Since(begun), err, ctx.Err() != nil)
		}
	}
}

func (c *clients) note(took time.Duration, err error, over bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	switch {
	case over:
	case err != nil:
		c.failed.Add(1)
		c.first = err
	default:
		c.opened.Add(1)
		c.took = append(c.took, took)
	}
}

// TestRotationUnderLoad: epochs that are rotated under load cost no request. What was
// issued before is accepted after, the receipts of all epochs verify, and a user
// who has recorded a checkpoint of the first epoch follows the hand-overs to the last one.
func TestRotationUnderLoad(t *testing.T) {
	t.Parallel()
	const rotations = 4
	ctx, data := t.Context(), t.TempDir()
	b := startBackend(t, data, with("--max-issued", "200")...)
	user := newVictim(t, "")
	got, file := user.submit(b.url)
	if got.exit != 0 {
		t.Fatalf("%s%s", got.out, got.errs)
	}
	files := []string{file}
	early := b.mustAnswer(ctx)
	children := b.children()

	load, cancel := context.WithCancel(ctx)
	c := &clients{b: b}
	var all sync.WaitGroup
	for range 8 {
		all.Go(func() { c.run(load) })
	}
	var answers []*answer
	for n := uint64(2); n <= 1+rotations; n++ {
		eventually(t, 60*time.Second, fmt.Sprintf("epoch %d is not active", n), func() bool { return b.activeFrom(ctx, n) })
		answers = append(answers, b.mustAnswer(ctx))
	}
	cancel()
	all.Wait()
	slices.Sort(c.took)
	t.Logf("%d opened, median %v, greatest %v", c.opened.Load(), c.took[len(c.took)/2], c.took[len(c.took)-1])
	if n := c.failed.Load(); n > 0 {
		t.Errorf("%d requests failed, such as: %v", n, c.first)
	}
	if b.children()["signer"] == children["signer"] {
		t.Error("the signer is the first one still")
	}

	for _, a := range append(answers, early) { // of all epochs, the first one draining still
		b.wantAccepted(ctx, a)
	}
	got, file = user.submit(b.url)
	if got.exit != 0 {
		t.Fatalf("%s%s", got.out, got.errs)
	}
	for _, file := range append(files, file) {
		if said := user.verify(file, "--log", b.url); said.verdict != "valid" {
			t.Errorf("%s: %s%s", said.verdict, said.out, said.errs)
		}
	}
	b.stop(20 * time.Second)

	rows := rowsOf(t, data)
	wantSameLog(t, data, rows)
	handedOver(t, rows, rotations)
	if said := user.audit("--dir", filepath.Join(data, "ledger")); said.verdict != "valid" {
		t.Errorf("audit: %s%s", said.out, said.errs)
	}
	if said := user.verify(files[0]); said.verdict != "valid" {
		t.Errorf("the first receipt, after the end: %s%s", said.out, said.errs)
	}
}

// activeFrom reports whether an epoch with this number or a later one is active.
func (b *backend) activeFrom(ctx context.Context, number uint64) bool {
	s, err := b.Status(ctx)
	return err == nil && s.Epoch != nil && s.Epoch.Number >= number
}

// handedOver checks that all epochs but the last were rotated and handed over.
func handedOver(t *testing.T, rows []row, least uint64) {
	t.Helper()
	last := lastEpoch(rows)
	if last <= least {
		t.Errorf("%d epochs", last)
	}
	for _, r := range rows {
		if open, ok := r.leaf.Body.(*protocol.EpochOpen); ok && open.Number > 1 && open.Handover == (protocol.SignedRoot{}) {
			t.Errorf("epoch %d was opened without a hand-over", open.Number)
		}
	}
	for n := uint64(1); n <= last; n++ {
		want := protocol.CloseRotated
		if n == last {
			want = protocol.CloseShutdown
		}
		if c := closeOf(rows, n); c == nil || c.Reason != want {
			t.Errorf("epoch %d is closed as %+v", n, c)
		}
	}
}

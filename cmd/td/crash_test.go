package main_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"maps"
	"math/rand/v2"
	"net/url"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/terradourada/td/client"
	td "github.com/terradourada/td/cmd/td"
	"github.com/terradourada/td/protocol"
	"github.com/terradourada/td/receipt"
)

// history is what a user of a server that keeps being killed has seen.
type history struct {
	mu       sync.Mutex
	acked    map[protocol.RequestID]uint64 // acknowledged, with index
	receipts map[protocol.RequestID]*receipt.Receipt
	dir      string // of the trust store
	trust    *receipt.TrustStore
}

func newHistory(t *testing.T) *history {
	t.Helper()
	dir := t.TempDir()
	trust, err := receipt.OpenTrust(dir)
	if err != nil {
		t.Fatal(err)
	}
	return &history{dir: dir, trust: trust, acked: map[protocol.RequestID]uint64{}, receipts: map[protocol.RequestID]*receipt.Receipt{}}
}

// note records an acknowledgement; a second one must say the same.
func (h *history) note(t *testing.T, a *client.Accepted) {
	t.Helper()
	h.mu.Lock()
	defer h.mu.Unlock()
	if index, twice := h.acked[a.RequestID]; twice && index != a.Index {
		t.Errorf("request %s was acknowledged as %d and as %d", a.RequestID, index, a.Index)
	}
	h.acked[a.RequestID] = a.Index
	if a.Receipt != nil {
		h.receipts[a.RequestID] = a.Receipt
	}
}

// died reports whether a call ended without a whole answer, because the server has
// exited.
func died(err error) bool {
	var u *url.Error
	return errors.As(err, &u) || errors.Is(err, io.ErrUnexpectedEOF) || errors.Is(err, context.Canceled)
}

// load answers, replays, pushes and opens at once until the server is gone, and
// adds what was acknowledged to the history. Any refusal must be one of allowed, or say that
// the server is overloaded.
type load struct {
	*backend
	h       *history
	allowed map[protocol.Code]bool
	wg      sync.WaitGroup

	mu     sync.Mutex
	pushed []protocol.RequestID
	codes  map[protocol.Code]int
}

func (b *backend) newLoad(h *history, allowed ...protocol.Code) *load {
	l := &load{backend: b, h: h, allowed: map[protocol.Code]bool{protocol.CodeOverloaded: true}, codes: map[protocol.Code]int{}}
	for _, c := range allowed {
		l.allowed[c] = true
	}
	return l
}

// judge says whether to go on after a call.
func (l *load) judge(what string, err error) bool {
	if err == nil {
		return true
	}
	if died(err) {
		return false
	}
	code := protocol.CodeOf(err)
	l.mu.Lock()
	l.codes[code]++
	l.mu.Unlock()
	if !l.allowed[code] {
		l.t.Errorf("%s under load: %v", what, err)
	}
	return true
}

// answerAll hands each answer in from two goroutines, one of which waits for
// the receipt.
func (l *load) answerAll(ctx context.Context, all []*answer) {
	for _, a := range all {
		for _, wait := range []time.Duration{0, 10 * time.Second} {
			l.wg.Go(func() {
				acc, err := l.send(ctx, a, wait)
				if l.judge("an answer", err) && err == nil {
					l.h.note(l.t, acc)
				}
			})
		}
	}
}

// pushSome pushes n events and waits for their receipts.
func (l *load) pushSome(ctx context.Context, n int) {
	for range n {
		l.wg.Go(func() {
			p, err := l.push(ctx, 10*time.Second)
			if !l.judge("a push", err) || err != nil {
				return
			}
			l.mu.Lock()
			l.pushed = append(l.pushed, p.RequestID)
			l.mu.Unlock()
			if p.Accepted != nil {
				l.h.note(l.t, p.Accepted)
			}
		})
	}
}

// openUntil opens challenges until the context ends or the server is gone.
func (l *load) openUntil(ctx context.Context, workers int) {
	for range workers {
		l.wg.Go(func() {
			for ctx.Err() == nil {
				if _, err := l.challenge(ctx, submission()); !l.judge("a challenge", err) {
					return
				}
			}
		})
	}
}

// TestKilledCore kills the core over and over, at random moments,
// while it answers, and looks at what is left.
func TestKilledCore(t *testing.T) {
	t.Parallel()
	rounds := 20
	if testing.Short() {
		rounds = 3
	}
	data, h := t.TempDir(), newHistory(t)
	var old []*answer // of the round before
	var lost uint64   // its epoch
	for round := range rounds {
		if round%5 == 3 {
			killedAtStart(t, data)
		}
		b := startBackend(t, data, limits...)
		afterCrash(t, b, h, old, lost)
		old, lost = crash(t, b, h), lastEpoch(rowsOf(t, data))
	}
	b := startBackend(t, data, limits...)
	afterCrash(t, b, h, old, lost)
	o := receipt.Options{Trust: h.trust, Log: client.NewLog(b.Client)}
	for _, r := range h.receipts {
		wantValid(t, r, o)
	}
	b.stop(10 * time.Second)
	wantSameLog(t, data, rowsOf(t, data))
	t.Logf("%d rounds, %d acknowledged, %d receipts got before a kill", rounds, len(h.acked), len(h.receipts))
}

// crash puts a server under load and kills it at some moment. It returns the
// answers that were prepared, of which the last was never sent.
func crash(t *testing.T, b *backend, h *history) []*answer {
	t.Helper()
	ctx := t.Context()
	all := b.answers(ctx, 4)
	children := b.processes()
	h.note(t, b.wantAccepted(ctx, all[0]))
	l := b.newLoad(h, protocol.CodeConflict)
	l.pushSome(ctx, 1)
	l.openUntil(ctx, 1)
	l.answerAll(ctx, all[1:3])
	time.Sleep(rand.N(120 * time.Millisecond)) // the moment of the kill is what is tried
	b.kill()
	l.wg.Wait()
	awaitGone(t, children)
	return all
}

// killedAtStart kills a server on its way up.
func killedAtStart(t *testing.T, data string) {
	t.Helper()
	b := launch(t, data)
	time.Sleep(rand.N(700 * time.Millisecond))
	children := b.processes()
	b.kill()
	awaitGone(t, children)
}

// TestKilledAtFirstStart kills servers while they make their data directory:
// whatever is there by then, the next one starts with it.
func TestKilledAtFirstStart(t *testing.T) {
	t.Parallel()
	rounds := 5
	if testing.Short() {
		rounds = 2
	}
	for range rounds {
		data := t.TempDir()
		killedAtStart(t, data)
		b := startBackend(t, data, limits...)
		b.wantAccepted(t.Context(), b.mustAnswer(t.Context()))
		b.stop(10 * time.Second)
		wantSameLog(t, data, rowsOf(t, data))
	}
}

// TestStoppedAtStart: a stop that is asked for before the server is ready is as
// orderly as any other, and not told as a fault of the journal.
func TestStoppedAtStart(t *testing.T) {
	t.Parallel()
	data := t.TempDir()
	for i, s := range []syscall.Signal{syscall.SIGTERM, syscall.SIGINT, syscall.SIGTERM} {
		b := launch(t, data, limits...)
		for !strings.Contains(b.stderr(), "confined") { // "core confined", or not fully: the journal comes next
			time.Sleep(time.Millisecond)
		}
		time.Sleep(time.Duration(i) * 40 * time.Millisecond)
		b.signal(b.cmd.Process.Pid, s)
		<-b.done
		if said := b.stderr(); b.err != nil || strings.Contains(said, "error: ") || strings.Contains(said, "hint: ") {
			t.Errorf("%v: %v", s, b.err)
		}
	}
	b := startBackend(t, data, limits...)
	b.wantAccepted(t.Context(), b.mustAnswer(t.Context()))
	b.stop(10 * time.Second)
}

// afterCrash checks everything that was promised, on the server that came up
// after a kill.
func afterCrash(t *testing.T, b *backend, h *history, old []*answer, lost uint64) {
	t.Helper()
	ctx := t.Context()
	rows := awaitPublished(t, b.data)
	wantSameLog(t, b.data, rows)
	inJournal := acceptedIn(t, rows)
	for id, index := range h.acked {
		if got, ok := inJournal[id]; !ok || got != index {
			t.Errorf("request %s was acknowledged as %d; the journal has %d, %v", id, index, got, ok)
		}
	}
	if lost == 0 {
		return // the first start
	}
	if c := closeOf(rows, lost); c == nil || c.Reason != protocol.CloseLost || c.Issued != greatestIssued(t, rows, c.ID) {
		t.Errorf("the lost epoch %d has the close leaf %+v", lost, c)
	}
	for i, a := range old {
		b.wantCode(ctx, a, protocol.CodeSubmissionRejected)
		r, err := b.Receipt(ctx, a.ch.RequestID, 0)
		_, accepted := inJournal[a.ch.RequestID]
		switch {
		case !accepted && protocol.CodeOf(err) != protocol.CodeNotFound:
			t.Errorf("a request that was not accepted has the receipt %v, %v", r, err)
		case accepted && err != nil:
			t.Errorf("an accepted request has no receipt: %v", err)
		case accepted:
			wantReceipt(t, b, h, r, inJournal[a.ch.RequestID])
		}
		if i == len(old)-1 && accepted {
			t.Error("an answer that was never sent is accepted")
		}
	}
}

// greatestIssued is the greatest signed root of the issued tree in an accepted
// leaf of an epoch, zero if nothing was accepted.
func greatestIssued(t *testing.T, rows []row, epoch protocol.EpochID) (s protocol.SignedRoot) {
	t.Helper()
	for _, r := range rows {
		body, ok := r.leaf.Body.(*protocol.Accepted)
		if ok && payloadOf(t, body).EpochID == epoch && body.Issued.Size > s.Size {
			s = body.Issued.SignedRoot
		}
	}
	return s
}

// wantReceipt checks a receipt and records its checkpoint, which must be
// consistent with all before.
func wantReceipt(t *testing.T, b *backend, h *history, r *receipt.Receipt, index uint64) {
	t.Helper()
	leaf, err := protocol.ParseLeaf(r.Leaf)
	if err != nil || leaf.Seq != index {
		t.Errorf("the receipt of index %d has leaf %d, %v", index, leaf.Seq, err)
	}
	log := client.NewLog(b.Client)
	cp, err := r.Checkpoint()
	if err != nil {
		t.Fatal(err)
	}
	if _, err := h.trust.Record(t.Context(), cp, log, asLive, time.Now()); err != nil {
		t.Errorf("the log is not the one it was: %v", err)
	}
	wantValid(t, r, receipt.Options{Trust: h.trust, Log: log})
}

// TestKilledKeyholder kills signer and tagger under load: what is in work fails
// with a code, the next epoch opens by itself, and what was accepted stays.
func TestKilledKeyholder(t *testing.T) {
	t.Parallel()
	b, h := startBackend(t, t.TempDir(), limits...), newHistory(t)
	ctx := t.Context()
	for _, kind := range []string{"signer", "tagger", "signer"} {
		kept := b.wantAccepted(ctx, b.mustAnswer(ctx))
		all, waiting := b.answers(ctx, 3), b.mustAnswer(ctx)
		number := b.epochNumber(ctx)
		pid := b.child(kind, 0)
		busy, stop := context.WithCancel(ctx)
		l := b.newLoad(h, protocol.CodeConflict, protocol.CodeInvalidated, protocol.CodeDraining, protocol.CodeSubmissionRejected)
		l.openUntil(busy, 2)
		l.pushSome(ctx, 1)
		l.answerAll(ctx, all)
		time.Sleep(rand.N(60 * time.Millisecond))
		b.signal(pid, syscall.SIGKILL)
		// Far less than a second on a machine that has nothing else to do.
		eventually(t, 5*time.Second, "no new epoch", func() bool { return b.epochNumber(ctx) == number+1 })
		stop()
		l.wg.Wait()
		b.child(kind, pid)
		b.wantCode(ctx, waiting, protocol.CodeInvalidated)
		if again, err := b.Receipt(ctx, kept.RequestID, 10*time.Second); err != nil || again == nil {
			t.Errorf("what was accepted before has no receipt: %v", err)
		}
		b.wantAccepted(ctx, b.mustAnswer(ctx))
		t.Logf("%s killed: refusals %v", kind, l.codes)
	}
	rows := awaitPublished(t, b.data)
	wantSameLog(t, b.data, rows)
	inJournal := acceptedIn(t, rows)
	for id, index := range h.acked {
		if inJournal[id] != index {
			t.Errorf("request %s was acknowledged as %d; the journal has %d", id, index, inJournal[id])
		}
	}
	for number := uint64(1); number < lastEpoch(rows); number++ {
		if c := closeOf(rows, number); c == nil || c.Reason != protocol.CloseDied {
			t.Errorf("epoch %d has the close leaf %+v", number, c)
		}
	}
	var out bytes.Buffer
	if code := td.Run([]string{"log", "audit", "--allow-self-asserted", "--trust", t.TempDir(), "--server", b.url, "--progress", "none"}, nil, &out, &out); code != 0 {
		t.Errorf("td log audit: exit code %d\n%s", code, &out)
	}
	b.stop(10 * time.Second)
}

// TestKilledProver kills the prover over pushed events: each ends, with its
// receipt or a code, and the next ones are proved.
func TestKilledProver(t *testing.T) {
	t.Parallel()
	b, h := startBackend(t, t.TempDir(), limits...), newHistory(t)
	ctx := t.Context()
	if _, err := b.push(ctx, 20*time.Second); err != nil {
		t.Fatal(err)
	}
	for range 3 {
		pid := b.child("prover", 0)
		l := b.newLoad(h, protocol.CodeProverBadResponse, protocol.CodeProverTimeout)
		l.pushSome(ctx, 4)
		time.Sleep(rand.N(150 * time.Millisecond))
		b.signal(pid, syscall.SIGKILL)
		l.wg.Wait()
		if len(l.pushed)+len(l.codes) == 0 {
			t.Error("no push ended")
		}
		p, err := b.push(ctx, 20*time.Second)
		if err != nil || p.Accepted == nil {
			t.Fatalf("the next push: %v", err)
		}
		b.child("prover", pid)
		t.Logf("prover killed: %d accepted, refusals %v", len(l.pushed), l.codes)
	}
	if number := b.epochNumber(ctx); number != 1 {
		t.Errorf("the death of a prover made epoch %d", number)
	}
	wantSameLog(t, b.data, awaitPublished(t, b.data))
	b.stop(10 * time.Second)
}

// TestStoppedUnderLoad stops the server in order while it works: everything
// acknowledged is published, the epoch is closed, and nothing is left running.
func TestStoppedUnderLoad(t *testing.T) {
	t.Parallel()
	data, h := t.TempDir(), newHistory(t)
	for range 2 {
		b := startBackend(t, data, limits...)
		ctx := t.Context()
		all, children := b.answers(ctx, 4), b.processes()
		l := b.newLoad(h, protocol.CodeConflict, protocol.CodeInvalidated, protocol.CodeDraining, protocol.CodeSubmissionRejected,
			protocol.CodeOverloaded, protocol.CodeProverTimeout, protocol.CodeProverBadResponse, protocol.CodeLedgerUnavailable)
		busy, stop := context.WithCancel(ctx)
		l.openUntil(busy, 2)
		l.pushSome(ctx, 2)
		l.answerAll(ctx, all[:3])
		time.Sleep(rand.N(80 * time.Millisecond))
		b.stop(10 * time.Second)
		stop()
		l.wg.Wait()
		awaitGone(t, children)
		rows := rowsOf(t, data)
		wantSameLog(t, data, rows)
		if c := closeOf(rows, lastEpoch(rows)); c == nil || c.Reason != protocol.CloseShutdown {
			t.Errorf("the last epoch has the close leaf %+v", c)
		}
		inJournal := acceptedIn(t, rows)
		for id, index := range maps.All(h.acked) {
			if inJournal[id] != index {
				t.Errorf("request %s was acknowledged as %d; the journal has %d", id, index, inJournal[id])
			}
		}
		t.Logf("stopped: %d acknowledged so far, refusals %v", len(h.acked), l.codes)
	}
}

// TestLauncherKilled: when the launcher is killed, its children end with it, and
// the server says so and ends, for the service manager to start it again. What
// was acknowledged is there then, and the epoch is closed.
func TestLauncherKilled(t *testing.T) {
	t.Parallel()
	b := startBackend(t, t.TempDir(), limits...)
	children := b.processes()
	if children["launcher"] == 0 {
		t.Skip("there is no launcher in this build")
	}
	ctx := t.Context()
	kept := b.wantAccepted(ctx, b.mustAnswer(ctx))
	b.signal(children["launcher"], syscall.SIGKILL)
	select {
	case <-b.done:
	case <-time.After(20 * time.Second):
		t.Fatal("the server goes on without its launcher")
	}
	if code := exitCode(b.err); code != 1 || !strings.Contains(b.stderr(), "launcher ended by itself: launcher: its process ended (signal: killed)") {
		t.Errorf("exit code %d, %s", code, lineWith(b.stderr(), "error: "))
	}
	awaitGone(t, children)
	rows := rowsOf(t, b.data)
	if c := closeOf(rows, lastEpoch(rows)); c == nil || c.Reason != protocol.CloseDied {
		t.Errorf("the epoch has the close leaf %+v", c)
	}
	again := startBackend(t, b.data, limits...)
	if _, err := again.Receipt(ctx, kept.RequestID, 0); err != nil {
		t.Errorf("what was accepted before: %v", err)
	}
	again.wantAccepted(ctx, again.mustAnswer(ctx))
	again.stop(10 * time.Second)
}

// TestStoppedWithHungTagger: a keyholder that does not answer cannot keep the
// server from stopping, and the epoch is closed all the same.
func TestStoppedWithHungTagger(t *testing.T) {
	t.Parallel()
	b := startBackend(t, t.TempDir(), limits...)
	children := b.processes()
	if _, err := b.challenge(t.Context(), submission()); err != nil {
		t.Fatal(err)
	}
	b.signal(b.child("tagger", 0), syscall.SIGSTOP)
	b.stop(30 * time.Second)
	awaitGone(t, children)
	rows := rowsOf(t, b.data)
	if c := closeOf(rows, lastEpoch(rows)); c == nil {
		t.Error("the epoch has no close leaf")
	}
}

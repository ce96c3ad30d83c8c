package faults_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strconv"
	"testing"
	"time"

	"github.com/terradourada/td/client"
	"github.com/terradourada/td/internal/journal"
	"github.com/terradourada/td/internal/testdata/proctest"
	"github.com/terradourada/td/protocol"
	"github.com/terradourada/td/receipt"
)

const (
	publishTime = 20 * time.Second // limit for a leaf to be in the published log
	others      = 3                // receipts that are verified again after each fault
)

// asLive is the name under which checkpoints are read, because the server has
// another port after each start.
var asLive = receipt.Source{Live: true, Server: "http://td.test:80"}

// world is one log with the servers that run it, one after the other, and the
// answers that its clients received.
type world struct {
	*testing.T
	run  *run
	rng  *rand.Rand
	dir  string
	data string
	args []string
	disk *disk // nil: the data directory is on the disk of this machine
	srv  *server
	seen *history

	lost, doubled map[protocol.RequestID]bool
	refused       int // starts that failed although nothing prevented them
	complaints    []string
}

// newWorld makes a world with an empty data directory.
func (r *run) newWorld(t *testing.T, rng *rand.Rand, onDisk bool, args ...string) *world {
	t.Helper()
	dir := filepath.Join(r.work, strconv.Itoa(int(r.worlds.Add(1))))
	if err := os.Mkdir(dir, 0o755); err != nil { // the server runs as another user
		t.Fatal(err)
	}
	w := &world{
		T: t, run: r, rng: rng, dir: dir, data: filepath.Join(dir, "data"), args: args,
		lost: map[protocol.RequestID]bool{}, doubled: map[protocol.RequestID]bool{},
	}
	var err error
	if w.seen, err = newHistory(filepath.Join(dir, "trust")); err != nil {
		t.Fatal(err)
	}
	if onDisk {
		if w.disk, err = newDisk(dir, r.content); err != nil {
			t.Fatal(err)
		}
		w.data = filepath.Join(w.disk.mnt, "data")
	}
	t.Cleanup(w.close)
	return w
}

func (w *world) close() {
	if w.srv != nil {
		w.must(w.srv.Kill())
	}
	if w.disk != nil {
		w.disk.fail(0)
		w.must(w.disk.close())
	}
	w.must(os.RemoveAll(w.dir))
	w.srv, w.disk = nil, nil // a disk is entirely in memory
}

// must fails the test if the harness itself cannot work.
func (w *world) must(err error) {
	w.Helper()
	if err != nil {
		w.Errorf("the harness: %v", err)
	}
}

// complain records a fault of the server.
func (w *world) complain(format string, args ...any) {
	w.complaints = append(w.complaints, fmt.Sprintf(format, args...))
}

// sound reports whether there was no fault so far.
func (w *world) sound() bool { return len(w.complaints)+len(w.lost)+len(w.doubled) == 0 }

// report adds the findings to the result, and fails the test if something is
// wrong.
func (w *world) report(what string) {
	w.Helper()
	w.run.add(func(r *result) {
		r.Acknowledged += w.seen.size()
		r.Lost += len(w.lost)
		r.Doubled += len(w.doubled)
		r.Refused += w.refused
	})
	if w.sound() {
		return
	}
	w.Errorf("%s: of %d acknowledged %d are lost, %d doubled", what, w.seen.size(), len(w.lost), len(w.doubled))
	for _, c := range w.complaints {
		w.Log(c)
	}
}

// position returns how many operations the disk has completed.
func (w *world) position() int {
	if w.disk == nil {
		return 0
	}
	return w.disk.position()
}

// launch starts a server and returns at once.
func (w *world) launch() {
	w.Helper()
	args := []string{"--listen", "127.0.0.1:0", "--data", w.data, "--shutdown-grace", "5s", "--ttl-ms", "600000", "--death-limit", "0"}
	p, err := proctest.Launch(w.run.binary, append(args, w.args...)...)
	if err != nil {
		w.Fatal(err)
	}
	w.srv = &server{Server: p}
}

// server is a "td serve" with a client of it.
type server struct {
	*proctest.Server
	*client.Client
	url string
}

// await waits until the server is ready; if it does not become ready, it is killed.
func (s *server) await() (err error) {
	if s.url, err = s.Await(); err == nil {
		s.Client, err = client.New(s.url, client.Config{Retries: -1})
	}
	return err
}

// start starts a server, which must become ready. If it does not, the journal
// is checked as it is.
func (w *world) start() bool {
	w.Helper()
	w.launch()
	err := w.srv.await()
	if err == nil {
		return true
	}
	w.complain("it does not start: %v\n%s", err, w.srv.Said())
	w.srv = nil
	w.refused++
	w.judge(w.Context())
	return false
}

// kill ends the server by SIGKILL.
func (w *world) kill() {
	w.Helper()
	w.must(w.srv.Kill())
	w.srv = nil
}

// stop ends the server by SIGTERM.
func (w *world) stop() {
	w.Helper()
	w.must(w.srv.Stop())
	w.srv = nil
}

// begin starts a server and checks everything that was acknowledged so far.
func (w *world) begin() bool {
	w.Helper()
	return w.start() && w.check(w.Context())
}

// check compares what was acknowledged with the journal, the log and the receipts
// of the server, which has no load.
func (w *world) check(ctx context.Context) bool {
	ctx, stop := context.WithTimeout(ctx, time.Minute)
	defer stop()
	rows := w.judge(ctx)
	log := client.NewLog(w.srv.Client)
	if err := compareLog(ctx, log, rows); err != nil {
		w.complain("the log is not the journal: %v", err)
	}
	if !w.sound() { // the receipts of lost answers would be waited for
		return false
	}
	for _, id := range w.seen.unchecked(others) {
		if err := w.checkReceipt(ctx, log, id); err != nil {
			w.lost[id] = true
			w.complain("the receipt of request %s: %v", id, err)
		}
	}
	return w.sound()
}

// finish has one more answer accepted, stops the server and asks the commands: td log
// audit about the log, td verify about every receipt that was read.
func (w *world) finish() {
	w.Helper()
	if !w.mustAccept(w.Context(), callTime) || !w.check(w.Context()) {
		return
	}
	w.stop()
	ledger, trust := filepath.Join(w.data, "ledger"), filepath.Join(w.dir, "trust")
	if err := proctest.Command(w.run.binary, "log", "audit", "--proofs", "--progress", "none", "--trust", trust, "--dir", ledger); err != nil {
		w.complain("td log audit: %v", err)
	}
	files, err := filepath.Glob(filepath.Join(w.dir, "*.receipt.json"))
	if err != nil || len(files) == 0 {
		w.complain("there are no receipts: %v", err)
		return
	}
	if err := proctest.Command(w.run.binary, append([]string{"verify", "--quiet", "--trust", trust, "--log", ledger}, files...)...); err != nil {
		w.complain("td verify: %v", err)
	}
	w.run.add(func(r *result) { r.Receipts += len(files) })
}

// judge reads the journal and records what is lost or doubled.
func (w *world) judge(ctx context.Context) (rows []journal.Entry) {
	rows, err := rowsOf(ctx, w.data)
	if err != nil {
		w.complain("the journal: %v", err)
	}
	found, err := acceptedIn(rows)
	if err != nil {
		w.complain("the journal: %v", err)
	}
	lost, doubled := w.seen.judge(found)
	for _, id := range lost {
		w.lost[id] = true
	}
	for _, id := range doubled {
		w.doubled[id] = true
	}
	return rows
}

// rowsOf reads all leaves of a journal.
func rowsOf(ctx context.Context, data string) (rows []journal.Entry, err error) {
	v, err := journal.OpenView(ctx, filepath.Join(data, "journal.db"))
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, v.Close()) }()
	for {
		more, err := v.Leaves(ctx, uint64(len(rows)), 4096)
		if err != nil || len(more) == 0 {
			return rows, err
		}
		rows = append(rows, more...)
	}
}

func acceptedIn(rows []journal.Entry) (leaves, error) {
	found := leaves{}
	for i, row := range rows {
		leaf, err := protocol.ParseLeaf(row.Leaf)
		if err != nil || leaf.Seq != uint64(i) || row.Seq != leaf.Seq {
			return found, fmt.Errorf("row %d holds leaf %d (%w)", i, leaf.Seq, err)
		}
		body, ok := leaf.Body.(*protocol.Accepted)
		if !ok {
			continue
		}
		p, err := protocol.ParsePayload(body.Payload[:])
		if err != nil {
			return found, err
		}
		found[p.RequestID] = append(found[p.RequestID], leaf.Seq)
	}
	return found, nil
}

// compareLog waits until the log has all rows, and compares them.
func compareLog(ctx context.Context, log *client.Log, rows []journal.Entry) error {
	var size uint64
	var failed error
	err := proctest.Eventually(publishTime, fmt.Sprintf("%d leaves are not published", len(rows)), func() bool {
		size, failed = log.Size(ctx)
		return failed == nil && size >= uint64(len(rows))
	})
	if err != nil {
		return errors.Join(err, failed)
	}
	return log.Leaves(ctx, uint64(len(rows)), func(i uint64, leaf []byte) error {
		if string(leaf) != string(rows[i].Leaf) {
			return fmt.Errorf("leaf %d differs", i)
		}
		return nil
	})
}

// checkReceipt verifies a receipt. Its checkpoint must extend those that were
// recorded before, and is recorded.
func (w *world) checkReceipt(ctx context.Context, log *client.Log, id protocol.RequestID) error {
	r, err := w.srv.Receipt(ctx, id, publishTime)
	if err != nil {
		return err
	}
	file, err := r.Encode()
	if err != nil {
		return err
	}
	if err := os.WriteFile(filepath.Join(w.dir, id.String()+".receipt.json"), file, 0o600); err != nil {
		return err
	}
	cp, err := r.Checkpoint()
	if err != nil {
		return err
	}
	if _, err := w.seen.trust.Record(ctx, cp, log, asLive, time.Now()); err != nil {
		return err
	}
	report := receipt.Verify(ctx, r, receipt.Options{Trust: w.seen.trust, Log: log})
	switch {
	case !report.OK:
		return fmt.Errorf("%s at step %s: %w", report.Verdict, report.FailedStep, report.Reason)
	case report.RequestID != id.String() || !w.seen.receipted(id, *report.Index):
		return fmt.Errorf("it is of request %s, index %d", report.RequestID, *report.Index)
	}
	return nil
}

package ledger_test

import (
	"context"
	"errors"
	"math/rand/v2"
	"os"
	"testing"
	"time"

	"golang.org/x/mod/sumdb/tlog"

	"github.com/terradourada/td/internal/ledger"
	"github.com/terradourada/td/protocol"
)

func TestProjectionUnderLoad(t *testing.T) {
	r := &rows{leaves: someLeaves("before", 3)}
	l := start(t, t.TempDir(), r, nil)
	l.newEpoch(newSigner(t))
	rng := rand.New(rand.NewPCG(1, 2))
	var last uint64
	for i := range 150 {
		last = r.commit(someLeaves(string(rune('a'+i%26))+string(rune('a'+i/26)), 1+rng.IntN(12))...)
		if i%40 == 0 {
			check(t, l.dir, r, l.await(last))
		}
	}
	cp := l.await(last)
	if l.Size() != last+1 || l.Lag() != 0 || l.Admit() != nil {
		t.Errorf("size %d lag %d admit %v after %d rows", l.Size(), l.Lag(), l.Admit(), last+1)
	}
	check(t, l.dir, r, cp)
	if err := l.halt(); err != nil {
		t.Fatal(err)
	}
}

func TestLongCatchUp(t *testing.T) {
	r := &rows{leaves: someLeaves("old", 5000)}
	l := start(t, t.TempDir(), r, nil)
	index := l.newEpoch(newSigner(t))
	check(t, l.dir, r, l.await(index))
}

func TestRestartsGoOnWhereTheLogEnds(t *testing.T) {
	dir, r := t.TempDir(), &rows{}
	for i := range 5 {
		l := start(t, dir, r, nil)
		if _, ok := l.Latest(); ok {
			t.Fatal("a checkpoint of an earlier process is shown as this one's")
		}
		l.newEpoch(newSigner(t))
		check(t, dir, r, l.await(r.commit(someLeaves(string(rune('A'+i)), 100*i+1)...)))
		if err := l.halt(); err != nil {
			t.Fatal(err)
		}
		r.insert(someLeaves("while down", 7)...) // e.g. an action with the core stopped
	}
}

// TestResume: the checkpoint of an earlier process is the latest one again if its key
// is named, and the next signer replaces it.
func TestResume(t *testing.T) {
	dir, r, signer := t.TempDir(), &rows{}, newSigner(t)
	l := start(t, dir, r, nil)
	open := l.newEpoch(signer)
	cp := l.await(r.commit(someLeaves("x", 300)...))
	if l.Resume(newSigner(t).Key(), open) || l.Resume(signer.Key(), cp.Size) {
		t.Error("resumed under a key that has not signed, or is not announced in the tree")
	}
	if err := l.halt(); err != nil {
		t.Fatal(err)
	}
	l = start(t, dir, r, nil)
	if !l.Resume(signer.Key(), open) {
		t.Fatal("not resumed")
	}
	if got, err := l.Await(t.Context(), 0); err != nil || got.Size != cp.Size || got.Root != cp.Root || got.Key != cp.Key || string(got.Note) != string(cp.Note) {
		t.Errorf("resumed %+v, %v; want %+v", got, err, cp)
	}
	check(t, dir, r, cp)
	check(t, dir, r, l.await(l.newEpoch(newSigner(t))))
}

func TestDeletedDirectoryIsRebuilt(t *testing.T) {
	dir, r := t.TempDir()+"/ledger", &rows{}
	l := start(t, dir, r, nil)
	l.newEpoch(newSigner(t))
	before := l.await(r.commit(someLeaves("x", 700)...))
	if err := l.halt(); err != nil {
		t.Fatal(err)
	}
	if err := os.RemoveAll(dir); err != nil {
		t.Fatal(err)
	}
	l = start(t, dir, r, nil)
	index := l.newEpoch(newSigner(t))
	after := l.await(index)
	check(t, dir, r, after)
	if root, err := ledger.DiskRoot(dir, after.Size); err != nil || root != after.Root {
		t.Errorf("root on disk %x, %v", root, err)
	}
	if p, err := l.Prefix(t.Context(), before.Size, after.Size); err != nil || !consistent(p, before, after) {
		t.Errorf("the rebuilt log is not consistent with the earlier checkpoint: %v", err)
	}
}

func TestBatchFailsAndRecovers(t *testing.T) {
	r := &rows{}
	dir := t.TempDir()
	l := start(t, dir, r, nil)
	l.newEpoch(newSigner(t))
	l.await(0)
	// A file where a directory is needed: every batch fails.
	obstacle := dir + "/tile/entries/000.p"
	if err := os.Rename(obstacle, dir+"/aside"); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(obstacle, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	last := r.commit(someLeaves("stuck", 10)...)
	ctx, cancel := context.WithTimeout(t.Context(), 300*time.Millisecond)
	defer cancel()
	if _, err := l.Await(ctx, last); !errors.Is(err, protocol.CodeLedgerUnavailable) || !errors.Is(err, context.DeadlineExceeded) {
		t.Fatalf("Await on a full disk: %v", err)
	}
	if l.Lag() != 10 {
		t.Errorf("lag %d, want 10", l.Lag())
	}
	if err := errors.Join(os.Remove(obstacle), os.Rename(dir+"/aside", obstacle)); err != nil {
		t.Fatal(err)
	}
	check(t, dir, r, l.await(last))
}

func TestSourceFailuresAreRetried(t *testing.T) {
	r := &rows{}
	l := start(t, t.TempDir(), r, nil)
	l.newEpoch(newSigner(t))
	l.await(0)
	r.set(func(r *rows) { r.fail = errInjected })
	last := r.commit(someLeaves("late", 3)...)
	ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
	defer cancel()
	if _, err := l.Await(ctx, last); err == nil {
		t.Fatal("covered although the journal cannot be read")
	}
	r.set(func(r *rows) { r.fail = nil })
	check(t, l.dir, r, l.await(last))
}

func TestLagAndAdmit(t *testing.T) {
	r, gate := &rows{}, make(chan struct{})
	l := start(t, t.TempDir(), r, func(c *ledger.Config) { c.MaxLag = 5 })
	l.newEpoch(newSigner(t))
	l.await(0)
	r.set(func(r *rows) { r.gate = gate })
	r.commit(someLeaves("a", 5)...)
	if l.Lag() != 5 || l.Admit() != nil {
		t.Errorf("lag %d, admit %v at the limit", l.Lag(), l.Admit())
	}
	last := r.commit(someLeaves("b", 1)...)
	if err := l.Admit(); l.Lag() != 6 || !errors.Is(err, protocol.CodeLedgerUnavailable) {
		t.Errorf("lag %d, admit %v over the limit", l.Lag(), err)
	}
	close(gate)
	l.await(last)
	if l.Lag() != 0 || l.Admit() != nil {
		t.Errorf("lag %d, admit %v when caught up", l.Lag(), l.Admit())
	}
}

func TestAwaitEndsWithTheLedger(t *testing.T) {
	r := &rows{}
	l := start(t, t.TempDir(), r, nil)
	l.newEpoch(newSigner(t))
	l.await(0)
	waiter := make(chan error, 1)
	go func() { _, err := l.Await(context.Background(), 99); waiter <- err }()
	if err := l.halt(); err != nil {
		t.Fatal(err)
	}
	if err := <-waiter; !errors.Is(err, protocol.CodeLedgerUnavailable) {
		t.Errorf("waiter: %v", err)
	}
	if cp, err := l.Await(t.Context(), 0); err != nil || cp.Size != 1 {
		t.Errorf("what was published before: %v, %v", cp.Size, err)
	}
	if err := l.Admit(); !errors.Is(err, protocol.CodeLedgerUnavailable) {
		t.Errorf("Admit after the end: %v", err)
	}
}

func TestCloseWithoutRun(t *testing.T) {
	dir, r := t.TempDir(), &rows{}
	for range 2 {
		l, err := open(t, dir, r, nil)
		if err != nil {
			t.Fatal(err)
		}
		if err := errors.Join(l.Close(), l.Close()); err != nil {
			t.Fatal(err)
		}
	}
}

func consistent(p [][32]byte, older, newer ledger.Checkpoint) bool {
	if older.Size == newer.Size || older.Size&(older.Size-1) == 0 { // then RFC 6962 leaves out the older root
		if len(p) == 0 || p[0] != older.Root {
			return false
		}
		p = p[1:]
	}
	var proof tlog.TreeProof
	for _, h := range p {
		proof = append(proof, h)
	}
	return tlog.CheckTree(proof, int64(newer.Size), newer.Root, int64(older.Size), older.Root) == nil
}

// TestReadOnly: a log is read, its checkpoint resumed and proofs made without a lock, and
// nothing is written, also where rows are not projected yet.
func TestReadOnly(t *testing.T) {
	dir, r, signer := t.TempDir(), &rows{}, newSigner(t)
	l := start(t, dir, r, nil)
	opened := l.newEpoch(signer)
	cp := l.await(r.commit(someLeaves("x", 300)...))
	if err := l.halt(); err != nil {
		t.Fatal(err)
	}
	last := r.insert(someLeaves("while down", 7)...)
	before, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	for range 2 { // at the same time
		reader, err := open(t, dir, r, func(c *ledger.Config) { c.ReadOnly = true })
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = reader.Close() })
		if !reader.Resume(signer.Key(), opened) {
			t.Fatal("not resumed")
		}
		if _, err := reader.Proof(t.Context(), cp, 17); err != nil {
			t.Error(err)
		}
		if _, err := reader.Await(t.Context(), last); !errors.Is(err, protocol.CodeLedgerUnavailable) {
			t.Errorf("what is not projected: %v", err)
		}
		if !errors.Is(reader.Admit(), protocol.CodeLedgerUnavailable) {
			t.Error("acceptances are let in")
		}
	}
	if after, err := os.ReadDir(dir); err != nil || len(after) != len(before) {
		t.Errorf("%d names in the directory, %d before, %v", len(after), len(before), err)
	}
	if _, err := open(t, dir+"/none", r, func(c *ledger.Config) { c.ReadOnly = true }); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("a directory that is not there: %v", err)
	}
}

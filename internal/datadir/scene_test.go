package datadir_test

import (
	"context"
	"crypto/sha256"
	"database/sql"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/terradourada/td/claim"
	"github.com/terradourada/td/client"
	"github.com/terradourada/td/internal/datadir"
	"github.com/terradourada/td/internal/journal"
	"github.com/terradourada/td/internal/principal"
	"github.com/terradourada/td/internal/testdata/logtest"
	"github.com/terradourada/td/protocol"
	"github.com/terradourada/td/receipt"
)

// scene is a data directory in the making, as a server with real keys and proofs writes
// it.
type scene struct {
	dir   string
	log   *logtest.Log // what the journal holds
	epoch *logtest.Epoch
	*journal.Journal
	stop func()
	n    byte
}

var now = time.UnixMilli(1_800_000_000_000)

func must[T any](v T, err error) T {
	check(err)
	return v
}

// check panics: a scene is made outside of any test.
func check(err error) {
	if err != nil {
		panic(err)
	}
}

// open opens the journal in a directory, which may be new.
func open(dir string) *scene { return openWith(dir, nil) }

func openWith(dir string, committed func([]journal.Entry)) *scene {
	return openConfig(dir, journal.Config{Committed: committed})
}

func openConfig(dir string, cfg journal.Config) *scene {
	s := &scene{dir: dir, log: &logtest.Log{}}
	ctx, cancel := context.WithCancel(context.Background())
	cfg.Path, cfg.Origin = filepath.Join(dir, datadir.JournalFile), logtest.Origin
	s.Journal = must(journal.Open(ctx, cfg))
	ended := make(chan error, 1)
	go func() { ended <- s.Run(ctx) }()
	s.stop = sync.OnceFunc(func() {
		cancel()
		check(<-ended)
		check(s.Close())
	})
	return s
}

func (s *scene) add(e journal.Entry, err error) uint64 {
	check(err)
	return s.log.AddRaw(e.Leaf)
}

func (s *scene) append(body protocol.LeafBody) uint64 {
	return s.add(s.Append(context.Background(), now, body))
}

func (s *scene) incident(kind uint8) {
	r := journal.Request{Actor: principal.Principal{Kind: principal.Core}, Role: principal.RoleCore, Action: "incident", Reason: "test"}
	s.add(s.Incident(context.Background(), now, r, kind))
}

// begin adds the claim open/1 and an epoch.
func (s *scene) begin() {
	key, _ := claim.KnownKey(claim.Open)
	s.log.VK = key.Fingerprint(claim.Open, protocol.ListID{})
	s.append(&protocol.ClaimLeaf{ClaimID: claim.Open.String(), SRS: claim.SRSDigest(), VK: key.Encode()})
	s.epoch = s.log.Epoch(nil)
	s.epoch.Index = s.append(s.epoch.Open)
	s.log.Epochs = append(s.log.Epochs, s.epoch)
}

var prover = sync.OnceValues(func() (*claim.Prover, error) { return claim.NewProver(claim.Open) })

// accept adds an acceptance with a true proof.
func (s *scene) accept() uint64 {
	s.n++
	prepared := must(claim.Prepare(claim.Open, []byte("{}"), []byte(`{"n":1}`)))
	cm, assignment, err := claim.Commit(prepared.Params(), prepared.Event(), claim.NewBlind())
	check(err)
	statement := must(claim.NewStatement(prepared.Params(), cm))
	p := protocol.Payload{
		Mode: protocol.ModePull, RequestID: protocol.RequestID{s.n}, EpochID: s.epoch.Open.ID, EpochNumber: s.epoch.Open.Number, Seq: uint64(s.n),
		TTL: protocol.DefaultTTL, Commitment: cm, VK: s.log.VK, Statement: statement.Digest(), Instance: s.epoch.Open.Instance,
	}
	a := protocol.Accepted{Payload: p.Encode(), Anchor: protocol.Anchor{31: s.n}, TagHash: protocol.Element{31: s.n}, Params: []byte("{}")}
	a.Issued = s.epoch.Issue(protocol.IssuedDigest(p.RequestID, &a.Payload, a.Anchor))
	x := statement.Inputs(a.Anchor, protocol.ContextElement(&a.Payload), a.TagHash)
	a.Proof = must(must(prover()).Prove(context.Background(), statement, x, assignment))
	return s.add(s.Accept(context.Background(), now, &journal.Acceptance{Leaf: a, Claim: claim.Open.String(), ProofDigest: sha256.Sum256(a.Proof)}))
}

// publish writes the log as it is now, and records its checkpoint if it is asked to.
func (s *scene) publish(record bool) {
	dir := filepath.Join(s.dir, datadir.LedgerDir)
	s.log.Write(dir, s.epoch)
	check(os.WriteFile(filepath.Join(dir, "origin"), []byte(logtest.Origin+"\n"), 0o600))
	if !record {
		return
	}
	source := client.NewLogDir(dir)
	cp := must(source.SignedCheckpoint(context.Background()))
	trust := must(receipt.OpenTrust(filepath.Join(s.dir, datadir.PublishedDir)))
	from := receipt.Source{Live: true, Server: "self"}
	must(trust.Trust(context.Background(), cp, source, from, receipt.VouchLive, now))
}

// template is a data directory of a stopped server: two recorded checkpoints, one that is
// only published, and rows beyond it. It has a full tile.
var template = sync.OnceValue(func() string {
	dir := must(os.MkdirTemp("", "datadir"))
	s := open(dir)
	defer s.stop()
	s.begin()
	s.accept()
	s.publish(true)
	for s.log.Size() < 258 {
		s.incident(1)
	}
	s.accept()
	s.publish(true)
	s.incident(2)
	s.publish(false)
	s.accept()
	signer = s.epoch
	return dir
})

// signer is the epoch of the template.
var signer *logtest.Epoch

const (
	first  = 2   // index of the first acceptance
	tail   = 260 // index of the row that the log does not hold yet
	length = 261 // rows
)

// newDir returns a copy of the template.
func newDir(t *testing.T) string {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "data")
	if err := os.CopyFS(dir, os.DirFS(template())); err != nil {
		t.Fatal(err)
	}
	return dir
}

func TestMain(m *testing.M) {
	status := m.Run()
	_ = os.RemoveAll(template())
	os.Exit(status)
}

// execSQL changes a journal behind the server's back.
func execSQL(t *testing.T, dir string, queries ...string) {
	t.Helper()
	db, err := sql.Open("sqlite", filepath.Join(dir, datadir.JournalFile))
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	for _, q := range append([]string{"PRAGMA foreign_keys = 0"}, queries...) {
		if _, err := db.ExecContext(t.Context(), q); err != nil {
			t.Fatalf("%s: %v", q, err)
		}
	}
}

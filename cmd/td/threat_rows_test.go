package main_test

import (
	"crypto/sha256"
	"database/sql"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/terradourada/td/claim"
	"github.com/terradourada/td/internal/journal"
	"github.com/terradourada/td/protocol"
	"github.com/terradourada/td/receipt"
)

// stopped is a server that was killed, whose files a writer has. The writer was its client,
// and knows all that was issued.
type stopped struct {
	address string
	data    string // its data directory
	older   string // a copy from before later acceptances
	user    *victim
	newer   *victim            // has recorded what the copy does not have
	open    *answer            // an answer that was never sent
	closed  *protocol.Accepted // the last one that was accepted
	place   protocol.Issued    // of the open request
}

func newStopped(t *testing.T) *stopped {
	t.Helper()
	s := &stopped{address: freeAddress(t), data: t.TempDir(), user: newVictim(t, "")}
	b := s.start(t, s.data)
	submitted := func(v *victim) {
		t.Helper()
		if got, _ := v.submit(b.url); got.exit != 0 {
			t.Fatalf("the server did not accept: %s%s", got.out, got.errs)
		}
	}
	submitted(s.user)
	awaitPublished(t, s.data)
	s.older = copyOf(t, s.data)
	s.open = b.mustAnswer(t.Context())
	b.wantAccepted(t.Context(), b.mustAnswer(t.Context()))
	s.newer = newVictim(t, "")
	submitted(s.newer)
	awaitPublished(t, s.data)
	b.kill()

	// The tree of what was issued, as its clients know it: each request had one place.
	payload := protocol.EncodedPayload(s.open.ch.Payload)
	d := protocol.IssuedDigest(s.open.ch.RequestID, &payload, s.open.ch.Anchor)
	issued := []protocol.Digest{1: protocol.LeafHash(d[:]), 3: {}}
	for _, r := range rowsOf(t, s.data) {
		if body, ok := r.leaf.Body.(*protocol.Accepted); ok {
			d := protocol.IssuedDigest(payloadOf(t, body).RequestID, &body.Payload, body.Anchor)
			issued[body.Issued.Position], s.closed = protocol.LeafHash(d[:]), body
		}
	}
	if hashRoot(issued) != s.closed.Issued.Root {
		t.Fatal("this is not the tree of what was issued")
	}
	s.place = protocol.Issued{Position: 1, SignedRoot: s.closed.Issued.SignedRoot, Path: hashPath(issued, 1)}
	return s
}

func (s *stopped) start(t *testing.T, data string) *backend {
	t.Helper()
	return startBackend(t, data, "--listen", s.address, "--prover", "none")
}

// leaf is the acceptance of the open request, as an honest server would have written it.
func (s *stopped) leaf() protocol.Accepted {
	return protocol.Accepted{
		Payload: protocol.EncodedPayload(s.open.ch.Payload), Anchor: s.open.ch.Anchor, TagHash: protocol.TagElement(s.open.ch.Tag),
		Params: []byte("{}"), Issued: s.place, Proof: s.open.proof,
	}
}

// write writes an acceptance with all that follows from it, as the server itself does.
func (s *stopped) write(t *testing.T, data string, leaf protocol.Accepted) error {
	t.Helper()
	var err error
	withJournal(t, data, func(j *journal.Journal) error {
		_, err = j.Accept(t.Context(), time.Now().Add(time.Hour), &journal.Acceptance{Leaf: leaf, Claim: "open/1", ProofDigest: sha256.Sum256(leaf.Proof)})
		return nil
	})
	return err
}

// TestThreat_StoppedServer: a writer changes the files of a stopped server, which then
// starts again. A leaf for a request that was issued, with a true proof, is published, late
// and never redeemed as it is: that is the loss. A leaf for anything else verifies for no one,
// a row that does not fit is not started with, a session is not read from a file, and what
// was rolled back is refused by those who know more.
func TestThreat_StoppedServer(t *testing.T) {
	t.Parallel()
	c := newStopped(t)
	s := &siege{t: t, results: new(attackResults)}
	s.attack("an answer to an issued request, late and never redeemed", func(a *attack) {
		data := copyOf(a.T, c.data)
		a.must(c.write(a.T, data, c.leaf()))
		b := c.start(a.T, data)
		file := receiptFile(a, b, c.open.ch.RequestID)
		a.want(c.newer.verify(file, "--log", b.url), receipt.Valid)
		a.want(c.newer.audit("--server", b.url), receipt.Valid)
	})
	s.attack("answers to what was not issued, and with a false proof; a session in a table", func(a *attack) {
		data := copyOf(a.T, c.data)
		invented := c.leaf()
		ch := *c.open.ch
		ch.Anchor = protocol.Anchor(claim.NewBlind())
		invented.Anchor, invented.Proof = ch.Anchor, provedOver(a.T, c.open.draft, ch)
		a.must(c.write(a.T, data, invented))
		a.sql(data, `CREATE TABLE sessions (request_id BLOB, payload BLOB, anchor BLOB, deadline INTEGER)`)
		b := c.start(a.T, data)
		b.wantCode(a.Context(), c.open, protocol.CodeSubmissionRejected)
		if got := a.want(c.newer.verify(receiptFile(a, b, c.open.ch.RequestID), "--log", b.url), invalid); got.report.FailedStep != "issued" {
			a.Errorf("step %q failed: %s", got.report.FailedStep, got.out)
		}
		a.want(c.newer.audit("--server", b.url), invalid)
		b.kill()

		data = copyOf(a.T, c.data)
		untrue := c.leaf()
		untrue.Proof = c.closed.Proof
		a.must(c.write(a.T, data, untrue))
		b = c.start(a.T, data)
		if got := a.want(c.newer.verify(receiptFile(a, b, c.open.ch.RequestID), "--log", b.url), invalid); got.report.FailedStep != "proof" {
			a.Errorf("step %q failed: %s", got.report.FailedStep, got.out)
		}
		a.want(c.newer.audit("--server", b.url), invalid)
	})
	s.attack("an accepted request a second time", func(a *attack) {
		data := copyOf(a.T, c.data)
		if err := c.write(a.T, data, *c.closed); protocol.CodeOf(err) != protocol.CodeConflict {
			a.Errorf("written with all that follows: %v, want conflict", err)
		}
		rows := rowsOf(a.T, data)
		last := rows[len(rows)-1].leaf
		again := protocol.Leaf{Seq: last.Seq + 1, Time: last.Time, Withdrawals: last.Withdrawals, Body: c.closed}
		raw, err := again.Encode()
		a.must(err)
		a.sql(data, `UPDATE counter SET next = next + 1, commits = commits + 1; INSERT INTO leaves VALUES (?, 1, ?)`, again.Seq, raw)
		a.refused(c, data)
	})
	s.attack("the journal is set back, the log is not", func(a *attack) {
		data := copyOf(a.T, c.older)
		a.must(os.RemoveAll(filepath.Join(data, "ledger")))
		a.must(os.CopyFS(filepath.Join(data, "ledger"), os.DirFS(filepath.Join(c.data, "ledger"))))
		a.refused(c, data)
	})
	s.attack("the files of a stopped server are set back", func(a *attack) {
		older := filepath.Join(c.older, "ledger")
		a.want(c.newer.audit("--dir", older), unavailable)
		b := c.start(a.T, copyOf(a.T, c.older))
		if got, file := c.newer.submit(b.url); file != "" {
			a.Error("a receipt was taken")
		} else {
			a.want(got, unvouched)
		}
		a.want(c.newer.audit("--server", b.url), unvouched)
		a.want(first(c.user.submit(b.url)), accepted) // this user has recorded nothing that was lost
	})
	s.attack("the files of a stopped server hold another history", func(a *attack) {
		data := copyOf(a.T, c.older)
		other := startBackend(a.T, data, "--prover", "none")
		other.wantAccepted(a.Context(), other.mustAnswer(a.Context()))
		other.wantAccepted(a.Context(), other.mustAnswer(a.Context()))
		other.stop(20 * time.Second)
		ledger := filepath.Join(data, "ledger")
		a.want(c.newer.audit("--dir", ledger), unvouched)
		b := c.start(a.T, data)
		if got, file := c.newer.submit(b.url); file != "" {
			a.Error("a receipt was taken")
		} else {
			a.want(got, unvouched)
		}
	})
}

// receiptFile asks a server for a receipt.
func receiptFile(a *attack, b *backend, id protocol.RequestID) string {
	a.Helper()
	r, err := b.Receipt(a.Context(), id, 20*time.Second)
	a.must(err)
	return (&forge{t: a.T}).file(r)
}

// sql changes the journal in a data directory.
func (a *attack) sql(data, statement string, args ...any) {
	a.Helper()
	db, err := sql.Open("sqlite", filepath.Join(data, "journal.db"))
	a.must(err)
	defer db.Close()
	_, err = db.ExecContext(a.Context(), statement, args...)
	a.must(err)
}

// refused wants a server not to start.
func (a *attack) refused(c *stopped, data string) {
	a.Helper()
	b := launch(a.T, data, "--listen", c.address, "--prover", "none")
	if err := b.await(); err == nil {
		a.Error("the server started")
		return
	}
	a.note("server", "does not start")
}

package efficiency_test

import (
	"context"
	"errors"
	"log/slog"
	"path/filepath"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/terradourada/td/claim"
	"github.com/terradourada/td/internal/epochs"
	"github.com/terradourada/td/internal/gate"
	"github.com/terradourada/td/internal/journal"
	"github.com/terradourada/td/internal/keyholder"
	"github.com/terradourada/td/internal/ledger"
	"github.com/terradourada/td/internal/process"
	"github.com/terradourada/td/internal/session"
	"github.com/terradourada/td/internal/telemetry"
	"github.com/terradourada/td/protocol"
)

const (
	origin   = "terradourada/0123456789abcdef"
	clientID = "client"
	patience = time.Minute
)

var instance = protocol.InstanceID{1, 2, 3}

// core is a server without its HTTP listener. What is counted is in counts.
type core struct {
	*testing.T
	journal *journal.Journal
	ledger  *ledger.Ledger
	epochs  *epochs.Manager
	gate    *gate.Gate
	expired chan struct{} // one value for each request that expired

	mu     sync.Mutex
	counts map[string]int
}

func newCore(t *testing.T) *core {
	t.Helper()
	c := &core{T: t, counts: map[string]int{}, expired: make(chan struct{}, 16)}
	c.openRecords(t.TempDir())
	keys := keyholder.Config{Starter: starter{process.Direct{Programs: keyholder.Programs(0)}, func(kind, request string) { c.add(kind + " " + request) }}}
	c.epochs = epochs.New(epochs.Config{
		StartSigner: func(ctx context.Context, number uint64) (epochs.Signer, error) {
			return keyholder.StartSigner(ctx, keys, keyholder.SignerStart{Origin: origin, Number: number, Instance: instance})
		},
		StartTagger: func(ctx context.Context, id protocol.EpochID, number uint64) (epochs.Tagger, error) {
			return keyholder.StartTagger(ctx, keys, id, number)
		},
		Journal: c.journal, Ledger: c.ledger, Instance: instance, Log: slog.New(slog.DiscardHandler),
		Invalidate: func(id protocol.EpochID) { c.gate.EpochEnded(id) },
	})
	c.gate = gate.New(gate.Config{
		Epochs: gateEpochs{c.epochs}, Sessions: session.New(session.Config{}), Journal: c.journal, Holds: c.journal, Ledger: c.ledger,
		Claims: []gate.Claim{openClaim()}, Instance: instance, Log: slog.New(slog.DiscardHandler),
		Observe: func(o gate.Outcome) {
			if o.Operation == "expire" {
				c.expired <- struct{}{}
			}
		},
	})
	c.run("journal", c.journal.Run)
	c.run("ledger", c.ledger.Run)
	one := openClaim()
	if _, err := c.journal.Append(t.Context(), time.Now(), &protocol.ClaimLeaf{ClaimID: string(one.ID), SRS: claim.SRSDigest(), VK: one.Key.Encode()}); err != nil {
		t.Fatal(err)
	}
	c.run("epochs", c.epochs.Run)
	c.run("gate", c.gate.Run)
	select {
	case <-c.epochs.Ready():
	case <-time.After(patience):
		t.Fatal("no epoch is active")
	}
	c.published(1)
	return c
}

// gateEpochs is the manager as the gate sees it.
type gateEpochs struct{ *epochs.Manager }

func (m gateEpochs) Begin(ctx context.Context, within time.Duration) (gate.Epoch, error) {
	return m.Manager.Begin(ctx, within)
}

func (m gateEpochs) Find(id protocol.EpochID) (gate.Epoch, bool) { return m.Manager.Find(id) }

// source is the journal as the ledger reads it.
type source struct{ *journal.Journal }

func (s source) Leaves(ctx context.Context, from uint64, most int) ([][]byte, error) {
	entries, err := s.Journal.Leaves(ctx, from, most)
	return journal.LeavesOf(entries), err
}

func (c *core) openRecords(dir string) {
	c.Helper()
	var err error
	c.journal, err = journal.Open(c.Context(), journal.Config{
		Path: filepath.Join(dir, "journal.db"), Origin: origin,
		Committed: func(e []journal.Entry) {
			c.add("journal transactions")
			c.ledger.Committed(e[0].Seq, journal.LeavesOf(e))
		},
	})
	if err != nil {
		c.Fatal(err)
	}
	c.Cleanup(func() { _ = c.journal.Close() })
	c.ledger, err = ledger.Open(c.Context(), ledger.Config{Dir: filepath.Join(dir, "ledger"), Origin: origin, Source: source{c.journal}, SurveyEvery: time.Hour})
	if err != nil {
		c.Fatal(err)
	}
	c.Cleanup(func() { _ = c.ledger.Close() })
}

// run runs a service until the test ends, the last one first.
func (c *core) run(name string, run func(context.Context) error) {
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- run(ctx) }()
	c.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			c.Errorf("%s: %v", name, err)
		}
	})
}

func (c *core) add(what string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.counts[what]++
}

// published waits for a checkpoint that covers a leaf.
func (c *core) published(seq uint64) {
	c.Helper()
	ctx, cancel := context.WithTimeout(c.Context(), patience)
	defer cancel()
	if _, err := c.ledger.Await(ctx, seq); err != nil {
		c.Fatal(err)
	}
}

// request is a challenge with what its proof is made of.
type request struct {
	*gate.Challenge
	statement  *claim.Statement
	assignment *claim.Assignment
}

func openClaim() gate.Claim {
	vk, _ := claim.KnownKey(claim.Open)
	return gate.Claim{ID: claim.Open, Key: vk, Fingerprint: vk.Fingerprint(claim.Open, protocol.ListID{})}
}

// issue opens a request; a lifetime of 0 is the usual one.
func (c *core) issue(ttl time.Duration) *request {
	c.Helper()
	params, err := claim.ParseParams(claim.Open, []byte(`{}`))
	if err != nil {
		c.Fatal(err)
	}
	cm, assignment, err := claim.Commit(params, []byte(`{"n":1}`), claim.NewBlind())
	if err != nil {
		c.Fatal(err)
	}
	st, err := claim.NewStatement(params, cm)
	if err != nil {
		c.Fatal(err)
	}
	ch, err := c.gate.Open(c.Context(), gate.OpenRequest{Claim: claim.Open, Params: []byte(`{}`), Commitment: cm, TTL: ttl, Client: clientID})
	if err != nil {
		c.Fatal(err)
	}
	return &request{ch, st, assignment}
}

var theProver = sync.OnceValues(func() (*claim.Prover, error) { return claim.NewProver(claim.Open) })

// answer returns the right answer to a request.
func (c *core) answer(r *request) gate.Answer {
	c.Helper()
	p, err := theProver()
	if err != nil {
		c.Fatal(err)
	}
	proof, err := p.Prove(c.Context(), r.statement, r.Inputs, r.assignment)
	if err != nil {
		c.Fatal(err)
	}
	return gate.Answer{RequestID: r.RequestID, Tag: r.Tag, Proof: proof, Client: clientID}
}

// accept hands an answer in, and counts the verification of its proof.
func (c *core) accept(a gate.Answer, want protocol.Code) uint64 {
	c.Helper()
	d := &telemetry.Details{}
	index, err := c.gate.Accept(telemetry.WithDetails(c.Context(), d), a)
	if got := protocol.CodeOf(err); got != want && !errors.Is(err, want) {
		c.Fatalf("got %v, want %v", err, want)
	}
	if d.Verified > 0 {
		c.add("proof verifications")
	}
	return index
}

// rooted waits until the signed root that covers a request is there.
func (c *core) rooted(r *request, position uint64) {
	c.Helper()
	p, err := protocol.ParsePayload(r.Payload[:])
	if err != nil {
		c.Fatal(err)
	}
	epoch, live := c.epochs.Find(p.EpochID)
	if !live {
		c.Fatal("the epoch has ended")
	}
	if _, err := epoch.Issued(c.Context(), position); err != nil {
		c.Fatal(err)
	}
}

// take returns the counts since the last call by name, those of other requests added up
// under the columns of the golden file.
func (c *core) take() map[string]int {
	c.mu.Lock()
	defer c.mu.Unlock()
	row := map[string]int{}
	for what, n := range c.counts {
		switch {
		case slices.Contains(columns, what):
			row[what] += n
		case what[:6] == "signer":
			row["signer frames"] += n
		case what[:6] == "tagger":
			row["tagger frames"] += n
		}
		switch what {
		case "signer anchor":
			row["ML-DSA signatures"] += n
		case "signer checkpoint", "signer hand-over", "signer issued root":
			row["Ed25519 signatures"] += n
		case "tagger issue", "tagger redeem":
			row["HMACs"] += n
		}
	}
	c.counts = map[string]int{}
	return row
}

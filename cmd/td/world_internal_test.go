package main

import (
	"bytes"
	"crypto/rand"
	"encoding/base64"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/terradourada/td/api"
	"github.com/terradourada/td/claim"
	"github.com/terradourada/td/client"
	"github.com/terradourada/td/internal/testdata/logtest"
	"github.com/terradourada/td/protocol"
	"github.com/terradourada/td/receipt"
)

const testOrigin = logtest.Origin

// world is a log in the making, with real keys, trees and proofs.
type world struct {
	*logtest.Log
	t *testing.T
}

// newWorld is a log with the claim open/1 and an epoch.
func newWorld(t *testing.T) *world {
	t.Helper()
	return &world{logtest.New(), t}
}

// fork is a log with the same first leaves.
func (w *world) fork(size uint64) *world { return &world{w.Fork(size), w.t} }

func (w *world) must(err error) {
	w.t.Helper()
	if err != nil {
		w.t.Fatal(err)
	}
}

var openKeys = sync.OnceValues(func() (*claim.Prover, error) { return claim.NewProver(claim.Open) })

// accept proves an event and logs the acceptance.
func (w *world) accept(e *logtest.Epoch) uint64 {
	w.t.Helper()
	prover, err := openKeys()
	w.must(err)
	draft, err := client.NewDraft(&client.Submission{Claim: claim.Open, Params: []byte("{}"), Event: fmt.Appendf(nil, `{"n":%d}`, w.Size())}, protocol.Element{})
	w.must(err)
	ch := w.challenge(e, draft.Request().Commitment)
	proof, err := draft.Prove(w.t.Context(), prover, ch, protocol.LocalClient)
	w.must(err)
	return w.accepted(e, ch, proof)
}

// challenge is what a server answers to a commitment of open/1.
func (w *world) challenge(e *logtest.Epoch, cm protocol.Commitment) *api.Challenge {
	w.t.Helper()
	p := protocol.Payload{
		Mode: protocol.ModePull, EpochID: e.Open.ID, EpochNumber: e.Open.Number, Instance: e.Open.Instance,
		Seq: e.Issued.Size() + 1, IssuedAt: 1_800_000_000_000, TTL: protocol.DefaultTTL, Policy: 1, Commitment: cm, VK: w.VK,
		Statement: protocol.StatementDigest("open/1", []byte("{}"), cm), Client: protocol.ClientCommitment(protocol.Salt{}, protocol.LocalClient),
	}
	rand.Read(p.RequestID[:])
	rand.Read(p.Nonce[:])
	ch := &api.Challenge{RequestID: p.RequestID, Payload: api.Payload(p.Encode()), Anchor: protocol.Anchor(claim.NewBlind())}
	rand.Read(ch.Tag[:])
	params, err := claim.ParseParams(claim.Open, []byte("{}"))
	w.must(err)
	statement, err := claim.NewStatement(params, cm)
	w.must(err)
	encoded := p.Encode()
	ch.PublicInputs = statement.Inputs(ch.Anchor, protocol.ContextElement(&encoded), protocol.TagElement(ch.Tag))
	return ch
}

// accepted logs the answer to a challenge.
func (w *world) accepted(e *logtest.Epoch, ch *api.Challenge, proof []byte) uint64 {
	w.t.Helper()
	body := &protocol.Accepted{Payload: protocol.EncodedPayload(ch.Payload), Anchor: ch.Anchor, TagHash: protocol.TagElement(ch.Tag), Params: []byte("{}"), Proof: proof}
	body.Issued = e.Issue(protocol.IssuedDigest(ch.RequestID, &body.Payload, body.Anchor))
	return w.Add(body)
}

// policy is a policy file that asks for the signature of an epoch's key.
func (w *world) policy(e *logtest.Epoch) string {
	w.t.Helper()
	key := append([]byte{1}, e.Open.CheckpointKey[:]...)
	return w.file("policy", fmt.Appendf(nil, "log %s+%x+%s\nquorum none\n", testOrigin, e.KeyID(), base64.StdEncoding.EncodeToString(key)))
}

// file writes a file of its own.
func (w *world) file(name string, content []byte) string {
	w.t.Helper()
	path := filepath.Join(w.t.TempDir(), name)
	w.must(os.WriteFile(path, content, 0o600))
	return path
}

func (w *world) dir(by *logtest.Epoch) string {
	w.t.Helper()
	dir := w.t.TempDir()
	w.Write(dir, by)
	return dir
}

// serveDir serves a log on loopback as a server does; other puts another log in
// its place.
func serveDir(t *testing.T, dir string) (url string, other func(dir string)) {
	t.Helper()
	var mu sync.Mutex
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		mu.Lock()
		defer mu.Unlock()
		serveFile(w, r, dir)
	}))
	t.Cleanup(s.Close)
	return s.URL, func(d string) {
		mu.Lock()
		defer mu.Unlock()
		dir = d
	}
}

// serveFile answers with a file of a log.
func serveFile(w http.ResponseWriter, r *http.Request, dir string) {
	b, err := os.ReadFile(filepath.Join(dir, filepath.FromSlash(r.URL.Path)))
	if err != nil {
		w.WriteHeader(http.StatusNotFound)
		return
	}
	w.Header().Set("Content-Type", "application/octet-stream")
	if r.URL.Path == "/checkpoint" {
		w.Header().Set("Content-Type", "text/plain")
	}
	w.Write(b)
}

// receipt is that of an accepted leaf at the present size.
func (w *world) receipt(index uint64, of, by *logtest.Epoch, flags ...uint64) *receipt.Receipt {
	w.t.Helper()
	note := w.Note(w.Size(), by)
	pair := func(i uint64) receipt.Pair {
		text := fmt.Sprintf("c2sp.org/tlog-proof@v1\nindex %d\n", i)
		for _, h := range w.Path(i) {
			text += base64.StdEncoding.EncodeToString(h[:]) + "\n"
		}
		return receipt.Pair{Leaf: w.Leaves[i], Log: text + "\n" + note}
	}
	r := &receipt.Receipt{
		Version: receipt.Version, Pair: pair(index), Claim: pair(w.Claim), Epoch: pair(of.Index), Signer: pair(by.Index), Last: pair(w.Size() - 1),
	}
	for _, f := range flags {
		r.Flags = append(r.Flags, pair(f))
	}
	return r
}

// receiptFile writes a receipt and returns its path.
func (w *world) receiptFile(index uint64, of, by *logtest.Epoch, flags ...uint64) string {
	w.t.Helper()
	raw, err := w.receipt(index, of, by, flags...).Encode()
	w.must(err)
	return w.file("r.json", raw)
}

// checkpoint is the present one, verified.
func (w *world) checkpoint(by *logtest.Epoch) *receipt.Checkpoint {
	w.t.Helper()
	cp, err := client.NewLogDir(w.dir(by)).SignedCheckpoint(w.t.Context())
	w.must(err)
	return cp
}

// td runs a command and wants its exit code and each text in what it printed.
func td(t *testing.T, exit int, args []string, texts ...string) string {
	t.Helper()
	var out bytes.Buffer
	if got := run(args, strings.NewReader(""), &out, &out); got != exit {
		t.Errorf("td %s: exit code %d, want %d\n%s", strings.Join(args, " "), got, exit, &out)
		return out.String()
	}
	for _, text := range texts {
		if !strings.Contains(out.String(), text) {
			t.Errorf("td %s: %q is missing in\n%s", strings.Join(args, " "), text, &out)
		}
	}
	return out.String()
}

func base64Of(key [32]byte) string { return base64.StdEncoding.EncodeToString(key[:]) }

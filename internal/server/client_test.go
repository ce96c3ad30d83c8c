package server_test

import (
	"context"
	"errors"
	"sync"
	"testing"
	"time"

	"github.com/terradourada/td/claim"
	"github.com/terradourada/td/client"
	"github.com/terradourada/td/internal/gate"
	"github.com/terradourada/td/internal/server"
	"github.com/terradourada/td/protocol"
	"github.com/terradourada/td/receipt"
)

// oneClaimGate issues and accepts open/1, with generated keys: enough for the
// client to check, prove and be verified.
type oneClaimGate struct {
	*fake
	mu    sync.Mutex
	x     []protocol.Element
	leaf  protocol.Accepted
	fails []error // of the next calls of Accept
}

func (g *oneClaimGate) Open(_ context.Context, r gate.OpenRequest) (*gate.Challenge, error) {
	g.mu.Lock()
	defer g.mu.Unlock()
	params, err := claim.ParseParams(r.Claim, r.Params)
	if err != nil {
		return nil, err
	}
	st, err := claim.NewStatement(params, r.Commitment)
	if err != nil {
		return nil, err
	}
	vk, _ := claim.KnownKey(r.Claim)
	salt := protocol.Salt{1}
	p := (&protocol.Payload{
		Mode: protocol.ModePull, RequestID: knownID, Seq: 1, TTL: protocol.DefaultTTL, Commitment: r.Commitment,
		Client: protocol.ClientCommitment(salt, r.Client), VK: vk.Fingerprint(r.Claim, protocol.ListID{}), Statement: st.Digest(),
	}).Encode()
	anchor := protocol.Anchor{31: 9}
	g.x = st.Inputs(anchor, protocol.ContextElement(&p), protocol.TagElement(aTag))
	g.leaf = protocol.Accepted{
		Payload: p, Anchor: anchor, TagHash: protocol.TagElement(aTag), Params: params.Bytes(),
		Issued: protocol.Issued{SignedRoot: protocol.SignedRoot{Size: 1, Signature: [64]byte{1}}},
	}
	return &gate.Challenge{RequestID: knownID, Payload: p, Anchor: anchor, Tag: aTag, Inputs: g.x, ClientSalt: salt, ExpiresAt: time.Now()}, nil
}

func (g *oneClaimGate) Accept(_ context.Context, a gate.Answer) (uint64, error) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if len(g.fails) > 0 {
		err := g.fails[0]
		g.fails = g.fails[1:]
		return 0, err
	}
	if !a.Tag.Equal(aTag) || a.RequestID != knownID {
		return 0, protocol.CodeSubmissionRejected
	}
	vk, _ := claim.KnownKey(claim.Open)
	if err := claim.Verify(vk, g.x, a.Proof); err != nil {
		return 0, err
	}
	g.leaf.Proof = a.Proof
	return 5, nil
}

func (g *oneClaimGate) Receipt(context.Context, protocol.RequestID) (*receipt.Receipt, error) {
	g.mu.Lock()
	defer g.mu.Unlock()
	leaf, err := (&protocol.Leaf{Seq: 5, Body: &g.leaf}).Encode()
	p := receipt.Pair{Leaf: leaf, Log: "log"}
	return &receipt.Receipt{Version: 1, Pair: p, Claim: p, Epoch: p, Signer: p, Last: p}, err
}

// TestClientAndServer runs the SDK against the server, with a real proof.
func TestClientAndServer(t *testing.T) {
	g := &oneClaimGate{fake: &fake{enter: make(chan struct{}, 64)}}
	s := start(t, func(c *server.Config) { c.Gate = g })
	c, err := client.New("http://"+s.addr, client.Config{MaxPause: time.Second})
	if err != nil {
		t.Fatal(err)
	}
	prover, err := claim.NewProver(claim.Open)
	if err != nil {
		t.Fatal(err)
	}
	g.fails = []error{protocol.CodeOverloaded}
	var stages []string
	r, err := c.Submit(t.Context(), prover, client.Submission{
		Claim: claim.Open, Params: []byte(" {} "), Event: []byte(`{"b":1.0,"a":"é"}`),
		Stage: func(name string) { stages = append(stages, name) },
	})
	if err != nil {
		t.Fatal(err)
	}
	if r.Accepted.Index != 5 || r.Accepted.Receipt == nil || r.Opening.Event != `{"a":"é","b":1}` || len(stages) != 5 {
		t.Errorf("%+v, stages %q", r, stages)
	}
	if _, err := c.Send(t.Context(), knownID, protocol.Tag{}, g.leaf.Proof, 0); !errors.Is(err, protocol.CodeSubmissionRejected) {
		t.Errorf("wrong tag: %v", err)
	}
	if _, err := c.Send(t.Context(), knownID, aTag, make([]byte, protocol.ProofSize), 0); !errors.Is(err, protocol.CodeProofRejected) {
		t.Errorf("no proof: %v", err)
	}
	report, err := c.Verify(t.Context(), r.Accepted.Receipt, true)
	if err != nil || report.OK || report.FailedStep == "" {
		t.Errorf("%+v, %v", report, err)
	}
	checkReads(t, c)
}

func checkReads(t *testing.T, c *client.Client) {
	t.Helper()
	claims, err := c.Claims(t.Context())
	if err != nil || len(claims) != 1 || claims[0] != aClaim {
		t.Errorf("%+v, %v", claims, err)
	}
	if epochs, err := c.Epochs(t.Context()); err != nil || epochs == nil {
		t.Errorf("%v, %v", epochs, err)
	}
	if epoch, err := c.Epoch(t.Context(), 1); err != nil || len(epoch.PublicKey) != protocol.MLDSAPublicKeySize {
		t.Errorf("%+v, %v", epoch, err)
	}
	if evidence, err := c.Attestation(t.Context(), 1); err != nil || string(evidence) != "evidence" {
		t.Errorf("%s, %v", evidence, err)
	}
	if _, err := c.Attestation(t.Context(), 2); !errors.Is(err, protocol.CodeNotFound) {
		t.Errorf("evidence that is not there: %v", err)
	}
	if note, err := c.Checkpoint(t.Context()); err != nil || string(note) != "bytes of checkpoint" {
		t.Errorf("%s, %v", note, err)
	}
	if tile, err := c.Tile(t.Context(), "0/x001/002"); err != nil || string(tile) != "bytes of tile/0/x001/002" {
		t.Errorf("%s, %v", tile, err)
	}
	e, err := claim.Prepare(claim.Open, []byte("{}"), []byte(`{"z":1,"a":2}`))
	if err != nil {
		t.Fatal(err)
	}
	push, err := c.Push(t.Context(), e, 0, 0)
	if err != nil || push.Accepted != nil {
		t.Errorf("%+v, %v", push, err)
	}
	if _, err := c.Epoch(t.Context(), 2); !errors.Is(err, protocol.CodeNotFound) {
		t.Errorf("%v", err)
	}
}

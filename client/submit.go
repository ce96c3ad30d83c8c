package client

import (
	"context"
	"encoding/json"
	"errors"
	"strconv"
	"time"

	"github.com/terradourada/td/api"
	"github.com/terradourada/td/claim"
	"github.com/terradourada/td/protocol"
	"github.com/terradourada/td/receipt"
)

// Prover proves a statement; [*claim.Prover] is one. x are the public inputs of a
// checked challenge. The proof has protocol.ProofSize bytes. The error is
// protocol.CodeStatementFalse if the assignment does not satisfy the claim.
type Prover interface {
	Prove(ctx context.Context, s *claim.Statement, x []protocol.Element, a *claim.Assignment) ([]byte, error)
}

// Submission is an event and the claim about it.
type Submission struct {
	Claim  claim.ID
	Params []byte        // JSON in any layout; a pointer to an array means its elements
	Event  []byte        // JSON by the strict rules of section 4
	TTL    time.Duration // 0: the server's default

	// List and Secret are for group/1, whose Params claim.GroupParams makes.
	List   *claim.List
	Secret *claim.MemberSecret

	// Wait bounds the wait for the receipt after the proof is accepted. 0: api.MaxWait
	// seconds; negative: no wait.
	Wait time.Duration

	// Stage, if given, is called with the name of each stage when it begins: commit,
	// challenge, prove, send, receipt.
	Stage func(name string)
}

// Draft is a commitment to an event, ready for a challenge. It holds the event and the
// blind, which [Draft.Opening] discloses.
type Draft struct {
	statement  *claim.Statement
	assignment *claim.Assignment
	vk         protocol.Digest
	ttl        uint32
	event      []byte // canonical
	blind      protocol.Element
}

// NewDraft commits to the event of a submission. The zero blind means a new random one.
// Pass a blind only to resume a draft, and never for a second request. The errors are
// those of packages protocol and claim.
func NewDraft(s *Submission, blind protocol.Element) (*Draft, error) {
	p, err := s.Prepare()
	if err != nil {
		return nil, err
	}
	return s.Draft(p, blind)
}

// Prepare prepares the event and the parameters about it. It is the only place where this
// package replaces pointers to arrays.
func (s *Submission) Prepare() (*claim.Prepared, error) {
	return claim.Prepare(s.Claim, s.Params, s.Event)
}

// Draft is [NewDraft] for what [Submission.Prepare] returned. Of the submission itself only
// the lifetime, the list and the secret are used.
func (s *Submission) Draft(p *claim.Prepared, blind protocol.Element) (*Draft, error) {
	ttl, err := ttlMillis(s.TTL)
	if err != nil {
		return nil, err
	}
	if blind == (protocol.Element{}) {
		blind = claim.NewBlind()
	}
	d := &Draft{event: p.Event(), blind: blind, ttl: ttl}
	return d, d.commit(s, p.Params())
}

func ttlMillis(ttl time.Duration) (uint32, error) {
	if ttl < 0 || ttl > protocol.MaxTTL*time.Millisecond {
		return 0, protocol.Fail(protocol.CodeMalformedRequest, "the lifetime is out of range")
	}
	return uint32(ttl / time.Millisecond), nil
}

func (d *Draft) commit(s *Submission, params *claim.Params) error {
	cm, a, err := d.assign(s, params)
	if err != nil {
		return err
	}
	if d.statement, err = claim.NewStatement(params, cm); err != nil {
		return err
	}
	if err := d.statement.Check(a); err != nil {
		return err
	}
	d.assignment = a
	d.vk, err = fingerprint(params.Claim(), s.List)
	return err
}

func (d *Draft) assign(s *Submission, params *claim.Params) (protocol.Commitment, *claim.Assignment, error) {
	if params.Claim() != claim.Group {
		return claim.Commit(params, d.event, d.blind)
	}
	if s.List == nil || s.Secret == nil {
		return protocol.Commitment{}, nil, protocol.Fail(protocol.CodeMalformedRequest, "group/1 needs the member list and a member secret")
	}
	return claim.CommitMember(params, d.event, d.blind, s.List, *s.Secret)
}

// fingerprint returns that of the verifying key that the proof is for.
func fingerprint(id claim.ID, l *claim.List) (protocol.Digest, error) {
	if id == claim.Group {
		vk, err := l.VerifyingKey()
		if err != nil {
			return protocol.Digest{}, err
		}
		return vk.Fingerprint(id, l.ID()), nil
	}
	vk, ok := claim.KnownKey(id)
	if !ok {
		return protocol.Digest{}, protocol.Fail(protocol.CodeUnknownClaim, "claim is not known here")
	}
	return vk.Fingerprint(id, protocol.ListID{}), nil
}

// Blind returns the random value that hides the event. It is needed to resume the draft.
func (d *Draft) Blind() protocol.Element { return d.blind }

// Request returns the request for a challenge.
func (d *Draft) Request() api.ChallengeRequest {
	return api.ChallengeRequest{
		Claim:      d.statement.Claim().String(),
		Params:     json.RawMessage(d.statement.Params().Bytes()),
		Commitment: d.statement.Commitment(),
		TTLMillis:  d.ttl,
	}
}

// Check is [CheckChallenge] for this draft.
func (d *Draft) Check(ch *api.Challenge, clientID string) ([]protocol.Element, error) {
	return CheckChallenge(ch, Expected{Statement: d.statement, VK: d.vk, ClientID: clientID, TTLMillis: d.ttl})
}

// Prove checks the challenge and proves.
func (d *Draft) Prove(ctx context.Context, p Prover, ch *api.Challenge, clientID string) ([]byte, error) {
	x, err := d.Check(ch, clientID)
	if err != nil {
		return nil, err
	}
	return p.Prove(ctx, d.statement, x, d.assignment)
}

// Opening opens the commitment of a challenge to this draft. It is private.
func (d *Draft) Opening(ch *api.Challenge) *receipt.Opening {
	return &receipt.Opening{RequestID: ch.RequestID, Event: string(d.event), Blind: d.blind, ClientSalt: ch.ClientSalt}
}

// Result is the result of a submission. Opening is private; keep it beside the receipt.
type Result struct {
	Challenge *api.Challenge
	Opening   *receipt.Opening
	Accepted  *Accepted // nil until the proof is accepted; its Receipt is nil until there is one
}

// Submit runs the whole pull flow. The event never leaves the process.
//
// After a challenge was received the result is not nil, even with an error: the proof may
// have been accepted although the connection was lost, and [Client.Receipt] shows it. It
// is no error if the receipt does not arrive in time.
func (c *Client) Submit(ctx context.Context, p Prover, s Submission) (*Result, error) {
	stage := func(name string) {
		if s.Stage != nil {
			s.Stage(name)
		}
	}
	stage("commit")
	d, err := NewDraft(&s, protocol.Element{})
	if err != nil {
		return nil, err
	}
	stage("challenge")
	ch, err := c.Challenge(ctx, d.Request())
	if err != nil {
		return nil, err
	}
	r := &Result{Challenge: ch, Opening: d.Opening(ch)}
	stage("prove")
	proof, err := d.Prove(ctx, p, ch, c.cfg.ClientID)
	if err != nil {
		return r, err
	}
	stage("send")
	r.Accepted, err = c.Send(ctx, ch.RequestID, ch.Tag, proof, 0)
	if err != nil {
		return r, err
	}
	stage("receipt")
	return r, c.await(ctx, r, s.Wait)
}

// await fetches the receipt of an accepted submission, if it comes in time.
func (c *Client) await(ctx context.Context, r *Result, wait time.Duration) error {
	switch {
	case wait < 0:
		return nil
	case wait == 0:
		wait = api.MaxWait * time.Second
	}
	got, err := c.Receipt(ctx, r.Challenge.RequestID, wait)
	if errors.Is(err, protocol.CodeNotFound) {
		return nil
	}
	if err != nil {
		return err
	}
	if err := checkReceipt(got, r); err != nil {
		return err
	}
	r.Accepted.Receipt = got
	return nil
}

// checkReceipt checks that a receipt is about this submission. It does not verify it.
func checkReceipt(got *receipt.Receipt, r *Result) error {
	leaf, err := protocol.ParseLeaf(got.Leaf)
	if err != nil {
		return badAnswer("its receipt is malformed")
	}
	if err := CompareLeaf(&leaf, r.Challenge, r.Accepted); err != nil {
		return badAnswer("%w", err)
	}
	return nil
}

// CompareLeaf compares the leaf of a receipt with the challenge that was answered and, if
// it is given, with the acceptance.
func CompareLeaf(leaf *protocol.Leaf, ch *api.Challenge, accepted *Accepted) error {
	body, ok := leaf.Body.(*protocol.Accepted)
	if !ok {
		return Compare("leaf type", protocol.LeafAccepted.String(), leaf.Body.LeafType().String())
	}
	err := Compare("payload", protocol.EncodeBase64(ch.Payload[:]), protocol.EncodeBase64(body.Payload[:]))
	if accepted == nil {
		return err
	}
	return errors.Join(err, Compare("index", strconv.FormatUint(accepted.Index, 10), strconv.FormatUint(leaf.Seq, 10)))
}

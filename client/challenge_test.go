package client_test

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"slices"
	"testing"
	"time"

	"github.com/terradourada/td/api"
	"github.com/terradourada/td/claim"
	"github.com/terradourada/td/client"
	"github.com/terradourada/td/protocol"
)

const (
	rangeParams = `{"values":[{"at":"/readings","lo":60,"hi":80}],"scale":2,"offset":0}`
	rangeEvent  = `{"readings":[61.25, 70, 79.99]}`
)

// issue makes the challenge that an honest server issues for a request.
func issue(t *testing.T, req api.ChallengeRequest, vk protocol.Digest, clientID string, change func(*protocol.Payload)) *api.Challenge {
	t.Helper()
	params, err := claim.ParseParams(claim.ID(req.Claim), req.Params)
	if err != nil {
		t.Fatal(err)
	}
	st, err := claim.NewStatement(params, req.Commitment)
	if err != nil {
		t.Fatal(err)
	}
	ch := &api.Challenge{RequestID: anID, Anchor: protocol.Anchor{31: 5}, Tag: protocol.Tag{1, 2}, ClientSalt: protocol.Salt{3}}
	p := protocol.Payload{
		Mode: protocol.ModePull, RequestID: anID, Seq: 1, TTL: protocol.DefaultTTL, Commitment: req.Commitment,
		Client: protocol.ClientCommitment(ch.ClientSalt, clientID), VK: vk, Statement: st.Digest(),
	}
	if req.TTLMillis != 0 {
		p.TTL = req.TTLMillis
	}
	if change != nil {
		change(&p)
	}
	encoded := p.Encode()
	ch.Payload = api.Payload(encoded)
	ch.PublicInputs = st.Inputs(ch.Anchor, protocol.ContextElement(&encoded), protocol.TagElement(ch.Tag))
	return ch
}

func fingerprint(t *testing.T, id claim.ID) protocol.Digest {
	t.Helper()
	vk, ok := claim.KnownKey(id)
	if !ok {
		t.Fatalf("no key for %s", id)
	}
	return vk.Fingerprint(id, protocol.ListID{})
}

func draft(t *testing.T, ttl time.Duration) *client.Draft {
	t.Helper()
	d, err := client.NewDraft(&client.Submission{Claim: claim.Range, Params: []byte(rangeParams), Event: []byte(rangeEvent), TTL: ttl}, protocol.Element{})
	if err != nil {
		t.Fatal(err)
	}
	return d
}

func TestHonestChallenge(t *testing.T) {
	for _, ttl := range []time.Duration{0, 5 * time.Second} {
		d := draft(t, ttl)
		ch := issue(t, d.Request(), fingerprint(t, claim.Range), "local", nil)
		x, err := d.Check(ch, "")
		if err != nil || !slices.Equal(x, ch.PublicInputs) {
			t.Errorf("%v", err)
		}
		if _, err := d.Check(ch, "somebody"); !errors.Is(err, client.ErrChallenge) {
			t.Errorf("another client's challenge: %v", err)
		}
		ch = issue(t, d.Request(), fingerprint(t, claim.Range), "somebody", nil)
		if _, err := d.Check(ch, "somebody"); err != nil {
			t.Errorf("named client: %v", err)
		}
	}
}

// TestDoctoredChallenges: whatever is changed that the client can know, nothing
// is proved.
func TestDoctoredChallenges(t *testing.T) {
	d := draft(t, 5*time.Second)
	vk := fingerprint(t, claim.Range)
	payload := map[string]func(*protocol.Payload){
		"mode":              func(p *protocol.Payload) { p.Mode = protocol.ModePush },
		"request id":        func(p *protocol.Payload) { p.RequestID[0]++ },
		"commitment":        func(p *protocol.Payload) { p.Commitment[31] ^= 1 },
		"client commitment": func(p *protocol.Payload) { p.Client[0] ^= 1 },
		"verifying key":     func(p *protocol.Payload) { p.VK[31] ^= 1 },
		"other claim's key": func(p *protocol.Payload) { p.VK = fingerprint(t, claim.Sum) },
		"statement digest":  func(p *protocol.Payload) { p.Statement[31] ^= 1 },
		"lifetime":          func(p *protocol.Payload) { p.TTL++ },
		"lifetime too long": func(p *protocol.Payload) { p.TTL = protocol.MaxTTL + 1 },
		"no sequence":       func(p *protocol.Payload) { p.Seq = 0 },
	}
	challenge := map[string]func(*api.Challenge){
		"request id":       func(c *api.Challenge) { c.RequestID[0]++ },
		"salt":             func(c *api.Challenge) { c.ClientSalt[0]++ },
		"tag":              func(c *api.Challenge) { c.Tag[0]++ },
		"anchor":           func(c *api.Challenge) { c.Anchor[31]++ },
		"constant":         func(c *api.Challenge) { c.Payload[0]++ },
		"version":          func(c *api.Challenge) { c.Payload[9]++ },
		"suite":            func(c *api.Challenge) { c.Payload[11]++ },
		"reserved byte":    func(c *api.Challenge) { c.Payload[13]++ },
		"nonce after c":    func(c *api.Challenge) { c.Payload[32]++ },
		"epoch after c":    func(c *api.Challenge) { c.Payload[64]++ },
		"instance after c": func(c *api.Challenge) { c.Payload[255]++ },
		"one input less":   func(c *api.Challenge) { c.PublicInputs = c.PublicInputs[:len(c.PublicInputs)-1] },
		"one input more":   func(c *api.Challenge) { c.PublicInputs = append(c.PublicInputs, protocol.Element{}) },
		"no inputs":        func(c *api.Challenge) { c.PublicInputs = nil },
		"inputs swapped":   func(c *api.Challenge) { c.PublicInputs[1], c.PublicInputs[2] = c.PublicInputs[2], c.PublicInputs[1] },
		"no request id":    func(c *api.Challenge) { c.RequestID = protocol.RequestID{}; clear(c.Payload[16:32]) },
	}
	refuse := func(name string, ch *api.Challenge) {
		t.Helper()
		never := proverFunc(func() ([]byte, error) { t.Errorf("%s: proved", name); return nil, nil })
		if _, err := d.Prove(t.Context(), never, ch, "local"); !errors.Is(err, client.ErrChallenge) {
			t.Errorf("%s: %v", name, err)
		}
	}
	for name, change := range payload {
		refuse("payload: "+name, issue(t, d.Request(), vk, "local", change))
	}
	for name, change := range challenge {
		ch := issue(t, d.Request(), vk, "local", nil)
		change(ch)
		refuse("challenge: "+name, ch)
	}
	for i := range issue(t, d.Request(), vk, "local", nil).PublicInputs {
		ch := issue(t, d.Request(), vk, "local", nil)
		ch.PublicInputs[i][31] ^= 1
		refuse("public input", ch)
	}
	other := draft(t, 5*time.Second) // the same event with another blind
	refuse("other commitment", issue(t, other.Request(), vk, "local", nil))
	wider := d.Request()
	wider.Params = json.RawMessage(`{"offset":0,"scale":2,"values":[{"at":"/readings/0","hi":99,"lo":0},{"at":"/readings/1","hi":80,"lo":60},{"at":"/readings/2","hi":80,"lo":60}]}`)
	refuse("other bounds", issue(t, wider, vk, "local", nil))
}

type proverFunc func() ([]byte, error)

func (f proverFunc) Prove(context.Context, *claim.Statement, []protocol.Element, *claim.Assignment) ([]byte, error) {
	return f()
}

func TestDraftRefusals(t *testing.T) {
	for name, tt := range map[string]struct {
		s    client.Submission
		code protocol.Code
	}{
		"event":     {client.Submission{Claim: claim.Open, Params: []byte(`{}`), Event: []byte(`{"a":1,"a":2}`)}, protocol.CodeEventNotCanonicalisable},
		"params":    {client.Submission{Claim: claim.Open, Params: []byte(`{"x":1}`), Event: []byte(`{}`)}, protocol.CodeMalformedRequest},
		"claim":     {client.Submission{Claim: "open/9", Params: []byte(`{}`), Event: []byte(`{}`)}, protocol.CodeUnknownClaim},
		"false":     {client.Submission{Claim: claim.Range, Params: []byte(rangeParams), Event: []byte(`{"readings":[10]}`)}, protocol.CodeStatementFalse},
		"lifetime":  {client.Submission{Claim: claim.Open, Params: []byte(`{}`), Event: []byte(`{}`), TTL: time.Hour}, protocol.CodeMalformedRequest},
		"no secret": {client.Submission{Claim: claim.Group, Params: []byte(`{}`), Event: []byte(`{}`)}, protocol.CodeMalformedRequest},
	} {
		if _, err := client.NewDraft(&tt.s, protocol.Element{}); protocol.CodeOf(err) != tt.code {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestDraftOfAMember(t *testing.T) {
	secret := claim.NewMemberSecret()
	list, err := claim.NewList("board", []protocol.Member{secret.Member()})
	if err != nil {
		t.Fatal(err)
	}
	params, err := claim.GroupParams(list, "vote/1", secret)
	if err != nil {
		t.Fatal(err)
	}
	d, err := client.NewDraft(&client.Submission{Claim: claim.Group, Params: params, Event: []byte(`{"vote":"yes"}`), List: list, Secret: &secret}, protocol.Element{})
	if err != nil {
		t.Fatal(err)
	}
	vk, err := list.VerifyingKey()
	if err != nil {
		t.Fatal(err)
	}
	if _, err := d.Check(issue(t, d.Request(), vk.Fingerprint(claim.Group, list.ID()), "local", nil), ""); err != nil {
		t.Error(err)
	}
	if _, err := d.Check(issue(t, d.Request(), fingerprint(t, claim.Open), "local", nil), ""); !errors.Is(err, client.ErrChallenge) {
		t.Errorf("%v", err)
	}
}

// TestDraftAgain: a draft taken up with its blind is the same.
func TestDraftAgain(t *testing.T) {
	d := draft(t, 0)
	again, err := client.NewDraft(&client.Submission{Claim: claim.Range, Params: d.Request().Params, Event: []byte(rangeEvent)}, d.Blind())
	if err != nil || again.Request().Commitment != d.Request().Commitment {
		t.Errorf("%v", err)
	}
	if draft(t, 0).Request().Commitment == d.Request().Commitment {
		t.Error("two drafts have one commitment")
	}
}

// TestSubmitKeepsTheOpening: once there is a challenge, no failure loses it.
func TestSubmitKeepsTheOpening(t *testing.T) {
	s := client.Submission{Claim: claim.Range, Params: []byte(rangeParams), Event: []byte(rangeEvent), Wait: -1}
	honest := func(r *http.Request) (*http.Response, error) {
		var req api.ChallengeRequest
		if err := json.NewDecoder(r.Body).Decode(&req); err != nil {
			return nil, err
		}
		b, err := json.Marshal(issue(t, req, fingerprint(t, claim.Range), "local", nil))
		if err != nil {
			return nil, err
		}
		return response(201, api.MediaJSON, string(b))(r)
	}
	proved := proverFunc(func() ([]byte, error) { return make([]byte, protocol.ProofSize), nil })
	unable := proverFunc(func() ([]byte, error) { return nil, errors.New("out of memory") })
	for name, tt := range map[string]struct {
		prover  client.Prover
		answers []func(*http.Request) (*http.Response, error)
		ok      bool
	}{
		"no proof":      {unable, []func(*http.Request) (*http.Response, error){honest}, false},
		"proof refused": {proved, []func(*http.Request) (*http.Response, error){honest, problem(protocol.CodeProofRejected, 422, "")}, false},
		"accepted":      {proved, []func(*http.Request) (*http.Response, error){honest, accepted}, true},
	} {
		c, _ := play(t, client.Config{}, tt.answers...)
		r, err := c.Submit(t.Context(), tt.prover, s)
		if (err == nil) != tt.ok || r == nil || r.Opening.RequestID != anID || r.Opening.Event != `{"readings":[61.25,70,79.99]}` {
			t.Errorf("%s: %+v, %v", name, r, err)
		}
		if tt.ok && r.Accepted.Index != 7 {
			t.Errorf("%s: %+v", name, r.Accepted)
		}
	}
	c, _ := play(t, client.Config{}, problem(protocol.CodeFrozen, 503, "60"))
	if r, err := c.Submit(t.Context(), proved, s); r != nil || !errors.Is(err, protocol.CodeFrozen) {
		t.Errorf("%+v, %v", r, err)
	}
}

package main

import (
	"encoding/json"
	"fmt"
	"time"

	"github.com/terradourada/td/api"
	"github.com/terradourada/td/claim"
	"github.com/terradourada/td/client"
	"github.com/terradourada/td/internal/fault"
	"github.com/terradourada/td/internal/fsutil"
	"github.com/terradourada/td/protocol"
)

// privateDraft is the private half of a challenge: what td challenge keeps and
// td prove needs. Its file, mode 0600, is JSON; parameters and event are RFC
// 8785 texts in JSON strings:
//
//	{"version": 1, "claim": "…", "params": "…", "event": "…", "blind": "<base64url>", "ttl_ms": 0}
type privateDraft struct {
	Version   int               `json:"version"`
	Claim     string            `json:"claim"`
	Params    string            `json:"params"`
	Event     string            `json:"event"`
	Blind     *protocol.Element `json:"blind"`
	TTLMillis uint32            `json:"ttl_ms"`
}

// maxDraft bounds a draft file, in bytes.
const maxDraft = 512 << 10

// draftOf gives the private half of a draft.
func draftOf(d *client.Draft) *privateDraft {
	blind, req := d.Blind(), d.Request()
	return &privateDraft{
		Version: 1, Claim: req.Claim, Params: string(req.Params),
		Event: d.Opening(&api.Challenge{}).Event, Blind: &blind, TTLMillis: req.TTLMillis,
	}
}

// write keeps the draft in a file that must not exist yet.
func (p *privateDraft) write(path string) error {
	b, err := json.Marshal(p)
	if err != nil {
		return err
	}
	return fsutil.NewPrivate(path, append(b, '\n'))
}

// readDraft takes a draft up again. Member secret and list are for group/1.
func readDraft(path string, secret *claim.MemberSecret, list *claim.List) (*client.Draft, claim.ID, error) {
	raw, err := fsutil.ReadFile(path, maxDraft)
	if err != nil {
		return nil, "", err
	}
	var p privateDraft
	err = protocol.DecodeStrict(raw, protocol.JSONLimits{Size: maxDraft}, &p)
	if err != nil || p.Version != 1 || p.Blind == nil || *p.Blind == (protocol.Element{}) {
		return nil, "", fault.New(fault.Usage, fmt.Sprintf("%s is not the private file of a challenge", path), "td challenge --private FILE writes one")
	}
	id, err := claimNamed(p.Claim)
	if err != nil {
		return nil, "", err
	}
	d, err := client.NewDraft(&client.Submission{
		Claim: id, Params: []byte(p.Params), Event: []byte(p.Event), TTL: time.Duration(p.TTLMillis) * time.Millisecond,
		List: list, Secret: secret,
	}, *p.Blind)
	return d, id, err
}

// readChallenge reads the server's answer, whatever wrote it to a file. Members
// of a later version are passed over, as the SDK does.
func (a *app) readChallenge(name string) (*api.Challenge, error) {
	raw, err := a.readInput(name, api.MaxChallengeBody)
	if err != nil {
		return nil, err
	}
	var ch api.Challenge
	if err = protocol.CheckJSON(raw, protocol.JSONLimits{}); err == nil {
		err = json.Unmarshal(raw, &ch)
	}
	if err != nil || ch.RequestID == (protocol.RequestID{}) || len(ch.PublicInputs) == 0 {
		return nil, notAChallenge(name, raw)
	}
	return &ch, nil
}

// notAChallenge says what a file is instead: most likely the server's refusal.
func notAChallenge(name string, raw []byte) error {
	var p api.Problem
	if json.Unmarshal(raw, &p) == nil && p.Code != protocol.CodeNone {
		return &fault.Fault{Exit: fault.ExitOf(p.Code), What: fmt.Sprintf("%s holds a refusal of the server", name), Hint: "ask for a challenge again", Code: p.Code}
	}
	return fault.New(fault.Usage, fmt.Sprintf("%s is not a challenge", name), "it is the answer to POST /v1/challenges, or what td challenge prints")
}

// Package draft reads from files what a user claims about an event, and keeps the
// private half of a challenge between the steps of a submission.
//
// # Private file
//
// "td challenge" writes what only the holder of the event may know, and "td prove" reads
// it. The file has mode 0600 and is one JSON object. Parameters and event are RFC 8785
// texts in JSON strings; the blind is 32 bytes in base64url without padding; ttl_ms is 0
// if the server chooses the lifetime:
//
//	{"version": 1, "claim": "…", "params": "…", "event": "…", "blind": "…", "ttl_ms": 0}
//
// Unknown, missing and repeated members are refused.
package draft

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
	"github.com/terradourada/td/receipt"
)

// private is the content of a private file.
type private struct {
	Version   int               `json:"version"`
	Claim     string            `json:"claim"`
	Params    string            `json:"params"`
	Event     string            `json:"event"`
	Blind     *protocol.Element `json:"blind"`
	TTLMillis uint32            `json:"ttl_ms"`
}

// maxFile bounds a private file, in bytes.
const maxFile = 512 << 10

// Write writes the private file of a draft. The file must not exist yet.
func Write(path string, d *client.Draft) error {
	blind, req := d.Blind(), d.Request()
	b, err := json.Marshal(&private{
		Version: 1, Claim: req.Claim, Params: string(req.Params),
		Event: d.Opening(&api.Challenge{}).Event, Blind: &blind, TTLMillis: req.TTLMillis,
	})
	if err != nil {
		return err
	}
	return fsutil.NewPrivate(path, append(b, '\n'))
}

// Read reads a private file. Member and list name the files that group/1 needs, or are "".
// The submission says for what claim and list a proof is made.
func Read(path, member, list string) (*client.Draft, *client.Submission, error) {
	p, err := readPrivate(path)
	if err != nil {
		return nil, nil, err
	}
	sub := &client.Submission{
		Params: []byte(p.Params), Event: []byte(p.Event), TTL: time.Duration(p.TTLMillis) * time.Millisecond,
	}
	if sub.Claim, err = ParseClaim(p.Claim); err != nil {
		return nil, nil, err
	}
	if err := readMemberFiles(sub, member, list); err != nil {
		return nil, nil, err
	}
	if sub.Claim == claim.Group && (sub.List == nil || sub.Secret == nil) {
		return nil, nil, fault.New(fault.Usage, "group/1 needs the member's secret and the member list", "--member FILE --list FILE")
	}
	d, err := client.NewDraft(sub, *p.Blind)
	return d, sub, err
}

func readPrivate(path string) (*private, error) {
	raw, err := fsutil.ReadFile(path, maxFile)
	if err != nil {
		return nil, err
	}
	var p private
	err = protocol.DecodeStrict(raw, protocol.JSONLimits{Size: maxFile}, &p)
	if err != nil || p.Version != 1 || p.Blind == nil || *p.Blind == (protocol.Element{}) {
		return nil, fault.New(fault.Usage, fmt.Sprintf("%s is not the private file of a challenge", path), "td challenge --private FILE writes one")
	}
	return &p, nil
}

// ParseChallenge parses a server's answer from a file of this name. Members of a later
// version are ignored, as package client does.
func ParseChallenge(name string, raw []byte) (*api.Challenge, error) {
	var ch api.Challenge
	err := protocol.CheckJSON(raw, protocol.JSONLimits{})
	if err == nil {
		err = json.Unmarshal(raw, &ch)
	}
	if err == nil && ch.RequestID != (protocol.RequestID{}) && len(ch.PublicInputs) > 0 {
		return &ch, consistent(name, &ch)
	}
	var p api.Problem // most likely the server's refusal
	if json.Unmarshal(raw, &p) == nil && p.Code != protocol.CodeNone {
		return nil, &fault.Fault{Exit: fault.ExitOf(p.Code), What: fmt.Sprintf("%s holds a refusal of the server", name), Hint: "ask for a challenge again", Code: p.Code}
	}
	return nil, fault.New(fault.Usage, fmt.Sprintf("%s is not a challenge", name), "it is the answer to POST /v1/challenges, or what td challenge prints")
}

// consistent refuses a challenge whose two request ids differ, so that the receipt of the
// one is not compared with the other.
func consistent(name string, ch *api.Challenge) error {
	encoded := protocol.EncodedPayload(ch.Payload)
	p, err := protocol.ParsePayload(encoded[:])
	switch {
	case err != nil:
		err = fmt.Errorf("its payload: %s", protocol.DetailOf(err))
	case p.RequestID != ch.RequestID:
		err = fmt.Errorf("its request id is %s, and in its payload %s", ch.RequestID, p.RequestID)
	default:
		return nil
	}
	return fault.New(fault.Usage, fmt.Sprintf("%s does not agree with itself: %v", name, err), "ask for a new challenge, and keep it as it comes")
}

// ReadOpening reads an opening from a file.
func ReadOpening(path string) (*receipt.Opening, error) {
	return fsutil.ParseFile(path, receipt.MaxOpeningSize, receipt.ParseOpening, fault.Usage, " is not an opening", "")
}

// WriteOpening writes an opening for its owner only. The file must not exist yet.
func WriteOpening(path string, o *receipt.Opening) error {
	b, err := o.Encode()
	if err != nil {
		return err
	}
	return fsutil.NewPrivate(path, b)
}

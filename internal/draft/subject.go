package draft

import (
	"bytes"
	"cmp"
	"errors"
	"fmt"
	"time"

	"github.com/terradourada/td/claim"
	"github.com/terradourada/td/client"
	"github.com/terradourada/td/internal/fault"
	"github.com/terradourada/td/internal/fsutil"
	"github.com/terradourada/td/internal/memberlist"
	"github.com/terradourada/td/protocol"
)

// Subject names what is claimed, with the flags of "td submit" and "td challenge".
type Subject struct {
	Claim        string // the id; "" means group/1 if there is a member
	Params       string // file of parameters; "" if the claim needs none
	Member, List string // files of the member's secret and of the member list, for group/1
	Scope        string // for group/1; "" if the parameters name it
	TTL          time.Duration
}

// ClaimIDs returns the ids of all claims.
func ClaimIDs() []string {
	var names []string
	for _, id := range claim.IDs() {
		names = append(names, id.String())
	}
	return names
}

// ParseClaim parses a claim id that a user has typed.
func ParseClaim(name string) (claim.ID, error) {
	id, err := claim.ParseID(name)
	if err == nil {
		return id, nil
	}
	hint := fault.DidYouMean(name, ClaimIDs(), "td claims lists them")
	return "", &fault.Fault{Exit: fault.Usage, What: fmt.Sprintf("there is no claim %q", name), Hint: hint, Code: protocol.CodeUnknownClaim}
}

// Load reads the files and returns the submission without its event.
func (s *Subject) Load() (*client.Submission, error) {
	id, err := s.id()
	if err != nil {
		return nil, err
	}
	if s.TTL != 0 && (s.TTL < protocol.MinTTL*time.Millisecond || s.TTL > protocol.MaxTTL*time.Millisecond) {
		return nil, fault.New(fault.Usage, "--ttl is not between 1s and 10m", "")
	}
	sub := &client.Submission{Claim: id, TTL: s.TTL}
	if id == claim.Group {
		return sub, s.loadGroup(sub)
	}
	if s.Member != "" || s.List != "" || s.Scope != "" {
		return nil, fault.New(fault.Usage, "--member, --list and --scope are for group/1 only", "")
	}
	return sub, s.loadParams(sub)
}

func (s *Subject) id() (claim.ID, error) {
	switch {
	case s.Claim != "":
		return ParseClaim(s.Claim)
	case s.Member != "":
		return claim.Group, nil
	}
	return "", fault.New(fault.Usage, "no claim was named", "--claim names one; td claims lists them")
}

// loadParams reads parameters. It refuses those that are wrong for every event.
func (s *Subject) loadParams(sub *client.Submission) error {
	if s.Params == "" {
		if sub.Claim == claim.Open {
			sub.Params = []byte("{}")
			return nil
		}
		return fault.New(fault.Usage, fmt.Sprintf("claim %s needs parameters", sub.Claim), fmt.Sprintf("--params names a file; td claims show %s has an example", sub.Claim))
	}
	var err error
	if sub.Params, err = fsutil.ReadFile(s.Params, protocol.MaxJSONSize); err != nil {
		return err
	}
	sub.Params = bytes.TrimPrefix(sub.Params, []byte("\ufeff")) // the mark that some editors write
	if _, err = claim.ReadParams(sub.Claim, sub.Params); err != nil {
		return s.badParams(sub.Claim, err)
	}
	return nil
}

func (s *Subject) badParams(id claim.ID, err error) error {
	what := fmt.Sprintf("%s: %s", s.Params, fault.Of(err).What)
	var place *protocol.JSONError
	if errors.As(err, &place) {
		what = fmt.Sprintf("%s is not a JSON object by the strict rules: %s", s.Params, place)
	}
	return &fault.Fault{Exit: fault.Usage, What: what, Hint: fmt.Sprintf("td claims show %s has an example", id), Code: protocol.CodeMalformedRequest}
}

// groupParams are the parameters of group/1 as a file may hold them: the nullifier is
// computed, and the list is known from its own file.
type groupParams struct {
	List      string `json:"list"`
	Name      string `json:"name"`
	Scope     string `json:"scope"`
	Nullifier string `json:"nullifier"`
}

func (s *Subject) loadGroup(sub *client.Submission) error {
	if s.Member == "" || s.List == "" {
		return fault.New(fault.Usage, "group/1 needs the member's secret and the member list", "--member FILE --list FILE; td claims member makes a secret")
	}
	if err := readMemberFiles(sub, s.Member, s.List); err != nil {
		return err
	}
	var given groupParams
	if s.Params != "" {
		raw, err := fsutil.ReadFile(s.Params, protocol.MaxJSONSize)
		if err != nil {
			return err
		}
		if err := claim.CheckGroupDraft(raw); err != nil {
			return s.badParams(claim.Group, err)
		}
		if err := protocol.DecodeStrict(raw, protocol.JSONLimits{}, &given); err != nil {
			return s.badParams(claim.Group, err)
		}
	}
	return s.fillGroup(sub, given)
}

// fillGroup computes the parameters and compares them with those in the file.
func (s *Subject) fillGroup(sub *client.Submission, given groupParams) error {
	scope := cmp.Or(s.Scope, given.Scope)
	if scope == "" {
		return fault.New(fault.Usage, "group/1 needs a scope: what is answered", "--scope TEXT, for example --scope board/2026-11")
	}
	raw, err := claim.GroupParams(sub.List, scope, *sub.Secret)
	if err != nil {
		return fault.New(fault.ExitOf(protocol.CodeOf(err)), fault.Of(err).What, "")
	}
	var made groupParams
	if err := protocol.DecodeStrict(raw, protocol.JSONLimits{}, &made); err != nil {
		return err
	}
	for _, m := range []struct{ name, given, made string }{
		{"list", given.List, made.List},
		{"name", given.Name, made.Name},
		{"scope", given.Scope, made.Scope},
		{"nullifier", given.Nullifier, made.Nullifier},
	} {
		if m.given != "" && m.given != m.made {
			return fault.New(fault.Usage, fmt.Sprintf("%s: %q differs from what list, member and scope determine", s.Params, m.name), "leave it out of the file, or name the list and member it belongs to")
		}
	}
	sub.Params = raw
	return nil
}

// readMemberFiles reads the member list and the member's secret. A name of "" is left out.
func readMemberFiles(sub *client.Submission, member, list string) (err error) {
	if list != "" {
		if sub.List, err = memberlist.Read(list); err != nil {
			return err
		}
	}
	if member != "" {
		sub.Secret, err = readMember(member)
	}
	return err
}

// readMember reads a member's secret from a file that only its owner can read.
func readMember(path string) (*claim.MemberSecret, error) {
	b, err := fsutil.ReadFile(path, 1<<10)
	if err != nil {
		return nil, err
	}
	if err := fsutil.CheckPrivate(path); err != nil {
		return nil, err
	}
	secret, err := claim.ParseMemberSecret(b)
	clear(b)
	if err != nil {
		return nil, fault.New(fault.Usage, fmt.Sprintf("%s does not hold a member secret: 64 hexadecimal digits", path), "td claims member makes one")
	}
	return &secret, nil
}

package main

import (
	"cmp"
	"errors"
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"github.com/terradourada/td/claim"
	"github.com/terradourada/td/client"
	"github.com/terradourada/td/internal/fault"
	"github.com/terradourada/td/internal/fsutil"
	"github.com/terradourada/td/internal/memberlist"
	"github.com/terradourada/td/protocol"
)

// subject is what is to be claimed, as the flags give it.
type subject struct {
	claim, params       string
	member, list, scope string
	ttl                 time.Duration
}

// subjectFlags adds the flags that say what is claimed.
func subjectFlags(cmd *cobra.Command) *subject {
	s := &subject{}
	f := cmd.Flags()
	f.StringVar(&s.claim, "claim", "", "claim id, as td claims lists them; with --member it is group/1")
	f.StringVar(&s.params, "params", "", "file with the claim's parameters in JSON; open/1 needs none")
	f.DurationVar(&s.ttl, "ttl", 0, "lifetime of a challenge, 1s to 10m (default as the server has it)")
	memberFlags(cmd, s)
	f.StringVar(&s.scope, "scope", "", "group/1: what is answered, for example board/2026-11; or in the parameters")
	_ = cmd.RegisterFlagCompletionFunc("claim", cobra.FixedCompletions(claimIDs(), cobra.ShellCompDirectiveNoFileComp))
	return s
}

// memberFlags adds the flags that say who proves, for group/1.
func memberFlags(cmd *cobra.Command, s *subject) {
	cmd.Flags().StringVar(&s.member, "member", "", "group/1: file with the member's secret, which stays on this machine")
	cmd.Flags().StringVar(&s.list, "list", "", "group/1: file with the member list")
}

func claimIDs() []string {
	var names []string
	for _, id := range claim.IDs() {
		names = append(names, id.String())
	}
	return names
}

// load reads the files and gives the submission without its event.
func (s *subject) load() (*client.Submission, error) {
	id, err := s.id()
	if err != nil {
		return nil, err
	}
	if s.ttl != 0 && (s.ttl < protocol.MinTTL*time.Millisecond || s.ttl > protocol.MaxTTL*time.Millisecond) {
		return nil, fault.New(fault.Usage, "--ttl is not between 1s and 10m", "")
	}
	sub := &client.Submission{Claim: id, TTL: s.ttl}
	if id == claim.Group {
		return sub, s.loadGroup(sub)
	}
	if s.member != "" || s.list != "" || s.scope != "" {
		return nil, fault.New(fault.Usage, "--member, --list and --scope are for group/1 only", "")
	}
	return sub, s.loadParams(sub)
}

func (s *subject) id() (claim.ID, error) {
	if s.claim == "" {
		if s.member != "" {
			return claim.Group, nil
		}
		return "", fault.New(fault.Usage, "no claim was named", "--claim names one; td claims lists them")
	}
	return claimNamed(s.claim)
}

// claimNamed reads a claim id that a user has typed.
func claimNamed(name string) (claim.ID, error) {
	id, err := claim.ParseID(name)
	if err == nil {
		return id, nil
	}
	hint := "td claims lists them"
	if n := nearest(name, claimIDs()); n != "" {
		hint = fmt.Sprintf("did you mean %q?", n)
	}
	return "", &fault.Fault{Exit: fault.Usage, What: fmt.Sprintf("there is no claim %q", name), Hint: hint, Code: protocol.CodeUnknownClaim}
}

// loadParams reads parameters and refuses those that no event can mend.
func (s *subject) loadParams(sub *client.Submission) error {
	if s.params == "" {
		if sub.Claim == claim.Open {
			sub.Params = []byte("{}")
			return nil
		}
		return fault.New(fault.Usage, fmt.Sprintf("claim %s needs parameters", sub.Claim), fmt.Sprintf("--params names a file; td claims show %s has an example", sub.Claim))
	}
	var err error
	if sub.Params, err = fsutil.ReadFile(s.params, protocol.MaxJSONSize); err != nil {
		return err
	}
	if _, err = claim.PrepareParams(sub.Claim, sub.Params, nil); err != nil {
		return s.badParams(sub.Claim, err)
	}
	return nil
}

func (s *subject) badParams(id claim.ID, err error) error {
	what := fmt.Sprintf("%s: %s", s.params, cmp.Or(protocol.DetailOf(err), err.Error()))
	var place *protocol.JSONError
	if errors.As(err, &place) {
		what = fmt.Sprintf("%s is not a JSON object by the strict rules: %s", s.params, place)
	}
	return &fault.Fault{Exit: fault.Usage, What: what, Hint: fmt.Sprintf("td claims show %s has an example", id), Code: protocol.CodeMalformedRequest}
}

// groupParams are parameters of group/1 as people write them: the nullifier is
// computed, the list may be left to its file.
type groupParams struct {
	List      string `json:"list"`
	Name      string `json:"name"`
	Scope     string `json:"scope"`
	Nullifier string `json:"nullifier"`
}

func (s *subject) loadGroup(sub *client.Submission) error {
	if s.member == "" || s.list == "" {
		return fault.New(fault.Usage, "group/1 needs the member's secret and the member list", "--member FILE --list FILE; td claims member makes a secret")
	}
	var err error
	if sub.List, err = memberlist.Read(s.list); err != nil {
		return err
	}
	if sub.Secret, err = readMember(s.member); err != nil {
		return err
	}
	var given groupParams
	if s.params != "" {
		if given, err = s.readGroupParams(); err != nil {
			return err
		}
	}
	return s.fillGroup(sub, given)
}

func (s *subject) readGroupParams() (p groupParams, err error) {
	raw, err := fsutil.ReadFile(s.params, protocol.MaxJSONSize)
	if err != nil {
		return p, err
	}
	if err := protocol.DecodeStrict(raw, protocol.JSONLimits{}, &p); err != nil {
		return p, s.badParams(claim.Group, err)
	}
	return p, nil
}

// fillGroup computes the parameters and compares them with those given.
func (s *subject) fillGroup(sub *client.Submission, given groupParams) error {
	scope := cmp.Or(s.scope, given.Scope)
	if scope == "" {
		return fault.New(fault.Usage, "group/1 needs a scope: what is answered", "--scope TEXT, for example --scope board/2026-11")
	}
	raw, err := claim.GroupParams(sub.List, scope, *sub.Secret)
	if err != nil {
		return fault.New(fault.ExitOf(protocol.CodeOf(err)), cmp.Or(protocol.DetailOf(err), err.Error()), "")
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
			return fault.New(fault.Usage, fmt.Sprintf("%s: %q is another one than list, member and scope give", s.params, m.name), "leave it out of the file, or give the list and member it belongs to")
		}
	}
	sub.Params = raw
	return nil
}

// readMember reads a member's secret from a file that nobody else can read.
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

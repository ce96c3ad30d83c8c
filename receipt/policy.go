package receipt

import (
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"filippo.io/torchwood"
	formats "github.com/transparency-dev/formats/note"
	"golang.org/x/mod/sumdb/note"
)

// maxPolicySize bounds a policy file, in bytes.
const maxPolicySize = 64 << 10

// maxNamed bounds the keys that a group names, with those of its members. A key counts as
// often as it is named, because a check of the policy looks at it as often.
const maxNamed = 4096

// Policy names the signatures that make a checkpoint's identity pinned. It is
// the parsed policy file; the package comment has the format.
type Policy struct {
	inner     torchwood.Policy
	origins   []string // of the logs
	cosigners []*Cosigner
}

// Cosigner is a cosigner that a policy file names with a URL.
type Cosigner struct {
	URL  string
	keys []note.Verifier
}

// ParsePolicy reads a policy file. Its errors name the line and are meant for
// the author of the file.
func ParsePolicy(text []byte) (*Policy, error) {
	if len(text) > maxPolicySize {
		return nil, fmt.Errorf("policy file is larger than %d bytes", maxPolicySize)
	}
	p := policyFile{parts: map[string]torchwood.Policy{}, named: map[string]int{}}
	for i, line := range strings.Split(string(text), "\n") {
		if err := p.line(line); err != nil {
			return nil, fmt.Errorf("policy file, line %d: %w", i+1, err)
		}
	}
	if len(p.logs) == 0 {
		return nil, errors.New(`policy file names no log: add a line "origin NAME" or, with an operator key, "log VKEY"`)
	}
	logs := torchwood.ThresholdPolicy(1, p.logs...)
	switch {
	case p.quorum == "":
		return nil, errors.New("policy file has no quorum line")
	case p.quorum == noQuorum && p.keyless:
		return nil, errors.New(`policy file: "quorum none" with an "origin" line would ask for no key at all`)
	case p.quorum == noQuorum:
		return p.policy(logs), nil
	case p.parts[p.quorum] == nil:
		return nil, errors.New("policy file: its quorum is neither a witness nor a group")
	}
	return p.policy(torchwood.ThresholdPolicy(2, p.parts[p.quorum], logs)), nil
}

var errPolicy = errors.New("the checkpoint does not carry the signatures that the policy file asks for")

// Check returns why the signatures on a checkpoint do not satisfy the policy.
func (p *Policy) Check(c *Checkpoint) error {
	if _, _, err := torchwood.VerifyCheckpoint([]byte(c.Note), p.inner); err != nil {
		if !p.Names(c.Origin) {
			return fmt.Errorf("%w: the file is about another log than %s", errPolicy, c.Origin)
		}
		return errPolicy
	}
	return nil
}

// Names reports whether the policy is about the log of this origin.
func (p *Policy) Names(origin string) bool { return slices.Contains(p.origins, origin) }

// Cosigners returns the cosigners that the policy file names with a URL, in its order.
// Keys with the same URL are those of one cosigner.
func (p *Policy) Cosigners() []*Cosigner { return p.cosigners }

// Cosigned returns a checkpoint with further signature lines: those that verify under a
// key of the policy. All others are left out, as are second ones of a key.
func (p *Policy) Cosigned(c *Checkpoint, lines string) (*Checkpoint, error) {
	return cosigned(c, lines, p.inner)
}

// Cosigned is that of [Policy], for the keys of this cosigner alone.
func (s *Cosigner) Cosigned(c *Checkpoint, lines string) (*Checkpoint, error) {
	return cosigned(c, lines, note.VerifierList(s.keys...))
}

// Complete reports whether every key of this cosigner has signed a checkpoint.
func (s *Cosigner) Complete(c *Checkpoint) bool {
	n, err := note.Open([]byte(c.Note), note.VerifierList(s.keys...))
	return err == nil && len(n.Sigs) == len(s.keys)
}

func cosigned(c *Checkpoint, lines string, keys note.Verifiers) (*Checkpoint, error) {
	text := c.Note[:strings.LastIndex(c.Note, "\n\n")+2]
	with := c.Note
	for line := range strings.Lines(lines) {
		if _, err := note.Open([]byte(text+line), keys); err != nil {
			continue
		}
		if _, err := parseNote(with + line); err == nil {
			with += line
		}
	}
	return ReadCheckpoint(with)
}

// policyFile is what was read of a policy file. Any one of the logs is enough.
type policyFile struct {
	logs    []torchwood.Policy
	origins []string
	urls    []*Cosigner
	parts   map[string]torchwood.Policy // witnesses and groups by name
	named   map[string]int              // how many keys each of them names
	quorum  string                      // "" before its line
	keys    []string
	keyless bool // there was an origin line
}

func (p *policyFile) policy(inner torchwood.Policy) *Policy {
	return &Policy{inner, p.origins, p.urls}
}

// noQuorum is the name of a quorum without cosigners.
const noQuorum = "none"

func (p *policyFile) line(line string) error {
	text, _, _ := strings.Cut(line, "#")
	f := strings.Fields(text)
	switch {
	case len(f) == 0:
		return nil
	case len(f) == 2 && f[0] == "origin":
		p.keyless = true
		p.logs, p.origins = append(p.logs, torchwood.OriginPolicy(f[1])), append(p.origins, f[1])
		return nil
	case len(f) >= 2 && f[0] == "log":
		return p.log(f[1])
	case (len(f) == 3 || len(f) == 4) && f[0] == "witness":
		return p.witness(f[1], f[2], f[3:])
	case len(f) >= 4 && f[0] == "group":
		return p.group(f[1], f[2], f[3:])
	case len(f) >= 2 && f[0] == "quorum" && p.quorum != "":
		return errors.New("a file has one quorum")
	case len(f) >= 2 && f[0] == "quorum":
		p.quorum = f[1]
		return nil
	}
	return errors.New("it is not a line origin, log, witness, group or quorum with all that belongs to it")
}

func (p *policyFile) log(vkey string) error {
	v, err := note.NewVerifier(vkey)
	if err != nil {
		return errors.New("the key of the log is malformed")
	}
	p.logs, p.origins = append(p.logs, signedBy(v)), append(p.origins, v.Name())
	return p.newKey(vkey)
}

func (p *policyFile) witness(name, vkey string, rest []string) error {
	if err := p.newKey(vkey); err != nil {
		return err
	}
	v, err := cosignerVerifier(vkey)
	if err != nil {
		return errors.New("the key is malformed")
	}
	if len(rest) > 0 {
		p.at(rest[0], v)
	}
	return p.add(name, torchwood.SingleVerifierPolicy(v), 1)
}

// at adds a key to the cosigner with this URL.
func (p *policyFile) at(url string, v note.Verifier) {
	i := slices.IndexFunc(p.urls, func(s *Cosigner) bool { return s.URL == url })
	if i < 0 {
		i, p.urls = len(p.urls), append(p.urls, &Cosigner{URL: url})
	}
	p.urls[i].keys = append(p.urls[i].keys, v)
}

// cosignerVerifier returns the verifier of a key of C2SP tlog-cosignature: Ed25519 or
// ML-DSA-44.
func cosignerVerifier(vkey string) (note.Verifier, error) {
	if v, err := torchwood.NewCosignatureVerifier(vkey); err == nil {
		return timed{v}, nil
	}
	v, err := mldsaVerifier(vkey)
	return timed{v}, err
}

// timed refuses a cosignature whose time is above 2^63 - 1, as C2SP tlog-cosignature asks; the
// libraries do not. The time is the first 8 bytes of the signature, big-endian.
type timed struct{ note.Verifier }

func (v timed) Verify(msg, sig []byte) bool {
	return len(sig) > 8 && sig[0] < 0x80 && v.Verifier.Verify(msg, sig)
}

// mldsaVerifier also compares the key id in the text, which the library does not.
func mldsaVerifier(vkey string) (note.Verifier, error) {
	v, err := formats.NewMLDSAVerifier(vkey)
	if err == nil && !strings.HasPrefix(vkey, fmt.Sprintf("%s+%08x+", v.Name(), v.KeyHash())) {
		err = errors.New("the key has another id")
	}
	return v, err
}

func (p *policyFile) group(name, threshold string, names []string) error {
	members, named := make([]torchwood.Policy, len(names)), 0
	for i, member := range names {
		if members[i] = p.parts[member]; members[i] == nil {
			return fmt.Errorf("the group has a member %q that no line above names", member)
		}
		if named += p.named[member]; named > maxNamed {
			return fmt.Errorf("the group names more than %d keys, those of its members included", maxNamed)
		}
	}
	n := map[string]int{"any": 1, "all": len(names)}[threshold]
	if n == 0 {
		n, _ = strconv.Atoi(threshold)
	}
	if n < 1 || n > len(names) {
		return errors.New("the group asks for a number of members that it does not have")
	}
	return p.add(name, torchwood.ThresholdPolicy(n, members...), named)
}

func (p *policyFile) add(name string, part torchwood.Policy, named int) error {
	if p.parts[name] != nil || name == noQuorum {
		return errors.New("this name is taken")
	}
	p.parts[name], p.named[name] = part, named
	return nil
}

// newKey refuses a key that the file has named before, since its holder would
// count twice. The first byte of a key is its algorithm.
func (p *policyFile) newKey(vkey string) error {
	parts := strings.SplitN(vkey, "+", 3) // name, hash, base64 that may hold more of "+"
	key, err := stdBase64.DecodeString(parts[len(parts)-1])
	if err != nil || len(key) < 2 {
		return errors.New("the key is malformed")
	}
	if slices.Contains(p.keys, string(key[1:])) {
		return errors.New("this key is named twice")
	}
	p.keys = append(p.keys, string(key[1:]))
	return nil
}

package receipt

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"filippo.io/torchwood"
	"golang.org/x/mod/sumdb/note"
)

// maxPolicySize bounds a policy file, in bytes.
const maxPolicySize = 64 << 10

// Policy names the signatures that make a checkpoint's identity pinned. It is
// the parsed policy file; the package comment has the format.
type Policy struct{ inner torchwood.Policy }

// ParsePolicy reads a policy file. Its errors name the line and are meant for
// the author of the file.
func ParsePolicy(text []byte) (*Policy, error) {
	if len(text) > maxPolicySize {
		return nil, fmt.Errorf("policy file is larger than %d bytes", maxPolicySize)
	}
	var p policyFile
	for i, line := range strings.Split(string(text), "\n") {
		if err := p.line(line); err != nil {
			return nil, fmt.Errorf("policy file, line %d: %w", i+1, err)
		}
	}
	if len(p.logs) == 0 {
		return nil, errors.New(`policy file names no log: add a line "origin NAME" or, with an operator key, "log VKEY"`)
	}
	if p.noQuorum && p.keyless {
		return nil, errors.New(`policy file: "quorum none" with an "origin" line would ask for no key at all`)
	}
	quorum, err := torchwood.ParsePolicy([]byte(p.quorum.String()))
	if err != nil {
		return nil, fmt.Errorf("policy file: %w", err)
	}
	logs := torchwood.ThresholdPolicy(1, p.logs...)
	return &Policy{torchwood.ThresholdPolicy(2, quorum, logs)}, nil
}

var errPolicy = errors.New("the policy file asks for signatures that the checkpoint does not carry, or for another log")

// Check returns why the signatures on a checkpoint do not satisfy the policy.
func (p *Policy) Check(c *Checkpoint) error {
	if _, _, err := torchwood.VerifyCheckpoint([]byte(c.Note), p.inner); err != nil {
		return errPolicy
	}
	return nil
}

// policyFile splits the lines about logs, any one of which is enough, from
// those about cosigners, which the library parses.
type policyFile struct {
	logs     []torchwood.Policy
	quorum   strings.Builder // everything else, line for line
	keys     []string
	keyless  bool // there was an origin line
	noQuorum bool // there was a line "quorum none"
}

func (p *policyFile) line(line string) error {
	text, _, _ := strings.Cut(line, "#")
	f := strings.Fields(text)
	var err error
	switch {
	case len(f) == 2 && f[0] == "origin":
		line, p.keyless = "", true
		p.logs = append(p.logs, torchwood.OriginPolicy(f[1]))
	case len(f) >= 2 && f[0] == "log":
		line, err = "", p.log(f[1])
	case len(f) >= 3 && f[0] == "witness":
		err = p.newKey(f[2])
	case len(f) == 2 && f[0] == "quorum":
		p.noQuorum = f[1] == "none"
	}
	p.quorum.WriteString(line + "\n")
	return err
}

func (p *policyFile) log(vkey string) error {
	v, err := note.NewVerifier(vkey)
	if err != nil {
		return errors.New("the key of the log is malformed")
	}
	p.logs = append(p.logs, signedBy(v))
	return p.newKey(vkey)
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

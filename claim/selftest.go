package claim

import (
	"context"
	_ "embed"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"sync"

	"github.com/terradourada/td/protocol"
)

// data/answers.json holds one proof of every claim with all that went into it,
// made once; its values are public test values. Every later release must
// verify them.
//
//go:embed data/answers.json
var answersFile []byte

// knownAnswer is one stored proof.
type knownAnswer struct {
	Claim      ID                  `json:"claim"`
	Params     string              `json:"params"`
	Commitment protocol.Commitment `json:"commitment"`
	Anchor     protocol.Anchor     `json:"a"`
	Context    protocol.Element    `json:"c"`
	Tag        protocol.Element    `json:"t"`
	Assignment []byte              `json:"assignment"` // binary form
	Proof      []byte              `json:"proof"`
	Key        []byte              `json:"key"`            // encoding
	List       string              `json:"list,omitempty"` // group/1: the list file
}

var knownAnswers = sync.OnceValues(func() ([]knownAnswer, error) {
	var answers []knownAnswer
	err := json.Unmarshal(answersFile, &answers)
	return answers, err
})

// statement returns the statement of the answer and its public inputs.
func (k *knownAnswer) statement() (*Statement, []protocol.Element, error) {
	p, err := ParseParams(k.Claim, []byte(k.Params))
	if err != nil {
		return nil, nil, err
	}
	s, err := NewStatement(p, k.Commitment)
	if err != nil {
		return nil, nil, err
	}
	return s, s.Inputs(k.Anchor, k.Context, k.Tag), nil
}

// check verifies a proof of the answer's statement and wants the same proof
// refused for another anchor, so that a verifier which accepts everything
// fails.
func (k *knownAnswer) check(proof []byte) error {
	_, x, err := k.statement()
	if err != nil {
		return err
	}
	vk, err := ParseVerifyingKey(k.Key)
	if err != nil {
		return err
	}
	if err := Verify(vk, x, proof); err != nil {
		return err
	}
	x[0] = k.Context
	if Verify(vk, x, proof) == nil {
		return errors.New("claim: proof verifies for another anchor")
	}
	return nil
}

// SelfTest checks the reference string by [CheckSRS], the key registry, and the
// stored proof of each claim, which must verify and be refused for another
// anchor. A process that verifies proofs must call it before it serves. It takes
// under a second of CPU. After an error nothing of this package can be relied on.
func SelfTest() error {
	if err := CheckSRS(); err != nil {
		return err
	}
	answers, err := knownAnswers()
	if err != nil {
		return err
	}
	if len(answers) != len(IDs()) {
		return errors.New("claim: known answers are incomplete")
	}
	for i, id := range IDs() {
		k := &answers[i]
		if vk, ok := KnownKey(id); k.Claim != id || ok && !slices.Equal(k.Key, vk.encoding[:]) {
			return fmt.Errorf("claim: known answer of %s is for another claim or key", id)
		}
		if err := k.check(k.Proof); err != nil {
			return fmt.Errorf("claim: self-test of %s: %w", id, err)
		}
	}
	return nil
}

// SelfTest proves the known answer of each fixed claim that is loaded and
// verifies the proof. So it shows that compiled circuits, proving keys and
// embedded verifying keys belong together. It takes about half a second of CPU
// for each claim.
func (p *Prover) SelfTest() error {
	answers, err := knownAnswers()
	if err != nil {
		return err
	}
	for i := range answers {
		k := &answers[i]
		if p.fixed[k.Claim] == nil {
			continue
		}
		if err := p.answer(k); err != nil {
			return fmt.Errorf("claim: self-test of prover for %s: %w", k.Claim, err)
		}
	}
	return nil
}

// answer proves a known answer anew and checks the proof.
func (p *Prover) answer(k *knownAnswer) error {
	var a Assignment
	if err := a.UnmarshalBinary(k.Assignment); err != nil {
		return err
	}
	s, x, err := k.statement()
	if err != nil {
		return err
	}
	proof, err := p.Prove(context.Background(), s, x, &a)
	if err != nil {
		return err
	}
	return k.check(proof)
}

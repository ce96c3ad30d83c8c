package claim_test

import (
	"encoding/json"
	"os"
	"slices"
	"testing"

	"github.com/terradourada/td/claim"
	"github.com/terradourada/td/protocol"
)

// TestSelfTest also verifies the stored proofs, which every release must
// accept.
func TestSelfTest(t *testing.T) {
	if *release {
		writeAnswers(t)
		t.Skip("known answers written; build again to test them")
	}
	if err := claim.SelfTest(); err != nil {
		t.Fatal(err)
	}
}

func TestKnownAnswersFailWhenDamaged(t *testing.T) {
	answers, err := claim.KnownAnswers()
	if err != nil {
		t.Fatal(err)
	}
	for i := range answers {
		k := answers[i]
		t.Run(string(k.Claim), func(t *testing.T) {
			if err := k.Check(k.Proof); err != nil {
				t.Errorf("stored proof: %v", err)
			}
			k.Tag = plus(k.Tag, protocol.SmallElement(1))
			if err := k.Check(k.Proof); protocol.CodeOf(err) != protocol.CodeProofRejected {
				t.Errorf("stored proof for another tag: got %v, want proof_rejected", err)
			}
		})
	}
}

func TestProverSelfTest(t *testing.T) {
	var ids []claim.ID // all
	if testing.Short() {
		ids = []claim.ID{claim.Open}
	}
	p, err := claim.NewProver(ids...)
	if err != nil {
		t.Fatal(err)
	}
	if err := p.SelfTest(); err != nil {
		t.Fatal(err)
	}
}

// writeAnswers makes the known answers anew.
func writeAnswers(t *testing.T) {
	t.Helper()
	p, err := claim.NewProver()
	if err != nil {
		t.Fatal(err)
	}
	var answers []claim.KnownAnswer
	for _, id := range claim.IDs() {
		s := newSample(t, id)
		s.load(t, p)
		k := claim.KnownAnswer{
			Claim: id, Params: string(s.statement.Params().Bytes()), Commitment: s.statement.Commitment(),
			Anchor: protocol.Anchor(s.x[0]), Context: s.x[1], Tag: s.x[2],
			Proof: s.prove(t, p), Key: s.key(t).Encode(),
		}
		if k.Assignment, err = s.assignment.MarshalBinary(); err != nil {
			t.Fatal(err)
		}
		if s.list != nil {
			k.List = string(s.list.Encode())
		}
		answers = append(answers, k)
	}
	b, err := json.MarshalIndent(answers, "", "\t")
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile("data/answers.json", slices.Concat(b, []byte("\n")), 0o644); err != nil {
		t.Fatal(err)
	}
}

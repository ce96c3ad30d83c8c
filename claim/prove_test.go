package claim_test

import (
	"context"
	"encoding/hex"
	"errors"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/terradourada/td/claim"
	"github.com/terradourada/td/protocol"
)

// provedIDs are the claims to make real proofs of: all, or the quickest.
func provedIDs() []claim.ID {
	if testing.Short() {
		return []claim.ID{claim.Open}
	}
	return claim.IDs()
}

func newProver(tb testing.TB, ids ...claim.ID) *claim.Prover {
	tb.Helper()
	p, err := claim.NewProver(ids...)
	if err != nil {
		tb.Fatal(err)
	}
	return p
}

func rejected(t *testing.T, name string, err error) {
	t.Helper()
	if protocol.CodeOf(err) != protocol.CodeProofRejected {
		t.Errorf("%s: got %v, want proof_rejected", name, err)
	}
}

// TestProve makes a real proof of each claim. It shows that the proof is bound
// to each public input, to its claim and to all of its bytes.
func TestProve(t *testing.T) {
	p := newProver(t)
	for _, id := range provedIDs() {
		t.Run(string(id), func(t *testing.T) {
			s := newSample(t, id)
			s.load(t, p)
			proof, vk := s.prove(t, p), s.key(t)
			if len(proof) != claim.ProofSize {
				t.Errorf("proof has %d bytes", len(proof))
			}
			if err := claim.Verify(vk, s.x, proof); err != nil {
				t.Fatal(err)
			}
			for i := range s.x {
				rejected(t, "public input changed", claim.Verify(vk, shifted(s.x, i), proof))
			}
			for i := 0; i < len(proof); i += 23 {
				bad := slices.Clone(proof)
				bad[i] ^= 1
				rejected(t, "byte changed", claim.Verify(vk, s.x, bad))
			}
			for _, other := range claim.FixedIDs() {
				if known, _ := claim.KnownKey(other); other != id {
					rejected(t, "key of another claim", claim.Verify(known, s.x, proof))
				}
			}
		})
	}
}

// TestVerifyRefuses changes the other arguments of the verifier, not the proof.
func TestVerifyRefuses(t *testing.T) {
	p := newProver(t, claim.Open)
	s := newSample(t, claim.Open)
	proof, vk := s.prove(t, p), s.key(t)
	modulus := element(integer(negative(1)))
	modulus[31]++
	notCanonical := slices.Clone(s.x)
	notCanonical[1] = modulus
	for name, err := range map[string]error{
		"no inputs":              claim.Verify(vk, nil, proof),
		"an input missing":       claim.Verify(vk, s.x[:3], proof),
		"an input too many":      claim.Verify(vk, append(slices.Clone(s.x), number(0)), proof),
		"input not below r":      claim.Verify(vk, notCanonical, proof),
		"inputs exchanged":       claim.Verify(vk, []protocol.Element{s.x[1], s.x[0], s.x[2], s.x[3]}, proof),
		"no proof":               claim.Verify(vk, s.x, nil),
		"proof cut":              claim.Verify(vk, s.x, proof[:663]),
		"proof with a tail":      claim.Verify(vk, s.x, append(slices.Clone(proof), 0)),
		"zeros":                  claim.Verify(vk, s.x, make([]byte, claim.ProofSize)),
		"proof of another blind": claim.Verify(vk, newSample(t, claim.Open).x, proof),
	} {
		rejected(t, name, err)
	}
}

// TestProofsDiffer: the same statement has another proof every time, in all of
// its points; a proof that did not blind one point would leak information.
func TestProofsDiffer(t *testing.T) {
	p := newProver(t, claim.Open)
	s := newSample(t, claim.Open)
	one, two := s.prove(t, p), s.prove(t, p)
	for i := range 8 {
		if slices.Equal(one[48*i:48*(i+1)], two[48*i:48*(i+1)]) {
			t.Errorf("point %d is the same in both", i)
		}
	}
	if slices.Equal(one[580:628], two[580:628]) {
		t.Error("last point is the same in both")
	}
}

func TestProveRefuses(t *testing.T) {
	p := newProver(t, claim.Open, claim.Range)
	s, other := newSample(t, claim.Open), newSample(t, claim.Open)
	group, sum := newSample(t, claim.Group), newSample(t, claim.Sum)
	cancelled, cancel := context.WithCancel(t.Context())
	cancel()
	notCanonical := slices.Clone(s.x)
	notCanonical[0] = protocol.Element{0xff}
	tests := []struct {
		name string
		ctx  context.Context
		s    *sample
		x    []protocol.Element
		a    *claim.Assignment
		want error
	}{
		{"cancelled", cancelled, s, s.x, s.assignment, context.Canceled},
		{"claim not loaded", t.Context(), sum, sum.x, sum.assignment, protocol.CodeUnknownClaim},
		{"list not loaded", t.Context(), group, group.x, group.assignment, protocol.CodeUnknownClaim},
		{"inputs missing", t.Context(), s, s.x[:3], s.assignment, protocol.CodeMalformedRequest},
		{"inputs of another statement", t.Context(), s, other.x, s.assignment, protocol.CodeMalformedRequest},
		{"anchor not below r", t.Context(), s, notCanonical, s.assignment, protocol.CodeMalformedRequest},
		{"no assignment", t.Context(), s, s.x, nil, protocol.CodeMalformedRequest},
		{"empty assignment", t.Context(), s, s.x, &claim.Assignment{}, protocol.CodeMalformedRequest},
		{"assignment of another claim", t.Context(), s, s.x, sum.assignment, protocol.CodeMalformedRequest},
		{"assignment of another blind", t.Context(), s, s.x, other.assignment, protocol.CodeStatementFalse},
	}
	for _, test := range tests {
		proof, err := p.Prove(test.ctx, test.s.statement, test.x, test.a)
		if !errors.Is(err, test.want) || proof != nil {
			t.Errorf("%s: got %v, want %v", test.name, err, test.want)
		}
	}
}

// TestProveFalse skips the native rule, so that the circuit has to refuse:
// false private values lead to an error, never to a panic or a proof.
func TestProveFalse(t *testing.T) {
	p := newProver(t)
	for _, id := range claim.FixedIDs() {
		s := newSample(t, id)
		b, err := s.assignment.MarshalBinary()
		if err != nil {
			t.Fatal(err)
		}
		w := privateValues(b)
		for i := range w {
			bad := slices.Clone(w)
			bad[i] = plus(bad[i], number(1))
			proof, err := p.ProveRaw(id, s.x, bad)
			if protocol.CodeOf(err) != protocol.CodeStatementFalse || proof != nil {
				t.Errorf("%s: private value %d wrong: got %v, want statement_false", id, i, err)
			}
		}
		if _, err := p.ProveRaw(id, s.x, w[1:]); err == nil {
			t.Errorf("%s: private value missing: got a proof", id)
		}
	}
}

// privateValues takes the values out of the binary form of an assignment.
func privateValues(b []byte) []protocol.Element {
	var w []protocol.Element
	for rest := b[1+int(b[0]):]; len(rest) > 0; rest = rest[32:] {
		w = append(w, protocol.Element(rest[:32]))
	}
	return w
}

// TestProveForeignMember: the native rule does not know the list, so the
// circuit must refuse.
func TestProveForeignMember(t *testing.T) {
	p := newProver(t, claim.Open)
	member := newSample(t, claim.Group)
	member.load(t, p)
	secret := claim.NewMemberSecret()
	scope, listed, _ := member.statement.Params().Nullifier()
	raw := strings.Replace(string(member.statement.Params().Bytes()), listed.String(), secret.Nullifier(scope).String(), 1)
	params, err := claim.ParseParams(claim.Group, []byte(raw))
	if err != nil {
		t.Fatal(err)
	}
	sk, err := hex.DecodeString(strings.TrimSpace(string(secret.Encode())))
	if err != nil {
		t.Fatal(err)
	}
	var a claim.Assignment
	if err := a.UnmarshalBinary(slices.Concat([]byte{7}, []byte(claim.Group), sk)); err != nil {
		t.Fatal(err)
	}
	s := finishSample(t, params, member.statement.Commitment(), &a)
	if err := s.statement.Check(&a); err != nil {
		t.Fatalf("native rule: %v", err)
	}
	if proof, err := p.Prove(t.Context(), s.statement, s.x, &a); protocol.CodeOf(err) != protocol.CodeStatementFalse || proof != nil {
		t.Errorf("got %v, want statement_false", err)
	}
}

func TestNewProverRefuses(t *testing.T) {
	for _, id := range []claim.ID{claim.Group, "open/2", ""} {
		if p, err := claim.NewProver(id); protocol.CodeOf(err) != protocol.CodeUnknownClaim || p != nil {
			t.Errorf("%q: got %v, want unknown_claim", id, err)
		}
	}
}

// TestProveConcurrently proves and verifies on several goroutines with one
// prover and one key, while a list is added.
func TestProveConcurrently(t *testing.T) {
	p := newProver(t, claim.Open)
	group := newGroupSample(t, 2)
	var wg sync.WaitGroup
	wg.Go(func() { group.load(t, p); group.load(t, p) })
	for range 2 {
		wg.Go(func() {
			s := newSample(t, claim.Open)
			proof, err := p.Prove(context.Background(), s.statement, s.x, s.assignment)
			if err != nil {
				t.Error(err)
				return
			}
			for range 4 {
				if err := claim.Verify(s.key(t), s.x, proof); err != nil {
					t.Error(err)
				}
			}
		})
	}
	wg.Wait()
	if err := claim.Verify(group.key(t), group.x, group.prove(t, p)); err != nil {
		t.Error(err)
	}
	// A library function of another verifier changes the line table it is given.
	vk, _ := claim.KnownKey(claim.Open)
	if diff, err := claim.DiffFromSetup(vk, claim.Open); err != nil || diff != "" {
		t.Errorf("key has changed: %v %s", err, diff)
	}
}

func BenchmarkNewProver(b *testing.B) {
	for b.Loop() {
		if _, err := claim.NewProver(); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkProve(b *testing.B) {
	p := newProver(b)
	for _, id := range claim.IDs() {
		b.Run(string(id), func(b *testing.B) {
			s := newSample(b, id)
			s.load(b, p)
			for b.Loop() {
				s.prove(b, p)
			}
		})
	}
}

// BenchmarkVerify is strict decoding and verification, BenchmarkVerifyRaw the
// library's verifier alone.
func BenchmarkVerify(b *testing.B) {
	s := newSample(b, claim.Open)
	proof, vk := s.prove(b, newProver(b, claim.Open)), s.key(b)
	for b.Loop() {
		if err := claim.Verify(vk, s.x, proof); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkVerifyRaw(b *testing.B) {
	s := newSample(b, claim.Open)
	proof, vk := s.prove(b, newProver(b, claim.Open)), s.key(b)
	raw, err := claim.RawVerifier(vk, s.x, proof)
	if err != nil {
		b.Fatal(err)
	}
	for b.Loop() {
		if err := raw(); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkListKey(b *testing.B) {
	l, err := claim.NewList("growers", testMembers(1000))
	if err != nil {
		b.Fatal(err)
	}
	for b.Loop() {
		if _, err := l.VerifyingKey(); err != nil {
			b.Fatal(err)
		}
	}
}

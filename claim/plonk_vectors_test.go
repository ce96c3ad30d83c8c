package claim_test

import (
	"bytes"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"os"
	"slices"
	"testing"

	bls12381 "github.com/consensys/gnark-crypto/ecc/bls12-381"
	"github.com/consensys/gnark-crypto/ecc/bls12-381/fp"
	"github.com/consensys/gnark-crypto/ecc/bls12-381/fr"
	"github.com/google/go-cmp/cmp"

	"github.com/terradourada/td/claim"
	"github.com/terradourada/td/protocol"
)

// plonkVector is one verification with every value that section 6 names, as
// hexadecimal: digests and scalars of 32 bytes, points compressed.
type plonkVector struct {
	Claim           string   `json:"claim"`
	VerifyingKey    string   `json:"verifying_key"`
	PublicInputs    []string `json:"public_inputs"`
	Proof           string   `json:"proof"`
	GammaDigest     string   `json:"gamma_digest"`
	BetaDigest      string   `json:"beta_digest"`
	AlphaDigest     string   `json:"alpha_digest"`
	ZetaDigest      string   `json:"zeta_digest"`
	VDigest         string   `json:"v_digest"`
	Gamma           string   `json:"gamma"`
	Beta            string   `json:"beta"`
	Alpha           string   `json:"alpha"`
	Zeta            string   `json:"zeta"`
	Omega           string   `json:"omega"`
	Vanishing       string   `json:"zh"`
	FirstLagrange   string   `json:"l1"`
	PI              string   `json:"pi"`
	LinearisedValue string   `json:"c0"`
	CoefficientS3   string   `json:"a"`
	CoefficientZ    string   `json:"b"`
	Linearised      string   `json:"d"`
	V               string   `json:"v"`
	FoldedPoint     string   `json:"f"`
	FoldedValue     string   `json:"f_value"`
}

// plonkFile is docs/spec/vectors/plonk.json.
type plonkFile struct {
	G2    string        `json:"g2"`
	TauG2 string        `json:"tau_g2"`
	Valid []plonkVector `json:"valid"`
}

func hexScalar(e fr.Element) string { b := e.Bytes(); return hex.EncodeToString(b[:]) }

func hexPoint(p *bls12381.G1Affine) string { b := p.Bytes(); return hex.EncodeToString(b[:]) }

// newPlonkVector writes down a trace.
func newPlonkVector(id string, key, proof []byte, x []fr.Element, t *textTrace) plonkVector {
	v := plonkVector{
		Claim: id, VerifyingKey: hex.EncodeToString(key), Proof: hex.EncodeToString(proof),
		GammaDigest: hex.EncodeToString(t.digests[0][:]), BetaDigest: hex.EncodeToString(t.digests[1][:]),
		AlphaDigest: hex.EncodeToString(t.digests[2][:]), ZetaDigest: hex.EncodeToString(t.digests[3][:]),
		VDigest: hex.EncodeToString(t.digests[4][:]),
		Gamma:   hexScalar(t.gamma), Beta: hexScalar(t.beta), Alpha: hexScalar(t.alpha), Zeta: hexScalar(t.zeta),
		Vanishing: hexScalar(t.zh), FirstLagrange: hexScalar(t.l1), PI: hexScalar(t.pi),
		LinearisedValue: hexScalar(t.linearised), CoefficientS3: hexScalar(t.a), CoefficientZ: hexScalar(t.b),
		Linearised: hexPoint(&t.d), V: hexScalar(t.v), FoldedPoint: hexPoint(&t.f), FoldedValue: hexScalar(t.value),
	}
	if k, err := readTextKey(key); err == nil {
		v.Omega = hexScalar(generatorOf(k.n))
	}
	for _, e := range x {
		v.PublicInputs = append(v.PublicInputs, hexScalar(e))
	}
	return v
}

// tauG2 is the one point of the reference string that a verifier needs besides
// the generators.
func tauG2() bls12381.G2Affine {
	powers, _ := claim.Embedded()
	var tau bls12381.G2Affine
	if _, err := tau.SetBytes([]byte(powers[4096*48+96:][:96])); err != nil {
		panic(err)
	}
	return tau
}

// scalars are the public inputs as field elements.
func scalars(t testing.TB, x []protocol.Element) []fr.Element {
	t.Helper()
	out := make([]fr.Element, len(x))
	for i := range x {
		if err := out[i].SetBytesCanonical(x[i][:]); err != nil {
			t.Fatal(err)
		}
	}
	return out
}

// storedProof is a stored proof with what verifies it.
type storedProof struct {
	id         claim.ID
	key, proof []byte
	x          []protocol.Element
}

func storedProofs(t *testing.T) []storedProof {
	t.Helper()
	answers, err := claim.KnownAnswers()
	if err != nil {
		t.Fatal(err)
	}
	out := make([]storedProof, len(answers))
	for i, k := range answers {
		p, err := claim.ParseParams(k.Claim, []byte(k.Params))
		if err != nil {
			t.Fatal(err)
		}
		s, err := claim.NewStatement(p, k.Commitment)
		if err != nil {
			t.Fatal(err)
		}
		out[i] = storedProof{k.Claim, k.Key, k.Proof, s.Inputs(k.Anchor, k.Context, k.Tag)}
	}
	return out
}

// TestPlonkVectors compares the file with what the verifier from the text
// computes for the stored proofs.
func TestPlonkVectors(t *testing.T) {
	tau := tauG2()
	_, _, _, g2 := bls12381.Generators()
	g2Bytes, tauBytes := g2.Bytes(), tau.Bytes()
	want := plonkFile{G2: hex.EncodeToString(g2Bytes[:]), TauG2: hex.EncodeToString(tauBytes[:])}
	for _, s := range storedProofs(t) {
		x := scalars(t, s.x)
		ok, trace := verifyFromText(s.key, s.proof, x, &tau)
		if !ok {
			t.Fatalf("%s: the verifier from the text refuses the stored proof", s.id)
		}
		want.Valid = append(want.Valid, newPlonkVector(s.id.String(), s.key, s.proof, x, trace))
	}
	const path = "../docs/spec/vectors/plonk.json"
	if *update {
		b, err := json.MarshalIndent(want, "", " ")
		if err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, append(b, '\n'), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	var got plonkFile
	readVectors(t, "plonk.json", &got)
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("%s (-computed +file):\n%s", path, diff)
	}
}

// TestSpecificationConstants searches the text for the constants that a second
// verifier would copy from it.
func TestSpecificationConstants(t *testing.T) {
	text, err := os.ReadFile("../docs/spec/td-1.md")
	if err != nil {
		t.Fatal(err)
	}
	tau := tauG2()
	compressed := tau.Bytes()
	root, err := fr.Generator(1 << 32)
	if err != nil {
		t.Fatal(err)
	}
	digest := claim.SRSDigest()
	for name, want := range map[string]string{
		"p":          "p = 0x" + fp.Modulus().Text(16),
		"r":          "r = 0x" + fr.Modulus().Text(16),
		"g":          "g = " + root.String(),
		"tau G2":     hex.EncodeToString(compressed[:48]) + "\n" + hex.EncodeToString(compressed[48:]),
		"SRS digest": hex.EncodeToString(digest[:]),
	} {
		if !bytes.Contains(text, []byte(want)) {
			t.Errorf("the text does not give %s as %s", name, want)
		}
	}
}

// TestVerifyPlonkVectors reads the file alone and calls Verify.
func TestVerifyPlonkVectors(t *testing.T) {
	var file plonkFile
	readVectors(t, "plonk.json", &file)
	for _, v := range file.Valid {
		key, err := hex.DecodeString(v.VerifyingKey)
		if err != nil {
			t.Fatal(err)
		}
		vk, err := claim.ParseVerifyingKey(key)
		if err != nil {
			t.Fatalf("%s: %v", v.Claim, err)
		}
		proof, err := hex.DecodeString(v.Proof)
		if err != nil {
			t.Fatal(err)
		}
		if err := claim.Verify(vk, hexElements(t, v.PublicInputs), proof); err != nil {
			t.Errorf("%s: %v", v.Claim, err)
		}
	}
}

// mutation is a stored proof with something changed.
type mutation struct {
	name       string
	key, proof []byte
	x          []protocol.Element
}

// mutations changes points, scalars, public inputs and the key; another is a
// stored proof of another claim.
func mutations(s, another storedProof) []mutation {
	out := []mutation{{"untouched", s.key, s.proof, s.x}}
	change := func(proof []byte, format string, args ...any) {
		out = append(out, mutation{fmt.Sprintf(format, args...), s.key, proof, s.x})
	}
	for i, at := range pointOffsets {
		k := multiple(int64(i + 2)).Bytes()
		change(patched(s.proof, at, k[:]), "point at %d another", at)
		change(patched(s.proof, at, []byte{s.proof[at] ^ 0x20}), "point at %d negative", at)
		change(patched(s.proof, at, another.proof[at:at+48]), "point at %d of another proof", at)
		next := pointOffsets[(i+1)%len(pointOffsets)]
		change(patched(patched(s.proof, at, s.proof[next:next+48]), next, s.proof[at:at+48]), "points at %d and %d exchanged", at, next)
		change(patched(s.proof, at, compressedInfinity()), "point at %d infinity", at)
	}
	for i, at := range scalarOffsets {
		value := protocol.Element(s.proof[at : at+32])
		for _, step := range []protocol.Element{number(1), negative(1), power(255, 0)} {
			v := plus(value, step)
			change(patched(s.proof, at, v[:]), "scalar at %d moved", at)
		}
		next := scalarOffsets[(i+1)%len(scalarOffsets)]
		change(patched(patched(s.proof, at, s.proof[next:next+32]), next, s.proof[at:at+32]), "scalars at %d and %d exchanged", at, next)
		change(patched(s.proof, at, make([]byte, 32)), "scalar at %d zero", at)
	}
	for i := range s.x {
		out = append(out, mutation{fmt.Sprintf("public input %d", i), s.key, s.proof, shifted(s.x, i)})
	}
	return append(out,
		mutation{"public input missing", s.key, s.proof, s.x[1:]},
		mutation{"public input more", s.key, s.proof, append(slices.Clone(s.x), number(0))},
		mutation{"key of another claim", another.key, s.proof, s.x},
		mutation{"proof of another claim", s.key, another.proof, s.x},
		mutation{"another statement", s.key, s.proof, another.x},
		mutation{"cut", s.key, s.proof[:663], s.x},
		mutation{"longer", s.key, append(slices.Clone(s.proof), 0), s.x},
		mutation{"seven values", s.key, patched(s.proof, valuesWord, []byte{0, 0, 0, 7}), s.x},
		mutation{"a commitment", s.key, patched(s.proof, lastWord, []byte{0, 0, 0, 1}), s.x},
	)
}

func compressedInfinity() []byte { return append([]byte{0xc0}, make([]byte, 47)...) }

// TestVerdictsAgree compares both verifiers on stored proofs, whole and
// changed. A change of a proof or of its statement is refused by both.
func TestVerdictsAgree(t *testing.T) {
	if testing.Short() {
		t.Skip("long, and without concurrency")
	}
	stored, tau := storedProofs(t), tauG2()
	for i, s := range stored {
		for _, m := range mutations(s, stored[(i+1)%len(stored)]) {
			vk, err := claim.ParseVerifyingKey(m.key)
			if err != nil {
				t.Fatal(err)
			}
			verdict := claim.Verify(vk, m.x, m.proof) == nil
			text, _ := verifyFromText(m.key, m.proof, scalars(t, m.x), &tau)
			same := bytes.Equal(m.key, s.key) && bytes.Equal(m.proof, s.proof) && slices.Equal(m.x, s.x)
			if verdict != text || verdict != same {
				t.Errorf("%s, %s: Verify accepts: %v, the verifier from the text: %v", s.id, m.name, verdict, text)
			}
		}
	}
}

// TestVerdictsAgreeOnFreshProofs proves again, with other blinding each time.
func TestVerdictsAgreeOnFreshProofs(t *testing.T) {
	tau, p := tauG2(), newProver(t, claim.Open)
	for range 3 {
		s := newSample(t, claim.Open)
		proof := s.prove(t, p)
		if ok, _ := verifyFromText(s.key(t).Encode(), proof, scalars(t, s.x), &tau); !ok {
			t.Error("the verifier from the text refuses a fresh proof")
		}
	}
}

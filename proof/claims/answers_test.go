package claims_test

import (
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"os"
	"testing"

	"github.com/terradourada/td/proof/claims"
	"github.com/terradourada/td/proof/field"
	"github.com/terradourada/td/proof/ligero"
	"github.com/terradourada/td/proof/merkle"
	"github.com/terradourada/td/proof/poseidon"
	"github.com/terradourada/td/proof/transcript"
)

// answers are the intermediate values of one proof of open/1, for the author of
// another implementation. Weights are the first and the last of a component.
type answers struct {
	Seed, E, R, H, T, Commitment string
	Circuit, Root, H0, H1        string
	RowWeights0, RowWeights4     [2]uint32
	EqWeights0, EqWeights4       [2]uint32
	U0, T0                       [2]uint32 // of U_0 and T_0 as sent: the first and the last coefficient
	Positions                    []int
	FirstSalt, FirstColumn       string
	MerkleNodes, Length          int
	FirstNode, LastNode          string
}

// TestAnswers computes the values again from a proof, with the transcript and the
// formulas of the text, and compares them with the file. The length of the proof
// shows that the positions are right, the verifier that the rest is.
func TestAnswers(t *testing.T) {
	seed := transcript.Digest("golden")
	e, r := digest("e"), digest("r")
	w := claims.NewOpen(e, r)
	proof, err := suite.Prove(ligero.FixedCoins(seed), w)
	if err != nil {
		t.Fatal(err)
	}
	cm := w.Statement().(claims.Open).Commitment
	rows, _, equations, circuit := suite.Describe(w.Statement())
	p := ligero.Params{Slots: 64, Length: 2048, Queries: 147, Components: 5}
	k, d := 64+147, 2*(64+147)+64-2
	u := proof[32 : 32+4*5*k]
	tt := proof[32+len(u):][:4*5*(d-1)]
	columns := proof[32+len(u)+len(tt):]
	h0 := transcript.Digest("TD-V2-proof", circuit[:], ints(p.Slots, p.Length, p.Queries, p.Components, rows), append(ints(8), claims.AppendDigest(nil, cm)...), proof[:32])
	h1 := transcript.Digest("TD-V2-poly", h0[:], u, tt)
	positions := transcript.NewStream(h1, 0x20).Positions(p.Length, p.Queries)
	column := 32 + 4*(rows+10)
	nodes := columns[p.Queries*column:]
	if merkle.ProofLength(p.Length, positions) != len(nodes)/32 {
		t.Fatal("the positions are not those of the proof")
	}
	weights := func(tag byte, n int) [2]uint32 {
		v := make([]field.Element, n)
		transcript.NewStream(h0, tag).Elements(v)
		return [2]uint32{v[0].Uint32(), v[n-1].Uint32()}
	}
	ends := func(b []byte, n int) [2]uint32 {
		return [2]uint32{binary.BigEndian.Uint32(b), binary.BigEndian.Uint32(b[4*(n-1):])}
	}
	text := func(d claims.Digest) string { return hex.EncodeToString(claims.AppendDigest(nil, d)) }
	got, err := json.MarshalIndent(answers{
		Seed: hex.EncodeToString(seed[:]), E: text(e), R: text(r), H: text(poseidon.Compress(e, r)),
		T: text(claims.HashToDigest("TD-V2-claim", []byte("open/1"))), Commitment: text(cm),
		Circuit: hex.EncodeToString(circuit[:]), Root: hex.EncodeToString(proof[:32]), H0: hex.EncodeToString(h0[:]), H1: hex.EncodeToString(h1[:]),
		RowWeights0: weights(0, rows), RowWeights4: weights(4, rows), EqWeights0: weights(16, equations), EqWeights4: weights(20, equations),
		U0: ends(u, k), T0: ends(tt, d-1), Positions: positions,
		FirstSalt: hex.EncodeToString(columns[:32]), FirstColumn: hex.EncodeToString(columns[32:column]),
		MerkleNodes: len(nodes) / 32, Length: len(proof),
		FirstNode: hex.EncodeToString(nodes[:32]), LastNode: hex.EncodeToString(nodes[len(nodes)-32:]),
	}, "", "\t")
	if err != nil {
		t.Fatal(err)
	}
	const file = "testdata/open.json"
	if *update {
		if err := os.WriteFile(file, append(got, '\n'), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if string(got)+"\n" != string(want) {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
}

func ints(values ...int) (b []byte) {
	for _, v := range values {
		b = binary.BigEndian.AppendUint32(b, uint32(v))
	}
	return b
}

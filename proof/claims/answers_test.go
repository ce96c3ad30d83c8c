package claims_test

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"os"
	"testing"

	"github.com/terradourada/td/proof/claims"
	"github.com/terradourada/td/proof/field"
	"github.com/terradourada/td/proof/ligero"
	"github.com/terradourada/td/proof/merkle"
	"github.com/terradourada/td/proof/transcript"
)

// answer has the intermediate values of one proof, for the author of another
// implementation. Of weights, U_m and T_m it has the first and the last value.
type answer struct {
	Name, Claim             string
	Number, Width           int
	Params                  [4]int
	Public, Secrets         []uint32
	Seed                    string
	Circuit, Root, H0, H1   string
	RowWeights, EqWeights   [5][2]uint32
	U, T                    [5][2]uint32
	Positions               []int
	FirstSalt, FirstColumn  string
	MerkleNodes             int
	FirstNode, LastNode     string
	ProofLength             int
	ProofSHA256             string
	Rows, Products, Publics int
	Equations, Terms        int
}

// order is that of the witnesses in files.
var order = []string{"open", "range", "range 2", "sum", "sum 3", "record 0", "record 5", "equals", "one of", "member", "series", "series 1"}

// TestAnswers computes the values again from proofs, with the transcript and the
// formulas of the text, and compares them with the file. The length of a proof
// shows that the positions are right, the verifier that the rest is.
func TestAnswers(t *testing.T) {
	var file bytes.Buffer
	all := witnesses(t)
	for i, name := range order {
		line, err := json.Marshal(answerOf(t, name, all[name]))
		if err != nil {
			t.Fatal(err)
		}
		file.WriteString(map[bool]string{true: "[\n", false: ",\n"}[i == 0])
		file.Write(line)
	}
	file.WriteString("\n]\n")
	compare(t, "../../docs/spec/vectors/suite2.json", file.Bytes())
}

// compare compares with a file, or writes it.
func compare(t *testing.T, name string, got []byte) {
	t.Helper()
	if *update {
		if err := os.WriteFile(name, got, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(got, want) {
		t.Errorf("%s: got\n%s", name, got)
	}
}

func answerOf(t *testing.T, name string, w *claims.Witness) answer {
	t.Helper()
	seed := transcript.Digest("golden")
	proof, err := suite.Prove(ligero.FixedCoins(seed), w.In(session("")))
	if err != nil {
		t.Fatal(err)
	}
	of := suite.Describe(w.Statement())
	p, public := of.Params, claims.Publics(in(w.Statement())[0])
	k, d := p.Slots+p.Queries, 2*(p.Slots+p.Queries)+p.Slots-2
	u := proof[32 : 32+4*5*k]
	tt := proof[32+len(u):][:4*5*(d-1)]
	columns := proof[32+len(u)+len(tt):]
	h0 := transcript.Digest("TD-V2-proof", of.Circuit[:], ints(p.Slots, p.Length, p.Queries, p.Components, of.Rows), field.AppendAll(ints(len(public)), public), proof[:32])
	h1 := transcript.Digest("TD-V2-poly", h0[:], u, tt)
	positions := transcript.NewStream(h1, 0x20).Positions(p.Length, p.Queries)
	column := 32 + 4*(of.Rows+10)
	nodes := columns[p.Queries*column:]
	if merkle.ProofLength(p.Length, positions) != len(nodes)/32 {
		t.Fatal("the positions are not those of the proof")
	}
	sum := sha256.Sum256(proof)
	a := answer{
		Name: name, Params: [4]int{p.Slots, p.Length, p.Queries, p.Components},
		Public: integers(public), Secrets: integers(w.Secrets()), Seed: hex.EncodeToString(seed[:]),
		Circuit: hex.EncodeToString(of.Circuit[:]), Root: hex.EncodeToString(proof[:32]), H0: hex.EncodeToString(h0[:]), H1: hex.EncodeToString(h1[:]),
		Positions: positions, FirstSalt: hex.EncodeToString(columns[:32]), FirstColumn: hex.EncodeToString(columns[32:column]),
		MerkleNodes: len(nodes) / 32, FirstNode: hex.EncodeToString(nodes[:32]), LastNode: hex.EncodeToString(nodes[len(nodes)-32:]),
		ProofLength: len(proof), ProofSHA256: hex.EncodeToString(sum[:]),
		Rows: of.Rows, Products: of.Products, Publics: of.Publics, Equations: of.Equations, Terms: of.Terms,
	}
	a.Claim, a.Number, a.Width = claims.Shape(w.Statement())
	for m := range 5 {
		a.RowWeights[m] = weights(h0, byte(m), of.Rows)
		a.EqWeights[m] = weights(h0, byte(16+m), of.Equations)
		a.U[m], a.T[m] = ends(u[4*k*m:], k), ends(tt[4*(d-1)*m:], d-1)
	}
	return a
}

func weights(h0 transcript.State, tag byte, n int) [2]uint32 {
	v := make([]field.Element, n)
	transcript.NewStream(h0, tag).Elements(v)
	return [2]uint32{v[0].Uint32(), v[n-1].Uint32()}
}

func ends(b []byte, n int) [2]uint32 {
	return [2]uint32{binary.BigEndian.Uint32(b), binary.BigEndian.Uint32(b[4*(n-1):])}
}

func integers(elements []field.Element) []uint32 {
	v := make([]uint32, len(elements))
	for i, x := range elements {
		v[i] = x.Uint32()
	}
	return v
}

func ints(values ...int) (b []byte) {
	for _, v := range values {
		b = binary.BigEndian.AppendUint32(b, uint32(v))
	}
	return b
}

package claim

import (
	"math/big"
	"sync"

	"github.com/consensys/gnark-crypto/ecc/bls12-381/fr"
	"github.com/consensys/gnark/constraint"
	cs "github.com/consensys/gnark/constraint/bls12-381"
	"github.com/consensys/gnark/frontend"
	"github.com/consensys/gnark/frontend/cs/scs"
	"github.com/consensys/gnark/std/math/bits"
	"github.com/consensys/gnark/std/permutation/poseidon2"

	"github.com/terradourada/td/protocol"
)

// circuit is one claim in gnark's form: the public inputs x = [a, c, t, s1 ..
// sk], the private values in the order [Assignment] documents, and the
// constraints between them. The define functions of the files circuit_*.go,
// with the native rules of section 6 that they name, are everything that a
// proof asserts.
type circuit struct {
	X []frontend.Variable `gnark:"x,public"`
	W []frontend.Variable `gnark:"w,secret"`

	claim  ID
	define func(g *gates, s, w []frontend.Variable)
}

// contextInputs is the number of public inputs before the public values: a, c
// and t.
const contextInputs = 3

// newCircuit is the circuit of a claim; members are the list of group/1 and
// unused otherwise. It is nil for an unknown claim.
func newCircuit(id ID, members []protocol.Member) *circuit {
	c := &circuit{
		X:     make([]frontend.Variable, contextInputs+publicCount(id)),
		W:     make([]frontend.Variable, privateCount(id)),
		claim: id,
	}
	switch id {
	case Open:
		c.define = defineOpen
	case Range:
		c.define = defineRange
	case Sum:
		c.define = defineSum
	case RecordRange:
		c.define = defineRecordRange
	case RecordEquals:
		c.define = defineRecordEquals
	case RecordOneOf:
		c.define = defineRecordOneOf
	case Group:
		c.define = defineGroup(members)
	default:
		return nil
	}
	return c
}

// Define is called by gnark to collect the constraints.
func (c *circuit) Define(api frontend.API) error {
	hash, err := poseidon2.NewPoseidon2FromParameters(api, poseidonWidth, poseidonFull, poseidonPartial)
	if err != nil {
		return err
	}
	g := &gates{API: api, hash: hash, claimElement: constant(protocol.ClaimElement(string(c.claim)))}
	g.bind(c.X[:contextInputs]...)
	c.define(g, c.X[contextInputs:], c.W)
	return nil
}

// gates are the few building blocks of the circuits.
type gates struct {
	frontend.API
	hash         *poseidon2.Permutation
	claimElement *big.Int // T
}

// bind adds a multiplicative constraint, its square, on each value that has no
// other. A public input outside of every constraint would be bound to the proof
// by the transcript alone.
func (g *gates) bind(values ...frontend.Variable) {
	for _, v := range values {
		g.Mul(v, v)
	}
}

// compress is C(x, y).
func (g *gates) compress(x, y frontend.Variable) frontend.Variable {
	return g.hash.Compress(x, y)
}

// commit constrains cm = C(h, f + T), and binds cm.
func (g *gates) commit(cm, h, f frontend.Variable) {
	g.AssertIsEqual(g.compress(h, g.Add(f, g.claimElement)), cm)
	g.bind(cm)
}

// fits constrains v to be an integer in [0, 2^n). n is far below the size of
// the field, so the n bits are those of v and not of v plus a multiple of the
// modulus.
func (g *gates) fits(v frontend.Variable, n int) {
	bits.ToBinary(g.API, v, bits.WithNbDigits(n))
}

// between constrains v to the integers in [lo, hi], and binds both bounds.
//
// It relies on the native rule 0 <= lo <= hi < 2^n for the bounds, which are
// public. The two decompositions prove d, e in [0, 2^n) with v = lo + d and v =
// hi - e in the field. As integers, lo + d lies in [0, 2^(n+1)) and hi - e in
// (-2^n, 2^n). Both ranges together are far shorter than the modulus, so the
// two integers are equal and v is this integer: v >= lo by the first, v <= hi
// by the second. Hence v < 2^n as well, without a decomposition of its own.
func (g *gates) between(v, lo, hi frontend.Variable, n int) {
	g.fits(g.Sub(v, lo), n)
	g.fits(g.Sub(hi, v), n)
	g.bind(lo, hi)
}

// pack is the sum of v_i * 2^(32(i-1)). For values below 2^32, which the caller
// constrains, and at most 7 of them, 224 bits in all, it is injective.
func (g *gates) pack(values []frontend.Variable) frontend.Variable {
	var sum frontend.Variable = 0
	for i, v := range values {
		shift := new(big.Int).Lsh(big.NewInt(1), uint(rangeBits*i))
		sum = g.Add(sum, g.Mul(v, shift))
	}
	return sum
}

// constant returns an element as a gnark constant.
func constant(e protocol.Element) *big.Int { return new(big.Int).SetBytes(e[:]) }

// compile turns a circuit into gates.
func compile(c *circuit) (*cs.SparseR1CS, error) {
	quiet()
	ccs, err := frontend.Compile(fr.Modulus(), scs.NewBuilder[constraint.U64], c)
	if err != nil {
		return nil, err
	}
	return ccs.(*cs.SparseR1CS), nil
}

// size is the number that must fit the domain: gates and public inputs.
func size(ccs *cs.SparseR1CS) int { return ccs.GetNbConstraints() + len(ccs.Public) }

// Gates returns the number of gates and public inputs of a claim; for group/1
// with a list of one member. It is 0 for an unknown claim. Only the first call
// compiles, because servers publish the number to every client.
func Gates(id ID) int {
	count, ok := gateCounts[id]
	if !ok {
		return 0
	}
	return count()
}

// gateCounts counts the gates of each claim once.
var gateCounts = func() map[ID]func() int {
	all := map[ID]func() int{}
	for _, id := range IDs() {
		all[id] = sync.OnceValue(func() int { return countGates(id) })
	}
	return all
}()

func countGates(id ID) int {
	c := newCircuit(id, []protocol.Member{{protocol.ElementSize - 1: 1}})
	if c == nil {
		return 0
	}
	ccs, err := compile(c)
	if err != nil {
		panic("claim: internal error: " + err.Error())
	}
	return size(ccs)
}

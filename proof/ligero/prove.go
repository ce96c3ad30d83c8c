package ligero

import (
	"crypto/rand"
	"crypto/sha256"
	"errors"
	"slices"

	"github.com/terradourada/td/proof/field"
	"github.com/terradourada/td/proof/merkle"
	"github.com/terradourada/td/proof/transcript"
)

// Coins are the random choices of one proof. Two proofs with the same coins but
// other challenges reveal the rows, so coins are spent by the first use.
type Coins struct {
	seed func() transcript.State // a function, so that no seed is ever printed
}

// NewCoins draws coins from the system's generator.
func NewCoins() *Coins {
	var seed transcript.State
	rand.Read(seed[:])
	return FixedCoins(seed)
}

// FixedCoins returns coins that are known, for known answers in tests. A proof
// made with them hides nothing.
func FixedCoins(seed transcript.State) *Coins {
	return &Coins{func() transcript.State { defer clear(seed[:]); return seed }}
}

// spend returns the streams for values and for salts.
func (c *Coins) spend() (values, salts *transcript.Stream) {
	if c.seed == nil {
		panic("ligero: internal error: coins used twice")
	}
	seed := c.seed()
	c.seed = nil
	return transcript.NewStream(seed, tagValues), transcript.NewStream(seed, tagSalts)
}

// Why there is no proof, beside [ErrPublics].
var (
	ErrUnsatisfied = errors.New("ligero: the values do not satisfy the equations")
	ErrValues      = errors.New("ligero: wrong number of values")
)

// Prove returns a proof that the values satisfy the system for these public
// values. The values stand row by row; the caller wipes them. Everything that
// was computed from them is wiped before it returns.
func (s *Scheme) Prove(values, public []field.Element, coins *Coins) ([]byte, error) {
	if len(public) != s.system.Publics {
		return nil, ErrPublics
	}
	if len(values) != s.system.Rows*s.Slots {
		return nil, ErrValues
	}
	p := s.newProver()
	defer p.wipe()
	p.encode(values, coins)
	root := p.commit()
	state := s.state(public, root)
	polynomials, satisfied := p.respond(state, public)
	if !satisfied {
		return nil, ErrUnsatisfied
	}
	return p.open(root, polynomials, s.drawPositions(state, polynomials)), nil
}

// prover holds what is secret about a proof.
type prover struct {
	*Scheme
	elements     [][]field.Element // all slices of the next four, to wipe them
	coefficients [][]field.Element // of rows, masks of U, masks of T
	words        [][]field.Element // their values
	products     [][]field.Element // values on the inner domain of the products of rows
	sum          []field.Element   // coefficients, see multiply
	sums         []field.Sum       // its values on the inner domain

	bytes []byte // the leaves' preimages: prefix, salt, column
	tree  merkle.Tree
}

func (s *Scheme) newProver() *prover {
	inner := s.productLength()
	p := &prover{Scheme: s}
	take := func(count, length int) [][]field.Element {
		taken := blocks(count, length)
		p.elements = append(p.elements, taken...)
		return taken
	}
	p.coefficients = append(take(s.system.Rows+s.Components, s.rowSize()), take(s.Components, s.sumSize())...)
	p.words = take(s.words(), s.Length)
	p.products = take(len(s.system.Products), inner)
	p.sum = take(1, inner)[0]
	p.sums = make([]field.Sum, inner)
	p.bytes = make([]byte, s.Length*(1+s.layout().column))
	return p
}

func (p *prover) wipe() {
	for _, v := range p.elements {
		clear(v)
	}
	clear(p.bytes)
	clear(p.sums)
	if testingOnlyWiped != nil {
		testingOnlyWiped(p)
	}
}

// testingOnlyWiped is called with a prover that has been wiped.
var testingOnlyWiped func(*prover)

// encode turns values and coins into the words.
func (p *prover) encode(values []field.Element, coins *Coins) {
	random, salts := coins.spend()
	defer random.Wipe()
	defer salts.Wipe()
	for i, c := range p.coefficients {
		switch rows := p.system.Rows; {
		case i < rows:
			p.row(c, values[i*p.Slots:(i+1)*p.Slots], random)
		case i < rows+p.Components:
			random.Elements(c)
		default:
			random.Elements(c[1:])
			c[0] = p.closing(c, field.Element{})
		}
		copy(p.words[i], c)
		p.code.Evaluate(p.words[i], len(c))
	}
	p.transpose(salts)
}

// transpose writes the preimages of the leaves. It goes through a few columns at a
// time, because the same place of all words is in the same part of a cache.
func (p *prover) transpose(salts *transcript.Stream) {
	const columns = 64
	size := len(p.preimage(0))
	for start := 0; start < p.Length; start += columns {
		end := min(start+columns, p.Length)
		for j := start; j < end; j++ {
			salt := salts.Block()
			p.bytes[j*size] = merkle.LeafPrefix
			copy(p.bytes[j*size+1:], salt[:])
		}
		at := start*size + 1 + merkle.SaltSize
		for _, w := range p.words {
			for j, x := range w[start:end] {
				x.Append(p.bytes[at+j*size:][:0])
			}
			at += field.Size
		}
	}
}

// row sets c to the polynomial that has the values on H_l plus (X^l - 1) times a
// random polynomial of t coefficients.
func (p *prover) row(c, values []field.Element, random *transcript.Stream) {
	low, high := c[:p.Slots], c[p.Slots:]
	copy(low, values)
	p.slots.Interpolate(low)
	random.Elements(high)
	for i, r := range high {
		// -r at X^i; where i reaches l, the place already belongs to +r.
		c[i] = c[i].Sub(r)
	}
}

// commit builds the tree over the columns.
func (p *prover) commit() merkle.Hash {
	leaves := make([]merkle.Hash, p.Length)
	for j := range leaves {
		leaves[j] = sha256.Sum256(p.preimage(j))
	}
	p.tree = merkle.New(leaves)
	return p.tree.Root()
}

// preimage returns the preimage of leaf j.
func (p *prover) preimage(j int) []byte {
	size := len(p.bytes) / p.Length
	return p.bytes[j*size:][:size]
}

// respond computes U and T of every component, encoded without the constant
// terms of T. It reports whether those are as the verifier will set them.
func (p *prover) respond(state transcript.State, public []field.Element) (polynomials [2][]byte, satisfied bool) {
	satisfied = true
	system, l := p.system, p.layout()
	for i, rows := range system.Products {
		a, b := p.words[rows[0]], p.words[rows[1]]
		for j := range p.products[i] {
			p.products[i][j] = a[j].Mul(b[j])
		}
	}
	u, t := make([]field.Element, p.rowSize()), make([]field.Element, p.sumSize())
	polynomials = [2][]byte{make([]byte, 0, l.t-l.u), make([]byte, 0, l.columns-l.t)}
	for m := range p.Components {
		rows, equations := p.drawWeights(state, m)
		copy(u, p.coefficients[system.Rows+m])
		for i, w := range rows {
			field.AddMul(u, p.coefficients[i], w)
		}
		factors, sum := system.combine(equations, public)
		p.multiply(factors)
		copy(t, p.sum)
		for i, x := range p.coefficients[system.Rows+p.Components+m] {
			t[i] = t[i].Add(x)
		}
		satisfied = satisfied && t[0] == p.closing(t, sum)
		polynomials[0] = field.AppendAll(polynomials[0], u)
		polynomials[1] = field.AppendAll(polynomials[1], t[1:])
	}
	return polynomials, satisfied
}

// multiply sets p.sum to the polynomial whose sum over H_l is the sum of all values
// and products, weighted by the factors.
func (p *prover) multiply(factors []field.Element) {
	clear(p.sums)
	weights := make([]field.Element, len(p.sum)) // of one row or product, at each point
	for i, values := range slices.Concat(p.words[:p.system.Rows], p.products) {
		copy(weights, factors[i*p.Slots:(i+1)*p.Slots])
		p.slots.Interpolate(weights[:p.Slots])
		p.inner.Evaluate(weights, p.Slots)
		field.AddProducts(p.sums, weights, values)
	}
	for i, s := range p.sums {
		p.sum[i] = s.Element()
	}
	p.inner.Interpolate(p.sum)
}

// open writes the proof.
func (p *prover) open(root merkle.Hash, polynomials [2][]byte, positions []int) []byte {
	proof := slices.Concat(root[:], polynomials[0], polynomials[1])
	for _, j := range positions {
		proof = append(proof, p.preimage(j)[1:]...)
	}
	for _, node := range p.tree.Prove(positions) {
		proof = append(proof, node[:]...)
	}
	return proof
}

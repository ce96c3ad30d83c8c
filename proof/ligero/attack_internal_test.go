package ligero

import (
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"slices"
	"testing"

	"github.com/terradourada/td/proof/field"
	"github.com/terradourada/td/proof/merkle"
	"github.com/terradourada/td/proof/transcript"
)

// The tests here are provers that cheat at one step of the engine's own prover,
// with full parameters of 5 components, so that none has a chance.

var attackParams = Params{Slots: 4, Length: 64, Queries: 12, Components: 5}

// lie is a system that says 3·Y_i = Z_i and Y_i·Y_i = 4 for some i, and values
// that violate one equation by residual.
func lie(t *testing.T, violated int) (s *Scheme, values, public []field.Element, residual field.Element) {
	t.Helper()
	const pairs = 3
	system := &System{Slots: 4, Rows: 1, Publics: pairs, Equations: 2 * pairs, Products: [][2]int{{0, 0}}}
	for i := range uint32(pairs) {
		system.Linear = append(system.Linear, Term{2 * i, i, field.New(3)})
		system.Constant = append(system.Constant, Term{2 * i, 1 + i, field.One.Neg()}, Term{2*i + 1, 0, field.New(4).Neg()})
		system.Quadratic = append(system.Quadratic, Term{2*i + 1, i, field.One})
		values, public = append(values, field.New(2)), append(public, field.New(6))
	}
	values = append(values, field.New(77))
	if violated >= 0 {
		i := violated / 2
		if violated%2 == 0 {
			public[i] = field.New(100)
			residual = field.New(6).Sub(public[i])
		} else {
			values[i], public[i] = field.New(5), field.New(15)
			residual = field.New(25 - 4)
		}
	}
	s, err := NewUnchecked(system, attackParams)
	if err != nil {
		t.Fatal(err)
	}
	return s, values, public, residual
}

// cheat runs the prover, lets tamper change what is committed and answer change
// what is sent, and returns the verdict.
func cheat(s *Scheme, values, public []field.Element, tamper func(p *prover), answer func(p *prover, polynomials *[2][]byte)) error {
	p := s.newProver()
	p.encode(values, NewCoins())
	if tamper != nil {
		tamper(p)
		p.rewrite()
	}
	root := p.commit()
	state := s.state(public, root)
	polynomials, _ := p.respond(state, public)
	if answer != nil {
		answer(p, &polynomials)
	}
	return s.Verify(p.open(root, polynomials, s.drawPositions(state, polynomials)), public)
}

// rewrite writes the columns again from the words.
func (p *prover) rewrite() {
	for j := range p.Length {
		column := p.preimage(j)[:1+merkle.SaltSize]
		for _, w := range p.words {
			column = w[j].Append(column)
		}
	}
}

// reencode writes a word again from its coefficients.
func (p *prover) reencode(i int) {
	clear(p.words[i][copy(p.words[i], p.coefficients[i]):])
	p.code.Evaluate(p.words[i], len(p.coefficients[i]))
}

func TestHonest(t *testing.T) {
	s, values, public, _ := lie(t, -1)
	if err := cheat(s, values, public, func(*prover) {}, nil); err != nil {
		t.Error(err)
	}
}

// TestFalseValues: every single equation that fails is noticed by the verifier
// alone, with a prover that does not care.
func TestFalseValues(t *testing.T) {
	for e := range 6 {
		s, values, public, _ := lie(t, e)
		if err := cheat(s, values, public, nil, nil); !errors.Is(err, ErrSum) {
			t.Errorf("equation %d: %v", e, err)
		}
	}
}

// TestMaskShifted: the sum of the masks of T over the slots cancels a failing
// equation, for every equation and both signs. A prototype that gave the first
// equation the weight 1 accepted this.
func TestMaskShifted(t *testing.T) {
	for e := range 6 {
		for _, negative := range []bool{false, true} {
			s, values, public, residual := lie(t, e)
			if negative {
				residual = residual.Neg()
			}
			err := cheat(s, values, public, func(p *prover) {
				for m := range p.Components {
					i := p.system.Rows + p.Components + m
					p.coefficients[i][0] = p.closing(p.coefficients[i], residual)
					p.reencode(i)
				}
			}, nil)
			if !errors.Is(err, ErrSum) {
				t.Errorf("equation %d, negative %v: %v", e, negative, err)
			}
		}
	}
}

// TestOneComponentLeft: components are independent. With all but one shifted as
// their weights want it, the last still refuses.
func TestOneComponentLeft(t *testing.T) {
	for honest := range attackParams.Components {
		s, values, public, residual := lie(t, 0)
		p := s.newProver()
		p.encode(values, NewCoins())
		// The prover sees the weights before it commits to masks: a cheating oracle.
		root := p.commit()
		state := s.state(public, root)
		polynomials, _ := p.respond(state, public)
		terms := field.Size * (s.sumSize() - 1)
		wrong := 0
		for m := range s.Components {
			_, equations := s.drawWeights(state, m)
			factors, sum := s.system.combine(equations, public)
			if m != honest {
				sum = sum.Add(residual.Mul(equations[0]))
			}
			sent := make([]field.Element, s.sumSize()) // T without its constant term
			if !field.ParseAll(sent[1:], polynomials[1][m*terms:][:terms]) {
				t.Fatal("T is not encoded")
			}
			p.multiply(factors)
			if s.closing(sent, sum) != p.sum[0].Add(p.coefficients[s.system.Rows+s.Components+m][0]) {
				wrong++
			}
		}
		if wrong != 1 {
			t.Errorf("%d components notice, want 1", wrong)
		}
	}
}

// TestWordsThatAreNoCode: any word that is no polynomial of its degree is noticed.
func TestWordsThatAreNoCode(t *testing.T) {
	s, values, public, _ := lie(t, -1)
	for i := range s.words() {
		want := ErrDegree
		if i >= s.system.Rows+s.Components {
			want = ErrSum
		}
		err := cheat(s, values, public, func(p *prover) {
			transcript.NewStream(transcript.Digest("noise"), byte(i)).Elements(p.words[i])
		}, nil)
		if !errors.Is(err, want) {
			t.Errorf("word %d random: %v", i, err)
		}
		err = cheat(s, values, public, func(p *prover) {
			c := slices.Clone(p.coefficients[i])
			p.coefficients[i] = append(c, field.One) // one degree too much
			p.reencode(i)
			p.coefficients[i] = c
		}, nil)
		if !errors.Is(err, want) {
			t.Errorf("word %d with a degree too much: %v", i, err)
		}
	}
}

// TestAnswersMoved: any coefficient of U or T that is not the one of the words is
// noticed.
func TestAnswersMoved(t *testing.T) {
	s, values, public, _ := lie(t, -1)
	for part, want := range []error{ErrDegree, ErrSum} {
		for i := 0; ; i += field.Size {
			end := false
			err := cheat(s, values, public, nil, func(_ *prover, polynomials *[2][]byte) {
				if end = i >= len(polynomials[part]); !end {
					x, _ := field.Parse(polynomials[part][i:])
					copy(polynomials[part][i:], x.Add(field.One).Append(nil))
				}
			})
			if end {
				break
			}
			if !errors.Is(err, want) {
				t.Fatalf("part %d, element %d: %v", part, i/field.Size, err)
			}
		}
	}
}

// TestEveryQuery: a word that is wrong in one opened column is noticed whichever
// query meets it.
func TestEveryQuery(t *testing.T) {
	s, values, public, _ := lie(t, -1)
	for i, want := range map[int]error{s.system.Rows: ErrDegree, s.system.Rows + s.Components: ErrSum} {
		p := s.newProver()
		p.encode(values, FixedCoins(transcript.State{1}))
		root := p.commit()
		state := s.state(public, root)
		polynomials, _ := p.respond(state, public)
		for _, position := range s.drawPositions(state, polynomials) {
			parsed, err := s.parse(p.open(root, polynomials, s.drawPositions(state, polynomials)), public)
			if err != nil {
				t.Fatal(err)
			}
			at := slices.Index(parsed.positions, position)
			parsed.columns[at][i] = parsed.columns[at][i].Add(field.One)
			c := s.newChecker(parsed)
			rows, equations := s.drawWeights(state, 0)
			if agrees, sums := c.checkRows(0, rows), c.checkSum(0, equations, public); agrees == errors.Is(want, ErrDegree) || sums == errors.Is(want, ErrSum) {
				t.Errorf("word %d, query %d: not noticed, or by the wrong check", i, at)
			}
		}
	}
}

// TestOneEncoding: a prover that encodes an element plus the modulus, in an
// answer or in a column, is refused although everything agrees.
func TestOneEncoding(t *testing.T) {
	s, values, public, _ := lie(t, -1)
	raise := func(b []byte) bool {
		x := binary.BigEndian.Uint32(b)
		if x >= 1<<32-field.Modulus {
			return false
		}
		binary.BigEndian.PutUint32(b, x+field.Modulus)
		return true
	}
	for part := range 2 {
		err := cheat(s, values, public, nil, func(_ *prover, polynomials *[2][]byte) {
			for b := polynomials[part]; !raise(b); b = b[field.Size:] {
			}
		})
		if !errors.Is(err, ErrForm) {
			t.Errorf("answer %d: %v", part, err)
		}
	}
	for i := range s.words() {
		p := s.newProver()
		p.encode(values, NewCoins())
		for j := range p.Length {
			raise(p.preimage(j)[1+merkle.SaltSize+field.Size*i:])
		}
		root := p.commit()
		state := s.state(public, root)
		polynomials, _ := p.respond(state, public)
		if err := s.Verify(p.open(root, polynomials, s.drawPositions(state, polynomials)), public); !errors.Is(err, ErrForm) {
			t.Errorf("word %d: %v", i, err)
		}
	}
}

// TestColumnsSwapped: a column of one position does not serve at another.
func TestColumnsSwapped(t *testing.T) {
	s, values, public, _ := lie(t, -1)
	proof, err := s.Prove(values, public, NewCoins())
	if err != nil {
		t.Fatal(err)
	}
	l := s.layout()
	a, b := proof[l.columns:][:l.column], proof[l.columns+l.column:][:l.column]
	for i := range a {
		a[i], b[i] = b[i], a[i]
	}
	if err := s.Verify(proof, public); !errors.Is(err, ErrRoot) {
		t.Error(err)
	}
}

// TestSaltsAreBound: the salt is part of the leaf, all 32 bytes.
func TestSaltsAreBound(t *testing.T) {
	s, values, public, _ := lie(t, -1)
	proof, _ := s.Prove(values, public, NewCoins())
	for i := range merkle.SaltSize {
		bad := slices.Clone(proof)
		bad[s.layout().columns+i] ^= 1
		if err := s.Verify(bad, public); !errors.Is(err, ErrRoot) {
			t.Errorf("byte %d: %v", i, err)
		}
	}
}

// TestTranscriptInputs: every input of the two states changes what is drawn. The
// input is changed where it is hashed, not in the proof.
func TestTranscriptInputs(t *testing.T) {
	s, _, public, _ := lie(t, -1)
	root := merkle.Hash(sha256.Sum256([]byte("root")))
	base := s.state(public, root)
	other := func(change func(s *Scheme, public []field.Element, root *merkle.Hash) []field.Element) transcript.State {
		c, system, r := *s, *s.system, root
		c.system = &system
		return c.state(change(&c, slices.Clone(public), &r), r)
	}
	for name, state := range map[string]transcript.State{
		"circuit": other(func(s *Scheme, x []field.Element, _ *merkle.Hash) []field.Element {
			s.digest[31] ^= 1
			return x
		}),
		"slots":      other(func(s *Scheme, x []field.Element, _ *merkle.Hash) []field.Element { s.Slots++; return x }),
		"length":     other(func(s *Scheme, x []field.Element, _ *merkle.Hash) []field.Element { s.Length++; return x }),
		"queries":    other(func(s *Scheme, x []field.Element, _ *merkle.Hash) []field.Element { s.Queries++; return x }),
		"components": other(func(s *Scheme, x []field.Element, _ *merkle.Hash) []field.Element { s.Components++; return x }),
		"rows":       other(func(s *Scheme, x []field.Element, _ *merkle.Hash) []field.Element { s.system.Rows++; return x }),
		"public":     other(func(_ *Scheme, x []field.Element, _ *merkle.Hash) []field.Element { x[2] = field.New(7); return x }),
		"count":      other(func(_ *Scheme, x []field.Element, _ *merkle.Hash) []field.Element { return append(x, field.Element{}) }),
		"root":       other(func(_ *Scheme, x []field.Element, r *merkle.Hash) []field.Element { r[0] ^= 1; return x }),
	} {
		if state == base {
			t.Errorf("%s is not in the transcript", name)
		}
	}
	if base != s.state(public, root) {
		t.Error("the state is no function of its inputs")
	}
	u, tt := make([]byte, 40), make([]byte, 40)
	positions := s.drawPositions(base, [2][]byte{u, tt})
	u[39] = 1
	if slices.Equal(positions, s.drawPositions(base, [2][]byte{u, tt})) {
		t.Error("U is not in the transcript")
	}
	u[39], tt[39] = 0, 1
	if slices.Equal(positions, s.drawPositions(base, [2][]byte{u, tt})) {
		t.Error("T is not in the transcript")
	}
	tt[39] = 0
	if slices.Equal(positions, s.drawPositions(transcript.State{}, [2][]byte{u, tt})) {
		t.Error("the first state is not in the second")
	}
}

// TestWeightsAreIndependent: no two weights of a proof come from the same place.
func TestWeightsAreIndependent(t *testing.T) {
	s, _, public, _ := lie(t, -1)
	seen := map[field.Element]string{}
	state := s.state(public, merkle.Hash{})
	for m := range s.Components {
		rows, equations := s.drawWeights(state, m)
		for i, w := range slices.Concat(rows, equations) {
			at := fmt.Sprintf("weight %d of component %d", i, m)
			if before, ok := seen[w]; ok || w == field.One {
				t.Errorf("%s is that of %s, or 1", at, before)
			}
			seen[w] = at
		}
	}
}

// TestBoundedMemory: a wrong length is refused before anything is hashed or
// allocated for it.
func TestBoundedMemory(t *testing.T) {
	s, values, public, _ := lie(t, -1)
	proof, _ := s.Prove(values, public, NewCoins())
	long := append(slices.Clone(proof), make([]byte, 32<<20)...)
	for name, text := range map[string][]byte{"short": proof[:s.layout().path-1], "odd": append(slices.Clone(proof), 0)} {
		if n := testing.AllocsPerRun(10, func() { s.Verify(text, public) }); n > 0 {
			t.Errorf("%s: %v allocations", name, n)
		}
	}
	full := testing.AllocsPerRun(10, func() { s.Verify(proof, public) })
	if n := testing.AllocsPerRun(10, func() { s.Verify(long, public) }); n > full {
		t.Errorf("a proof with 32 MiB more: %v allocations, a good one: %v", n, full)
	}
	if n := binary.Size(long); n < 32<<20 {
		t.Fatal("the long proof is not long")
	}
}

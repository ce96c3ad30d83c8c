package ligero

import (
	"errors"

	"github.com/terradourada/td/proof/field"
	"github.com/terradourada/td/proof/merkle"
	"github.com/terradourada/td/proof/transcript"
)

// layout has the offsets of the parts of a proof: the root, U and T component by
// component, the columns with their salts in the order of the positions, and the
// Merkle proof, whose length the positions determine.
type layout struct {
	u, t, columns, path int // where they begin
	column              int // the length of a column with its salt
}

func (s *Scheme) layout() layout {
	l := layout{u: merkle.Size, column: merkle.SaltSize + field.Size*s.words()}
	l.t = l.u + field.Size*s.Components*s.rowSize()
	l.columns = l.t + field.Size*s.Components*(s.sumSize()-1)
	l.path = l.columns + s.Queries*l.column
	return l
}

// ErrForm refuses a proof that has another length than its positions determine,
// or an element that is not below the modulus.
var ErrForm = errors.New("ligero: proof has a wrong length or an element out of range")

// parsed is a proof whose form is right.
type parsed struct {
	root      merkle.Hash
	state     transcript.State  // after the root
	u, t      [][]field.Element // by component; t[i][0] is still open
	encoded   [2][]byte         // u and t as they were sent
	positions []int
	columns   [][]field.Element
	leaves    []merkle.Hash
	path      []merkle.Hash
}

// parse decodes a proof. The first check bounds all work and memory by the
// parameters.
func (s *Scheme) parse(proof []byte, public []field.Element) (*parsed, error) {
	l := s.layout()
	if len(proof) < l.path || (len(proof)-l.path)%merkle.Size != 0 {
		return nil, ErrForm
	}
	p := &parsed{
		root:    merkle.Hash(proof[:l.u]),
		u:       blocks(s.Components, s.rowSize()),
		t:       blocks(s.Components, s.sumSize()),
		encoded: [2][]byte{proof[l.u:l.t], proof[l.t:l.columns]},
		columns: blocks(s.Queries, s.words()),
		leaves:  make([]merkle.Hash, s.Queries),
	}
	p.state = s.state(public, p.root)
	p.positions = s.drawPositions(p.state, p.encoded)
	nodes := merkle.ProofLength(s.Length, p.positions)
	if len(proof) != l.path+nodes*merkle.Size {
		return nil, ErrForm
	}
	u, t := p.encoded[0], p.encoded[1]
	for m := range s.Components {
		if !parseNext(p.u[m], &u) || !parseNext(p.t[m][1:], &t) {
			return nil, ErrForm
		}
	}
	for i := range p.columns {
		column := proof[l.columns+i*l.column:][:l.column]
		p.leaves[i] = leaf(column)
		if !field.ParseAll(p.columns[i], column[merkle.SaltSize:]) {
			return nil, ErrForm
		}
	}
	for rest := proof[l.path:]; len(rest) > 0; rest = rest[merkle.Size:] {
		p.path = append(p.path, merkle.Hash(rest[:merkle.Size]))
	}
	return p, nil
}

func parseNext(v []field.Element, b *[]byte) bool {
	n := field.Size * len(v)
	ok := field.ParseAll(v, (*b)[:n])
	*b = (*b)[n:]
	return ok
}

// blocks returns count slices of one length.
func blocks(count, length int) [][]field.Element {
	return cut(make([]field.Element, count*length), count, length)
}

func cut(v []field.Element, count, length int) [][]field.Element {
	b := make([][]field.Element, count)
	for i := range b {
		b[i] = v[i*length : (i+1)*length : (i+1)*length]
	}
	return b
}

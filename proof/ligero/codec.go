package ligero

import (
	"crypto/sha256"
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
		columns: blocks(s.Queries, s.words()),
		leaves:  make([]merkle.Hash, s.Queries),
	}
	u, t := proof[l.u:l.t], proof[l.t:l.columns]
	p.state = s.state(public, p.root)
	p.positions = s.drawPositions(p.state, [2][]byte{u, t})
	if len(proof) != l.path+merkle.Size*merkle.ProofLength(s.Length, p.positions) {
		return nil, ErrForm
	}
	uSize, tSize := len(u)/s.Components, len(t)/s.Components
	for m := range s.Components {
		if !field.ParseAll(p.u[m], u[m*uSize:][:uSize]) || !field.ParseAll(p.t[m][1:], t[m*tSize:][:tSize]) {
			return nil, ErrForm
		}
	}
	for i := range p.columns {
		column := proof[l.columns+i*l.column:][:l.column]
		p.leaves[i] = sha256.Sum256(append([]byte{merkle.LeafPrefix}, column...))
		if !field.ParseAll(p.columns[i], column[merkle.SaltSize:]) {
			return nil, ErrForm
		}
	}
	for rest := proof[l.path:]; len(rest) > 0; rest = rest[merkle.Size:] {
		p.path = append(p.path, merkle.Hash(rest[:merkle.Size]))
	}
	return p, nil
}

// blocks returns count slices of one length.
func blocks(count, length int) [][]field.Element {
	v, b := make([]field.Element, count*length), make([][]field.Element, count)
	for i := range b {
		b[i] = v[i*length : (i+1)*length : (i+1)*length]
	}
	return b
}

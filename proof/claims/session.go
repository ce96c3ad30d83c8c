package claims

import (
	"errors"

	"github.com/terradourada/td/proof/circuit"
	"github.com/terradourada/td/proof/field"
)

// Session has the public values a, c and t of one challenge. They are in no equation: a
// proof is bound to them because they are hashed before the first challenge of the
// transcript. Nothing here checks where they come from.
type Session struct {
	Anchor  Digest // a, from the signature over the payload
	Context Digest // c, see [ContextOf]
	Tag     Digest // t, see [TagOf]
}

// ContextOf returns c of a payload.
func ContextOf(payload []byte) Digest { return HashToDigest("TD-V2-context", payload) }

// TagOf returns t of a tag.
func TagOf(tag []byte) Digest { return HashToDigest("TD-V2-tag", tag) }

// Bound is a statement in the session for which it is proved.
type Bound struct {
	Session   Session
	Statement Statement
}

// public has a, c and t, and then the public values of the statement.
func (b Bound) public() []field.Element {
	return append(flat(nil, b.Session.Anchor, b.Session.Context, b.Session.Tag), b.Statement.public()...)
}

// define makes the circuit of the statement behind three public digests that it does
// not use.
func (b Bound) define(to *circuit.Builder) {
	for range 3 {
		to.PublicDigest()
	}
	b.Statement.define(to)
}

// ErrUnbound says that a witness has no session.
var ErrUnbound = errors.New("claims: the witness is not bound to a session")

// In returns the witness bound to a session. It shares the secrets.
func (w *Witness) In(s Session) *Witness { return &Witness{w.statement, &s, w.secrets} }

// Bound returns the statement with the session to which the witness is bound.
func (w *Witness) Bound() (Bound, error) {
	if w.session == nil {
		return Bound{}, ErrUnbound
	}
	return Bound{*w.session, w.statement}, nil
}

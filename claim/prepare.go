package claim

import (
	"bytes"
	"encoding/json"

	"github.com/terradourada/td/internal/rules"
	"github.com/terradourada/td/protocol"
)

// ReadParams parses parameters as people write them: any layout of the JSON text is
// allowed. The result follows the rules of [ParseParams], whose errors it returns.
func ReadParams(id ID, raw []byte) (*Params, error) {
	return readParams(id, raw, func(params []byte) []byte { return params })
}

func readParams(id ID, raw []byte, change func([]byte) []byte) (*Params, error) {
	if _, err := ParseID(string(id)); err != nil {
		return nil, err
	}
	jcs, err := rules.Canonicalize(raw)
	if err != nil {
		return nil, err
	}
	return ParseParams(id, change(jcs))
}

// Prepared is an event in canonical form with the parameters of a claim about it, in
// which every pointer to an array of the event is replaced. Only [Prepare] makes one.
// Who commits to the event, sends the parameters or compares them takes this value, so
// all of them have the same bytes.
type Prepared struct {
	params *Params
	event  []byte
	once   []byte
}

// Prepare brings an event into canonical form and reads the parameters of a claim about
// it, both in any layout of the JSON text. For range/1 and sum/1 a pointer to an array
// stands for the pointers to its elements, and so does one of these that names an array
// again. So no pointer of the result names an array, and preparing the result changes
// nothing.
func Prepare(id ID, raw, event []byte) (*Prepared, error) {
	doc, err := protocol.Canonicalize(event)
	if err != nil {
		return nil, err
	}
	p := &Prepared{event: doc}
	p.params, err = readParams(id, raw, func(params []byte) []byte {
		p.once = rules.WriteOut(id, params, doc, 1)
		return rules.WriteOut(id, params, doc, protocol.MaxJSONDepth)
	})
	return p, err
}

// Params returns the parameters.
func (p *Prepared) Params() *Params { return p.params }

// Event returns the canonical bytes of the event, in a fresh slice.
func (p *Prepared) Event() []byte { return bytes.Clone(p.event) }

// Once returns the parameters with arrays inside of arrays left alone. An earlier "td
// submit" recorded the digest of these; nothing is committed to them.
func (p *Prepared) Once() []byte { return bytes.Clone(p.once) }

// GroupParams makes the canonical parameters of group/1: what a member answers
// under a scope text, with the nullifier that belongs to both. A scope text that
// is not allowed is refused with code malformed_request, a secret whose member is
// not listed with statement_false.
func GroupParams(l *List, scope string, secret MemberSecret) ([]byte, error) {
	if err := rules.CheckScope(scope); err != nil {
		return nil, err
	}
	s := protocol.ScopeElement(l.name, scope)
	if !l.has(secret.Member()) {
		return nil, errNotListed(l, secret)
	}
	raw, err := json.Marshal(struct {
		List      protocol.ListID    `json:"list"`
		Name      string             `json:"name"`
		Nullifier protocol.Nullifier `json:"nullifier"`
		Scope     string             `json:"scope"`
	}{l.id, l.name, secret.Nullifier(s), scope})
	if err != nil {
		return nil, protocol.Wrap(protocol.CodeInternal, "parameters cannot be encoded", err)
	}
	p, err := ReadParams(Group, raw)
	if err != nil {
		return nil, err
	}
	return p.Bytes(), nil
}

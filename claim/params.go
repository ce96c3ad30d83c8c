package claim

import (
	"bytes"

	"github.com/terradourada/td/protocol"
)

// MaxParamsSize bounds the canonical form of parameters, in bytes (section 6).
const MaxParamsSize = 2 << 10

// Params are the public parameters of a claim, parsed and found to follow every
// native rule of section 6 that concerns them. They do not change.
type Params struct {
	id   ID
	raw  []byte
	rule rule
}

// rule is what a kind of claim adds to the common frame of section 6.
type rule interface {
	// public gives the public values after cm.
	public() []protocol.Element
}

// Claim is the claim the parameters are for.
func (p *Params) Claim() ID { return p.id }

// Bytes are the exact canonical bytes, in a fresh slice.
func (p *Params) Bytes() []byte { return bytes.Clone(p.raw) }

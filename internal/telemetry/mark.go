package telemetry

import (
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
)

// Mark is a keyed digest of something that must not appear twice, such as a proof. Equal
// marks of one process mean equal things, and without the key a mark shows nothing
// of them. The zero Mark is that of nothing.
type Mark [16]byte

// String returns the mark in hexadecimal, "" for the zero Mark.
func (m Mark) String() string {
	if m == (Mark{}) {
		return ""
	}
	return hex.EncodeToString(m[:])
}

// parseMark returns the mark of a record, or the zero Mark if there is none.
func parseMark(text string) (m Mark) {
	if b, err := hex.DecodeString(text); err == nil && len(b) == len(m) {
		m = Mark(b)
	}
	return m
}

// Marker makes marks.
type Marker struct{ key [32]byte }

// NewMarker draws a key, which is never stored.
func NewMarker() *Marker {
	m := new(Marker)
	_, _ = rand.Read(m.key[:]) // never returns an error, see crypto/rand
	return m
}

// Of returns the mark of a thing of some kind. A nil Marker makes none.
func (m *Marker) Of(kind byte, thing []byte) Mark {
	if m == nil {
		return Mark{}
	}
	sum := sha256.Sum256(append(append(m.key[:len(m.key):len(m.key)], kind), thing...))
	return Mark(sum[:16])
}

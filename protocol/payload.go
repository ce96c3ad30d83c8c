package protocol

import (
	"encoding/binary"
)

// The payload of section 7: exactly 256 bytes, big-endian, no optional fields.
// The signature and the tag are computed over exactly these bytes.
const (
	PayloadSize = 256
	Version     = 1      // protocol version
	Suite       = 0x0001 // ML-DSA-65 hedged, HMAC-SHA-256, SHA-256, PLONK/KZG BLS12-381, Poseidon2 8/56

	MinTTL     = 1_000   // milliseconds
	MaxTTL     = 600_000 // milliseconds
	DefaultTTL = 120_000 // milliseconds
)

const payloadMagic = "TDPAYLD1"

// Offsets of the fields of a payload.
const (
	offVersion   = 8
	offSuite     = 10
	offMode      = 12
	offZero      = 13
	offRequest   = 16
	offNonce     = 32
	offEpoch     = 64
	offEpochNum  = 80
	offSeq       = 88
	offIssued    = 96
	offTTL       = 104
	offPolicy    = 108
	offCm        = 112
	offClient    = 144
	offVK        = 176
	offStatement = 208
	offInstance  = 240
)

// Fields of an encoded payload that are read by themselves.

// VK is the fingerprint of the verifying key.
func (p *EncodedPayload) VK() Digest { return Digest(p[offVK:]) }

// Seq is the sequence number, 0 in a draft.
func (p *EncodedPayload) Seq() uint64 { return binary.BigEndian.Uint64(p[offSeq:]) }

// Mode names who makes the proof.
type Mode uint8

// The two modes of section 9.
const (
	ModePush Mode = 1 // the client posts the event and a prover of the backend proves
	ModePull Mode = 2 // the client proves; the event is never sent
)

// String is "push" or "pull".
func (m Mode) String() string {
	return nameOf([]string{ModePush: "push", ModePull: "pull"}, m, "unknown")
}

// EncodedPayload is the one encoding of a payload: the bytes that are signed
// and tagged.
type EncodedPayload [PayloadSize]byte

// Payload is the parsed form of the 256 bytes.
type Payload struct {
	Mode        Mode
	RequestID   RequestID
	Nonce       Nonce
	EpochID     EpochID
	EpochNumber uint64
	Seq         uint64 // assigned by the tagger from 1; 0 only in a draft
	IssuedAt    uint64 // Unix milliseconds, informative
	TTL         uint32 // milliseconds
	Policy      uint32 // revision of the claims and limits in force
	Commitment  Commitment
	Client      Digest // client commitment, hides the client identity
	VK          Digest // fingerprint of the verifying key
	Statement   Digest
	Instance    InstanceID
}

// Encode writes the 256 bytes. It does not check the values; [ParsePayload]
// does.
func (p *Payload) Encode() EncodedPayload {
	var b EncodedPayload
	copy(b[:], payloadMagic)
	binary.BigEndian.PutUint16(b[offVersion:], Version)
	binary.BigEndian.PutUint16(b[offSuite:], Suite)
	b[offMode] = byte(p.Mode)
	copy(b[offRequest:], p.RequestID[:])
	copy(b[offNonce:], p.Nonce[:])
	copy(b[offEpoch:], p.EpochID[:])
	binary.BigEndian.PutUint64(b[offEpochNum:], p.EpochNumber)
	binary.BigEndian.PutUint64(b[offSeq:], p.Seq)
	binary.BigEndian.PutUint64(b[offIssued:], p.IssuedAt)
	binary.BigEndian.PutUint32(b[offTTL:], p.TTL)
	binary.BigEndian.PutUint32(b[offPolicy:], p.Policy)
	copy(b[offCm:], p.Commitment[:])
	copy(b[offClient:], p.Client[:])
	copy(b[offVK:], p.VK[:])
	copy(b[offStatement:], p.Statement[:])
	copy(b[offInstance:], p.Instance[:])
	return b
}

// ParsePayload reads an issued payload: every constant, reserved byte and range
// of section 7 is checked, and a sequence number is required.
func ParsePayload(b []byte) (Payload, error) {
	p, err := ParseDraft(b)
	if err != nil {
		return Payload{}, err
	}
	if p.Seq == 0 {
		return Payload{}, Fail(CodeMalformedRequest, "payload has no sequence number")
	}
	return p, nil
}

// ParseDraft is [ParsePayload] for a payload the tagger has not numbered yet:
// a sequence number of zero passes.
func ParseDraft(b []byte) (Payload, error) {
	if len(b) != PayloadSize {
		return Payload{}, Failf(CodeMalformedRequest, "payload is not %d bytes", PayloadSize)
	}
	if string(b[:offVersion]) != payloadMagic {
		return Payload{}, Fail(CodeMalformedRequest, "payload does not begin with its constant")
	}
	if binary.BigEndian.Uint16(b[offVersion:]) != Version {
		return Payload{}, Fail(CodeMalformedRequest, "payload has an unknown protocol version")
	}
	if binary.BigEndian.Uint16(b[offSuite:]) != Suite {
		return Payload{}, Fail(CodeMalformedRequest, "payload has an unknown suite")
	}
	if b[offZero] != 0 || b[offZero+1] != 0 || b[offZero+2] != 0 {
		return Payload{}, Fail(CodeMalformedRequest, "payload has a reserved byte set")
	}
	p := Payload{
		Mode:        Mode(b[offMode]),
		RequestID:   RequestID(b[offRequest:]),
		Nonce:       Nonce(b[offNonce:]),
		EpochID:     EpochID(b[offEpoch:]),
		EpochNumber: binary.BigEndian.Uint64(b[offEpochNum:]),
		Seq:         binary.BigEndian.Uint64(b[offSeq:]),
		IssuedAt:    binary.BigEndian.Uint64(b[offIssued:]),
		TTL:         binary.BigEndian.Uint32(b[offTTL:]),
		Policy:      binary.BigEndian.Uint32(b[offPolicy:]),
		Commitment:  Commitment(b[offCm:]),
		Client:      Digest(b[offClient:]),
		VK:          Digest(b[offVK:]),
		Statement:   Digest(b[offStatement:]),
		Instance:    InstanceID(b[offInstance:]),
	}
	if p.Mode != ModePush && p.Mode != ModePull {
		return Payload{}, Fail(CodeMalformedRequest, "payload has an unknown mode")
	}
	if p.TTL < MinTTL || p.TTL > MaxTTL {
		return Payload{}, Fail(CodeMalformedRequest, "payload lifetime is out of range")
	}
	if err := CheckElement(p.Commitment[:]); err != nil {
		return Payload{}, Fail(CodeMalformedRequest, "payload commitment is not a canonical field element")
	}
	return p, nil
}

package attest

import (
	"context"
	"crypto/sha256"
	"crypto/sha512"
	"encoding/binary"
	"fmt"
	"time"

	"github.com/terradourada/td/protocol"
)

// Kind is the kind of device that made a quote.
type Kind uint8

// The kinds of evidence.
const (
	KindNone Kind = iota
	KindTPM
	KindSNP
	KindTDX
)

var kindNames = [...]string{KindNone: "none", KindTPM: "tpm", KindSNP: "sev_snp", KindTDX: "tdx"}

// String returns the name of a kind: none, tpm, sev_snp or tdx.
func (k Kind) String() string {
	if int(k) < len(kindNames) {
		return kindNames[k]
	}
	return "unknown"
}

// MarshalText returns the name.
func (k Kind) MarshalText() ([]byte, error) { return []byte(k.String()), nil }

// State is one of the three states of the package comment, or Absent.
type State uint8

// The states, from the least.
const (
	Absent State = iota
	Detected
	Usable
	Attested
)

var stateNames = [...]string{Absent: "absent", Detected: "detected", Usable: "usable", Attested: "attested"}

// String returns the name of a state.
func (s State) String() string {
	if int(s) < len(stateNames) {
		return stateNames[s]
	}
	return "unknown"
}

// MarshalText returns the name.
func (s State) MarshalText() ([]byte, error) { return []byte(s.String()), nil }

// ReportData is what a quote binds.
type ReportData [64]byte

// reportLabel is the prefix of what is hashed to report data.
const reportLabel = "terra-dourada/epoch/v1"

// Bind returns the report data of an epoch as the package comment defines it.
// The previous epoch and the hand-over are not part of it.
func Bind(e *protocol.EpochOpen) ReportData {
	pk := sha256.Sum256(e.PublicKey[:])
	number := binary.BigEndian.AppendUint64(nil, e.Number)
	b := protocol.D("TD-V1-attestation", e.ID[:], pk[:], e.CheckpointKey[:], number,
		e.Instance[:], e.Build[:], []byte{e.SignerGrade, e.TaggerGrade}, e.Posture[:])
	return sha512.Sum512(append([]byte(reportLabel), b[:]...))
}

// Attestor makes quotes.
type Attestor interface {
	// Kind returns the word that configures it: none, tpm or tsm.
	Kind() string
	// Detect reports how far the hardware is available, Usable at best, with a
	// sentence about it. It changes nothing.
	Detect(ctx context.Context) (State, string)
	// Quote returns a quote of the hardware over report data. It may take
	// seconds, and may be called from any goroutine.
	Quote(ctx context.Context, data ReportData) (Evidence, error)
	// Close releases the device; no call may follow.
	Close() error
}

// Take makes a quote for an epoch and verifies it as a verifier without roots
// of its own would. A quote that does not verify is an error.
func Take(ctx context.Context, a Attestor, e *protocol.EpochOpen, now time.Time) ([]byte, *Verdict, error) {
	data := Bind(e)
	evidence, err := a.Quote(ctx, data)
	if err != nil {
		return nil, nil, err
	}
	raw, err := evidence.Encode()
	if err != nil {
		return nil, nil, err
	}
	v, err := Verify(raw, data, Policy{At: now})
	if err != nil {
		return nil, nil, fmt.Errorf("the quote does not verify: %w", err)
	}
	return raw, v, nil
}

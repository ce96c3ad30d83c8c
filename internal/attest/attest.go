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

// Kind says what made a quote.
type Kind uint8

// The kinds of evidence.
const (
	KindNone Kind = iota
	KindTPM
	KindSNP
	KindTDX
)

var kindNames = [...]string{KindNone: "none", KindTPM: "tpm", KindSNP: "sev_snp", KindTDX: "tdx"}

// String is the word for a kind: none, tpm, sev_snp or tdx.
func (k Kind) String() string {
	if int(k) < len(kindNames) {
		return kindNames[k]
	}
	return "unknown"
}

// MarshalText is String.
func (k Kind) MarshalText() ([]byte, error) { return []byte(k.String()), nil }

// State is one of the three words of the package comment, or Absent.
type State uint8

// The states, from the least.
const (
	Absent State = iota
	Detected
	Usable
	Attested
)

var stateNames = [...]string{Absent: "absent", Detected: "detected", Usable: "usable", Attested: "attested"}

// String is the word for a state.
func (s State) String() string {
	if int(s) < len(stateNames) {
		return stateNames[s]
	}
	return "unknown"
}

// MarshalText is String.
func (s State) MarshalText() ([]byte, error) { return []byte(s.String()), nil }

// ReportData is what a quote binds.
type ReportData [64]byte

// reportLabel stands in front of what is hashed to report data.
const reportLabel = "terra-dourada/epoch/v1"

// Bind gives the report data of an epoch, as the package comment has it. The
// previous epoch and the hand-over are not part of it.
func Bind(e *protocol.EpochOpen) ReportData {
	pk := sha256.Sum256(e.PublicKey[:])
	number := binary.BigEndian.AppendUint64(nil, e.Number)
	b := protocol.D("TD-V1-attestation", e.ID[:], pk[:], e.CheckpointKey[:], number,
		e.Instance[:], e.Build[:], []byte{e.SignerGrade, e.TaggerGrade}, e.Posture[:])
	return sha512.Sum512(append([]byte(reportLabel), b[:]...))
}

// Attestor makes quotes.
type Attestor interface {
	// Kind is the word that configures it: none, tpm or tsm.
	Kind() string
	// Detect says how far the hardware is to be had, Usable at best, and one
	// sentence about it. It changes nothing.
	Detect(ctx context.Context) (State, string)
	// Quote has the hardware sign report data. It may take seconds, and may be
	// called from any goroutine.
	Quote(ctx context.Context, data ReportData) (Evidence, error)
	// Close gives the device back; no call may follow.
	Close() error
}

// Take has an epoch quoted and looks at the outcome as a verifier without roots
// of his own would: what does not verify is an error.
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

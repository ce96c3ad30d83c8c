package attest

import (
	"encoding/binary"

	"github.com/terradourada/td/protocol"
)

// MaxEvidence bounds evidence, in bytes.
const MaxEvidence = 64 << 10

const magic = "TDATT001"

// Evidence is a quote with what is needed to check it.
type Evidence struct {
	Kind  Kind
	Parts [][]byte
}

// part bounds one part of a kind of evidence.
type part struct{ least, most int }

// partsOf lists the parts of each kind; nil for an unknown kind.
func partsOf(k Kind) []part {
	switch k {
	case KindTPM:
		return []part{{1, 512}, {1, 1024}, {1, 256}, {pcrCount * pcrSize, pcrCount * pcrSize}}
	case KindSNP:
		return []part{{snpReportSize, snpReportSize}, {0, maxCertificate}}
	case KindTDX:
		return []part{{tdxLeast, 32 << 10}}
	default:
		return nil
	}
}

// maxCertificate bounds one certificate, in bytes of DER.
const maxCertificate = 8 << 10

// check checks that the evidence has the parts of its kind, within their
// bounds.
func (e *Evidence) check() error {
	parts := partsOf(e.Kind)
	if parts == nil || len(e.Parts) != len(parts) {
		return malformed("the evidence is of no known kind")
	}
	for i, p := range parts {
		if n := len(e.Parts[i]); n < p.least || n > p.most {
			return malformed("a part of the evidence has a wrong size")
		}
	}
	return nil
}

// Encode writes evidence. It refuses what [ParseEvidence] would refuse.
func (e *Evidence) Encode() ([]byte, error) {
	if err := e.check(); err != nil {
		return nil, err
	}
	b := append([]byte(magic), byte(e.Kind))
	for _, p := range e.Parts {
		b = binary.BigEndian.AppendUint32(b, uint32(len(p)))
		b = append(b, p...)
	}
	return b, nil
}

// ParseEvidence reads evidence, strictly. [Verify] judges the contents of the
// parts. The result refers to b. The code of a refusal is malformed_request or
// too_large.
func ParseEvidence(b []byte) (Evidence, error) {
	if len(b) > MaxEvidence {
		return Evidence{}, protocol.Failf(protocol.CodeTooLarge, "the evidence has more than %d bytes", MaxEvidence)
	}
	if len(b) < len(magic)+1 || string(b[:len(magic)]) != magic {
		return Evidence{}, malformed("this is not evidence")
	}
	e := Evidence{Kind: Kind(b[len(magic)])}
	b = b[len(magic)+1:]
	for range partsOf(e.Kind) {
		if len(b) < 4 || uint64(binary.BigEndian.Uint32(b)) > uint64(len(b)-4) {
			return Evidence{}, malformed("the evidence is cut off")
		}
		n := int(binary.BigEndian.Uint32(b))
		e.Parts = append(e.Parts, b[4:4+n:4+n])
		b = b[4+n:]
	}
	if err := e.check(); err != nil {
		return Evidence{}, err
	}
	if len(b) > 0 {
		return Evidence{}, malformed("there are bytes after the evidence")
	}
	return e, nil
}

func malformed(detail string) error { return protocol.Fail(protocol.CodeMalformedRequest, detail) }

// refuse returns the error for evidence that is well-formed but not valid.
func refuse(detail string) error { return protocol.Fail(protocol.CodeProofRejected, detail) }

// refuseFor is refuse with the cause, for the log.
func refuseFor(detail string, err error) error {
	return protocol.Wrap(protocol.CodeProofRejected, detail, err)
}

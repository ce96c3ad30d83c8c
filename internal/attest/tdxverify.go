package attest

import (
	"bytes"
	"crypto/sha256"
	"crypto/x509"
	"encoding/binary"
	"encoding/hex"
	"encoding/pem"
	"fmt"

	"github.com/google/go-tdx-guest/abi"
	tpb "github.com/google/go-tdx-guest/proto/tdx"
	"github.com/google/go-tdx-guest/verify"
)

// The form of a quote of TDX, version 4: header, body, u32 length, and as many
// bytes: signature, key, u16 type, u32 length, report of the quoting enclave with
// its signature, u16 length and as much authentication data, u16 type, u32 length
// and as many bytes of certificates. Numbers are little-endian.
const (
	tdxFixed   = 48 + 584 + 4
	tdxKeyPart = 64 + 64
	tdxEnclave = 384 + 64
	tdxLeast   = tdxFixed + tdxKeyPart + 6 + tdxEnclave + 2 + 6
)

// intelRoot is the SHA-256 of the DER of Intel's root for SGX and TDX
// attestation, "Intel SGX Root CA", valid from 2018 to 2049.
const intelRoot = "44a0196b2b99f889b8e149e95b807a350e7424964399e885a7cbb8ccfab674d3"

// trimTDX takes off what a kernel may leave behind a quote.
func trimTDX(b []byte) []byte {
	if len(b) < tdxFixed {
		return b
	}
	n := uint64(tdxFixed) + uint64(binary.LittleEndian.Uint32(b[tdxFixed-4:]))
	return b[:min(n, uint64(len(b)))]
}

// checkTDXSizes wants every length in a quote to be exactly what is there; the
// library's reader believes some of them.
func checkTDXSizes(b []byte) error {
	wrong := malformed("the quote of TDX has a wrong length inside")
	if len(b) < tdxLeast || uint64(binary.LittleEndian.Uint32(b[tdxFixed-4:])) != uint64(len(b)-tdxFixed) {
		return wrong
	}
	b = b[tdxFixed+tdxKeyPart:]
	if uint64(binary.LittleEndian.Uint32(b[2:])) != uint64(len(b)-6) {
		return wrong
	}
	b = b[6+tdxEnclave:]
	auth := int(binary.LittleEndian.Uint16(b))
	if len(b) < 2+auth+6 {
		return wrong
	}
	b = b[2+auth:]
	if uint64(binary.LittleEndian.Uint32(b[2:])) != uint64(len(b)-6) {
		return wrong
	}
	return nil
}

// verifyTDX checks a quote of TDX up to Intel's root.
func verifyTDX(parts [][]byte, data ReportData, p *Policy) (*Verdict, error) {
	if err := checkTDXSizes(parts[0]); err != nil {
		return nil, err
	}
	read, err := abi.QuoteToProto(parts[0])
	if err != nil {
		return nil, malformed("the quote of TDX cannot be read")
	}
	q, ok := read.(*tpb.QuoteV4)
	if !ok {
		return nil, malformed("the quote of TDX is of another version")
	}
	body := q.GetTdQuoteBody()
	if !same(body.GetReportData(), data[:]) {
		return nil, refuse("the quote does not name this epoch")
	}
	if a := body.GetTdAttributes(); len(a) == 0 || a[0] != 0 { // the low byte is all about debugging
		return nil, refuse("the host may debug this machine: its quote says nothing")
	}
	pool, err := intelPool(q)
	if err != nil {
		return nil, err
	}
	if err := verify.TdxQuote(q, &verify.Options{TrustedRoots: pool, Now: p.At}); err != nil {
		return nil, refuseFor("neither signatures nor certificates of the quote lead to Intel's root", err)
	}
	v := &Verdict{State: Attested, By: "Intel's root", Notes: []string{"revocation", "Intel's latest security level"}}
	v.Measurements = append(v.Measurements, Measurement{"mrtd", hex.EncodeToString(body.GetMrTd())})
	for i, r := range body.GetRtmrs() {
		v.Measurements = append(v.Measurements, Measurement{fmt.Sprintf("rtmr%d", i), hex.EncodeToString(r)})
	}
	return v, nil
}

// intelPool takes Intel's root out of the quote's own chain, where it is the
// last: it is known by its digest. The chain is signed block by block, so that
// its text has to be the one that these blocks have.
func intelPool(q *tpb.QuoteV4) (*x509.CertPool, error) {
	chain := q.GetSignedData().GetCertificationData().GetQeReportCertificationData().GetPckCertificateChainData().GetPckCertChain()
	text, rest := []byte(nil), bytes.TrimSuffix(chain, []byte{0})
	whole := rest
	var last *pem.Block
	for range 3 {
		if last, rest = pem.Decode(rest); last == nil {
			return nil, refuse("the quote carries no chain of three certificates")
		}
		text = append(text, pem.EncodeToMemory(last)...)
	}
	if !same(text, whole) {
		return nil, malformed("the certificates of the quote have a second reading")
	}
	if sum := sha256.Sum256(last.Bytes); hex.EncodeToString(sum[:]) != intelRoot {
		return nil, refuse("the certificates of the quote do not lead to Intel's root")
	}
	root, err := x509.ParseCertificate(last.Bytes)
	if err != nil {
		return nil, refuseFor("Intel's root cannot be read", err)
	}
	pool := x509.NewCertPool()
	pool.AddCert(root)
	return pool, nil
}

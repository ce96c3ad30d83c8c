package attest

import (
	"bytes"
	"cmp"
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

// Intel's quoting enclave for TDX, as Intel's provisioning service describes it
// (identity "TD_QE"), without its levels. A platform certifies the report of
// any enclave that asks, and the owner of the platform may start their own. So
// the signatures alone do not show that Intel's enclave made a quote. The
// library compares these values only with what it downloads.
const (
	enclaveSigner     = "dc9e2a7c6f948f17474e34a7fc43ed030f7c1563f1babddf6340c82e0e54a8c5"
	enclaveProduct    = 2
	enclaveAttributes = 0x11          // INIT and PROVISION_KEY; no DEBUG
	enclaveMask       = ^uint64(0x04) // MODE64BIT may be either
)

// Bits of the attributes of a virtual machine. The whole low byte is about
// debugging.
const (
	tdxDebug     = 0xff
	tdxMigration = 1 << 29
)

// trimTDX removes the padding that a kernel may append to a quote.
func trimTDX(b []byte) []byte {
	if len(b) < tdxFixed {
		return b
	}
	n := uint64(tdxFixed) + uint64(binary.LittleEndian.Uint32(b[tdxFixed-4:]))
	return b[:min(n, uint64(len(b)))]
}

// checkTDXSizes requires every length in a quote to match the bytes present;
// the library's reader trusts some of them.
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
	if err := checkTDXBody(body); err != nil {
		return nil, err
	}
	if err := checkEnclave(q.GetSignedData().GetCertificationData().GetQeReportCertificationData().GetQeReport()); err != nil {
		return nil, err
	}
	if err := verifyTDXSignatures(q, p); err != nil {
		return nil, err
	}
	return tdxVerdict(body), nil
}

// checkTDXBody requires a machine that its host cannot inspect, under a module
// of Intel's. A module of another signer has that signer in the quote; Intel's
// has zeros.
func checkTDXBody(body *tpb.TDQuoteBody) error {
	if !same(body.GetMrSignerSeam(), make([]byte, 48)) || !same(body.GetSeamAttributes(), make([]byte, 8)) {
		return refuse("the module of TDX named in the quote is not Intel's")
	}
	raw := body.GetTdAttributes()
	if len(raw) != 8 {
		return malformed("the attributes of the machine have a wrong size")
	}
	attributes := binary.LittleEndian.Uint64(raw)
	if attributes&tdxDebug != 0 {
		return refuse("the host may debug this machine: its quote proves nothing")
	}
	if attributes&tdxMigration != 0 {
		return refuse("this machine may be moved by another one, which its quote does not name")
	}
	return nil
}

// checkEnclave requires the report of Intel's quoting enclave. Its measurement
// and its level (ISVSVN) are not checked. They change with each of Intel's
// releases, and only a download could show which are good.
func checkEnclave(r *tpb.EnclaveReport) error {
	raw := r.GetAttributes()
	if len(raw) != 16 {
		return malformed("the attributes of the quoting enclave have a wrong size")
	}
	if hex.EncodeToString(r.GetMrSigner()) != enclaveSigner || r.GetIsvProdId() != enclaveProduct {
		return refuse("the enclave that signed the quote is not Intel's quoting enclave")
	}
	if binary.LittleEndian.Uint64(raw)&enclaveMask != enclaveAttributes || r.GetMiscSelect() != 0 {
		return refuse("the enclave that signed the quote does not run as Intel's quoting enclave does")
	}
	return nil
}

func verifyTDXSignatures(q *tpb.QuoteV4, p *Policy) error {
	pool, err := intelPool(q, cmp.Or(p.vendor.intel, intelRoot))
	if err != nil {
		return err
	}
	if err := verify.TdxQuote(q, &verify.Options{TrustedRoots: pool, Now: p.At}); err != nil {
		return refuseFor("neither signatures nor certificates of the quote lead to Intel's root", err)
	}
	return nil
}

func tdxVerdict(body *tpb.TDQuoteBody) *Verdict {
	v := &Verdict{
		State: Attested,
		By:    "Intel's root",
		Notes: []string{"revocation", "the security level of module, quoting enclave and processor"},
	}
	v.Measurements = append(v.Measurements, Measurement{"mrtd", hex.EncodeToString(body.GetMrTd())})
	for i, r := range body.GetRtmrs() {
		v.Measurements = append(v.Measurements, Measurement{fmt.Sprintf("rtmr%d", i), hex.EncodeToString(r)})
	}
	return v
}

// intelPool takes Intel's root from the quote's own chain, where it is the last
// certificate; want is its digest. The chain is signed block by block, so its
// text must equal the encoding of these blocks.
func intelPool(q *tpb.QuoteV4, want string) (*x509.CertPool, error) {
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
	if sum := sha256.Sum256(last.Bytes); hex.EncodeToString(sum[:]) != want {
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

package attest

import (
	"net"
	"testing"

	"github.com/google/go-configfs-tsm/configfs/configfsi"
	"github.com/google/go-sev-guest/abi"
	"github.com/google/go-sev-guest/verify/trust"
	"github.com/google/go-tpm/tpm2"
	"github.com/google/go-tpm/tpm2/transport"
)

// WithClient replaces the kernel.
func (c Config) WithClient(client configfsi.Client) Config {
	c.client = client
	return c
}

// WithAMD replaces AMD's roots.
func (p Policy) WithAMD(roots map[string][]*trust.AMDRootCerts) Policy {
	p.vendor.amd = roots
	return p
}

// WithIntel replaces Intel's root, by the SHA-256 of its DER.
func (p Policy) WithIntel(root string) Policy {
	p.vendor.intel = root
	return p
}

// OnConn is the attestor of an emulator behind a connection.
func OnConn(c net.Conn) Attestor {
	conn := patient{c}
	return &tpm{path: "emulator", conn: conn, dev: transport.FromReadWriteCloser(conn)}
}

// EndCertificate is endCertificate.
func EndCertificate(table, report []byte) []byte { return endCertificate(table, report) }

// TrimTDX is trimTDX.
func TrimTDX(b []byte) []byte { return trimTDX(b) }

// SizeOfReport is the size of a report of SEV-SNP.
const SizeOfReport = snpReportSize

// VerifyReportSignature checks only signature and certificates of a report.
func VerifyReportSignature(report, der []byte, p Policy) error {
	r, err := abi.ReportToProto(report)
	if err != nil {
		return err
	}
	_, err = verifyReportSignature(r, der, &p)
	return err
}

// AKTemplate is akTemplate.
func AKTemplate() tpm2.TPMTPublic { return akTemplate() }

// QuoteWith quotes with a key of another template.
func QuoteWith(t *testing.T, dev transport.TPM, template tpm2.TPMTPublic, data ReportData) []byte {
	t.Helper()
	a := &tpm{dev: dev}
	key, err := tpm2.CreatePrimary{PrimaryHandle: tpm2.TPMRHEndorsement, InPublic: tpm2.New2B(template)}.Execute(dev)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _, _ = tpm2.FlushContext{FlushHandle: key.ObjectHandle}.Execute(dev) }()
	quoted, signature, _, err := a.quote(tpm2.NamedHandle{Handle: key.ObjectHandle, Name: key.Name}, data)
	if err != nil {
		t.Fatal(err)
	}
	registers, err := a.registers()
	if err != nil {
		t.Fatal(err)
	}
	e := Evidence{KindTPM, [][]byte{key.OutPublic.Bytes(), quoted, signature, registers}}
	raw, err := e.Encode()
	if err != nil {
		t.Fatal(err)
	}
	return raw
}

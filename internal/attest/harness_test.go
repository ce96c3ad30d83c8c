package attest_test

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha512"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/binary"
	"encoding/pem"
	"errors"
	"math/big"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-configfs-tsm/configfs/configfsi"
	"github.com/google/go-configfs-tsm/configfs/faketsm"
	"github.com/google/go-sev-guest/abi"
	sevtest "github.com/google/go-sev-guest/testing"
	"github.com/google/go-sev-guest/verify/trust"

	"github.com/terradourada/td/internal/attest"
	"github.com/terradourada/td/protocol"
)

// epoch is an epoch-open leaf with every field that a quote binds set.
func epoch() *protocol.EpochOpen {
	e := &protocol.EpochOpen{Number: 7, SignerGrade: 1, TaggerGrade: 2}
	for i, field := range [][]byte{e.ID[:], e.Instance[:], e.PublicKey[:], e.Build[:], e.Posture[:], e.CheckpointKey[:]} {
		for j := range field {
			field[j] = byte(16*i + j%16 + 1)
		}
	}
	return e
}

// startTPM runs an emulator until the test ends and returns its socket; the
// test is skipped where no emulator is installed.
func startTPM(t *testing.T) string {
	t.Helper()
	program, err := exec.LookPath("swtpm")
	if err != nil {
		t.Skip("swtpm is not installed, so that no TPM can be asked: Debian has it in the package swtpm")
	}
	dir := t.TempDir()
	socket := filepath.Join(dir, "tpm.sock")
	cmd := exec.Command(program, "socket", "--tpm2", "--tpmstate", "dir="+dir, "--server", "type=unixio,path="+socket, "--flags", "not-need-init,startup-clear")
	var out bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &out
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	exited := make(chan error, 1)
	go func() { exited <- cmd.Wait() }()
	t.Cleanup(func() { _ = cmd.Process.Kill(); <-exited; exited <- nil })
	deadline := time.After(20 * time.Second)
	for tick := time.NewTicker(5 * time.Millisecond); ; {
		select {
		case err := <-exited:
			exited <- err
			t.Fatalf("swtpm ended: %v\n%s", err, out.String())
		case <-deadline:
			t.Fatal("swtpm does not listen")
		case <-tick.C:
			if c, err := net.Dial("unix", socket); err == nil {
				_ = c.Close()
				tick.Stop()
				return socket
			}
		}
	}
}

// openTPM is an attestor with an emulator behind it.
func openTPM(t *testing.T) attest.Attestor {
	t.Helper()
	a, err := attest.Open(attest.Config{Want: attest.WantTPM, TPM: startTPM(t)})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = a.Close() })
	return a
}

// quote makes an attestor quote an epoch.
func quote(t *testing.T, a attest.Attestor, e *protocol.EpochOpen) []byte {
	t.Helper()
	evidence, err := a.Quote(t.Context(), attest.Bind(e))
	if err != nil {
		t.Fatal(err)
	}
	raw, err := evidence.Encode()
	if err != nil {
		t.Fatal(err)
	}
	return raw
}

// entry is the answer of an emulated kernel to a request.
type entry struct {
	provider string
	quote    func(data []byte) ([]byte, error)
	aux      []byte
}

// tree is an emulated configfs-tsm: the library's, with answers of the test.
func tree(e entry) *faketsm.Client {
	read := func(r *faketsm.ReportEntry, attr string) ([]byte, error) {
		switch attr {
		case "provider":
			return []byte(e.provider + "\n"), nil
		case "outblob":
			return e.quote(r.InAttrs["inblob"].Value)
		case "auxblob":
			if e.aux == nil {
				return nil, os.ErrNotExist
			}
			return e.aux, nil
		}
		return nil, os.ErrNotExist
	}
	base := faketsm.Report611(0)
	base.ReadAttr = read
	return &faketsm.Client{Subsystems: map[string]configfsi.Client{"report": base}}
}

var errDevice = errors.New("the device is gone")

// chip is a processor of AMD's whose root the test holds.
type chip struct {
	signer *sevtest.AmdSigner
	roots  map[string][]*trust.AMDRootCerts
	at     time.Time
}

var newChip = sync.OnceValues(func() (*chip, error) {
	at := time.Date(2026, time.January, 2, 0, 0, 0, 0, time.UTC)
	s, err := sevtest.DefaultTestOnlyCertChain("Milan-B1", at)
	if err != nil {
		return nil, err
	}
	root := trust.AMDRootCertsProduct("Milan")
	root.ProductCerts = &trust.ProductCerts{Ask: s.Ask, Ark: s.Ark, Asvk: s.Asvk}
	return &chip{s, map[string][]*trust.AMDRootCerts{"Milan": {root}}, at.Add(time.Hour)}, nil
})

func theChip(t testing.TB) *chip {
	t.Helper()
	c, err := newChip()
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// report signs a report over data; change may alter it before.
func (c *chip) report(data []byte, change ...func([]byte)) ([]byte, error) {
	raw := sevtest.CreateRawReport(&sevtest.TestReportOptions{ReportData: data})
	r := slices.Clone(raw[:attest.SizeOfReport])
	binary.LittleEndian.PutUint64(r[0x08:], abi.SnpPolicyToBytes(abi.SnpPolicy{SMT: true}))
	for _, f := range change {
		f(r)
	}
	x, y, err := c.signer.Sign(abi.SignedComponent(r))
	if err != nil {
		return nil, err
	}
	return r, abi.SetSignature(x, y, r)
}

func (c *chip) table(t testing.TB) []byte {
	t.Helper()
	b, err := c.signer.CertTableBytes()
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// authority signs certificates for attestation keys.
type authority struct {
	key  *ecdsa.PrivateKey
	cert *x509.Certificate
}

func newAuthority(t *testing.T, from, until time.Time) *authority {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "enrolment"}, NotBefore: from, NotAfter: until,
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign,
	}
	a := &authority{key: key}
	a.cert = a.sign(t, template, template, &key.PublicKey)
	return a
}

func (a *authority) sign(t *testing.T, template, parent *x509.Certificate, key *ecdsa.PublicKey) *x509.Certificate {
	t.Helper()
	der, err := x509.CreateCertificate(rand.Reader, template, parent, key, a.key)
	if err != nil {
		t.Fatal(err)
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	return cert
}

// certify makes the PEM of a certificate for the key of a verdict.
func (a *authority) certify(t *testing.T, v *attest.Verdict) string {
	t.Helper()
	block, _ := pem.Decode([]byte(v.Key))
	key, err := x509.ParsePKIXPublicKey(block.Bytes)
	if err != nil {
		t.Fatal(err)
	}
	end := a.sign(t, &x509.Certificate{
		SerialNumber: big.NewInt(2), Subject: pkix.Name{CommonName: "ak"}, NotBefore: a.cert.NotBefore, NotAfter: a.cert.NotAfter,
	}, a.cert, key.(*ecdsa.PublicKey))
	return certPEM(end)
}

func certPEM(c *x509.Certificate) string {
	return string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: c.Raw}))
}

func roots(t testing.TB, texts ...string) *attest.Roots {
	t.Helper()
	r, err := attest.ParseRoots([]byte(strings.Join(texts, "\n")))
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// mustRefuse checks that every one of many changes of evidence is refused.
func mustRefuse(t *testing.T, raw []byte, data attest.ReportData, p attest.Policy, step int) {
	t.Helper()
	tried := 0
	for i := 0; i < len(raw); i += step {
		changed := slices.Clone(raw)
		changed[i] ^= 1 << (i % 8)
		if v, err := attest.Verify(changed, data, p); err == nil {
			t.Errorf("evidence with byte %d changed is %s", i, v.Sentence())
		}
		tried++
	}
	for n := range raw {
		if n%step == 0 {
			if _, err := attest.Verify(raw[:n], data, p); err == nil {
				t.Errorf("evidence cut off at %d verifies", n)
			}
		}
	}
	if _, err := attest.Verify(append(slices.Clone(raw), 0), data, p); err == nil {
		t.Error("evidence with a byte behind it verifies")
	}
	other := sha512.Sum512(data[:])
	if _, err := attest.Verify(raw, other, p); err == nil {
		t.Error("evidence verifies for another epoch")
	}
	if tried < 100 {
		t.Errorf("only %d changes were tried", tried)
	}
}

// deaf is a socket that never answers.
func deaf(t *testing.T) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "s")
	l, err := net.Listen("unix", path)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Close() })
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			_ = c.Close()
		}
	}()
	return path
}

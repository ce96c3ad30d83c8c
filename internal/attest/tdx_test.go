package attest_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/x509"
	"encoding/binary"
	"encoding/hex"
	"encoding/pem"
	"slices"
	"strings"
	"testing"
	"time"

	tdxdata "github.com/google/go-tdx-guest/testing/testdata"

	"github.com/terradourada/td/internal/attest"
)

// recordedTDX is the quote of a real machine, its report data, and a time at
// which its certificates were valid.
func recordedTDX(t testing.TB) (raw []byte, data attest.ReportData, at time.Time) {
	t.Helper()
	q := attest.TrimTDX(tdxdata.RawQuote)
	e := attest.Evidence{Kind: attest.KindTDX, Parts: [][]byte{q}}
	raw, err := e.Encode()
	if err != nil {
		t.Fatal(err)
	}
	return raw, attest.ReportData(q[48+520 : 48+584]), time.Date(2023, time.July, 1, 1, 0, 0, 0, time.UTC)
}

// TestTDXRecorded: the quote of a real machine leads to Intel's root, and no
// byte of it can be changed.
func TestTDXRecorded(t *testing.T) {
	raw, data, at := recordedTDX(t)
	v, err := attest.Verify(raw, data, attest.Policy{At: at})
	if err != nil || v.State != attest.Attested || v.Kind != attest.KindTDX || len(v.Measurements) != 5 {
		t.Fatalf("%v, %v", v, err)
	}
	if _, err := attest.Verify(raw, data, attest.Policy{At: at.AddDate(30, 0, 0)}); err == nil {
		t.Error("expired certificates are taken")
	}
	mustRefuse(t, raw, data, attest.Policy{At: at}, 11)
}

// TestTDXSizes: lengths inside that the library would trust are refused before
// it reads them.
func TestTDXSizes(t *testing.T) {
	_, data, at := recordedTDX(t)
	q := attest.TrimTDX(tdxdata.RawQuote)
	const auth = 636 + 128 + 6 + 448
	rows := map[string]func([]byte){
		"no signed data":       func(b []byte) { binary.LittleEndian.PutUint32(b[632:], 0) },
		"too much signed data": func(b []byte) { binary.LittleEndian.PutUint32(b[632:], 1<<31) },
		"no certification":     func(b []byte) { binary.LittleEndian.PutUint32(b[636+130:], 0) },
		"endless auth data":    func(b []byte) { binary.LittleEndian.PutUint16(b[auth:], 0xffff) },
		"auth data to the end": func(b []byte) { binary.LittleEndian.PutUint16(b[auth:], uint16(len(b)-auth-2)) },
		"debugging":            func(b []byte) { b[48+0x78] = 1 },
		"version 5":            func(b []byte) { b[0] = 5 },
	}
	for name, change := range rows {
		b := slices.Clone(q)
		change(b)
		e := attest.Evidence{Kind: attest.KindTDX, Parts: [][]byte{b}}
		raw, err := e.Encode()
		if err != nil {
			t.Fatal(err)
		}
		if v, err := attest.Verify(raw, data, attest.Policy{At: at}); err == nil {
			t.Errorf("%s: %s", name, v.Sentence())
		}
	}
}

// Offsets in a quote of TDX, version 4.
const (
	atTDBody    = 48
	atTDSize    = atTDBody + 584
	atTDSigned  = atTDSize + 4
	atTDKey     = atTDSigned + 64
	atTDNested  = atTDKey + 64
	atTDEnclave = atTDNested + 6
	atTDAuth    = atTDEnclave + 384 + 64
)

// platform is a processor of Intel's whose root the test holds.
type platform struct {
	quoting, pck *ecdsa.PrivateKey
	chain        []byte // PEM
	root         string // SHA-256 of its DER
}

// newPlatform issues the recorded chain again, for keys of the test.
func newPlatform(t *testing.T) *platform {
	t.Helper()
	p := &platform{quoting: newP256(t), pck: newP256(t)}
	recorded := recordedChain(t)
	keys := []*ecdsa.PrivateKey{p.pck, newP256(t), newP256(t)}
	made := make([]*x509.Certificate, 3)
	for i := 2; i >= 0; i-- {
		above := min(i+1, 2)
		made[i] = reissue(t, recorded[i], made[above], &keys[i].PublicKey, keys[above])
	}
	for _, c := range made {
		p.chain = append(p.chain, certPEM(c)...)
	}
	sum := sha256.Sum256(made[2].Raw)
	p.root = hex.EncodeToString(sum[:])
	return p
}

// recordedChain is that of the recorded quote: PCK, platform, root.
func recordedChain(t *testing.T) []*x509.Certificate {
	t.Helper()
	q := attest.TrimTDX(tdxdata.RawQuote)
	rest := q[atTDAuth+2+int(binary.LittleEndian.Uint16(q[atTDAuth:]))+6:]
	chain := make([]*x509.Certificate, 3)
	for i := range chain {
		var block *pem.Block
		var err error
		block, rest = pem.Decode(rest)
		if chain[i], err = x509.ParseCertificate(block.Bytes); err != nil {
			t.Fatal(err)
		}
	}
	return chain
}

// reissue makes a certificate like c for another key; without a parent it is
// self-signed.
func reissue(t *testing.T, c, parent *x509.Certificate, key *ecdsa.PublicKey, by *ecdsa.PrivateKey) *x509.Certificate {
	t.Helper()
	template := &x509.Certificate{
		SerialNumber: c.SerialNumber, RawSubject: c.RawSubject, NotBefore: c.NotBefore, NotAfter: c.NotAfter,
		ExtraExtensions: c.Extensions, SignatureAlgorithm: x509.ECDSAWithSHA256,
	}
	if parent == nil {
		parent = template
	}
	der, err := x509.CreateCertificate(rand.Reader, template, parent, key, by)
	if err != nil {
		t.Fatal(err)
	}
	made, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	return made
}

func newP256(t *testing.T) *ecdsa.PrivateKey {
	t.Helper()
	k, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return k
}

// signFixed signs in the form of a quote: r and s, 32 bytes each.
func signFixed(t *testing.T, k *ecdsa.PrivateKey, message []byte) []byte {
	t.Helper()
	sum := sha256.Sum256(message)
	r, s, err := ecdsa.Sign(rand.Reader, k, sum[:])
	if err != nil {
		t.Fatal(err)
	}
	b := make([]byte, 64)
	r.FillBytes(b[:32])
	s.FillBytes(b[32:])
	return b
}

// evidence is the recorded quote with changes in its body and in the report of
// the quoting enclave. All signatures are made again.
func (p *platform) evidence(t *testing.T, change func(body, enclave []byte)) []byte {
	t.Helper()
	q := slices.Clone(attest.TrimTDX(tdxdata.RawQuote))
	enclave := q[atTDEnclave : atTDEnclave+384]
	change(q[atTDBody:atTDSize], enclave)

	key, err := p.quoting.PublicKey.Bytes()
	if err != nil {
		t.Fatal(err)
	}
	copy(q[atTDKey:], key[1:])
	copy(q[atTDSigned:], signFixed(t, p.quoting, q[:atTDSize]))
	certificates := atTDAuth + 2 + int(binary.LittleEndian.Uint16(q[atTDAuth:])) + 6
	named := sha256.Sum256(slices.Concat(q[atTDKey:atTDNested], q[atTDAuth+2:certificates-6]))
	copy(enclave[320:], named[:])
	copy(q[atTDEnclave+384:], signFixed(t, p.pck, enclave))

	q = append(q[:certificates], p.chain...)
	for _, at := range []int{atTDSigned, atTDEnclave, certificates} { // a length is in front of each
		binary.LittleEndian.PutUint32(q[at-4:], uint32(len(q)-at))
	}
	e := attest.Evidence{Kind: attest.KindTDX, Parts: [][]byte{q}}
	raw, err := e.Encode()
	if err != nil {
		t.Fatal(err)
	}
	return raw
}

// TestTDXEnclave: a quote with valid signatures is still refused if another
// enclave than Intel's signed it, or another module than Intel's runs the
// machine. The owner of a platform can have it certify any enclave.
func TestTDXEnclave(t *testing.T) {
	p := newPlatform(t)
	_, data, at := recordedTDX(t)
	policy := attest.Policy{At: at}.WithIntel(p.root)
	honest := p.evidence(t, func(_, _ []byte) {})
	if v, err := attest.Verify(honest, data, policy); err != nil || v.State != attest.Attested {
		t.Fatalf("the platform as it was: %v, %v", v, err)
	}
	if v, err := attest.Verify(honest, data, attest.Policy{At: at}); err == nil {
		t.Errorf("a quote that leads to our root is taken for Intel's: %s", v.Sentence())
	}
	const enclave, level, module = "quoting enclave", "does not run as", "module"
	rows := map[string]struct {
		change func(body, enclave []byte)
		want   string
	}{
		"foreign enclave":    {func(_, e []byte) { copy(e[128:160], "the signer of another enclave...") }, enclave},
		"signer one bit off": {func(_, e []byte) { e[159] ^= 1 }, enclave},
		"other product":      {func(_, e []byte) { e[256] = 1 }, enclave},
		"product one more":   {func(_, e []byte) { e[257] = 1 }, enclave},
		"debug enclave":      {func(_, e []byte) { e[48] |= 2 }, level},
		"not initialised":    {func(_, e []byte) { e[48] &^= 1 }, level},
		"no provision key":   {func(_, e []byte) { e[48] &^= 0x10 }, level},
		"high attribute":     {func(_, e []byte) { e[55] = 0x80 }, level},
		"exception reports":  {func(_, e []byte) { e[16] = 1 }, level},
		"foreign module":     {func(b, _ []byte) { b[64] = 1 }, module},
		"foreign module end": {func(b, _ []byte) { b[111] = 0x80 }, module},
		"module attributes":  {func(b, _ []byte) { b[119] = 0x80 }, module},
		"debugging":          {func(b, _ []byte) { b[120] |= 1 }, "debug"},
		"debugging, high":    {func(b, _ []byte) { b[120] |= 0x80 }, "debug"},
		"migration":          {func(b, _ []byte) { b[123] |= 0x20 }, "moved"},
	}
	for name, row := range rows {
		v, err := attest.Verify(p.evidence(t, row.change), data, policy)
		if err == nil {
			t.Errorf("%s: %s", name, v.Sentence())
		} else if !strings.Contains(err.Error(), row.want) {
			t.Errorf("%s: refused for %v, want something about %q", name, err, row.want)
		}
	}
}

// TestTDXEnclaveLevels: a level that only Intel can judge is not checked, and
// the verdict says so.
func TestTDXEnclaveLevels(t *testing.T) {
	p := newPlatform(t)
	_, data, at := recordedTDX(t)
	raw := p.evidence(t, func(_, e []byte) {
		copy(e[64:96], "the measurement of a later one..")
		e[258], e[48] = 9, e[48]^4 // ISVSVN; MODE64BIT
	})
	v, err := attest.Verify(raw, data, attest.Policy{At: at}.WithIntel(p.root))
	if err != nil || !strings.Contains(v.Sentence(), "not checked: revocation, the security level of") {
		t.Errorf("%v, %v", v, err)
	}
}

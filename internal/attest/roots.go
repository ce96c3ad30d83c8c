package attest

import (
	"crypto"
	"crypto/x509"
	"encoding/pem"
	"strings"
	"time"

	"github.com/google/go-sev-guest/verify/trust"

	"github.com/terradourada/td/protocol"
)

// Roots are the keys and authorities that a verifier vouches for itself.
type Roots struct {
	keys []publicKey         // pinned
	ends []*x509.Certificate // of attestation keys
	cas  []*x509.Certificate
}

// vendorRoots replace the built-in roots of the vendors in tests.
type vendorRoots struct {
	amd   map[string][]*trust.AMDRootCerts
	intel string // as intelRoot
}

// publicKey is the common interface of public keys in crypto.
type publicKey interface {
	Equal(x crypto.PublicKey) bool
}

// maxRoots bounds the blocks of a file of roots.
const maxRoots = 256

// ParseRoots reads a PEM file: PUBLIC KEY pins the attestation key of a TPM.
// CERTIFICATE is an authority that certifies such keys, or the certificate of
// one attestation key (a TPM's, a VCEK). Such a certificate must come from an
// authority in the file or from the vendor. Anything else is refused.
func ParseRoots(text []byte) (*Roots, error) {
	r := &Roots{}
	for n := 0; ; n++ {
		block, rest := pem.Decode(text)
		if block == nil && n > 0 && strings.TrimSpace(string(text)) == "" {
			return r, nil
		}
		if block == nil || n == maxRoots {
			return nil, malformed("the file of roots is not PEM of keys and certificates")
		}
		if err := r.add(block); err != nil {
			return nil, err
		}
		text = rest
	}
}

func (r *Roots) add(block *pem.Block) error {
	switch block.Type {
	case "PUBLIC KEY":
		k, err := x509.ParsePKIXPublicKey(block.Bytes)
		if err != nil {
			return malformed("a public key in the file of roots cannot be read")
		}
		key, ok := k.(publicKey)
		if !ok {
			return malformed("a public key in the file of roots is of an unknown kind")
		}
		r.keys = append(r.keys, key)
	case "CERTIFICATE":
		c, err := x509.ParseCertificate(block.Bytes)
		if err != nil {
			return malformed("a certificate in the file of roots cannot be read")
		}
		if c.IsCA {
			r.cas = append(r.cas, c)
		} else {
			r.ends = append(r.ends, c)
		}
	default:
		return malformed("the file of roots holds something that is neither PUBLIC KEY nor CERTIFICATE")
	}
	return nil
}

// vouch returns who vouches for a key at a time, if anyone does.
func (r *Roots) vouch(key publicKey, at time.Time) (by string, ok bool) {
	if r == nil {
		return "", false
	}
	for _, k := range r.keys {
		if k.Equal(key) {
			return "who pinned it", true
		}
	}
	cas := x509.NewCertPool()
	for _, c := range r.cas {
		cas.AddCert(c)
	}
	for _, c := range r.ends {
		if !key.Equal(c.PublicKey) {
			continue
		}
		_, err := c.Verify(x509.VerifyOptions{Roots: cas, CurrentTime: at, KeyUsages: []x509.ExtKeyUsage{x509.ExtKeyUsageAny}})
		if err == nil {
			return "the authority " + protocol.Printable(c.Issuer.CommonName[:min(len(c.Issuer.CommonName), 64)]), true
		}
	}
	return "", false
}

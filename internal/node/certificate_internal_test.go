package node

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"log/slog"
	"math/big"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/terradourada/td/internal/config"
)

// selfSigned returns a certificate of this common name and its key.
func selfSigned(t *testing.T, name string) (cert, key []byte) {
	t.Helper()
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: name}, NotAfter: time.Now().Add(time.Hour)}
	der, err := x509.CreateCertificate(rand.Reader, template, template, private.Public(), private)
	if err != nil {
		t.Fatal(err)
	}
	pkcs8, err := x509.MarshalPKCS8PrivateKey(private)
	if err != nil {
		t.Fatal(err)
	}
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}), pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: pkcs8})
}

// TestCertificateReload: a pair that was replaced, by a rename or in place, is used by
// later handshakes; one that does not fit leaves the former in use.
func TestCertificateReload(t *testing.T) {
	dir := t.TempDir()
	cfg := &config.Config{TLSCert: filepath.Join(dir, "cert.pem"), TLSKey: filepath.Join(dir, "key.pem")}
	var logged bytes.Buffer
	put := func(name string) {
		t.Helper()
		cert, key := selfSigned(t, name)
		for file, b := range map[string][]byte{cfg.TLSCert: cert, cfg.TLSKey: key} {
			if err := os.WriteFile(file+".new", b, 0o600); err != nil {
				t.Fatal(err)
			}
			if err := os.Rename(file+".new", file); err != nil {
				t.Fatal(err)
			}
		}
	}
	put("a")
	c, err := openCertificate(cfg, slog.New(slog.NewTextHandler(&logged, nil)))
	if err != nil {
		t.Fatal(err)
	}
	name := func() string {
		t.Helper()
		c.looked = time.Time{} // a second has passed
		pair, err := c.get(&tls.ClientHelloInfo{})
		if err != nil {
			t.Fatal(err)
		}
		return pair.Leaf.Subject.CommonName
	}
	if got := name(); got != "a" || logged.Len() != 0 {
		t.Errorf("%q, %s", got, &logged)
	}
	put("b")
	if got := name(); got != "b" || !strings.Contains(logged.String(), "certificate reloaded") {
		t.Errorf("%q, %s", got, &logged)
	}
	if err := os.WriteFile(cfg.TLSCert, []byte("half"), 0o600); err != nil {
		t.Fatal(err)
	}
	for range 3 {
		if got := name(); got != "b" {
			t.Errorf("%q", got)
		}
	}
	if n := strings.Count(logged.String(), "certificate not reloaded"); n != 1 {
		t.Errorf("%d warnings: %s", n, &logged)
	}
	if err := c.again(); err == nil {
		t.Error("half a certificate is reloaded")
	}
	if err := os.Remove(cfg.TLSCert); err != nil {
		t.Fatal(err)
	}
	if got := name(); got != "b" {
		t.Errorf("%q", got)
	}
	put("a")
	if got := name(); got != "a" {
		t.Errorf("%q", got)
	}
	if err := c.again(); err != nil || strings.Count(logged.String(), "certificate reloaded") != 3 {
		t.Errorf("asked for: %v, %s", err, &logged)
	}
	if _, err := openCertificate(&config.Config{TLSCert: "none", TLSKey: "none"}, slog.Default()); err == nil {
		t.Error("a certificate that is missing loads")
	}
	if len(certificateDirs(cfg)) != 4 || certificateDirs(&config.Config{}) != nil {
		t.Error(certificateDirs(cfg))
	}
}

package node

import (
	"crypto/tls"
	"log/slog"
	"net/http"
	"os"
	"path/filepath"
	"testing"

	"github.com/terradourada/td/internal/config"
	"github.com/terradourada/td/internal/server"
)

// TestTLSOffersHTTP1Only: a client that speaks nothing but HTTP/2 gets no connection, and
// one that prefers it gets HTTP/1.1.
func TestTLSOffersHTTP1Only(t *testing.T) {
	certPEM, keyPEM := selfSigned(t, "localhost")
	dir := t.TempDir()
	cfg := &config.Config{Listen: "127.0.0.1:0", TLSCert: filepath.Join(dir, "cert.pem"), TLSKey: filepath.Join(dir, "key.pem")}
	for path, b := range map[string][]byte{cfg.TLSCert: certPEM, cfg.TLSKey: keyPEM} {
		if err := os.WriteFile(path, b, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	cert, err := openCertificate(cfg, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	l, err := listen(t.Context(), cfg, cert, nil)
	if err != nil {
		t.Fatal(err)
	}
	h, _ := server.HTTPServer(server.Config{}, http.NotFoundHandler())
	go h.Serve(l)
	t.Cleanup(func() { h.Close() })
	dial := func(protocols ...string) (*tls.Conn, error) {
		d := tls.Dialer{Config: &tls.Config{InsecureSkipVerify: true, MinVersion: tls.VersionTLS13, NextProtos: protocols}}
		c, err := d.DialContext(t.Context(), "tcp", l.Addr().String())
		if err != nil {
			return nil, err
		}
		t.Cleanup(func() { c.Close() })
		return c.(*tls.Conn), nil
	}
	if c, err := dial("h2"); err == nil {
		t.Errorf("h2 alone: %q", c.ConnectionState().NegotiatedProtocol)
	}
	if c, err := dial("h2", "http/1.1"); err != nil || c.ConnectionState().NegotiatedProtocol != "http/1.1" {
		t.Errorf("h2 or http/1.1: %v, %v", c, err)
	}
}

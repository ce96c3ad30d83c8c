package main_test

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"io"
	"math/big"
	"net"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
)

// asStranger makes the test binary a proxy: its value is the address to listen
// on, a space, and the URL to pass requests on to.
const asStranger = "RUN_AS_STRANGER"

// strangerUID is a user that is neither root nor one of the server's.
const strangerUID = 12345

// runStranger is the program of [attack.stranger].
func runStranger(spec string) int {
	address, target, _ := strings.Cut(spec, " ")
	u, err := url.Parse(target)
	if err != nil {
		return 2
	}
	_ = http.ListenAndServe(address, httputil.NewSingleHostReverseProxy(u)) // until it is killed
	return 1
}

// stranger is a process of another user that listens on an address and answers
// as the server at a URL does.
func (a *attack) stranger(address, target string) {
	a.Helper()
	if os.Geteuid() != 0 {
		a.skip("needs root, to start a process of another user")
	}
	cmd := exec.Command("/proc/self/exe")
	cmd.Env = []string{asStranger + "=" + address + " " + target}
	cmd.Dir = "/"
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: strangerUID, Gid: strangerUID}, Pdeathsig: syscall.SIGKILL}
	a.must(cmd.Start())
	a.Cleanup(func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
	})
	eventually(a.T, 10*time.Second, "the stranger does not listen", func() bool {
		c, err := net.Dial("tcp", address)
		if err == nil {
			c.Close()
		}
		return err == nil
	})
}

// onTheWay sends every plain HTTP request of the user through the attacker. A real
// attacker between a user and a server needs no such setting.
func onTheWay(attacker string) []string { return []string{"HTTP_PROXY=" + attacker, "NO_PROXY="} }

// plainURL is a server that is reached by plain HTTP over a network, under the
// name plainHost.
const (
	plainHost = "td.example"
	plainURL  = "http://" + plainHost
)

// authority issues certificates for this machine.
type authority struct {
	t    testing.TB
	key  *ecdsa.PrivateKey
	cert *x509.Certificate
	file string // PEM, for SSL_CERT_FILE
}

func newAuthority(t testing.TB) *authority {
	t.Helper()
	ca := &authority{t: t, key: ecKey(t)}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "authority"}, IsCA: true, BasicConstraintsValid: true,
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour), KeyUsage: x509.KeyUsageCertSign,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, ca.key.Public(), ca.key)
	if err != nil {
		t.Fatal(err)
	}
	if ca.cert, err = x509.ParseCertificate(der); err != nil {
		t.Fatal(err)
	}
	ca.file = filepath.Join(t.TempDir(), "authority.pem")
	writePEM(t, ca.file, "CERTIFICATE", der)
	return ca
}

// trusted makes a user's programs trust the authority.
func (ca *authority) trusted() string { return "SSL_CERT_FILE=" + ca.file }

// flags are those of a server with a certificate for "localhost".
func (ca *authority) flags() []string {
	ca.t.Helper()
	key := ecKey(ca.t)
	template := &x509.Certificate{
		SerialNumber: big.NewInt(2), DNSNames: []string{"localhost"},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
	}
	cert, err := x509.CreateCertificate(rand.Reader, template, ca.cert, key.Public(), ca.key)
	if err != nil {
		ca.t.Fatal(err)
	}
	private, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		ca.t.Fatal(err)
	}
	dir := ca.t.TempDir()
	certFile, keyFile := filepath.Join(dir, "cert.pem"), filepath.Join(dir, "key.pem")
	writePEM(ca.t, certFile, "CERTIFICATE", cert)
	writePEM(ca.t, keyFile, "PRIVATE KEY", private)
	return []string{"--tls-cert", certFile, "--tls-key", keyFile}
}

func ecKey(t testing.TB) *ecdsa.PrivateKey {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return key
}

func writePEM(t testing.TB, name, kind string, der []byte) {
	t.Helper()
	if err := os.WriteFile(name, pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der}), 0o600); err != nil {
		t.Fatal(err)
	}
}

// secure is the https URL of an address on loopback.
func secure(address string) string {
	_, port, _ := net.SplitHostPort(address)
	return "https://localhost:" + port
}

// between is a process of this user in front of a server; change may alter an
// answer.
func between(t testing.TB, target string, change func(r *http.Request, body []byte) []byte) string {
	t.Helper()
	u, err := url.Parse(target)
	if err != nil {
		t.Fatal(err)
	}
	proxy := httputil.NewSingleHostReverseProxy(u)
	proxy.ModifyResponse = func(res *http.Response) error {
		body, err := io.ReadAll(res.Body)
		if err != nil {
			return err
		}
		body = change(res.Request, body)
		res.Body = io.NopCloser(bytes.NewReader(body))
		res.ContentLength = int64(len(body))
		res.Header.Set("Content-Length", strconv.Itoa(len(body)))
		return nil
	}
	s := httptest.NewServer(proxy)
	t.Cleanup(s.Close)
	return s.URL
}

package main_test

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/terradourada/td/claim"
	"github.com/terradourada/td/client"
	"github.com/terradourada/td/internal/admin"
)

// renewCertificates plays the renewal of a certificate under a load of clients with
// keys, who make a new connection for each request. No request fails, and a renewed
// certificate is served within two seconds; one that cannot be used changes nothing.
func (g *game) renewCertificates() {
	ca := newAuthority(g.T)
	flags := ca.flags()
	g.readable(flags)
	b := startBackend(g.T, g.TempDir(), append(flags, "--authenticate", "--prover", "none")...)
	key, err := g.administer(b).AddClient(g.Context(), admin.AddKeyRequest{Reason: admin.Reason{Reason: "game day"}, Client: "north"})
	if err != nil {
		g.Fatal(err)
	}
	_, token, _ := strings.Cut(strings.TrimSpace(key.Token), " ")
	roots := x509.NewCertPool()
	roots.AddCert(ca.cert)
	url := secure(strings.TrimPrefix(b.url, "https://"))
	b.Client, err = client.New(url, client.Config{
		Transport: &http.Transport{DisableKeepAlives: true, TLSClientConfig: &tls.Config{RootCAs: roots, MinVersion: tls.VersionTLS13}},
		Token:     token, ClientID: "north", Retries: -1,
	})
	if err != nil {
		g.Fatal(err)
	}

	ctx, stop := context.WithCancel(g.Context())
	defer stop()
	var all sync.WaitGroup
	var opened atomic.Int64
	failed := &failures{}
	for range 15 {
		all.Go(func() {
			for ctx.Err() == nil {
				if _, err := b.challenge(ctx, submission()); err == nil {
					opened.Add(1)
				} else if ctx.Err() == nil {
					failed.note(err)
				}
				time.Sleep(60 * time.Millisecond) // the pace of the load
			}
		})
	}
	all.Go(func() { g.submitAs(ctx, b, failed) })
	g.renew(b, flags, ca)
	stop()
	all.Wait()
	g.figures["opened"] = opened.Load()
	failed.none(g)
	g.settle(b)
}

// submitAs has events accepted over the client of b until ctx ends.
func (g *game) submitAs(ctx context.Context, b *backend, failed *failures) {
	p, err := openProver()
	for ctx.Err() == nil && err == nil {
		var r *client.Result
		s := client.Submission{Claim: claim.Open, Params: []byte(`{}`), Event: submission().Event}
		if r, err = b.Submit(context.WithoutCancel(ctx), p, s); err == nil {
			g.keep(b.Client, r.Accepted)
		}
	}
	if err != nil {
		failed.note(err)
	}
}

// readable lets a server that becomes another user read the files of its flags.
func (g *game) readable(flags []string) {
	g.Helper()
	for _, i := range []int{1, 3} {
		openWay(g.T, filepath.Dir(flags[i]))
		if err := errors.Join(os.Chmod(filepath.Dir(flags[i]), 0o755), os.Chmod(flags[i], 0o644)); err != nil {
			g.Fatal(err)
		}
	}
}

// renew replaces the files in every way, and wants each new certificate to be served.
func (g *game) renew(b *backend, flags []string, ca *authority) {
	g.Helper()
	ways := []func(from, to string) error{os.Rename, overwrite}
	var slowest time.Duration
	for round := range g.either(2, 20) {
		next := ca.flags()
		g.readable(next)
		want := g.certificateIn(next[1])
		began := time.Now()
		for _, i := range []int{1, 3} {
			if err := ways[round%len(ways)](next[i], flags[i]); err != nil {
				g.Fatal(err)
			}
		}
		for !g.served(b).Equal(want) {
			if time.Since(began) > 20*time.Second {
				g.Fatal("the renewed certificate is not served")
			}
			time.Sleep(10 * time.Millisecond)
		}
		slowest = max(slowest, time.Since(began))
		g.spoil(b, flags, want)
	}
	g.figures["renewed"], g.figures["slowest_ms"] = g.either(2, 20), slowest.Milliseconds()
	if slowest > 2*time.Second && !g.short { // a short run has a busy machine
		g.Errorf("a renewed certificate was served after %v", slowest)
	}
}

// spoil puts something that is no key in place of the key until the server has
// noticed it.
func (g *game) spoil(b *backend, flags []string, want *x509.Certificate) {
	g.Helper()
	const said = "certificate not reloaded"
	key, err := os.ReadFile(flags[3])
	before := strings.Count(b.stderr(), said)
	if err == nil {
		err = os.WriteFile(flags[3], []byte("no key"), 0o644)
	}
	if err != nil {
		g.Fatal(err)
	}
	eventually(g.T, 20*time.Second, "an unusable key is not noticed", func() bool {
		if !g.served(b).Equal(want) {
			g.Error("another certificate is served")
		}
		return strings.Count(b.stderr(), said) > before
	})
	if err := os.WriteFile(flags[3], key, 0o644); err != nil {
		g.Fatal(err)
	}
}

// overwrite replaces the content of a file and keeps the file.
func overwrite(from, to string) error {
	content, err := os.ReadFile(from)
	if err != nil {
		return err
	}
	return os.WriteFile(to, content, 0o644)
}

func (g *game) certificateIn(file string) *x509.Certificate {
	g.Helper()
	pair, err := tls.LoadX509KeyPair(file, filepath.Join(filepath.Dir(file), "key.pem"))
	if err != nil {
		g.Fatal(err)
	}
	return pair.Leaf
}

// served returns the certificate that a new connection gets.
func (g *game) served(b *backend) *x509.Certificate {
	g.Helper()
	d := tls.Dialer{Config: &tls.Config{InsecureSkipVerify: true, MinVersion: tls.VersionTLS13}}
	c, err := d.DialContext(g.Context(), "tcp", strings.TrimPrefix(b.url, "https://"))
	if err != nil {
		g.Fatal(err)
	}
	defer c.Close()
	return c.(*tls.Conn).ConnectionState().PeerCertificates[0]
}

package notify

import (
	"bufio"
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync/atomic"
	"time"
)

// Time-outs of one attempt.
const (
	dialTimeout    = 5 * time.Second
	attemptTimeout = 15 * time.Second
)

// network is how the notifier reaches others. It holds what is read before the process
// confines itself.
type network struct {
	allowed *Allowed
	hosts   map[string][]netip.Addr // of /etc/hosts
	lookup  func(ctx context.Context, host string) ([]netip.Addr, error)
	roots   *x509.CertPool
}

// newNetwork reads what the system says about names and authorities, and adds these
// authorities.
func newNetwork(allowed *Allowed, authorities []*x509.Certificate) *network {
	n := &network{allowed: allowed, hosts: readHosts("/etc/hosts")}
	n.roots, _ = x509.SystemCertPool() // without it no certificate is trusted
	if n.roots == nil {
		n.roots = x509.NewCertPool()
	}
	for _, c := range authorities {
		n.roots.AddCert(c)
	}
	n.lookup = resolver(readServers("/etc/resolv.conf"))
	return n
}

// maxAuthorities bounds a file of certificates, in bytes: they are an argument of a process.
const maxAuthorities = 64 << 10

// ReadAuthorities reads the certificates of authorities from a file in PEM, and returns
// them one behind the other in DER. A block of another kind, such as a private key, is an
// error.
func ReadAuthorities(name string) (all []byte, err error) {
	f, err := os.Open(filepath.Clean(name))
	if err != nil {
		return nil, err
	}
	defer func() { _ = f.Close() }()
	rest, err := io.ReadAll(io.LimitReader(f, maxAuthorities+1))
	if err != nil {
		return nil, err
	}
	if len(rest) > maxAuthorities {
		return nil, fmt.Errorf("%s is larger than %d bytes", name, maxAuthorities)
	}
	for {
		block, after := pem.Decode(rest)
		if block == nil {
			break
		}
		rest = after
		if block.Type != "CERTIFICATE" {
			return nil, fmt.Errorf("%s holds a %s; it is for certificates only", name, block.Type)
		}
		c, err := x509.ParseCertificate(block.Bytes)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", name, err)
		}
		if !c.IsCA {
			return nil, fmt.Errorf("%s: the certificate of %q is not that of an authority", name, c.Subject)
		}
		all = append(all, c.Raw...)
	}
	if len(all) == 0 {
		return nil, fmt.Errorf("%s holds no certificate in PEM", name)
	}
	return all, nil
}

// resolver returns a function that asks name servers. The resolver of package net reads
// its files again and again, which this process cannot: only its questions are used, and
// each is sent to the servers that were known at the start.
func resolver(servers []string) func(context.Context, string) ([]netip.Addr, error) {
	var next atomic.Uint32
	r := net.Resolver{PreferGo: true, Dial: func(ctx context.Context, network, _ string) (net.Conn, error) {
		if len(servers) == 0 {
			return nil, errors.New("no name server is configured")
		}
		server := servers[next.Add(1)%uint32(len(servers))]
		return new(net.Dialer).DialContext(ctx, network, server)
	}}
	// Package net finds out here which versions of IP the system has. The calls are not
	// allowed later.
	if c, err := new(net.ListenConfig).ListenPacket(context.Background(), "udp", ":0"); err == nil {
		_ = c.Close()
	}
	turn := make(chan struct{}, 1) // one question at a time
	ask := func(ctx context.Context, host string) ([]netip.Addr, error) {
		select {
		case turn <- struct{}{}:
			defer func() { <-turn }()
		case <-ctx.Done():
			return nil, ctx.Err()
		}
		return r.LookupNetIP(ctx, "ip", strings.TrimSuffix(host, ".")+".")
	}
	return ask
}

func readHosts(name string) map[string][]netip.Addr {
	hosts := make(map[string][]netip.Addr)
	eachLine(name, func(words []string) {
		ip, err := netip.ParseAddr(words[0])
		for _, host := range words[1:] {
			if err == nil {
				hosts[strings.ToLower(host)] = append(hosts[strings.ToLower(host)], ip)
			}
		}
	})
	return hosts
}

func readServers(name string) (servers []string) {
	eachLine(name, func(words []string) {
		if len(words) > 1 && words[0] == "nameserver" {
			servers = append(servers, net.JoinHostPort(words[1], "53"))
		}
	})
	return servers
}

// eachLine visits the words of the lines of a file; there are none if it cannot be read.
func eachLine(name string, visit func(words []string)) {
	b, _ := os.ReadFile(filepath.Clean(name))
	lines := bufio.NewScanner(bytes.NewReader(b))
	for lines.Scan() {
		text, _, _ := strings.Cut(lines.Text(), "#")
		if words := strings.Fields(text); len(words) > 0 {
			visit(words)
		}
	}
}

// addresses returns the addresses of a host.
func (n *network) addresses(ctx context.Context, host string) ([]netip.Addr, error) {
	if ip, err := netip.ParseAddr(host); err == nil {
		return []netip.Addr{ip}, nil
	}
	if known := n.hosts[strings.ToLower(host)]; len(known) > 0 {
		return known, nil
	}
	return n.lookup(ctx, host)
}

// dial connects to the first address of a host that is allowed and answers.
func (n *network) dial(ctx context.Context, proto, hostport string) (net.Conn, error) {
	host, text, err := net.SplitHostPort(hostport)
	if err != nil {
		return nil, err
	}
	n16, _ := strconv.ParseUint(text, 10, 16) // 0 is not allowed
	port := uint16(n16)
	all, err := n.addresses(ctx, host)
	if err != nil {
		return nil, fmt.Errorf("name of %s not found: %w", host, err)
	}
	last := refusedHost(host, port)
	for _, ip := range all {
		if !n.allowed.address(host, ip, port) {
			continue
		}
		d := net.Dialer{Timeout: dialTimeout}
		c, err := d.DialContext(ctx, proto, net.JoinHostPort(ip.String(), text))
		if err == nil {
			return c, nil
		}
		last = err
	}
	return nil, last
}

// client returns an HTTP client of this network.
func (n *network) client() *http.Client {
	return &http.Client{
		Timeout: attemptTimeout,
		Transport: &http.Transport{
			DialContext:            n.dial,
			TLSClientConfig:        &tls.Config{RootCAs: n.roots, MinVersion: tls.VersionTLS12},
			DisableKeepAlives:      true, // each attempt looks up the name again
			DisableCompression:     true,
			MaxResponseHeaderBytes: 16 << 10,
		},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
}

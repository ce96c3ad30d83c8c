package notify

import (
	"bufio"
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
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

// newNetwork reads what the system says about names and authorities.
func newNetwork(allowed *Allowed) *network {
	n := &network{allowed: allowed, hosts: readHosts("/etc/hosts")}
	n.roots, _ = x509.SystemCertPool() // without it no certificate is trusted
	if n.roots == nil {
		n.roots = x509.NewCertPool()
	}
	n.lookup = resolver(readServers("/etc/resolv.conf"))
	return n
}

// resolver returns a function that asks name servers. The resolver of package net reads
// its files again and again, which this process cannot: only its questions are used, and
// each is sent to the servers that were known at the start.
func resolver(servers []string) func(context.Context, string) ([]netip.Addr, error) {
	next := 0
	r := net.Resolver{PreferGo: true, Dial: func(ctx context.Context, network, _ string) (net.Conn, error) {
		if len(servers) == 0 {
			return nil, errors.New("no name server is configured")
		}
		next++
		return new(net.Dialer).DialContext(ctx, network, servers[next%len(servers)])
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
	host, port, err := net.SplitHostPort(hostport)
	if err != nil {
		return nil, err
	}
	all, err := n.addresses(ctx, host)
	if err != nil {
		return nil, fmt.Errorf("name of %s not found: %w", host, err)
	}
	last := refusedHost(host)
	for _, ip := range all {
		if !n.allowed.address(host, ip) {
			continue
		}
		d := net.Dialer{Timeout: dialTimeout}
		c, err := d.DialContext(ctx, proto, net.JoinHostPort(ip.String(), port))
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

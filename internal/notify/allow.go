package notify

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"net/url"
	"slices"
	"strconv"
	"strings"
)

// DefaultPort is the port that an entry without one allows.
const DefaultPort = 443

// Allowed are the destinations that sinks may have.
type Allowed struct {
	hosts    []allowedHost
	networks []allowedNetwork
}

type allowedHost struct {
	name string
	port uint16
}

type allowedNetwork struct {
	netip.Prefix
	port uint16
}

// ParseAllowed parses host names, addresses and networks, each with a port behind a colon
// or without one. What holds colons itself is in brackets then: [2001:db8::/32]:9093.
func ParseAllowed(entries []string) (*Allowed, error) {
	a := &Allowed{}
	for _, e := range entries {
		name, port, err := splitPort(e)
		if err != nil {
			return nil, err
		}
		p, err := netip.ParsePrefix(name)
		if ip, iperr := netip.ParseAddr(name); err != nil && iperr == nil && ip.Zone() == "" {
			p, err = netip.PrefixFrom(ip.Unmap(), ip.Unmap().BitLen()), nil
		}
		switch {
		case err == nil && embeds(p):
			return nil, fmt.Errorf("%q holds addresses of IPv4: allow these", e)
		case err == nil:
			a.networks = append(a.networks, allowedNetwork{p.Masked(), port})
		case hostName(name):
			a.hosts = append(a.hosts, allowedHost{strings.ToLower(name), port})
		default:
			return nil, fmt.Errorf("%q is no host name, address or network, with or without a port", e)
		}
	}
	return a, nil
}

// splitPort returns the parts of an entry, without brackets.
func splitPort(entry string) (name string, port uint16, err error) {
	if _, err := netip.ParsePrefix(entry); err == nil {
		return entry, DefaultPort, nil
	}
	if _, err := netip.ParseAddr(entry); err == nil || !strings.Contains(entry, ":") {
		return entry, DefaultPort, nil
	}
	name, text, err := net.SplitHostPort(entry)
	n, perr := strconv.ParseUint(text, 10, 16)
	if err != nil || perr != nil || n == 0 || name == "" {
		return "", 0, fmt.Errorf("%q has no port from 1 to 65535 behind its last colon", entry)
	}
	return name, uint16(n), nil
}

// hostName reports whether a text is a name that a URL can have.
func hostName(s string) bool {
	const letters = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-."
	return s != "" && len(s) <= 253 && strings.Trim(s, letters) == "" && strings.Trim(s, "0123456789.") != "" &&
		!strings.HasPrefix(s, ".") && !strings.Contains(s, "..")
}

// embeds reports whether the addresses of a network embed addresses of IPv4.
func embeds(p netip.Prefix) bool {
	for _, c := range embeddings {
		if c.Bits() <= p.Bits() && len(embedded(p.Addr())) > 0 {
			return true
		}
	}
	return p.Addr().Is4In6()
}

// special are networks whose addresses are not public, besides those that netip knows.
var special = []netip.Prefix{
	netip.MustParsePrefix("0.0.0.0/8"), netip.MustParsePrefix("100.64.0.0/10"), netip.MustParsePrefix("192.0.0.0/24"),
	netip.MustParsePrefix("198.18.0.0/15"), netip.MustParsePrefix("240.0.0.0/4"),
}

// embeddings are networks of IPv6 whose addresses embed addresses of IPv4, and the bytes
// where these begin. Who connects to such an address reaches the other one.
var embeddings = []struct {
	netip.Prefix
	at       []int
	inverted int // the one whose bits are inverted
}{
	{netip.MustParsePrefix("64:ff9b::/96"), []int{12}, 0},    // NAT64
	{netip.MustParsePrefix("64:ff9b:1::/96"), []int{12}, 0},  // NAT64 of a site; see localNAT64
	{netip.MustParsePrefix("2002::/16"), []int{2}, 0},        // 6to4
	{netip.MustParsePrefix("2001::/32"), []int{4, 12}, 12},   // Teredo: server and client
	{netip.MustParsePrefix("::ffff:0:0:0/96"), []int{12}, 0}, // SIIT
	{netip.MustParsePrefix("::/96"), []int{12}, 0},           // compatible; not :: and ::1
}

// localNAT64 is the network from which a site may choose its prefix for NAT64, of any
// length. Only of the /96 above it is known where an address embeds one of IPv4. Every
// other address of this network is refused unless an entry names it.
var localNAT64 = netip.MustParsePrefix("64:ff9b:1::/48")

// embedded returns the addresses of IPv4 that an address of IPv6 embeds.
func embedded(ip netip.Addr) (all []netip.Addr) {
	switch {
	case ip.Is4In6():
		return []netip.Addr{ip.Unmap()}
	case ip.IsUnspecified(), ip.IsLoopback():
		return nil
	}
	for _, c := range embeddings {
		if !c.Contains(ip) {
			continue
		}
		b := ip.As16()
		for _, at := range c.at {
			v4 := [4]byte(b[at : at+4])
			if c.inverted == at {
				for i := range v4 {
					v4[i] ^= 0xff
				}
			}
			all = append(all, netip.AddrFrom4(v4))
		}
	}
	return all
}

// apart are networks whose addresses are allowed only by a network that lies in one of
// them: link-local, multicast, unspecified, metadata services elsewhere, and NAT64 of a
// site.
var apart = []netip.Prefix{
	localNAT64,
	netip.MustParsePrefix("169.254.0.0/16"), netip.MustParsePrefix("fe80::/10"), netip.MustParsePrefix("224.0.0.0/4"), netip.MustParsePrefix("ff00::/8"),
	netip.MustParsePrefix("0.0.0.0/32"), netip.MustParsePrefix("::/128"), netip.MustParsePrefix("fd00:ec2::254/128"), netip.MustParsePrefix("100.100.100.200/32"),
}

// within reports whether a network lies in one of others.
func within(p netip.Prefix, others []netip.Prefix) bool {
	return slices.ContainsFunc(others, func(o netip.Prefix) bool { return o.Bits() <= p.Bits() && o.Contains(p.Addr()) })
}

func public(a netip.Addr) bool {
	one := netip.PrefixFrom(a, a.BitLen())
	return a.IsGlobalUnicast() && !a.IsPrivate() && !within(one, apart) && !within(one, special)
}

// address reports whether a port at an address of a host may be dialled. An address that
// embeds addresses of IPv4 is judged by these.
func (a *Allowed) address(host string, ip netip.Addr, port uint16) bool {
	ip = ip.WithZone("")
	if all := embedded(ip); len(all) > 0 {
		return !slices.ContainsFunc(all, func(v4 netip.Addr) bool { return !a.address(host, v4, port) })
	}
	for _, p := range a.networks {
		if p.port == port && p.Contains(ip) && (!within(netip.PrefixFrom(ip, ip.BitLen()), apart) || within(p.Prefix, apart)) {
			return true
		}
	}
	return public(ip) && a.host(host, port)
}

// host reports whether the public addresses of a name are allowed.
func (a *Allowed) host(name string, port uint16) bool {
	return slices.Contains(a.hosts, allowedHost{strings.ToLower(strings.TrimSuffix(name, ".")), port})
}

// maxURL bounds the URL of a sink, in bytes.
const maxURL = 1024

// CheckURL refuses a URL that no sink may have. Whether a name has allowed addresses is
// found out when it is dialled.
func (a *Allowed) CheckURL(text string) (*url.URL, error) {
	u, err := url.Parse(text)
	if err != nil || len(text) > maxURL || u.Host == "" || u.Scheme != "https" && u.Scheme != "http" {
		return nil, fmt.Errorf("the URL is not http:// or https:// with a host, of at most %d bytes", maxURL)
	}
	if u.User != nil || u.Fragment != "" {
		return nil, errors.New("the URL holds a user or a fragment")
	}
	host, port := u.Hostname(), portOf(u)
	if ip, err := netip.ParseAddr(host); err == nil {
		if !a.address("", ip, port) {
			return nil, refusedHost(host, port)
		}
		return u, nil
	}
	inNetwork := slices.ContainsFunc(a.networks, func(p allowedNetwork) bool { return p.port == port })
	if !hostName(host) || !a.host(host, port) && !inNetwork {
		return nil, refusedHost(host, port)
	}
	return u, nil
}

// portOf returns the port of a URL, that of its scheme if it names none, and 0 for none
// that can be dialled.
func portOf(u *url.URL) uint16 {
	switch {
	case u.Port() != "":
		n, _ := strconv.ParseUint(u.Port(), 10, 16) // 0 is not allowed
		return uint16(n)
	case u.Scheme == "http":
		return 80
	}
	return DefaultPort
}

func refusedHost(host string, port uint16) error {
	return fmt.Errorf("port %d of %s is not allowed as a destination; notify_allow lists what is, and without a port only %d", port, host, DefaultPort)
}

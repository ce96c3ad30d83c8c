package notify

import (
	"errors"
	"fmt"
	"net/netip"
	"net/url"
	"slices"
	"strings"
)

// Allowed are the destinations that sinks may have.
type Allowed struct {
	hosts    []string
	networks []netip.Prefix
}

// ParseAllowed parses host names, addresses and networks.
func ParseAllowed(entries []string) (*Allowed, error) {
	a := &Allowed{}
	for _, e := range entries {
		if p, err := netip.ParsePrefix(e); err == nil {
			a.networks = append(a.networks, p.Masked())
			continue
		}
		if ip, err := netip.ParseAddr(e); err == nil && ip.Zone() == "" {
			a.networks = append(a.networks, netip.PrefixFrom(ip.Unmap(), ip.Unmap().BitLen()))
			continue
		}
		if !hostName(e) {
			return nil, fmt.Errorf("%q is no host name, address or network", e)
		}
		a.hosts = append(a.hosts, strings.ToLower(e))
	}
	return a, nil
}

// hostName reports whether a text is a name that a URL can have.
func hostName(s string) bool {
	const letters = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-."
	return s != "" && len(s) <= 253 && strings.Trim(s, letters) == "" && strings.Trim(s, "0123456789.") != "" &&
		!strings.HasPrefix(s, ".") && !strings.Contains(s, "..")
}

// special are networks whose addresses are not public, besides those that netip knows.
var special = []netip.Prefix{
	netip.MustParsePrefix("0.0.0.0/8"), netip.MustParsePrefix("100.64.0.0/10"), netip.MustParsePrefix("192.0.0.0/24"),
	netip.MustParsePrefix("198.18.0.0/15"), netip.MustParsePrefix("240.0.0.0/4"),
	netip.MustParsePrefix("64:ff9b::/96"), netip.MustParsePrefix("64:ff9b:1::/48"), netip.MustParsePrefix("2002::/16"), // hold an address of IPv4
}

// apart are networks whose addresses are allowed only by a network that lies in one of
// them: link-local, multicast, unspecified, and metadata services elsewhere.
var apart = []netip.Prefix{
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

// address reports whether an address of a host may be dialled.
func (a *Allowed) address(host string, ip netip.Addr) bool {
	ip = ip.Unmap().WithZone("")
	for _, p := range a.networks {
		if p.Contains(ip) && (!within(netip.PrefixFrom(ip, ip.BitLen()), apart) || within(p, apart)) {
			return true
		}
	}
	return public(ip) && slices.Contains(a.hosts, strings.ToLower(strings.TrimSuffix(host, ".")))
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
	host := u.Hostname()
	if ip, err := netip.ParseAddr(host); err == nil {
		if !a.address("", ip) {
			return nil, refusedHost(host)
		}
		return u, nil
	}
	if !hostName(host) || !slices.Contains(a.hosts, strings.ToLower(strings.TrimSuffix(host, "."))) && len(a.networks) == 0 {
		return nil, refusedHost(host)
	}
	return u, nil
}

func refusedHost(host string) error {
	return fmt.Errorf("%s is not allowed as a destination; notify_allow lists what is", host)
}

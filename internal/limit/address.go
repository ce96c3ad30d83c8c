package limit

import (
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strings"
)

// Bounds of what is read of a header with the addresses of proxies.
const (
	maxHops   = 16
	maxHop    = 128  // bytes
	maxHeader = 2048 // bytes, from the right
)

// The headers that a [Resolver] can read.
const (
	XForwardedFor = "X-Forwarded-For"
	Forwarded     = "Forwarded"
)

// proxyHeaders are headers that show a proxy before the server, whether it reads them
// or not.
var proxyHeaders = [...]string{XForwardedFor, Forwarded, "X-Real-Ip", "Via"}

// Resolver finds the address of the client behind proxies. The zero value uses the
// address of the connection.
//
// It reads at most one header, and that only from a proxy that the operator trusts. The
// header is read from the right, where trusted proxies write: the first address that is
// not of a trusted proxy is the client. What is left of it was written by the client and
// is not read. If a hop has no address, or there are too many, the client is the last
// trusted proxy that was found.
type Resolver struct {
	header  string
	trusted []netip.Prefix
	noLocal bool
}

// NewResolver returns a resolver that reads one header, or none if it is "", from the
// trusted proxies. If noLocal is true, no client is Local: peers on a loopback address
// are limited as others are.
func NewResolver(header string, trusted []netip.Prefix, noLocal bool) (*Resolver, error) {
	if header != "" && header != XForwardedFor && header != Forwarded {
		return nil, fmt.Errorf("the header with the address of the client is %s or %s", XForwardedFor, Forwarded)
	}
	if header != "" && len(trusted) == 0 {
		return nil, errors.New("no proxy is trusted to set the header with the address of the client")
	}
	return &Resolver{header: header, trusted: slices.Clone(trusted), noLocal: noLocal}, nil
}

// ParsePrefixes parses networks such as 10.0.0.0/8, or single addresses.
func ParsePrefixes(texts []string) ([]netip.Prefix, error) {
	all := make([]netip.Prefix, 0, len(texts))
	for _, text := range texts {
		p, err := netip.ParsePrefix(text)
		if err != nil {
			a, aerr := netip.ParseAddr(text)
			if aerr != nil || a.Zone() != "" {
				return nil, fmt.Errorf("%q is neither an address nor a network such as 10.0.0.0/8", text)
			}
			p = netip.PrefixFrom(a, a.BitLen())
		}
		if a := p.Addr(); a.Is4In6() {
			if p.Bits() < 96 {
				return nil, fmt.Errorf("%q has IPv4 and other addresses in it", text)
			}
			p = netip.PrefixFrom(a.Unmap(), p.Bits()-96)
		}
		all = append(all, p.Masked())
	}
	return all, nil
}

// Within reports whether one of the networks has the address.
func Within(all []netip.Prefix, a netip.Addr) bool {
	for _, p := range all {
		if p.Contains(a) {
			return true
		}
	}
	return false
}

// Resolve returns who is at the other end of a request: its address, and whether it is
// Local. The peer is the address of the connection; values returns the lines of a header.
// The address is not valid if that of the peer is not.
func (r *Resolver) Resolve(peer netip.Addr, values func(header string) []string) Source {
	peer = plain(peer)
	s := Source{Addr: peer}
	if r.header != "" && Within(r.trusted, peer) {
		s.Addr = r.client(peer, values(r.header))
	}
	if r.noLocal || !peer.IsLoopback() {
		return s
	}
	for _, h := range proxyHeaders {
		if len(values(h)) > 0 {
			return s
		}
	}
	s.Local = true
	return s
}

// client reads the lines of the header from the right.
func (r *Resolver) client(last netip.Addr, lines []string) netip.Addr {
	hops, budget := 0, maxHeader
	for _, line := range slices.Backward(lines) {
		for more := true; more; {
			var hop string
			if hop, line, more = cutLast(line, budget); len(hop) > maxHop || hops == maxHops {
				return last
			}
			hops, budget = hops+1, budget-len(hop)-1
			a, ok := r.hop(hop)
			if !ok {
				return last
			}
			if last = a; !Within(r.trusted, a) {
				return a
			}
		}
	}
	return last
}

// cutLast cuts a list at its last comma, which it searches in the last n bytes. Commas in
// quotes count too: no address has one, and quotes may have been opened by the client.
func cutLast(list string, n int) (last, rest string, more bool) {
	from := max(0, len(list)-max(0, n))
	if i := strings.LastIndexByte(list[from:], ','); i >= 0 {
		return list[from+i+1:], list[:from+i], true
	}
	return list, "", false
}

// hop returns the address of one element of the header.
func (r *Resolver) hop(text string) (netip.Addr, bool) {
	if r.header != Forwarded {
		return parseNode(text)
	}
	if strings.Count(text, `"`)%2 != 0 || strings.Contains(text, `\`) {
		return netip.Addr{}, false // a comma in quotes, which the client may have written, was taken for the end of an element
	}
	node, found := "", false
	for pair := range strings.SplitSeq(text, ";") {
		name, value, _ := strings.Cut(pair, "=")
		if !strings.EqualFold(strings.Trim(name, " \t"), "for") {
			continue
		}
		if found {
			return netip.Addr{}, false
		}
		node, found = strings.Trim(value, " \t"), true
	}
	if inner, quoted := strings.CutPrefix(node, `"`); quoted {
		if node, quoted = strings.CutSuffix(inner, `"`); !quoted {
			return netip.Addr{}, false
		}
	}
	return parseNode(node)
}

// parseNode parses an address with or without a port: 192.0.2.1, 192.0.2.1:80,
// 2001:db8::1, [2001:db8::1] or [2001:db8::1]:80. A zone is dropped, and IPv4 in IPv6
// form becomes IPv4. Names, such as unknown and those that begin with _, are no address.
func parseNode(text string) (netip.Addr, bool) {
	text = strings.Trim(text, " \t")
	if inner, bracket := strings.CutPrefix(text, "["); bracket {
		host, port, closed := strings.Cut(inner, "]")
		if !closed || port != "" && !isPort(port) || !strings.Contains(host, ":") {
			return netip.Addr{}, false
		}
		text = host
	} else if i := strings.IndexByte(text, ':'); i >= 0 && i == strings.LastIndexByte(text, ':') {
		if !isPort(text[i:]) {
			return netip.Addr{}, false
		}
		text = text[:i]
	}
	a, err := netip.ParseAddr(text)
	a = plain(a)
	return a, err == nil && !a.IsUnspecified()
}

// isPort reports whether a text is a colon and the number of a port.
func isPort(text string) bool {
	digits := strings.TrimLeft(text[1:], "0123456789")
	return text[0] == ':' && len(text) > 1 && len(text) <= 6 && digits == ""
}

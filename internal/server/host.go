package server

import (
	"net"
	"net/netip"
	"slices"
	"strings"
)

// Hosts is what [Config.Host] should be for a listener: which names, and
// addresses, a request may be addressed to. On a loopback listener these are
// localhost, every loopback address and the further names: a page that has its
// own name lead to this machine does not get through, because the browser says
// the name. On any other listener they are the further names, besides localhost
// and addresses that are its own, or, without further names, any: nil.
func Hosts(listener net.Addr, further []string) func(host string) bool {
	tcp, ok := listener.(*net.TCPAddr)
	if !ok || !tcp.IP.IsLoopback() && len(further) == 0 {
		return nil
	}
	names := []string{"localhost"}
	for _, name := range further {
		names = append(names, hostName(name))
	}
	own, _ := netip.AddrFromSlice(tcp.IP)
	return func(host string) bool {
		name := hostName(host)
		if addr, err := netip.ParseAddr(name); err == nil {
			return addr.IsLoopback() || addr.Unmap() == own.Unmap() || slices.Contains(names, name)
		}
		return slices.Contains(names, name)
	}
}

// hostName is a Host header without its port, in the form in which names are
// compared.
func hostName(host string) string {
	if name, _, err := net.SplitHostPort(host); err == nil {
		host = name
	}
	host = strings.TrimSuffix(strings.TrimPrefix(host, "["), "]")
	return strings.ToLower(strings.TrimSuffix(host, "."))
}

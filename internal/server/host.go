package server

import (
	"net"
	"net/netip"
	"slices"
	"strings"
)

// Hosts returns the value of [Config.Host] for a listener. On a loopback
// listener requests may be addressed to localhost, to a loopback address and to
// the further names. This stops DNS rebinding: a web page whose name resolves
// to this machine is refused, because the browser sends that name as the host.
// On any other listener, requests may be addressed to the further names, to
// localhost and to the listener's own address; without further names the result
// is nil, which allows all.
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
		if slices.Contains(names, name) {
			return true
		}
		addr, err := netip.ParseAddr(name)
		return err == nil && (addr.IsLoopback() || addr.Unmap() == own.Unmap())
	}
}

// hostName returns a Host header without its port, in the form in which names are
// compared.
func hostName(host string) string {
	if strings.Contains(host, ":") {
		if name, _, err := net.SplitHostPort(host); err == nil {
			host = name
		}
	}
	host = strings.TrimSuffix(strings.TrimPrefix(host, "["), "]")
	return strings.ToLower(strings.TrimSuffix(host, "."))
}

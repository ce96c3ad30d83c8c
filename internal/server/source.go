package server

import (
	"net/http"
	"net/netip"

	"github.com/terradourada/td/internal/limit"
)

// directPeer returns the source of a request whose connection comes straight from the
// client. A process of this machine is local.
func directPeer(peer netip.Addr, _ http.Header) limit.Source {
	return limit.Source{Addr: peer, Local: peer.IsLoopback()}
}

// remote returns the peer of a request.
func (e *exchange) remote() netip.Addr {
	if e.link != nil {
		return limit.AddrOf(e.link.conn.RemoteAddr())
	}
	if a, err := netip.ParseAddrPort(e.r.RemoteAddr); err == nil {
		return a.Addr().Unmap().WithZone("")
	}
	return netip.Addr{}
}

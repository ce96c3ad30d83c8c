package node

import (
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"net/http"
	"net/netip"

	"github.com/terradourada/td/internal/config"
	"github.com/terradourada/td/internal/gate"
	"github.com/terradourada/td/internal/limit"
)

// limits are what bounds the clients of the public listener.
type limits struct {
	*limit.Limits
	resolver *limit.Resolver
	proxies  []netip.Prefix // that are trusted
	conns    *limit.Conns
}

func newLimits(cfg *config.Config) (*limits, error) {
	quotas, err := limit.New(now(), cfg.Limits())
	if err != nil {
		return nil, err
	}
	return &limits{Limits: quotas, resolver: cfg.Resolver(), proxies: cfg.Proxies(), conns: limit.NewConns(cfg.ConnsPerAddress)}, nil
}

// replace applies the settings that have been read again.
func (l *limits) replace(cfg *config.Config) error {
	if err := l.Replace(cfg.Limits()); err != nil {
		return fmt.Errorf("limits: %w", err)
	}
	l.conns.Replace(cfg.ConnsPerAddress)
	return nil
}

// resolve returns who makes a request that came from a peer.
func (l *limits) resolve(peer netip.Addr, h http.Header) limit.Source {
	return l.resolver.Resolve(peer, h.Values)
}

// connsEach returns how many connections a peer may have open; 0 for any number.
func (l *limits) connsEach(peer netip.Addr) int {
	if limit.Within(l.proxies, peer) {
		return 0
	}
	return l.conns.Most(peer)
}

// policy returns the revision of claims and limits that payloads name. It is another one
// whenever one of them is changed, and the same when that is changed back.
func policy(cfg *config.Config, claims []gate.Claim) uint32 {
	h := sha256.New()
	for _, c := range claims {
		h.Write(c.Fingerprint[:])
	}
	fmt.Fprintf(h, "%+v", cfg.Limits())
	return binary.BigEndian.Uint32(h.Sum(nil))
}

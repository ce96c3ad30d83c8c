package node

import (
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"net/http"
	"net/netip"
	"sync/atomic"

	"github.com/terradourada/td/internal/config"
	"github.com/terradourada/td/internal/gate"
	"github.com/terradourada/td/internal/limit"
)

// limits are what bounds the clients of the public listener.
type limits struct {
	*limit.Limits
	resolver *limit.Resolver
	conns    *limit.Conns
	fields   atomic.Bool // send the RateLimit fields
}

func newLimits(cfg *config.Config) (*limits, error) {
	quotas, err := limit.New(now(), cfg.Limits())
	if err != nil {
		return nil, err
	}
	l := &limits{Limits: quotas, resolver: cfg.Resolver(), conns: limit.NewConns(cfg.ConnsPerAddress, cfg.Proxies())}
	l.fields.Store(cfg.LimitFields)
	return l, nil
}

// replace applies the settings that have been read again.
func (l *limits) replace(cfg *config.Config) error {
	if err := l.Replace(cfg.Limits()); err != nil {
		return fmt.Errorf("limits: %w", err)
	}
	l.conns.Replace(cfg.ConnsPerAddress, cfg.Proxies())
	l.fields.Store(cfg.LimitFields)
	return nil
}

// resolve returns who makes a request that came from a peer.
func (l *limits) resolve(peer netip.Addr, h http.Header) limit.Source {
	return l.resolver.Resolve(peer, h.Values)
}

// headers returns the RateLimit-Policy and RateLimit fields of an answer, "" if there are
// to be none. A client without an API key gets them with a refusal only.
func (l *limits) headers(d limit.Decision, s limit.Source) (policy, left string) {
	if !l.fields.Load() || d.OK && s.Client == "" {
		return "", ""
	}
	return limit.Fields(d)
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

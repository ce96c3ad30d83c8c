package node

import (
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"net/http"
	"net/netip"
	"time"

	"github.com/terradourada/td/internal/config"
	"github.com/terradourada/td/internal/gate"
	"github.com/terradourada/td/internal/limit"
	"github.com/terradourada/td/internal/telemetry/metrics"
)

// limits are what bounds the clients of the public listener.
type limits struct {
	*limit.Limits
	resolver *limit.Resolver
	proxies  []netip.Prefix // that are trusted
	conns    *limit.Conns

	told limit.Stats // that metrics have; they are read one at a time
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

// peers bounds the connections of each peer but the trusted proxies, whose connections are
// of many clients.
type peers struct{ *limits }

// Acquire counts a connection, as [limit.Conns.Acquire] does.
func (p peers) Acquire(peer netip.Addr) bool {
	return limit.Within(p.proxies, peer) || p.conns.Acquire(peer)
}

// Release ends the count of a connection.
func (p peers) Release(peer netip.Addr) {
	if !limit.Within(p.proxies, peer) {
		p.conns.Release(peer)
	}
}

// overflowed returns how many charges have found no place since the start.
func (l *limits) overflowed() (n uint64) {
	st := l.Stats()
	for _, one := range st.Overflow {
		n += one
	}
	return n
}

// measure sets the metrics of the limits.
func (l *limits) measure(m *metrics.Metrics, at time.Time) {
	st, was := l.Stats(), l.told
	l.told = st
	for _, s := range limit.Scopes() {
		m.Add(metrics.LimitDecisions, float64(st.Admitted[s]-was.Admitted[s]), s.String(), "admitted")
		m.Add(metrics.LimitDecisions, float64(st.Refused[s]-was.Refused[s]), s.String(), "refused")
	}
	for _, s := range limit.Tabled() {
		m.Add(metrics.LimitOverflow, float64(st.Overflow[s]-was.Overflow[s]), s.String())
		m.Set(metrics.LimitLive, l.Live(at, s), s.String())
	}
	active := map[limit.Step]float64{}
	for _, p := range l.Penalties(at) {
		active[p.Step]++
	}
	for _, step := range limit.Steps() {
		m.Set(metrics.ResponsesActive, active[step], step.String())
	}
}

// words returns the words of values, for labels.
func words[T fmt.Stringer](all []T) (of []string) {
	for _, v := range all {
		of = append(of, v.String())
	}
	return of
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

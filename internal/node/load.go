package node

import (
	"net"
	"net/http"
	"sync/atomic"

	"github.com/terradourada/td/internal/gate"
	"github.com/terradourada/td/internal/limit"
	"github.com/terradourada/td/internal/server"
	"github.com/terradourada/td/internal/telemetry/metrics"
)

// load is how busy the public listener is.
type load struct {
	server *server.Server
	conns  atomic.Int64 // that are open
}

// count counts the open connections of a server that does not serve yet.
func (l *load) count(h *http.Server) {
	changed := h.ConnState
	h.ConnState = func(c net.Conn, state http.ConnState) {
		switch state {
		case http.StateNew:
			l.conns.Add(1)
		case http.StateClosed, http.StateHijacked:
			l.conns.Add(-1)
		default: // it stays open
		}
		changed(c, state)
	}
}

// measure sets the metrics of the load.
func (l *load) measure(m *metrics.Metrics, g *gate.Gate) {
	m.Set(metrics.HTTPConnections, float64(l.conns.Load()))
	for c := limit.Health; c <= limit.Verify; c++ {
		inWork, places := l.server.Load(c)
		m.Set(metrics.HTTPInFlight, float64(inWork), c.String())
		m.Set(metrics.ConcurrencyLimit, float64(places), c.String())
	}
	now := g.Load()
	m.Set(metrics.QueueDepth, float64(now.Issue), limit.Issue.String())
	m.Set(metrics.QueueDepth, float64(now.Verify), limit.Submit.String())
	m.Set(metrics.IssuePace, now.Pace)
}

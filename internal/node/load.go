package node

import (
	"github.com/terradourada/td/internal/gate"
	"github.com/terradourada/td/internal/limit"
	"github.com/terradourada/td/internal/server"
	"github.com/terradourada/td/internal/telemetry/metrics"
)

// load is how busy the public listener is.
type load struct {
	server      *server.Server
	connections func() int // that are open
}

// measure sets the metrics of the load.
func (l *load) measure(m *metrics.Metrics, g *gate.Gate) {
	m.Set(metrics.HTTPConnections, float64(l.connections()))
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

package node

import (
	"github.com/terradourada/td/internal/gate"
	"github.com/terradourada/td/internal/server"
)

// Instruments are the limits and the telemetry of a server without the rest of it. Package
// bench measures their cost with them.
type Instruments struct{ n *node }

// NewInstruments returns the instruments of a server with this configuration. It starts
// nothing.
func NewInstruments(cfg Config) (*Instruments, error) {
	n := &node{Config: cfg}
	if err := n.openReporting(); err != nil {
		return nil, err
	}
	var err error
	n.limits, err = newLimits(cfg.Settings)
	return &Instruments{n}, err
}

// Attach sets what limits and reports the requests of a server.
func (i *Instruments) Attach(cfg *server.Config) { i.n.instrument(cfg) }

// Outcome reports what a call of the gate has come to.
func (i *Instruments) Outcome(o gate.Outcome) { i.n.reporting.observeGate(o) }

// Read passes the events that were reported to their readers.
func (i *Instruments) Read() {
	i.n.reporting.events.Read()
	i.n.reporting.flush(now())
}

// Lost returns how many events the readers have not seen.
func (i *Instruments) Lost() uint64 { return i.n.reporting.lost() }

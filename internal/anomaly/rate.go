package anomaly

import (
	"time"

	"github.com/terradourada/td/internal/telemetry"
)

// Rates watches how many requests are refused for each cause, minute by minute, beside the
// requests that succeed: in all, for each claim, and for the clients and networks with most
// refusals. It is not safe for concurrent use.
type Rates struct{}

// NewRates returns a detector that has learned nothing.
func NewRates() *Rates { return &Rates{} }

// Observe counts a request.
func (r *Rates) Observe(telemetry.Request) {}

// Tick closes the minutes that are over and returns what was found. It is called at least
// once a minute. Without learn, baselines stay as they are: while a freeze or an alert is in
// force, and after a rotation or a deploy.
func (r *Rates) Tick(_ time.Time, _ bool) []Verdict { return nil }

// Save returns the state.
func (r *Rates) Save() []byte { return nil }

// Restore replaces the state by a saved one. After an error the state is unchanged.
func (r *Rates) Restore([]byte) error { return nil }

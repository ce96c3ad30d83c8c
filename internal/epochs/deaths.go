package epochs

import (
	"context"
	"slices"
	"time"

	"github.com/terradourada/td/protocol"
)

// deaths holds the times at which an epoch ended because a keyholder exited.
type deaths struct{ times []time.Time }

// note adds a death and returns the number of deaths within the window.
func (d *deaths) note(now time.Time, window time.Duration) int {
	d.times = slices.DeleteFunc(d.times, func(t time.Time) bool { return now.Sub(t) >= window })
	d.times = append(d.times, now)
	return len(d.times)
}

// forget resets the count.
func (d *deaths) forget() { d.times = nil }

// supervise freezes acceptance if keyholders exit too often. A sandbox kills its
// keyholder for a forbidden call, so many deaths may mean that an attacker has taken
// over keyholders. It reports false if the freeze could not be committed; no epoch
// opens before it is.
func (m *Manager) supervise(ctx context.Context, d *deaths, reason protocol.CloseReason) bool {
	if reason != protocol.CloseDied || m.cfg.DeathLimit == 0 {
		return true
	}
	n := d.note(time.Now(), m.cfg.DeathWindow)
	m.cfg.Log.Warn("keyholder died", "deaths", n, "limit", m.cfg.DeathLimit, "window_ms", m.cfg.DeathWindow.Milliseconds())
	return n < m.cfg.DeathLimit || m.freeze(ctx, d)
}

// freeze stops acceptance and resets the count of deaths.
func (m *Manager) freeze(ctx context.Context, d *deaths) bool {
	if err := m.cfg.Freeze(ctx); err != nil {
		if m.note("keyholders died too often, and the freeze that is due cannot be written") {
			m.cfg.Log.Error("keyholders died too often and the freeze is not committed; no epoch opens", "err", err)
		}
		return false
	}
	m.cfg.Log.Error("keyholders died too often; acceptance is frozen", "deaths", len(d.times))
	d.forget()
	return true
}

package epochs

import (
	"context"
	"errors"
	"fmt"
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

// supervise counts the death of a keyholder and freezes acceptance if there are too
// many. A sandbox kills its keyholder for a forbidden call, so many deaths may mean that
// an attacker has taken over keyholders.
func (m *Manager) supervise(ctx context.Context, reason protocol.CloseReason) {
	if reason != protocol.CloseDied || m.cfg.DeathLimit == 0 {
		return
	}
	n := m.deaths.note(m.cfg.Now(), m.cfg.DeathWindow)
	m.cfg.Log.Warn("keyholder died", "deaths", n, "limit", m.cfg.DeathLimit, "window_ms", m.cfg.DeathWindow.Milliseconds())
	if n >= m.cfg.DeathLimit {
		m.due = true
		_ = m.settleDeaths(ctx) // tried again before the next epoch opens
	}
}

// settleDeaths stops acceptance if that is due, and resets the count of deaths. No epoch
// opens while it fails.
func (m *Manager) settleDeaths(ctx context.Context) error {
	if !m.due {
		return nil
	}
	if err := m.cfg.Freeze(ctx); err != nil {
		return fmt.Errorf("%w: %w", errFreeze, err)
	}
	m.cfg.Log.Error("keyholders died too often; acceptance is frozen", "deaths", len(m.deaths.times))
	m.due, m.deaths.times = false, nil
	return nil
}

// errFreeze means that a freeze that is due is not committed.
var errFreeze = errors.New("keyholders died too often, and the freeze is not committed")

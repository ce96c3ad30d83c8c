package epochs

import (
	"context"
	"slices"
	"time"

	"github.com/terradourada/td/protocol"
)

// deaths remembers when epochs ended by the death of a keyholder.
type deaths struct{ times []time.Time }

// note adds a death and gives the number of those within the window.
func (d *deaths) note(now time.Time, window time.Duration) int {
	d.times = slices.DeleteFunc(d.times, func(t time.Time) bool { return now.Sub(t) >= window })
	d.times = append(d.times, now)
	return len(d.times)
}

// forget starts the count anew.
func (d *deaths) forget() { d.times = nil }

// supervise looks at how an epoch ended. Deaths that come too often freeze
// acceptance: a keyholder dies when its sandbox kills it, which somebody who has
// got into it would bring about. It reports false while the freeze is owed and
// could not be committed; no epoch opens before that.
func (m *Manager) supervise(ctx context.Context, d *deaths, reason protocol.CloseReason) bool {
	if reason != protocol.CloseDied || m.cfg.DeathLimit == 0 {
		return true
	}
	n := d.note(time.Now(), m.cfg.DeathWindow)
	m.cfg.Log.Warn("keyholder died", "deaths", n, "limit", m.cfg.DeathLimit, "window_ms", m.cfg.DeathWindow.Milliseconds())
	return n < m.cfg.DeathLimit || m.freeze(ctx, d)
}

// freeze stops acceptance and forgets the deaths that led to it.
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

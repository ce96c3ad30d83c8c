package epochs

import (
	"errors"
	"time"

	"github.com/terradourada/td/internal/sandbox"
	"github.com/terradourada/td/protocol"
)

// Trouble says since when and why no epoch opens. Why is public and names no detail of
// this machine.
type Trouble struct {
	Since time.Time
	Why   string
}

// Trouble returns why no epoch opens, or nil if epochs open.
func (m *Manager) Trouble() *Trouble { return m.trouble.Load() }

// noteTrouble records why no epoch opens. It reports whether the reason is new, so that each
// reason is logged once and not at every attempt.
func (m *Manager) noteTrouble(why string) (isNew bool) {
	was := m.trouble.Load()
	if was != nil && was.Why == why {
		return false
	}
	now := &Trouble{Since: m.cfg.Now(), Why: why}
	if was != nil {
		now.Since = was.Since
	}
	m.trouble.Store(now)
	return true
}

// clear records that epochs open, and logs it if they did not open before.
func (m *Manager) clear() {
	if was := m.trouble.Swap(nil); was != nil {
		m.cfg.Log.Info("epochs open again", "why", was.Why, "lasted_ms", m.cfg.Now().Sub(was.Since).Milliseconds())
	}
}

// kindOf returns the public reason for a failure to open an epoch.
func kindOf(err error) string {
	refusal := new(sandbox.Refusal)
	switch {
	case errors.As(err, &refusal):
		return "signer or tagger is not protected as well as it must be"
	case errors.Is(err, errFreeze):
		return "keyholders died too often, and the freeze that is due cannot be written"
	case errors.Is(err, errAttest):
		return "the hardware returns no quote"
	case errors.Is(err, protocol.CodeLedgerUnavailable):
		return "the journal cannot be read or written"
	default:
		return "signer or tagger does not start"
	}
}

package control

import (
	"errors"
	"time"

	"github.com/terradourada/td/internal/sandbox"
	"github.com/terradourada/td/protocol"
)

// Trouble is why no epoch opens: since when, and a sentence that names nothing of
// this machine.
type Trouble struct {
	Since time.Time
	Why   string
}

// Trouble is nil while epochs open.
func (m *Manager) Trouble() *Trouble { return m.trouble.Load() }

// note keeps why no epoch opens, and reports whether that is news: it is logged
// once, not at every attempt.
func (m *Manager) note(why string) (news bool) {
	was := m.trouble.Load()
	if was != nil && was.Why == why {
		return false
	}
	now := &Trouble{Since: time.Now(), Why: why}
	if was != nil {
		now.Since = was.Since
	}
	m.trouble.Store(now)
	return true
}

// settle ends the trouble, if there is any.
func (m *Manager) settle() {
	if was := m.trouble.Swap(nil); was != nil {
		m.cfg.Log.Info("epochs open again", "why", was.Why, "lasted_ms", time.Since(was.Since).Milliseconds())
	}
}

// kindOf is the sentence for a failure to open an epoch.
func kindOf(err error) string {
	refusal := new(sandbox.Refusal)
	switch {
	case errors.As(err, &refusal):
		return "signer or tagger is not protected as well as it must be"
	case errors.Is(err, errAttest):
		return "the hardware gives no quote"
	case errors.Is(err, protocol.CodeLedgerUnavailable):
		return "the journal cannot be read or written"
	default:
		return "signer or tagger does not start"
	}
}

package epochs_test

import (
	"bytes"
	"errors"
	"log/slog"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/terradourada/td/internal/epochs"
	"github.com/terradourada/td/protocol"
)

// TestTrouble: while no epoch opens, the manager reports since when and why. Each
// reason is logged once, and so is its end.
func TestTrouble(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := &world{}
		var text bytes.Buffer
		m, stop := startWith(t, w, func(c *epochs.Config) { c.Log = slog.New(slog.NewTextHandler(&text, nil)) })
		if m.Trouble() != nil {
			t.Fatalf("trouble at once: %+v", m.Trouble())
		}
		w.refuse(errors.New("no signer today"))
		w.signers[0].kill()
		synctest.Wait()
		begun := time.Now()
		time.Sleep(time.Minute)
		synctest.Wait()
		if got := m.Trouble(); got == nil || got.Why != "signer or tagger does not start" || got.Since.Sub(begun) > time.Second {
			t.Errorf("trouble %+v, want since %v", got, begun)
		}
		w.refuse(protocol.Fail(protocol.CodeLedgerUnavailable, "journal cannot be written"))
		time.Sleep(time.Minute)
		synctest.Wait()
		if got := m.Trouble(); got == nil || got.Why != "the journal cannot be read or written" || got.Since.Sub(begun) > time.Second {
			t.Errorf("trouble %+v, want since %v", got, begun)
		}
		w.refuse(nil)
		time.Sleep(time.Minute)
		synctest.Wait()
		if m.Trouble() != nil {
			t.Errorf("it does not end: %+v", m.Trouble())
		}
		stop()
		if said, over := strings.Count(text.String(), "epoch did not open"), strings.Count(text.String(), "epochs open again"); said != 2 || over != 1 {
			t.Errorf("said %d times and %d times over:\n%s", said, over, &text)
		}
	})
}

package epochs_test

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"github.com/terradourada/td/internal/epochs"
)

// TestBusy: a step that does not end is seen; attempts that fail and are repeated are not
// one long step, and a manager without work is not busy.
func TestBusy(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w, held := &world{}, make(chan struct{})
		m, stop := startRotating(t, w, func(c *epochs.Config) {
			begin := c.StartSigner
			c.StartSigner = func(ctx context.Context, number uint64) (epochs.Signer, error) {
				if number == 2 {
					<-held
				}
				return begin(ctx, number)
			}
		})
		time.Sleep(time.Hour)
		if busy := m.Busy(); busy != 0 {
			t.Errorf("without work: busy for %v", busy)
		}
		rotated := make(chan error, 1)
		go func() { _, err := m.Rotate(t.Context(), epochs.Drain); rotated <- err }()
		time.Sleep(3 * time.Minute)
		if busy := m.Busy(); busy != 3*time.Minute {
			t.Errorf("at a step that does not end: busy for %v", busy)
		}
		close(held)
		if err := <-rotated; err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		if busy := m.Busy(); busy != 0 {
			t.Errorf("after it: busy for %v", busy)
		}

		w.failStart = 1000
		w.signers[len(w.signers)-1].kill()
		time.Sleep(5 * time.Minute)
		if _, err := m.Active(); err == nil || m.Trouble() == nil {
			t.Error("an epoch has opened")
		}
		if busy := m.Busy(); busy > 10*time.Second {
			t.Errorf("between attempts: busy for %v", busy)
		}
		stop()
	})
}

package notify

import (
	"context"
	"errors"
	"log/slog"
	"testing"
	"testing/synctest"
	"time"

	"github.com/terradourada/td/internal/process"
)

// broken starts no notifier.
type broken struct{}

func (broken) Start(string) (*process.Child, error) { return nil, errors.New("no such program") }

// TestState: a notifier that cannot be started is counted as exited at each attempt, once a
// minute at last, and is down since the first one.
func TestState(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		begun, deaths := time.Now(), 0
		n := New(Config{Starter: broken{}, Log: slog.New(slog.DiscardHandler), Died: func() { deaths++ }})
		ctx, cancel := context.WithCancel(t.Context())
		ended := make(chan error, 1)
		go func() { ended <- n.Run(ctx) }()
		time.Sleep(time.Hour)
		synctest.Wait()
		s := n.State()
		if s.Runs || !s.Since.Equal(begun) || s.How != "no such program" || int(s.Exits) != deaths || deaths < 60 || deaths > 70 {
			t.Errorf("%+v, begun %v, %d deaths", s, begun, deaths)
		}
		cancel()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	})
}

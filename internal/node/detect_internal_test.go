package node

import (
	"context"
	"log/slog"
	"testing"
	"testing/synctest"
	"time"

	"github.com/terradourada/td/internal/anomaly"
	"github.com/terradourada/td/internal/config"
	"github.com/terradourada/td/internal/telemetry"
	"github.com/terradourada/td/internal/telemetry/metrics"
)

// TestDetectorsTick: series have a value each minute, however rarely alerts are read.
func TestDetectorsTick(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		a := &anomalies{
			set: anomaly.NewSet(), cfg: &config.Config{AlertEvery: 10 * time.Minute}, log: slog.New(slog.DiscardHandler),
			metrics: metrics.New(metrics.Options{Labels: metricLabels()}), wake: make(chan struct{}, 1),
		}
		ctx, cancel := context.WithTimeout(t.Context(), 10*time.Minute)
		defer cancel()
		ticks := 0
		if err := a.detect(ctx, func() anomaly.State {
			ticks++
			a.set.Request(telemetry.Request{At: now(), Operation: "getStatus"})
			return anomaly.State{}
		}); err != nil {
			t.Error(err)
		}
		if s := a.set.Stats(); ticks < 40 || ticks > 41 || s.Series == 0 {
			t.Errorf("%d ticks in 10 minutes, %d series with values", ticks, s.Series)
		}
	})
}

package anomaly_test

import (
	"strings"
	"testing"
	"time"

	"github.com/terradourada/td/internal/anomaly"
	"github.com/terradourada/td/internal/telemetry"
)

// TestImpossibleCounts: the sentence of a verdict that is prolonged counts the same events as
// its value.
func TestImpossibleCounts(t *testing.T) {
	t.Parallel()
	s := anomaly.NewSet()
	at := noon
	var last anomaly.Finding
	for i, n := range []int{1, 1, 4} {
		for range n {
			s.Exact().Request(answered(at, uint64(i), uint64(i), telemetry.ForeignTag))
		}
		for _, f := range s.Tick(at.Add(time.Second), anomaly.State{}) {
			last = f
		}
		at = at.Add(2 * time.Minute)
		for _, f := range s.Tick(at.Add(-time.Second), anomaly.State{}) {
			last = f
		}
	}
	if live := s.Live(at); len(live) != 1 || live[0].Observed != 6 || !strings.Contains(live[0].Sentence, ": 6 times since 2026-11-29 12:00 UTC") {
		t.Errorf("%+v", live)
	}
	if last.Observed != 6 || !strings.Contains(last.Sentence, ": 6 times since 2026-11-29 12:00 UTC") {
		t.Errorf("%+v", last)
	}
}

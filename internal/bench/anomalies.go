package bench

import (
	"context"
	"runtime"
	"slices"
	"time"

	"github.com/terradourada/td/internal/anomaly"
	"github.com/terradourada/td/internal/anomaly/inject"
	"github.com/terradourada/td/internal/telemetry"
)

// Size of the measurement of the detectors: ticks, and between two of them short turns of
// events, 1,000 a second, half of them from strangers, and one of 20 refused. A turn is
// shorter than what a process runs at a time on a busy machine.
const (
	detectTicks     = 40
	detectTurns     = 5
	detectTurn      = 3 * time.Second
	detectPerSecond = 1000
	detectRefused   = 20
	fullEach        = 20 // exchanges of a cause every ten minutes, which fill all windows
)

// anomalies measures the detectors of anomalies in this process, with every window full. An
// absolute time depends on what else the machine does, so the least of many turns counts.
func (b *run) anomalies(ctx context.Context) ([]Budget, error) {
	p := b.progress("detectors of anomalies", detectTicks)
	defer p.Finish()
	before := heap()
	set := anomaly.NewSet()
	at := inject.Fill(set, fullEach)
	full := heap() - before
	var each, tick []float64
	for range detectTicks {
		for range detectTurns {
			events := detected(uint64(at.Unix())<<32, at)
			at = at.Add(detectTurn)
			used, _, err := thisProcess().spent(func() error { return detect(set, events) })
			if err != nil {
				return nil, err
			}
			each = append(each, micros(used, len(events)))
		}
		used, _, err := thisProcess().spent(func() error {
			set.Tick(at, anomaly.State{})
			return ctx.Err()
		})
		if err != nil {
			return nil, err
		}
		tick = append(tick, micros(used, 1))
		p.Step(time.Now())
	}
	runtime.KeepAlive(set)
	share := 1 / (detectTurns * detectTurn.Seconds() * detectPerSecond) // of a tick, for an event
	return []Budget{
		Budget{
			Name: "anomaly_event", Bound: atMost, Limit: 2, Unit: "us",
			How: "processor time of all detectors of anomalies for an event and its share of a tick, at 1,000 events a second with every window full; the least of the turns",
			Figures: map[string]float64{
				"median_us": median(each) + median(tick)*share, "tick_us": slices.Min(tick), "turns": float64(len(each)), "ticks": float64(len(tick)),
			},
		}.judge(slices.Min(each) + slices.Min(tick)*share),
		Budget{
			Name: "anomaly_memory", Bound: atMost, Limit: 16, Unit: "MiB",
			How: "heap of all detectors of anomalies, with every window and every table full",
		}.judge(full),
	}, nil
}

// detect passes events to the detectors, as a server does.
func detect(set *anomaly.Set, events []telemetry.Request) error {
	for i := range events {
		set.Exact().Request(events[i])
		set.Request(events[i])
	}
	return nil
}

// detected returns the events of a turn. Every second exchange is of one of 2,000 sources
// that have come before.
func detected(first uint64, began time.Time) []telemetry.Request {
	const known = 2000
	n := int(detectTurn.Seconds()) * detectPerSecond
	events := make([]telemetry.Request, 0, n+3)
	for i := uint64(0); len(events) < n; i++ {
		cause := telemetry.NoCause
		if i%detectRefused == 0 {
			cause = telemetry.WrongTag
		}
		all := inject.Exchange(first+i, began.Add(time.Duration(len(events))*time.Second/detectPerSecond), cause)
		if i%2 == 0 {
			source := inject.Exchange(i%known, began, cause)[0]
			for j := range all {
				all[j].Client, all[j].Source = source.Client, source.Source
			}
		}
		events = append(events, all[:]...)
	}
	return events[:n]
}

// heap returns the size of what is in use on the heap, in MiB.
func heap() float64 {
	runtime.GC()
	runtime.GC() // what the first one has only moved out of a pool
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return float64(m.HeapAlloc) / (1 << 20)
}

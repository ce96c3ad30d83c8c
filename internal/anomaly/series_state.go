package anomaly

import (
	"bytes"
	"encoding/binary"
	"errors"
	"math"
)

// seriesVersion is the first byte of a saved state. The second byte is 1 with a profile.
const seriesVersion = 1

// mostTicks is more than any series has: one a minute for two million years.
const mostTicks = 1 << 40

var errSeriesState = errors.New("not the saved state of a series detector with these settings")

// MarshalBinary returns what the detector has learned, in a fixed size.
func (d *SeriesDetector) MarshalBinary() ([]byte, error) {
	b, err := binary.Append([]byte{seriesVersion, 0}, binary.LittleEndian, &d.state)
	if err == nil && d.profile != nil {
		b[1] = 1
		b, err = binary.Append(b, binary.LittleEndian, d.profile)
	}
	return b, err
}

// UnmarshalBinary restores what [SeriesDetector.MarshalBinary] returned. It refuses another
// version, another size, numbers that no detector learns, and a profile that the settings
// do not have. The detector is unchanged then.
func (d *SeriesDetector) UnmarshalBinary(b []byte) error {
	var state seriesState
	var profile *weekProfile
	if len(b) < 2 || b[0] != seriesVersion || (b[1] == 1) != d.set.Profile || b[1] > 1 {
		return errSeriesState
	}
	rest := bytes.NewReader(b[2:])
	if binary.Read(rest, binary.LittleEndian, &state) != nil {
		return errSeriesState
	}
	if d.set.Profile {
		profile = new(weekProfile)
		if binary.Read(rest, binary.LittleEndian, profile) != nil || !profile.sound() {
			return errSeriesState
		}
	}
	if rest.Len() != 0 || !state.sound() {
		return errSeriesState
	}
	d.state, d.profile = state, profile
	d.state.Level = d.limit(state.Level)
	d.state.Hold = min(state.Hold, uint64(d.set.Hold))
	return nil
}

// sound reports whether a detector could have learned the state.
func (s *seriesState) sound() bool {
	for _, v := range []struct{ value, most float64 }{
		{s.Scale, 2 * greatestValue},
		{s.Variance, greatestValue},
		{s.Up, driftReset},
		{s.Down, driftReset},
		{s.Peak, greatest.Drift},
		{s.Record.Spike, greatest.Spike},
		{s.Record.Drift, greatest.Drift},
		{s.Record.Level, greatest.Level},
		{s.Held, math.MaxFloat64},
	} {
		if !(v.value >= 0 && v.value <= v.most) {
			return false
		}
	}
	return math.Abs(s.Level) <= greatestValue && math.Abs(s.Mean) <= 710 && s.Ticks <= mostTicks
}

// sound reports whether a detector could have learned the profile.
func (p *weekProfile) sound() bool {
	for _, h := range p.Hours {
		if !(math.Abs(float64(h.Mean)) <= 2*mostDeviation) || h.Weeks > 1000 {
			return false
		}
	}
	return p.Hour < uint64(len(p.Hours)) && p.Ticks <= mostTicks && math.Abs(p.Sum) <= 2*mostDeviation*float64(p.Ticks)
}

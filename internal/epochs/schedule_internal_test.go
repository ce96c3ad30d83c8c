package epochs

import (
	"testing"
	"time"
)

// TestSchedule: an epoch is rotated by its age, in the time of the day if one is set.
func TestSchedule(t *testing.T) {
	at := func(s string) time.Time {
		v, err := time.Parse("2006-01-02 15:04", s)
		if err != nil {
			t.Fatal(err)
		}
		return v
	}
	const h = time.Hour
	for _, row := range []struct {
		s      Schedule
		born   string
		random float64
		want   string
	}{
		{Schedule{MaxAge: 20 * h}, "2026-03-01 10:00", 0, "2026-03-02 06:00"},
		{Schedule{MaxAge: 20 * h}, "2026-03-01 10:00", 1, "2026-03-02 04:00"},
		{Schedule{MaxAge: 20 * h, From: 2 * h, To: 4 * h}, "2026-03-01 03:00", 0, "2026-03-02 02:00"},
		{Schedule{MaxAge: 20 * h, From: 2 * h, To: 4 * h}, "2026-03-01 03:00", 0.5, "2026-03-02 03:00"},
		{Schedule{MaxAge: 20 * h, From: 2 * h, To: 4 * h}, "2026-03-01 10:00", 1, "2026-03-03 04:00"},
		{Schedule{MaxAge: 24 * h, From: 2 * h, To: 4 * h}, "2026-03-01 03:00", 0, "2026-03-02 03:00"},
		{Schedule{MaxAge: 24 * h, From: 2 * h, To: 4 * h}, "2026-03-01 03:00", 0.5, "2026-03-02 03:30"},
		{Schedule{MaxAge: 24 * h, From: 2 * h, To: 4 * h}, "2026-03-01 04:00", 0, "2026-03-03 02:00"},
		{Schedule{MaxAge: 24 * h, From: 23 * h, To: 1 * h}, "2026-03-01 00:30", 0, "2026-03-02 00:30"},
		{Schedule{MaxAge: 24 * h, From: 23 * h, To: 1 * h}, "2026-03-01 22:00", 0.5, "2026-03-03 00:00"},
	} {
		if got := row.s.due(at(row.born), row.random); !got.Equal(at(row.want)) {
			t.Errorf("%+v, born %s, %.1f: due %v, want %s", row.s, row.born, row.random, got, row.want)
		}
	}
}

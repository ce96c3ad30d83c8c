package server

import "time"

// Bounds of bodies on their way.
const (
	MaxBodies     = maxBodies
	MaxBodiesEach = maxBodiesEach
	LeastSpeed    = leastSpeed
)

// BodyDue returns when n bytes of a body are due with the default settings.
func BodyDue(start time.Time, n int) time.Time {
	c := Config{}.withDefaults()
	return c.arrival().due(start, n)
}

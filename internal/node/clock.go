//go:build !gameday

package node

import "time"

// now is the clock of a server: every moment that its services write down or compare
// is read here and passed to them. A moment has the wall time, which leaves record, and
// a monotonic reading, by which lifetimes and ages are measured.
func now() time.Time { return time.Now() }

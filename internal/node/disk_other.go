//go:build !linux

package node

import "math"

// freePart is not known on this system.
func freePart(string) float64 { return math.NaN() }

//go:build !unix

package node

import "math"

// maxDescriptors returns no bound on this system.
func maxDescriptors() int { return math.MaxInt32 }

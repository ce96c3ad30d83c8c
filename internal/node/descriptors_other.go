//go:build !unix

package main

import "math"

// maxDescriptors returns no bound on this system.
func maxDescriptors() int { return math.MaxInt32 }

//go:build !unix

package main

import "math"

// maxDescriptors knows no bound on this system.
func maxDescriptors() int { return math.MaxInt32 }

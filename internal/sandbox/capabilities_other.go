//go:build !linux || cgo

package sandbox

// AllThreads reports whether a program of this build can restrict every thread
// of its own.
const AllThreads = false

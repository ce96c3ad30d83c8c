//go:build !linux || cgo

package sandbox_test

// child does nothing: there is no sandbox in this build.
func child([]string) int { return 1 }

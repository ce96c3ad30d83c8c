//go:build !amd64

package keyholder

// wipeVectors has nothing to do where circl has no assembly.
func wipeVectors() {}

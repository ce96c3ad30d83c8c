//go:build !memscan || !linux

package keyholder_test

// memscanProcess is for builds with the tag memscan.
func memscanProcess([]string) bool { return false }

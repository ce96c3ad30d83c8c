//go:build !linux

package main

// checkGround knows nothing about this system.
func checkGround(string) error { return nil }

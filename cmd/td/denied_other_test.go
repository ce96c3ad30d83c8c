//go:build !linux

package main_test

func runDenied(string) int { return 1 }

//go:build !linux || cgo

package main_test

const intruderArgument = "intruder"

func harbour() {}

func intruder([]string) int { return 1 }

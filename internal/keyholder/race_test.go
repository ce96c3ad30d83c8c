//go:build race

package keyholder_test

const raceEnabled = true

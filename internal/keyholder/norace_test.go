//go:build !race

package keyholder_test

const raceEnabled = false

//go:build !linux

package node

import (
	"errors"
	"io/fs"
)

// LockOf cannot tell here without trying the lock.
func LockOf(string) (Lock, error) {
	return Lock{}, errors.New("not on this system")
}

// Preflight checks nothing on this system.
func Preflight(string) error { return nil }

func giveData(string, int) error { return nil }

func reachable(string, int) error { return errors.New("not on this system") }

// CheckOwner knows nothing about this system.
func CheckOwner(string) error { return nil }

func ownerOfInfo(fs.FileInfo) int { return -1 }

func freeSpace(string) (free, ratio float64, ok bool) { return 0, 0, false }

package node

import (
	"bufio"
	"strings"
)

// FindLock reads the text of /proc/locks.
func FindLock(locks, inode string) (held bool, pid int, err error) {
	h, err := findLock(bufio.NewScanner(strings.NewReader(locks)), inode)
	return h.Held, h.PID, err
}

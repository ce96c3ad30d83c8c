package notify

import (
	"os"

	"golang.org/x/sys/unix"
)

// dataSync is a file whose Sync waits for its data only: the sandbox allows no other call.
type dataSync struct{ *os.File }

// Sync waits until what was written is on disk.
func (f dataSync) Sync() error { return unix.Fdatasync(int(f.Fd())) }

package journal

import (
	"errors"
	"os"
	"path/filepath"
	"slices"
	"syscall"

	"golang.org/x/sys/unix"
)

const (
	directAlign = 4096
	directChunk = 256 << 10
)

// stored flushes a file and reports whether the disk holds every page of it
// that is in the kernel's memory. A page whose write failed may never reach the
// disk: the kernel treats it as written, and ext4 does not make its block
// readable when it is written again. False may also mean that the system cannot
// compare them.
func stored(path string) (bool, error) {
	f, err := os.OpenFile(filepath.Clean(path), os.O_RDWR, 0)
	if err != nil {
		return false, err
	}
	defer func() { _ = f.Close() }() // it is flushed
	if err := f.Sync(); err != nil {
		return false, err
	}
	d, err := os.OpenFile(filepath.Clean(path), os.O_RDONLY|syscall.O_DIRECT, 0)
	if errors.Is(err, syscall.EINVAL) {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	defer func() { _ = d.Close() }() // the file was only read
	// Direct reads need an aligned buffer.
	buf, err := unix.Mmap(-1, 0, 2*directChunk, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_ANON|unix.MAP_PRIVATE)
	if err != nil {
		return false, err
	}
	defer func() { _ = unix.Munmap(buf) }()
	memory, disk := buf[:directChunk], buf[directChunk:]
	for at := int64(0); ; {
		n, err := unix.Preadv2(int(f.Fd()), [][]byte{memory}, at, unix.RWF_NOWAIT)
		if errors.Is(err, unix.EAGAIN) || err == nil && n > 0 && n < directAlign { // not in memory
			at += directAlign
			continue
		}
		if err != nil || n == 0 {
			return err == nil, nil
		}
		n -= n % directAlign
		if m, err := d.ReadAt(disk[:n], at); m < n || !slices.Equal(memory[:n], disk[:n]) {
			return false, err
		}
		at += int64(n)
	}
}

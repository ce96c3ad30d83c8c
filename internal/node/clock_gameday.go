//go:build gameday

package node

import (
	"encoding/binary"
	"os"
	"sync/atomic"
	"syscall"
	"time"
	"unsafe"
)

// gamedayClock names a file of 8 bytes: the seconds by which the wall clock of this
// server is off, little endian. The game day that writes it steps the clock of a
// running server, and never that of the host.
const gamedayClock = "TD_GAMEDAY_CLOCK"

// offset is the mapped file, nil without one.
var offset = mapOffset()

func mapOffset() *int64 {
	name := os.Getenv(gamedayClock)
	if name == "" {
		return nil
	}
	f, err := os.Open(name)
	if err != nil {
		panic(err)
	}
	defer f.Close()
	b, err := syscall.Mmap(int(f.Fd()), 0, 8, syscall.PROT_READ, syscall.MAP_SHARED)
	if err != nil || binary.NativeEndian.Uint16([]byte{1, 0}) != 1 {
		panic("TD_GAMEDAY_CLOCK cannot be mapped")
	}
	return (*int64)(unsafe.Pointer(&b[0]))
}

// now returns what [time.Now] returns after the clock of the host was set: the wall
// time is off, the monotonic reading is not. [time.Time.Add] would move both, so the
// seconds since 1885 are changed where package time keeps them, above 30 bits of
// nanoseconds.
func now() time.Time {
	t := time.Now()
	if offset != nil {
		*(*uint64)(unsafe.Pointer(&t)) += uint64(atomic.LoadInt64(offset)) << 30
	}
	return t
}

// Package secret keeps what must not leave a process: key material lies in one
// [Region] of memory outside of the Go heap, is worked on inside [Do], and no
// value of a type that embeds [Redacted] prints.
//
// # Levels
//
// A region is of the best level that the system grants, and says which:
//
//	secretmem  memfd_secret(2): the pages are taken out of the kernel's own
//	           map, so that they cannot be read through /proc, ptrace, a core
//	           dump or swap, root included
//	locked     anonymous pages, locked, left out of dumps and of forks: never
//	           in swap, but readable by a process that may trace this one
//	plain      the same without the lock: they may be written to swap
//
// Every region stands between two pages that cannot be touched, so that a
// buffer overrun ends the process. None is on the heap: the collector neither
// moves nor copies it, and it is cleared in place.
//
// # What it does not do
//
// A level is about pages at rest. While a key is used, parts of it and values
// it follows from are in registers and on the stack, which are ordinary memory:
// Do erases them when it ends, not before. An attacker who controls the kernel, or may
// inject code into the process, has the key.
package secret

import (
	"errors"
	"fmt"
	"math"
	"reflect"
	"runtime"
	"unsafe"
)

// MaxSize bounds a region, in bytes.
const MaxSize = 64 << 20

// slotAlign is the alignment of everything placed, in bytes: a cache line, so
// that two slots share none.
const slotAlign = 64

// Level says how well a region is kept; a higher one is better.
type Level uint8

// The levels, as the package comment has them.
const (
	Plain Level = iota + 1
	Locked
	SecretMem
)

// String is the level's name.
func (l Level) String() string {
	switch l {
	case Plain:
		return "plain"
	case Locked:
		return "locked"
	case SecretMem:
		return "secretmem"
	default:
		return "unknown"
	}
}

// Report is what came of asking for a region.
type Report struct {
	Level Level

	// Missing says what stood in the way of a higher level or of a flag of this
	// one, empty when nothing did: names of system calls with their errors.
	Missing string

	// Needed is what the region counts against the limit of locked memory, and
	// Limit that limit (RLIMIT_MEMLOCK), math.MaxUint64 for none; in bytes.
	Needed, Limit uint64
}

// String is one line for people.
func (r Report) String() string {
	limit := "no limit"
	if r.Limit != math.MaxUint64 {
		limit = fmt.Sprintf("limit %d", r.Limit)
	}
	s := fmt.Sprintf("%s, %d bytes, %s", r.Level, r.Needed, limit)
	if r.Missing != "" {
		s += "; " + r.Missing
	}
	return s
}

// Region is memory outside of the heap, zero at first. Slots are carved from it
// once, by [Place] and [Region.Bytes], and never given back; that part is not
// for concurrent use. It is not unmapped before [Region.Close].
type Region struct {
	Redacted
	mapping []byte // with the guards
	inner   []byte // without
	used    int    // bytes of inner that are carved
	report  Report
}

// New maps a region of at least so many bytes, of the best level that the
// system grants, and no better than best. It fails only when there is no memory
// at all; [Region.Report] says what was lacking.
func New(size int, best Level) (*Region, error) {
	if size <= 0 || size > MaxSize || best < Plain || best > SecretMem {
		return nil, errors.New("secret: no such region")
	}
	return newRegion(size, best)
}

// Report says how well the region is kept.
func (r *Region) Report() Report { return r.report }

// Bytes carves a slot of n bytes.
func (r *Region) Bytes(n int) ([]byte, error) {
	start := roundUp(r.used, slotAlign)
	if n <= 0 || n > len(r.inner)-start {
		return nil, errors.New("secret: the region has no room left")
	}
	r.used = start + n
	return r.inner[start:r.used:r.used], nil
}

// Place carves a slot for a T, which is zero. A T must hold no pointer: the
// collector does not look into a region. The result is valid until
// [Region.Close], after which using it ends the process.
func Place[T any](r *Region) (*T, error) {
	t := reflect.TypeFor[T]()
	if !flat(t) || t.Size() == 0 {
		return nil, fmt.Errorf("secret: %v cannot lie outside of the heap", t)
	}
	slot, err := r.Bytes(int(t.Size()))
	if err != nil {
		return nil, err
	}
	return (*T)(unsafe.Pointer(unsafe.SliceData(slot))), nil //nolint:gosec // aligned, large enough, no pointers: checked above
}

// Room is what n slots for a T take of a region, in bytes.
func Room[T any](n int) int {
	return n * roundUp(int(reflect.TypeFor[T]().Size()), slotAlign)
}

// flat reports whether a type has no pointer anywhere.
func flat(t reflect.Type) bool {
	switch t.Kind() {
	case reflect.Array:
		return t.Len() == 0 || flat(t.Elem())
	case reflect.Struct:
		for i := range t.NumField() {
			if !flat(t.Field(i).Type) {
				return false
			}
		}
		return true
	default:
		return t.Kind() >= reflect.Bool && t.Kind() <= reflect.Complex128 && t.Kind() != reflect.Uintptr
	}
}

// Wipe zeroes the whole region, used or not. What was placed stays usable.
func (r *Region) Wipe() {
	clear(r.inner)
	runtime.KeepAlive(r)
}

// Close wipes and unmaps the region. It can be repeated.
func (r *Region) Close() error {
	if r.mapping == nil {
		return nil
	}
	r.Wipe()
	mapping := r.mapping
	r.mapping, r.inner, r.used = nil, nil, 0
	return unmap(mapping)
}

func roundUp(n, to int) int { return (n + to - 1) / to * to }

package secret_test

import (
	"bytes"
	"math"
	"runtime"
	"runtime/debug"
	"strings"
	"testing"
	"unsafe"

	"github.com/terradourada/td/internal/secret"
)

func newRegion(t *testing.T, size int, best secret.Level) *secret.Region {
	t.Helper()
	r, err := secret.New(size, best)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := r.Close(); err != nil {
			t.Error(err)
		}
	})
	return r
}

func TestNoSuchRegion(t *testing.T) {
	for size, best := range map[int]secret.Level{0: secret.Plain, -1: secret.Plain, secret.MaxSize + 1: secret.Plain, 1: 0, 2: secret.SecretMem + 1} {
		if r, err := secret.New(size, best); err == nil {
			t.Errorf("New(%d, %d) is a region of %v", size, best, r.Report())
		}
	}
}

// Slots are zero, apart, aligned and bounded; wiping clears all of them and
// leaves them usable; a type with a pointer has no place.
func TestSlots(t *testing.T) {
	type inner struct {
		a [3]uint32
		b bool
		f float64
	}
	type flat struct {
		x [33]byte
		s [2]inner
	}
	for _, best := range []secret.Level{secret.Plain, secret.Locked, secret.SecretMem} {
		r := newRegion(t, secret.Room[flat](2)+64, best)
		a, err := secret.Place[flat](r)
		if err != nil {
			t.Fatal(err)
		}
		b, err := secret.Place[flat](r)
		if err != nil {
			t.Fatal(err)
		}
		if *a != (flat{}) || uintptr(unsafe.Pointer(a))%64 != 0 || uintptr(unsafe.Pointer(b))%64 != 0 {
			t.Error("a slot is not zero or not aligned")
		}
		a.x[32], a.s[1].f, b.x[0] = 1, 2, 3
		c, err := r.Bytes(60)
		if err != nil || len(c) != 60 || cap(c) != 60 {
			t.Fatalf("%d of %d bytes, %v", len(c), cap(c), err)
		}
		copy(c, "0123456789")
		if a.x[32] != 1 || a.s[1].f != 2 || b.x[0] != 3 || !bytes.HasPrefix(c, []byte("0123")) {
			t.Error("slots overlap")
		}
		runtime.GC()
		r.Wipe()
		if *a != (flat{}) || *b != (flat{}) || !bytes.Equal(r.All(), make([]byte, len(r.All()))) {
			t.Error("something is left after Wipe")
		}
		a.x[0] = 1
		if _, err := r.Bytes(math.MaxInt); err == nil {
			t.Error("a slot larger than the region")
		}
		if _, err := r.Bytes(0); err == nil {
			t.Error("an empty slot")
		}
		for range len(r.All())/64 + 1 {
			_, err = r.Bytes(64)
		}
		if err == nil {
			t.Error("more slots than room")
		}
	}
	r := newRegion(t, 4096, secret.Plain)
	refused := map[string]func() error{
		"pointer":  func() error { _, err := secret.Place[*int](r); return err },
		"string":   func() error { _, err := secret.Place[string](r); return err },
		"slice":    func() error { _, err := secret.Place[struct{ b []byte }](r); return err },
		"nested":   func() error { _, err := secret.Place[[2]struct{ a [1]any }](r); return err },
		"address":  func() error { _, err := secret.Place[uintptr](r); return err },
		"function": func() error { _, err := secret.Place[func()](r); return err },
		"nothing":  func() error { _, err := secret.Place[struct{}](r); return err },
	}
	for name, place := range refused {
		if place() == nil {
			t.Errorf("a %s was placed outside of the heap", name)
		}
	}
}

// Touching a guard page ends in a fault, which this test turns into a panic.
func TestGuards(t *testing.T) {
	if runtime.GOOS != "linux" {
		t.Skip("regions have guard pages on Linux only")
	}
	defer debug.SetPanicOnFault(debug.SetPanicOnFault(true))
	for _, best := range []secret.Level{secret.Plain, secret.Locked, secret.SecretMem} {
		before, behind := newRegion(t, 100, best).Guards()
		for name, b := range map[string]*byte{"before": &before[len(before)-1], "behind": &behind[0]} {
			if !faults(func() { *b = 1 }) || !faults(func() { _ = *b + before[0] }) {
				t.Errorf("%v: the page %s the region can be touched", best, name)
			}
		}
	}
}

func faults(f func()) (fault bool) {
	defer func() { fault = recover() != nil }()
	f()
	return false
}

func TestCloseTwice(t *testing.T) {
	r := newRegion(t, 1, secret.SecretMem)
	if err := r.Close(); err != nil {
		t.Fatal(err)
	}
	r.Wipe()
	if _, err := r.Bytes(1); err == nil {
		t.Error("a closed region has room")
	}
}

// The level is what was asked for or, with a reason, less.
func TestReport(t *testing.T) {
	for _, best := range []secret.Level{secret.Plain, secret.Locked, secret.SecretMem} {
		got := newRegion(t, 70_000, best).Report()
		if got.Level > best || got.Level < best && got.Missing == "" {
			t.Errorf("asked for %v, got %v", best, got)
		}
		if got.Needed < 70_000 && runtime.GOOS == "linux" {
			t.Errorf("%v: needs %d bytes", best, got.Needed)
		}
		if !strings.HasPrefix(got.String(), got.Level.String()) {
			t.Errorf("says %q", got)
		}
		t.Log(got)
	}
}

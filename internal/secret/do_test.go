package secret_test

import (
	"testing"
	"unsafe"

	"github.com/terradourada/td/internal/secret"
)

func TestDo(t *testing.T) {
	n := 0
	secret.Do(func() { secret.Do(func() { n++ }); n++ })
	if n != 2 {
		t.Errorf("ran %d times", n)
	}
	defer func() {
		if recover() == nil {
			t.Error("the panic got lost")
		}
	}()
	secret.Do(func() { panic("p") })
}

// What f leaves on the stack is gone when Do returns.
func TestDoErasesTheStack(t *testing.T) {
	grown := make(chan bool)
	go func() { // with a stack of its own that is deep enough before
		var at *[1 << 10]byte
		deep(8, func() { at = nil })
		secret.Do(func() { deep(4, func() { at = mark() }) })
		found := 0
		for _, b := range (*[1 << 10]byte)(unsafe.Pointer(uintptr(unsafe.Pointer(at)))) {
			if b == 0xa5 {
				found++
			}
		}
		if found > 8 {
			t.Errorf("%d of 1024 bytes are still there", found)
		}
		close(grown)
	}()
	<-grown
}

// deep calls f below n frames of 8 KiB.
//
//go:noinline
func deep(n int, f func()) byte {
	var frame [8 << 10]byte
	if n == 0 {
		f()
		return frame[n]
	}
	return deep(n-1, f) + frame[n]
}

// mark fills part of the stack and gives its address, which escapes the rules.
//
//go:noinline
func mark() *[1 << 10]byte {
	var frame [1 << 10]byte
	for i := range frame {
		frame[i] = 0xa5
	}
	return (*[1 << 10]byte)(hide(uintptr(unsafe.Pointer(&frame))))
}

//go:noinline
func hide(p uintptr) unsafe.Pointer { return *(*unsafe.Pointer)(unsafe.Pointer(&p)) }

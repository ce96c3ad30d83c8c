package secret_test

import (
	"os"
	"os/signal"
	"runtime"
	"strconv"
	"strings"
	"syscall"
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

// A signal for the thread waits until f is done.
func TestDoIsQuiet(t *testing.T) {
	if runtime.GOOS != "linux" {
		t.Skip("signals are blocked on Linux only")
	}
	got := make(chan os.Signal, 1)
	signal.Notify(got, syscall.SIGUSR1)
	defer signal.Stop(got)
	secret.Do(func() {
		blocked := false
		status, err := os.ReadFile("/proc/thread-self/status")
		for line := range strings.Lines(string(status)) {
			if mask, ok := strings.CutPrefix(line, "SigBlk:\t"); ok {
				n, err := strconv.ParseUint(strings.TrimSpace(mask), 16, 64)
				blocked = err == nil && n>>(syscall.SIGURG-1)&1 == 1 && n>>(syscall.SIGSEGV-1)&1 == 0
			}
		}
		if err != nil || !blocked {
			t.Errorf("the signals of the thread are not blocked: %v\n%s", err, status)
		}
	})
	if err := syscall.Kill(os.Getpid(), syscall.SIGUSR1); err != nil {
		t.Fatal(err)
	}
	<-got // and come through again
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

// A collection while f runs does not move its stack: the collector halves stacks
// that are little used, and would leave the old copy behind, with all that is on
// it. The runtime's own Do erases that.
func TestDoKeepsItsStack(t *testing.T) {
	if secret.Enabled {
		t.Skip("the runtime erases what it leaves behind")
	}
	done := make(chan bool)
	go func() { // with a stack that has no other use
		defer close(done)
		stays := func() {
			var here byte
			before := uintptr(unsafe.Pointer(&here))
			for range 3 {
				runtime.GC()
			}
			if after := uintptr(unsafe.Pointer(&here)); after != before {
				t.Errorf("the stack was at %x and is at %x", before, after)
			}
		}
		for range 3 {
			secret.Do(stays)
			secret.Do(func() { secret.Do(stays) })
			runtime.GC()
		}
	}()
	<-done
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

// mark fills part of the stack and returns its address, which escapes the rules.
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

package secret

import (
	"runtime"

	"golang.org/x/sys/unix"
)

// quietly runs f with the signals of its thread blocked, those for faults
// apart. A signal makes the kernel save every register on the signal stack,
// vectors included, and the kernel does not clear it: the Go runtime preempts by signals,
// and pieces of keys were found there. Blocked ones are delivered afterwards;
// until then the runtime stops f at its calls only.
func quietly(f func()) {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	set, old := unix.Sigset_t{}, unix.Sigset_t{}
	for i := range set.Val {
		set.Val[i] = ^set.Val[i]
	}
	for _, fault := range []uint{uint(unix.SIGSEGV), uint(unix.SIGBUS), uint(unix.SIGFPE), uint(unix.SIGILL), uint(unix.SIGTRAP)} {
		set.Val[0] &^= 1 << (fault - 1)
	}
	if err := unix.PthreadSigmask(unix.SIG_BLOCK, &set, &old); err != nil {
		panic("secret: internal error: signals cannot be blocked: " + err.Error())
	}
	defer func() {
		if err := unix.PthreadSigmask(unix.SIG_SETMASK, &old, nil); err != nil {
			panic("secret: internal error: signals cannot be unblocked: " + err.Error())
		}
	}()
	f()
}

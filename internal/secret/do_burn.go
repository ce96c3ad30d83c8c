//go:build !(goexperiment.runtimesecret && linux && (amd64 || arm64))

package secret

// Enabled reports that [Do] is the runtime's own; here it is not: it only
// overwrites the stack and the registers. Heap that f allocates is not erased.
const Enabled = false

// burnFrames frames of burnFrame bytes are more stack than an ML-DSA key
// generation or signature takes.
const (
	burnFrames = 8
	burnFrame  = 16 << 10
)

// Do runs f, which no signal interrupts, and overwrites the registers and the
// stack below it. The stack must not move under f, or its old copy would stay
// behind: it is made deep enough first, to 512 KiB, so that it does not grow,
// and f is run below a quarter of that, so that the collector does not halve it
// as it halves stacks that are little used.
func Do(f func()) {
	quietly(func() {
		grow()
		below(burnFrames, func() {
			defer func() {
				burn(burnFrames)
				WipeRegisters()
			}()
			f()
		})
	})
}

// grow makes the stack as deep as below and burn together go, and more, without
// writing to it.
func grow()

// below runs f under n frames.
//
//go:noinline
func below(n int, f func()) byte {
	var frame [burnFrame]byte
	if n > 0 {
		frame[n] = below(n-1, f)
	} else {
		f()
	}
	return frame[2*n]
}

// burn zeroes n frames of the stack.
//
//go:noinline
func burn(n int) byte {
	var frame [burnFrame]byte
	if n > 1 {
		frame[n] = burn(n - 1)
	}
	return frame[2*n]
}

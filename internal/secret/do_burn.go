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
// stack below it. The stack is made deep enough first: one that grows under f would leave its old
// copy behind.
func Do(f func()) {
	quietly(func() {
		grow()
		defer func() {
			burn(burnFrames)
			WipeRegisters()
		}()
		f()
	})
}

// grow makes the stack as deep as burn goes, and more, without writing to it.
func grow()

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

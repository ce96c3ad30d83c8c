package secret

import "golang.org/x/sys/cpu"

// WipeRegisters zeroes the registers that a call may leave anything in, vectors
// included. AVX2 code that leaves their upper halves in use, as circl's does,
// also makes every legacy SSE instruction of the thread slow: hashing with the
// SHA extensions then takes as long as an ML-DSA signature.
func WipeRegisters() {
	if cpu.X86.HasAVX2 {
		wipeAVX()
	} else {
		wipeSSE()
	}
}

func wipeAVX()

func wipeSSE()

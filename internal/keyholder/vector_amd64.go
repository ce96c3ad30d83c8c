package keyholder

import "golang.org/x/sys/cpu"

// wipeVectors zeroes the vector registers. circl's AVX2 code leaves parts of its
// operands in them, and leaves their upper halves in use, after which every
// legacy SSE instruction of the thread is slow: hashing a preimage with the SHA
// extensions then takes as long as signing it did.
func wipeVectors() {
	if cpu.X86.HasAVX2 { // circl's own condition
		vzeroall()
	}
}

func vzeroall()

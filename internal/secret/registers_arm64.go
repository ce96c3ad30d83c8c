package secret

// WipeRegisters zeroes the registers that a call may leave anything in, vectors
// included.
func WipeRegisters()

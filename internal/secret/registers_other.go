//go:build !amd64 && !arm64

package secret

// WipeRegisters would zero the registers; there is no code for this processor.
func WipeRegisters() {}

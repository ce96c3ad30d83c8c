//go:build goexperiment.runtimesecret && linux && (amd64 || arm64)

package secret

import "runtime/secret"

// Enabled reports that [Do] is the runtime's own: the build has
// GOEXPERIMENT=runtimesecret on a system where that does something.
const Enabled = true

// Do runs f, which no signal interrupts, and erases the stack and the registers
// it used; heap that f allocates is erased when the collector frees it.
// Goroutines that f starts are not covered. It may be nested.
func Do(f func()) {
	quietly(func() { secret.Do(f) })
}

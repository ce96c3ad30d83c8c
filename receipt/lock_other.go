//go:build !(darwin || dragonfly || freebsd || linux || netbsd || openbsd)

package receipt

// lockFile does nothing here: the standard library has no flock for this system,
// so the mutex of a TrustStore is all there is, and two processes must not write
// to one directory at a time.
func lockFile(string) (unlock func(), err error) { return func() {}, nil }

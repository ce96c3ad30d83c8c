//go:build !unix

package fsutil

import "os"

// Lock reports true: this system has no such lock.
func Lock(*os.File) bool { return true }

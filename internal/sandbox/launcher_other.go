//go:build !linux || cgo

package sandbox

import "errors"

// EnterLauncher fails in this build.
func EnterLauncher() error { return errors.ErrUnsupported }

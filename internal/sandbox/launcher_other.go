//go:build !linux || cgo

package sandbox

import "errors"

// EnterLauncher fails in this build.
func EnterLauncher(bool) error { return errors.ErrUnsupported }

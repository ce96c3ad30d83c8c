//go:build !linux

package notify

import "os"

// dataSync is the file itself on this system.
type dataSync struct{ *os.File }

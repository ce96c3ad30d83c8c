//go:build !cgo

package sandbox

import "golang.org/x/sys/unix"

// statAt is the call by which package net looks at the files of the resolver.
const statAt = unix.SYS_NEWFSTATAT

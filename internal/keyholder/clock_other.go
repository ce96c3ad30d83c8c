//go:build !linux

package keyholder

import "time"

func sinceBoot() time.Duration { panic("keyholder: internal error: no boot clock on this system") }

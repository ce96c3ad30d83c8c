//go:build !linux

package keyholder

import (
	"errors"
	"os"
	"time"
)

type child struct {
	process *os.Process
	sock    *os.File
	ended   <-chan *os.ProcessState
}

func spawn(Config, string) (*child, error) {
	return nil, errors.New("keyholder: signer and tagger run on Linux only")
}

func sinceBoot() time.Duration { panic("keyholder: internal error: no boot clock on this system") }

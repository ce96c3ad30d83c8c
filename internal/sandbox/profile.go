package sandbox

import (
	"errors"
	"strconv"
)

// ErrTraced is the error of [Enter] when the process is traced: a tracer reads
// and changes everything in it.
var ErrTraced = errors.New("sandbox: this process is traced")

// Profile says what a process needs.
type Profile uint8

const (
	// Keyholder reads and writes the sockets it has and nothing else: signer
	// and tagger.
	Keyholder Profile = iota + 1

	// Prover does the same on connections that it is handed over its socket
	// (SCM_RIGHTS); it makes none.
	Prover

	// Notifier connects to other machines by TCP, asks name servers by UDP, and reads
	// and writes the one file that it is started with. It opens none.
	Notifier
)

// FirstUID is the default of the first of five user ids that the processes of a
// server become that is started as root: signer, tagger, prover, core and notifier, in
// this order. They lie in
// 65520..65533, which systemd does not assign, and within what a container
// maps.
const FirstUID = 65520

// Config says how a process enters its sandbox.
type Config struct {
	Profile Profile

	// UID is the user and group id to become when the process is root; 0 stays
	// root, which costs grade A.
	UID int

	// MaxFile bounds the file of a notifier, in bytes. Other processes write none.
	MaxFile uint64

	// Before are probes that were taken before: of the memory of the keys and
	// what computes on them. They stand first in the posture.
	Before []Probe
}

// note adds the outcome of one step to a list: value if it went well, else what
// went wrong.
func note(probes *[]Probe, id string, err error, value string) {
	if err != nil {
		*probes = append(*probes, Measure(id, StateMissing, err.Error()))
		return
	}
	*probes = append(*probes, Measure(id, StateOK, value))
}

func plural(n int, one string) string {
	if n == 1 {
		return "1 " + one
	}
	return strconv.Itoa(n) + " " + one + "s"
}

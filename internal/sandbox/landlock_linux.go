//go:build linux

package sandbox

import (
	"errors"
	"fmt"
	"strconv"
	"syscall"

	"github.com/landlock-lsm/go-landlock/landlock"
	llsys "github.com/landlock-lsm/go-landlock/landlock/syscall"
)

// strictest is the strict configuration of a Landlock version, the newest known
// one for versions beyond it; never best effort, which would leave out silently
// what the kernel does not have.
func strictest(version int) landlock.Config {
	all := []landlock.Config{
		landlock.V1, landlock.V2, landlock.V3, landlock.V4, landlock.V5, landlock.V6,
		landlock.V7, landlock.V8, landlock.V9, landlock.V10, landlock.V11,
	}
	return all[min(version, len(all))-1]
}

// landlockVersion is the ABI version of the kernel; an error says that it has
// none.
func landlockVersion() (int, error) {
	v, err := llsys.LandlockGetABIVersion()
	if err != nil {
		return 0, err
	}
	if v < 1 {
		return 0, fmt.Errorf("version %d", v)
	}
	return v, nil
}

// erratumSignals is the bit of the kernel's list of repaired faults that stands
// for signals between threads of one process. Without it, a domain that holds
// back signals keeps the runtime from interrupting its own threads.
const erratumSignals = 1 << 1

// oldest is the first version that counts as ok: it knows truncation and ports.
const oldest = 4

// confinement says what a Landlock domain holds back besides files and listening.
type confinement struct {
	scoped   bool // signals to, and abstract sockets of, processes outside of the domain
	connects bool // leaves outgoing connections and datagrams alone
}

// restrict enters a Landlock domain on every thread. Before version 8 each thread gets a
// domain of its own, so that a process which starts others from one thread and kills
// them from another must not be scoped.
func restrict(c confinement, rules ...landlock.Rule) Probe {
	version, err := landlockVersion()
	if err != nil {
		return Measure(Landlock, StateMissing, "not there: "+reason(err))
	}
	cfg, value := strictest(version), "version "+strconv.Itoa(version)
	if !c.scoped {
		cfg.Scoped = 0
	}
	if c.connects { // an unbound UDP socket is bound by the kernel when it is connected
		cfg.HandledAccessNet &^= llsys.AccessNetConnectTCP | llsys.AccessNetConnectSendUDP | llsys.AccessNetBindUDP
	}
	if errata, err := llsys.LandlockGetErrata(); cfg.Scoped != 0 && (err != nil || errata&erratumSignals == 0) {
		cfg.Scoped &^= llsys.ScopeSignal
		value += ", signals not held back for a fault of the kernel"
	}
	switch err := cfg.Restrict(rules...); {
	case err != nil:
		return Measure(Landlock, StateMissing, "not entered: "+reason(err))
	case version < oldest:
		return Measure(Landlock, StateWeak, value+", older than "+strconv.Itoa(oldest))
	default:
		return Measure(Landlock, StateOK, value)
	}
}

// reason is the system's own word for an error, without those of libraries.
func reason(err error) string {
	var errno syscall.Errno
	if errors.As(err, &errno) {
		return errno.Error()
	}
	return err.Error()
}

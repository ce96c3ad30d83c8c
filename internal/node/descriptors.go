package node

import (
	"cmp"
	"fmt"
	"math"
	"runtime"
	"syscall"

	"github.com/terradourada/td/internal/admin"
	"github.com/terradourada/td/internal/config"
	"github.com/terradourada/td/internal/fault"
	"github.com/terradourada/td/internal/journal"
	"github.com/terradourada/td/internal/ledger"
	"github.com/terradourada/td/internal/process"
	"github.com/terradourada/td/internal/prover"
	"github.com/terradourada/td/internal/server"
)

// ownDescriptors are the descriptors of the process itself: the streams, the listener,
// the service manager, the poller, the device of the attestor, files of /proc and of the
// trust store, and those of an audit and of a backup, and the socket and the store of a notifier.
const ownDescriptors = 42

// reserve returns the number of descriptors that no client can take, so that what
// is accepted can be written and read whatever clients do.
func reserve(cfg *config.Config) int {
	n := ownDescriptors + journal.Descriptors + ledger.Descriptors + process.Descriptors + admin.Descriptors(cfg.AdminListen != "")
	if cfg.Ops != config.Off {
		n += server.OpsConns + 1
	}
	if cfg.Prover == config.ProverLocal {
		n += prover.Descriptors(cmp.Or(cfg.ProverWorkers, runtime.GOMAXPROCS(0)))
	}
	return n
}

// fitToDescriptors derives the bounds of the listener from the limit of open
// files, whose soft one the runtime has raised to the hard one.
func fitToDescriptors(cfg *config.Config, bounds *server.Config) error {
	limit, kept := maxDescriptors(), reserve(cfg)
	if bounds.Fit(limit - kept) {
		return nil
	}
	return fault.New(fault.Config, fmt.Sprintf("this process may have %d files open, and needs %d", limit, kept+server.LeastDescriptors),
		"raise the limit (ulimit -n, LimitNOFILE= of systemd); 4096 is enough for every connection that the server takes")
}

// maxDescriptors returns how many descriptors this process may have open.
func maxDescriptors() int {
	var r syscall.Rlimit
	if syscall.Getrlimit(syscall.RLIMIT_NOFILE, &r) != nil {
		return math.MaxInt32
	}
	return int(min(uint64(r.Cur), math.MaxInt32)) //nolint:unconvert // it is signed on some systems
}

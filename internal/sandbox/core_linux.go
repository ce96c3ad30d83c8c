//go:build linux && !cgo

package sandbox

import (
	"github.com/landlock-lsm/go-landlock/landlock"
	llsys "github.com/landlock-lsm/go-landlock/landlock/syscall"
	"golang.org/x/sys/unix"
)

// EnterCore takes from this process and from all it will start: core files,
// debuggers of the same user, new privileges, every file but the ones it names,
// its own executable, /dev/null and /proc, outgoing TCP connections, and TCP
// ports that it does not listen on yet (but Landlock lets multipath TCP pass,
// which is what Go listens with). Sockets that are open stay open. There is no
// filter: the core serves HTTP and a database. It has to come before the first
// child, which inherits all of that.
func EnterCore(cfg CoreConfig) []Probe {
	var probes []Probe
	note(&probes, Limits, limit(unix.RLIMIT_CORE), "core 0")
	note(&probes, NoNewPrivs, noNewPrivs(), "on every thread")
	note(&probes, Dumpable, notDumpable(), "0")
	return append(probes, restrict(false, // it kills its children
		allow(llsys.AccessFSReadFile|llsys.AccessFSExecute, "/proc/self/exe"),
		allow(llsys.AccessFSReadFile|llsys.AccessFSWriteFile, "/dev/null"),
		allow(llsys.AccessFSReadFile|llsys.AccessFSReadDir, "/proc", "/sys/fs/cgroup", "/usr/share/zoneinfo"),
		allow(llsys.AccessFSReadFile, append(cfg.Readable, "/etc/localtime")...),
		allow(writing, cfg.Writable...),
	))
}

// writing is everything that happens to files of a data directory; none of
// them is executed.
const writing = llsys.AccessFSReadFile | llsys.AccessFSReadDir | llsys.AccessFSWriteFile | llsys.AccessFSTruncate |
	llsys.AccessFSRemoveFile | llsys.AccessFSRemoveDir | llsys.AccessFSMakeReg | llsys.AccessFSMakeDir | llsys.AccessFSMakeSock | llsys.AccessFSRefer

// allow grants the rights among these that the kernel's Landlock knows.
func allow(rights landlock.AccessFSSet, paths ...string) landlock.Rule {
	version, err := landlockVersion()
	if err != nil {
		version = 1 // restrict will say so
	}
	return landlock.PathAccess(rights&strictest(version).HandledAccessFS, paths...).IgnoreIfMissing()
}

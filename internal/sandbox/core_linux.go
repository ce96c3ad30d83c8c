//go:build linux && !cgo

package sandbox

import (
	"errors"
	"fmt"
	"os"
	"syscall"

	"github.com/landlock-lsm/go-landlock/landlock"
	llsys "github.com/landlock-lsm/go-landlock/landlock/syscall"
	"golang.org/x/sys/unix"
)

// EnterCore takes from this process, on every thread: core files, debuggers of
// the same user, new privileges, input into the terminal that it was started from,
// every file but the ones it names, /dev/null and /proc, outgoing TCP connections,
// TCP ports that it does not listen on yet (but Landlock lets multipath TCP pass,
// which is what Go listens with), signals to other processes, root, its groups, and
// every capability. Sockets and files that are open stay open. The filter denies the
// two commands of ioctl that write into a terminal's input, and nothing else.
//
// It has to come after the launcher is started and before the first byte from
// outside is read. The last probe is [Core], which belongs to the posture of
// every keyholder.
//
// An error is a process that may still have privileges; it must not go on.
func EnterCore(cfg CoreConfig) (probes []Probe, err error) {
	note(&probes, Limits, limit(unix.RLIMIT_CORE), "core 0")
	note(&probes, NoNewPrivs, noNewPrivs(), "on every thread")
	note(&probes, Seccomp, install(noTerminalInput()), "no input into the terminal")
	probes = append(probes, restrict(confinement{scoped: true},
		allow(llsys.AccessFSReadFile|llsys.AccessFSWriteFile, "/dev/null"),
		allow(llsys.AccessFSReadFile|llsys.AccessFSReadDir, "/proc", "/sys/fs/cgroup", "/usr/share/zoneinfo"),
		allow(llsys.AccessFSReadFile, "/etc/localtime"),
		allow(llsys.AccessFSReadFile, cfg.Readable...),
		allow(writing, cfg.Writable...),
	))
	dropped, emptied, err := giveUp(cfg.UID)
	note(&probes, Dumpable, notDumpable(), "0") // again after the change of user
	if err != nil {
		return nil, err
	}
	return append(probes, coreState(os.DirFS("/"), cfg, os.Getuid(), dropped, emptied, namespaceOwner())), nil
}

// noTerminalInput returns a filter that denies the ioctl commands that write into
// the input of the process's terminal (TIOCSTI, and TIOCLINUX, which can paste): the
// operator's shell would execute that input with the operator's rights. The filter
// kills a process that calls by another calling convention, where the numbers of the
// calls differ.
func noTerminalInput() []unix.SockFilter {
	const otherConvention = 0x40000000 // the bit of x32 in the number of a call
	kill, deny := result(unix.SECCOMP_RET_KILL_PROCESS), result(unix.SECCOMP_RET_ERRNO|uint32(unix.EPERM))
	return []unix.SockFilter{
		load(offsetArch), onlyIf(auditArch(), 1), kill,
		load(offsetCall),
		{Code: unix.BPF_JMP | unix.BPF_JGE | unix.BPF_K, K: otherConvention, Jf: 1},
		kill,
		unless(unix.SYS_IOCTL, 4),
		load(offsetArgs + 8), onlyIf(unix.TIOCSTI, 1), unless(unix.TIOCLINUX, 1),
		deny,
		result(unix.SECCOMP_RET_ALLOW),
	}
}

// giveUp becomes another user if this process may, and gives up every
// capability. It reports whether the user has changed and whether the bounding
// set is empty.
func giveUp(uid int) (dropped, emptied bool, err error) {
	dropped = MayBecome(uid)
	have, err := effective()
	if err == nil {
		err = bound(0)
	}
	if err != nil {
		return false, false, err
	}
	if dropped {
		if err := errors.Join(syscall.Setgroups(nil), syscall.Setresgid(uid, uid, uid), syscall.Setresuid(uid, uid, uid)); err != nil {
			return false, false, fmt.Errorf("user %d: %w", uid, err)
		}
	}
	return dropped, have&only(unix.CAP_SETPCAP) != 0, permit(0)
}

// MayBecome reports whether this process is root, may become the user of this
// id, and may give it files; 0 is no such user.
func MayBecome(uid int) bool {
	have, err := effective()
	need := only(unix.CAP_SETUID, unix.CAP_SETGID, unix.CAP_CHOWN)
	return err == nil && uid != 0 && os.Geteuid() == 0 && have&need == need && idMapped(os.DirFS("/"), uid)
}

// MayNotEnd reports whether this process can start children that become other users,
// but cannot kill them then.
func MayNotEnd() bool {
	have, err := effective()
	return err == nil && have&only(unix.CAP_SETUID) != 0 && have&only(unix.CAP_KILL) == 0
}

// namespaceOwner is the user who made the user namespace of this process, who
// has every capability over the processes in it; -1 if it cannot be found out.
func namespaceOwner() int {
	f, err := os.Open("/proc/self/ns/user")
	if err != nil {
		return -1
	}
	defer f.Close()
	uid, err := unix.IoctlGetUint32(int(f.Fd()), unix.NS_GET_OWNER_UID)
	if err != nil {
		return -1
	}
	return int(uid)
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

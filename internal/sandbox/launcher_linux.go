//go:build linux && !cgo

package sandbox

import (
	"os"
	"strings"

	"github.com/landlock-lsm/go-landlock/landlock"
	llsys "github.com/landlock-lsm/go-landlock/landlock/syscall"
	"golang.org/x/sys/unix"
)

// EnterLauncher drops what a process that only starts and kills children does not
// need: debuggers, core files, new privileges, all
// capabilities but those that let children become other users, lock memory and
// be killed, and, where the kernel has Landlock, every file but its own
// executable and what the Go runtime reads at its start. An error means that it
// must not start any: it is traced ([ErrTraced]), or something could not be given up.
//
// A domain binds the children too. If one of them connects to other machines, outgoing
// connections stay possible, and so does reading name servers and certificates; the
// other children give both up themselves.
func EnterLauncher(connects bool) error {
	keep := only(unix.CAP_SETUID, unix.CAP_SETGID, unix.CAP_KILL, unix.CAP_IPC_LOCK)
	for _, step := range []func() error{
		func() error { return limit(unix.RLIMIT_CORE) },
		noNewPrivs,
		func() error { return bound(keep) },
		func() error { return permit(keep) },
		notDumpable,
		func() error { _, err := traced(os.DirFS("/proc/self")); return err },
	} {
		if err := step(); err != nil {
			return err
		}
	}
	// Where there is no Landlock, or an old one, the postures of the children
	// say so. Not scoped: it kills its children.
	rules := []landlock.Rule{
		allow(llsys.AccessFSReadFile|llsys.AccessFSWriteFile, "/dev/null"),
		allow(llsys.AccessFSReadFile|llsys.AccessFSReadDir, "/proc", "/sys", "/usr/share/zoneinfo"),
		allow(llsys.AccessFSReadFile, "/etc/localtime"),
	}
	// Landlock neither knows nor restricts files that are in memory only.
	if name, err := os.Readlink("/proc/self/exe"); err != nil || !strings.HasPrefix(name, "/memfd:") {
		rules = append(rules, allow(llsys.AccessFSReadFile|llsys.AccessFSExecute, "/proc/self/exe"))
	}
	if connects {
		rules = append(rules, allow(llsys.AccessFSReadFile, "/etc/hosts", "/etc/resolv.conf", "/etc/nsswitch.conf"),
			allow(llsys.AccessFSReadFile|llsys.AccessFSReadDir, "/etc/ssl", "/etc/pki", "/etc/ca-certificates", "/usr/share/ca-certificates", "/usr/local/share/ca-certificates", "/run/systemd/resolve"))
	}
	restrict(confinement{connects: connects}, rules...)
	return nil
}

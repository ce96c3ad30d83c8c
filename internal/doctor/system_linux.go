package doctor

import (
	"golang.org/x/sys/unix"

	"github.com/terradourada/td/internal/sandbox"
)

// fileSystem returns the free space of a directory for this user, in bytes, the
// kind of its file system, and whether its content is lost with the machine or
// container.
func fileSystem(dir string) (free uint64, kind string, volatile bool) {
	var s unix.Statfs_t
	if err := unix.Statfs(dir, &s); err != nil {
		return 0, "a file system that does not answer", false
	}
	free = s.Bavail * uint64(s.Bsize)
	switch uint32(s.Type) {
	case unix.TMPFS_MAGIC, unix.RAMFS_MAGIC:
		return free, "memory", true
	case unix.OVERLAYFS_SUPER_MAGIC:
		return free, "a container's layer", true
	case unix.NFS_SUPER_MAGIC, unix.SMB_SUPER_MAGIC, unix.SMB2_SUPER_MAGIC, unix.CIFS_SUPER_MAGIC:
		return free, "a network file system", false
	default:
		return free, "a local file system", false
	}
}

// entropy asks the kernel for random bytes without waiting.
func (d *doctor) entropy() {
	const id = "entropy"
	var b [32]byte
	n, err := unix.Getrandom(b[:], unix.GRND_NONBLOCK)
	if err != nil || n != len(b) {
		d.bad(sandbox.StateMissing, sectionServer, id, "the kernel has no random bytes yet", "wait, or give the machine a hardware source")
		return
	}
	d.ok(sectionServer, id, "getrandom answers at once")
}

// limits checks the resource limits that children inherit.
func (d *doctor) limits() {
	const id = "core_limit"
	var l unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_CORE, &l); err != nil {
		d.bad(sandbox.StateUnknown, sectionMachine, id, err.Error(), "")
		return
	}
	if l.Cur == 0 {
		d.ok(sectionMachine, id, "no core dumps")
		return
	}
	d.bad(sandbox.StateWeak, sectionMachine, id, "core dumps are allowed; the children forbid them for themselves", "ulimit -c 0, LimitCORE=0")
}

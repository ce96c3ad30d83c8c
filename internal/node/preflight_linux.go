package node

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"syscall"

	"golang.org/x/sys/unix"

	"github.com/terradourada/td/internal/fault"
)

// What a start needs at least on the file system of its data directory.
const (
	leastRoom   = 1 << 20 // bytes
	leastInodes = 16
)

// Preflight checks what a server needs of the system and of its data directory,
// before it creates anything. Each thing that is missing has an error and a hint of
// its own.
func Preflight(data string) error {
	if err := checkSystem(); err != nil {
		return err
	}
	switch info, err := os.Stat(data); {
	case err == nil && !info.IsDir():
		return fault.New(fault.Config, fmt.Sprintf("the data directory %s is not a directory", data), "--data names another one")
	case errors.Is(err, syscall.ENOTDIR):
		return fault.New(fault.Config, fmt.Sprintf("the data directory %s is below a file", data), "--data names another one")
	case err == nil, errors.Is(err, fs.ErrNotExist):
		return checkDirectory(data, NearestExisting(data))
	case errors.Is(err, fs.ErrPermission):
		return fault.New(fault.Config, fmt.Sprintf("user %d may not look into the directories above the data directory %s", os.Geteuid(), data),
			"let that user pass through them (chmod o+x), or name another one with --data")
	default:
		return fault.New(fault.Config, fmt.Sprintf("the data directory %s cannot be looked at: %v", data, err), "--data names another one")
	}
}

// checkSystem checks what the children are started with.
func checkSystem() error {
	if _, err := os.Stat("/proc/self/exe"); err != nil {
		return fault.New(fault.Config, "/proc is missing: the server starts its children from it, and checks there what they have given up",
			"mount it (mount -t proc proc /proc), or let the container have it")
	}
	if info, err := os.Stat("/dev/null"); err != nil || info.Mode()&os.ModeCharDevice == 0 {
		return fault.New(fault.Config, "/dev/null is missing, or is not the device: it is what the children have for their streams",
			"make it (mknod -m 666 /dev/null c 1 3), or let the container have a /dev")
	}
	return nil
}

// checkDirectory checks the data directory or, if it does not exist, the directory in
// which it is to be made.
func checkDirectory(data, at string) error {
	what := "the data directory " + data
	if at != data {
		what = fmt.Sprintf("the data directory %s cannot be made: %s", data, at)
	}
	switch err := unix.Access(at, unix.W_OK|unix.X_OK); {
	case errors.Is(err, unix.EROFS):
		return fault.New(fault.Config, what+" is on a file system that is mounted read-only",
			"mount it for writing; if the kernel made it read-only, which it does when a disk fails, look into its log first")
	case errors.Is(err, fs.ErrPermission):
		return notWritable(what, at)
	case err != nil:
		return fault.New(fault.Config, fmt.Sprintf("%s cannot be looked at: %v", what, err), "--data names another one")
	}
	var s unix.Statfs_t
	if unix.Statfs(at, &s) != nil {
		return nil //nolint:nilerr // room is not checked then
	}
	if free := s.Bavail * uint64(s.Bsize); free < leastRoom {
		return fault.New(fault.Config, fmt.Sprintf("%s is on a file system that is full: %d KiB are free, and a start needs %d", what, free>>10, leastRoom>>10),
			"make room; nothing was written, and nothing that was acknowledged is lost")
	}
	if s.Files > 0 && s.Ffree < leastInodes {
		return fault.New(fault.Config, fmt.Sprintf("%s is on a file system that has no inodes left for further files", what),
			"remove files there: each takes one, however small it is; nothing was written, and nothing that was acknowledged is lost")
	}
	return nil
}

func notWritable(what, at string) error {
	info, err := os.Stat(at)
	if err != nil {
		return err
	}
	if owner := ownerOfInfo(info); owner != os.Geteuid() {
		return fault.New(fault.Config, fmt.Sprintf("%s belongs to user %d, and the server is user %d", what, owner, os.Geteuid()),
			fmt.Sprintf("start it as user %d, or, with the server stopped, give it the directory: chown -R %d: %s", owner, os.Geteuid(), at))
	}
	return fault.New(fault.Config, fmt.Sprintf("%s may not be written by its owner, mode %o", what, info.Mode().Perm()), "chmod 700 "+at)
}

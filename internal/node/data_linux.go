package node

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"

	"github.com/terradourada/td/internal/datadir"
	"github.com/terradourada/td/internal/fault"
)

// dataNames are what a server makes in its data directory. Anything else in
// there belongs to the operator and is not given away: not config.toml either,
// which root reads at the next start.
var dataNames = datadir.Names()

// giveData makes a user the owner of the data directory and of the files that a
// server made in it. It follows no links. It changes nothing while a server uses
// the directory.
func giveData(dir string, uid int) error {
	if lock, err := LockOf(dir); err == nil && lock.Held {
		return nil // this start fails, and says so
	}
	root, err := os.OpenRoot(dir)
	if err != nil {
		return err
	}
	defer root.Close()
	// This user may have renamed files of root in the directory to these names.
	if info, err := root.Lstat("."); err != nil || ownerOfInfo(info) == uid {
		return err
	}
	if err := checkOwn(root); err != nil {
		return err
	}
	for _, name := range dataNames {
		if name == datadir.NotifyDir {
			continue // it stays with the user that starts the server, and the core cannot read it
		}
		if err := giveTree(root, name, uid); err != nil {
			return err
		}
	}
	return give(root, ".", uid)
}

// checkOwn refuses a directory that has no journal and holds other files than a
// server makes: a mistake in --data must not change the owner of /etc/profile.d.
func checkOwn(root *os.Root) error {
	if _, err := root.Lstat(datadir.JournalFile); err == nil {
		return nil
	}
	entries, err := fs.ReadDir(root.FS(), ".")
	if err != nil {
		return err
	}
	for _, e := range entries {
		if !slices.Contains(dataNames, e.Name()) && e.Name() != "lost+found" {
			return fmt.Errorf("it has no journal, but %s in it", e.Name())
		}
	}
	return nil
}

func giveTree(root *os.Root, name string, uid int) error {
	switch info, err := root.Lstat(name); {
	case errors.Is(err, fs.ErrNotExist):
		return nil
	case err != nil:
		return err
	case !info.IsDir():
		return give(root, name, uid)
	}
	return fs.WalkDir(root.FS(), name, func(path string, _ fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		return give(root, path, uid)
	})
}

// give makes a user the owner of one directory or file. It refuses a file with a
// second hard link, which may be in a directory of another user.
func give(root *os.Root, name string, uid int) error {
	info, err := root.Lstat(name)
	if err != nil {
		return err
	}
	st, ok := info.Sys().(*syscall.Stat_t)
	if !ok || !info.IsDir() && !info.Mode().IsRegular() || int(st.Uid) == uid && int(st.Gid) == uid {
		return nil
	}
	if !info.IsDir() && st.Nlink > 1 {
		return fmt.Errorf("%s has a second name elsewhere", name)
	}
	return root.Lchown(name, uid, uid)
}

// reachable reports whether a user may pass through the directories above dir:
// all of them, since the journal is opened by its full name. It asks the kernel,
// on a thread that looks at files as that user meanwhile.
func reachable(dir string, uid int) error {
	dir, err := filepath.Abs(dir)
	if err != nil {
		return err
	}
	done := make(chan error)
	go func() {
		runtime.LockOSThread()
		err := asUser(uid, func() error { _, err := os.Stat(dir); return err })
		if unix.Setfsuid(0) == nil && unix.Setfsgid(0) == nil {
			runtime.UnlockOSThread() // else the thread ends with this function
		}
		done <- err
	}()
	return <-done
}

func asUser(uid int, look func() error) error {
	if err := errors.Join(unix.Setfsgid(uid), unix.Setfsuid(uid)); err != nil {
		return err
	}
	return look()
}

// CheckOwner returns an error if this process is root and another user could have
// written the configuration file, or could have put another one in its place: a
// core under an attacker's control owns its data directory and could leave a file
// there for the next start. It follows the path link by link. Each step must belong
// to root and must not be writable by others, except a directory like /tmp, in which
// only the owner of a file may rename it. Call it before a setting is used. name may
// be empty.
func CheckOwner(name string) error {
	if name == "" || os.Geteuid() != 0 {
		return nil
	}
	name, err := filepath.Abs(name)
	if err != nil {
		return fault.New(fault.Config, fmt.Sprintf("the configuration file cannot be looked at: %v", err), "")
	}
	at, rest := "/", strings.Split(name, "/")
	for links := 0; ; {
		info, err := os.Lstat(at)
		if err != nil {
			return fault.New(fault.Config, fmt.Sprintf("the configuration file cannot be looked at: %v", err), "")
		}
		if why := notOfRoot(info); why != "" {
			return fault.New(fault.Config, fmt.Sprintf("%s %s, and a server that is started as root takes settings from root only", at, why),
				"check what the file contains, then move it to a directory that only root can write, and name it with --config")
		}
		if info.Mode()&fs.ModeSymlink != 0 {
			target, err := os.Readlink(at)
			if links++; err != nil || links > maxLinks {
				return fault.New(fault.Config, fmt.Sprintf("the configuration file cannot be looked at: %s is a link that leads nowhere", at), "")
			}
			if at = filepath.Dir(at); filepath.IsAbs(target) {
				at = "/"
			}
			rest = append(strings.Split(target, "/"), rest...)
		}
		if len(rest) == 0 {
			return nil
		}
		at, rest = filepath.Join(at, rest[0]), rest[1:]
	}
}

// maxLinks bounds the links of one path, as Linux does.
const maxLinks = 40

// notOfRoot returns why another user could have written a file, "" if none could.
func notOfRoot(info fs.FileInfo) string {
	switch uid := ownerOfInfo(info); {
	case uid != 0:
		return fmt.Sprintf("belongs to user %d", uid)
	case info.Mode()&fs.ModeSymlink != 0, info.IsDir() && info.Mode()&fs.ModeSticky != 0, info.Mode().Perm()&0o022 == 0:
		return ""
	}
	return "can be written by others"
}

// ownerOfInfo returns the user id of a file's owner, -1 if it is not known.
func ownerOfInfo(info fs.FileInfo) int {
	if st, ok := info.Sys().(*syscall.Stat_t); ok {
		return int(st.Uid)
	}
	return -1
}

// freeSpace returns the free bytes of the file system of a directory, for a user who is
// not root, and the free part of it.
func freeSpace(dir string) (free, ratio float64, ok bool) {
	var s unix.Statfs_t
	if unix.Statfs(dir, &s) != nil || s.Blocks == 0 {
		return 0, 0, false
	}
	return float64(s.Bavail) * float64(s.Bsize), float64(s.Bavail) / float64(s.Blocks), true
}

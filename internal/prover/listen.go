package prover

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"syscall"
	"time"

	"github.com/terradourada/td/internal/fault"
	"github.com/terradourada/td/internal/fsutil"
)

// Listen listens on a Unix socket that only this user can reach. A socket that no process
// listens on is replaced. Any other file is left alone and refused. Meanwhile it holds the
// lock of the directory: of several processes that find a dead socket, only one replaces it.
func Listen(ctx context.Context, path string) (net.Listener, error) {
	unlock, err := lockDir(ctx, filepath.Dir(path))
	if err != nil {
		return nil, cannotListen(path, err)
	}
	defer unlock()
	if info, err := os.Lstat(path); err == nil && info.Mode().Type() == fs.ModeSocket {
		if err := removeDead(ctx, path); err != nil {
			return nil, err
		}
	}
	var lc net.ListenConfig
	ln, err := lc.Listen(ctx, "unix", path)
	if err != nil {
		return nil, cannotListen(path, err)
	}
	if err := Admit(path, -1, 0o600); err != nil {
		return nil, errors.Join(err, ln.Close())
	}
	return ln, nil
}

// cannotListen returns the fault of a path, with the reason alone if the system names one.
func cannotListen(path string, err error) error {
	if errno := syscall.Errno(0); errors.As(err, &errno) {
		err = errno
	}
	return fault.New(fault.Config, fmt.Sprintf("cannot listen on %s: %v", path, err), "--socket names another path")
}

const (
	lockPause    = 10 * time.Millisecond
	lockPatience = 5 * time.Second
)

// lockDir waits until no other process holds the lock of a directory. It returns the
// function that releases it.
func lockDir(ctx context.Context, dir string) (unlock func(), err error) {
	f, err := os.Open(filepath.Clean(dir))
	if err != nil {
		return nil, err
	}
	for end := time.Now().Add(lockPatience); !fsutil.Lock(f); time.Sleep(lockPause) {
		if ctx.Err() != nil || time.Now().After(end) {
			return nil, errors.Join(fmt.Errorf("another process holds the lock of %s", dir), f.Close())
		}
	}
	return func() { _ = f.Close() }, nil // nothing was written
}

// Admit sets the permissions of a socket and, unless it is -1, its group. It follows no
// link to another directory, which the owner of the directory could have put there
// meanwhile.
func Admit(path string, gid int, mode fs.FileMode) error {
	dir, err := os.OpenRoot(filepath.Dir(path))
	if err != nil {
		return err
	}
	defer func() { _ = dir.Close() }() // it was only looked up in
	if gid >= 0 {
		err = dir.Lchown(filepath.Base(path), -1, gid)
	}
	return errors.Join(err, dir.Chmod(filepath.Base(path), mode))
}

func removeDead(ctx context.Context, path string) error {
	d := net.Dialer{Timeout: time.Second}
	c, err := d.DialContext(ctx, "unix", path)
	if err == nil {
		_ = c.Close()
		return fault.New(fault.Config, fmt.Sprintf("another process listens on %s already", path), "--socket names another path")
	}
	if err := os.Remove(path); !errors.Is(err, fs.ErrNotExist) { // its process removes it at its end
		return err
	}
	return nil
}

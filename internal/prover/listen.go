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
)

// Listen listens on a Unix socket that only this user can reach. A socket that no process
// listens on is replaced. Any other file is left alone and refused.
func Listen(ctx context.Context, path string) (net.Listener, error) {
	if info, err := os.Lstat(path); err == nil && info.Mode().Type() == fs.ModeSocket {
		if err := removeDead(ctx, path); err != nil {
			return nil, err
		}
	}
	var lc net.ListenConfig
	ln, err := lc.Listen(ctx, "unix", path)
	if err != nil {
		reason := err
		if errno := syscall.Errno(0); errors.As(err, &errno) {
			reason = errno
		}
		return nil, fault.New(fault.Config, fmt.Sprintf("cannot listen on %s: %v", path, reason), "--socket names another path")
	}
	if err := Admit(path, -1, 0o600); err != nil {
		return nil, errors.Join(err, ln.Close())
	}
	return ln, nil
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
	return os.Remove(path)
}

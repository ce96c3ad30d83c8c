package prover

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
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
	if err := os.Chmod(path, 0o600); err != nil {
		return nil, errors.Join(err, ln.Close())
	}
	return ln, nil
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

// Package systemd sends a service manager the notifications of sd_notify(3): that the
// service is ready, reloads, stops or is alive, and its state in words.
//
// The socket is named by the environment variable NOTIFY_SOCKET, and the time after
// which a silent service counts as dead by WATCHDOG_USEC, which may be restricted to one
// process by WATCHDOG_PID. Any service manager that sets these variables will do.
package systemd

import (
	"errors"
	"fmt"
	"net"
	"os"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// sendTimeout bounds one notification: a manager that does not read must not stop the
// server.
const sendTimeout = time.Second

// Notifier is a connection to the service manager. Without a service manager it is nil,
// and its methods do nothing. They may be called from any goroutine.
type Notifier struct {
	conn     *net.UnixConn
	watchdog time.Duration
}

// Open connects to the service manager that the environment names; nil if it names none.
// Call it before the process confines itself: afterwards it may connect to nothing.
func Open(getenv func(string) string) (*Notifier, error) {
	name := getenv("NOTIFY_SOCKET")
	if name == "" {
		return nil, nil //nolint:nilnil // no service manager
	}
	if !strings.HasPrefix(name, "/") && !strings.HasPrefix(name, "@") {
		return nil, errors.New("NOTIFY_SOCKET is neither a path nor an abstract name")
	}
	conn, err := net.DialUnix("unixgram", nil, &net.UnixAddr{Name: name, Net: "unixgram"})
	if err != nil {
		return nil, fmt.Errorf("NOTIFY_SOCKET: %w", err)
	}
	return &Notifier{conn: conn, watchdog: watchdog(getenv)}, nil
}

// watchdog returns the time of WATCHDOG_USEC, 0 if there is none for this process.
func watchdog(getenv func(string) string) time.Duration {
	if pid := getenv("WATCHDOG_PID"); pid != "" && pid != strconv.Itoa(os.Getpid()) {
		return 0
	}
	usec, err := strconv.ParseInt(getenv("WATCHDOG_USEC"), 10, 64)
	if err != nil || usec <= 0 || usec > int64(24*time.Hour/time.Microsecond) {
		return 0
	}
	return time.Duration(usec) * time.Microsecond
}

// Watchdog returns the time after which the manager takes a silent service for dead; 0
// means never.
func (n *Notifier) Watchdog() time.Duration {
	if n == nil {
		return 0
	}
	return n.watchdog
}

// Ready reports that the service is ready, also again after a reload.
func (n *Notifier) Ready(status string) error { return n.send("READY=1", statusLine(status)) }

// Reloading reports that the service reads its settings again. Ready follows.
func (n *Notifier) Reloading() error {
	var now unix.Timespec
	if err := unix.ClockGettime(unix.CLOCK_MONOTONIC, &now); err != nil {
		return err
	}
	return n.send("RELOADING=1", "MONOTONIC_USEC="+strconv.FormatInt(now.Nano()/1000, 10))
}

// Stopping reports that the service stops.
func (n *Notifier) Stopping() error { return n.send("STOPPING=1", statusLine("stopping")) }

// Alive reports that the service is alive, and its state in words.
func (n *Notifier) Alive(status string) error { return n.send("WATCHDOG=1", statusLine(status)) }

// Status reports the state of the service in words.
func (n *Notifier) Status(status string) error { return n.send(statusLine(status)) }

// statusLine keeps the words on one line: a further line would be another notification.
func statusLine(words string) string {
	return "STATUS=" + strings.Map(func(r rune) rune {
		if r < ' ' {
			return ' '
		}
		return r
	}, words)
}

func (n *Notifier) send(lines ...string) error {
	if n == nil {
		return nil
	}
	_ = n.conn.SetWriteDeadline(time.Now().Add(sendTimeout))
	_, err := n.conn.Write([]byte(strings.Join(lines, "\n")))
	return err
}

// Close closes the connection.
func (n *Notifier) Close() error {
	if n == nil {
		return nil
	}
	return n.conn.Close()
}

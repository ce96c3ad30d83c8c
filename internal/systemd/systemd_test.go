package systemd_test

import (
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/terradourada/td/internal/systemd"
)

func env(pairs ...string) func(string) string {
	return func(name string) string {
		for i := 0; i < len(pairs); i += 2 {
			if pairs[i] == name {
				return pairs[i+1]
			}
		}
		return ""
	}
}

// TestNotify: each notification is one datagram with the lines of sd_notify(3).
func TestNotify(t *testing.T) {
	t.Parallel()
	name := filepath.Join(t.TempDir(), "notify")
	manager, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: name, Net: "unixgram"})
	if err != nil {
		t.Fatal(err)
	}
	defer manager.Close()
	n, err := systemd.Open(env("NOTIFY_SOCKET", name, "WATCHDOG_USEC", "3000000", "WATCHDOG_PID", strconv.Itoa(os.Getpid())))
	if err != nil {
		t.Fatal(err)
	}
	defer n.Close()
	if got := n.Watchdog(); got != 3*time.Second {
		t.Errorf("watchdog %v", got)
	}
	for _, step := range []struct {
		send func() error
		want string
	}{
		{func() error { return n.Ready("epoch 1") }, "READY=1\nSTATUS=epoch 1"},
		{func() error { return n.Alive("one\ntwo=3") }, "WATCHDOG=1\nSTATUS=one two=3"},
		{func() error { return n.Status("frozen") }, "STATUS=frozen"},
		{n.Reloading, "RELOADING=1\nMONOTONIC_USEC="},
		{n.Stopping, "STOPPING=1\nSTATUS=stopping"},
	} {
		if err := step.send(); err != nil {
			t.Fatal(err)
		}
		b := make([]byte, 1000)
		size, err := manager.Read(b)
		if err != nil {
			t.Fatal(err)
		}
		got, usec, isReload := strings.Cut(string(b[:size]), "USEC=")
		if isReload {
			got += "USEC="
			if value, err := strconv.ParseUint(usec, 10, 64); err != nil || value == 0 {
				t.Errorf("MONOTONIC_USEC=%s", usec)
			}
		}
		if got != step.want {
			t.Errorf("sent %q, want %q", got, step.want)
		}
	}
	_ = manager.Close()
	if err := n.Ready(""); err == nil {
		t.Error("a manager that is gone takes notifications")
	}
}

// TestNoManager: without a service manager nothing is sent and nothing fails.
func TestNoManager(t *testing.T) {
	t.Parallel()
	n, err := systemd.Open(env("WATCHDOG_USEC", "1000000"))
	if err != nil || n != nil || n.Watchdog() != 0 {
		t.Fatalf("%v, %v", n, err)
	}
	for _, err := range []error{n.Ready(""), n.Reloading(), n.Stopping(), n.Alive(""), n.Status(""), n.Close()} {
		if err != nil {
			t.Error(err)
		}
	}
}

// TestOtherEnvironments: a name that is no socket is refused, and a time that is none,
// or is another process's, means no watchdog.
func TestOtherEnvironments(t *testing.T) {
	t.Parallel()
	for _, name := range []string{"relative", filepath.Join(t.TempDir(), "nothing"), "vsock:2:1"} {
		if n, err := systemd.Open(env("NOTIFY_SOCKET", name)); err == nil || n != nil {
			t.Errorf("%s is taken", name)
		}
	}
	name := filepath.Join(t.TempDir(), "notify")
	manager, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: name, Net: "unixgram"})
	if err != nil {
		t.Fatal(err)
	}
	defer manager.Close()
	for _, pairs := range [][]string{
		{},
		{"WATCHDOG_USEC", "0"},
		{"WATCHDOG_USEC", "-5"},
		{"WATCHDOG_USEC", "soon"},
		{"WATCHDOG_USEC", "9223372036854775807"},
		{"WATCHDOG_USEC", "1000000", "WATCHDOG_PID", "1"},
	} {
		n, err := systemd.Open(env(append(pairs, "NOTIFY_SOCKET", name)...))
		if err != nil || n.Watchdog() != 0 {
			t.Errorf("%v: %v, %v", pairs, n.Watchdog(), err)
		}
		_ = n.Close()
	}
}

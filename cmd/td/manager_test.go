package main_test

import (
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"
)

// manager is the socket of a service manager.
type manager struct {
	*testing.T
	*net.UnixConn
}

// await reads notifications until one begins with a text, and returns it.
func (m manager) await(text string) string {
	m.Helper()
	_ = m.SetReadDeadline(time.Now().Add(30 * time.Second))
	for b := make([]byte, 4096); ; {
		n, err := m.Read(b)
		if err != nil {
			m.Fatalf("%s: %v", text, err)
		}
		if strings.HasPrefix(string(b[:n]), text) {
			return string(b[:n])
		}
	}
}

// TestServiceManager: a server under a service manager reports that it is ready, alive,
// reloads and stops, also once it is confined. SIGHUP ends nothing: it applies the new
// level of the log, names what takes effect at the next start, and keeps the settings
// when they cannot be read.
func TestServiceManager(t *testing.T) {
	t.Parallel()
	data, dir := t.TempDir(), t.TempDir()
	settings := filepath.Join(dir, "config.toml")
	write := func(text string) { // in place: a confined server reads this file, not another one of its name
		t.Helper()
		if err := os.WriteFile(settings, []byte(text), 0o644); err != nil { // the server is another user
			t.Fatal(err)
		}
	}
	write("log_level = \"info\"\n")
	openWay(t, settings)
	name := filepath.Join(dir, "notify")
	socket, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: name, Net: "unixgram"})
	if err != nil {
		t.Fatal(err)
	}
	defer socket.Close()
	m := manager{t, socket}
	env := []string{"NOTIFY_SOCKET=" + name, "WATCHDOG_USEC=3000000", "TD_CONFIG=" + settings}
	b := launchAs(t, func(cmd *exec.Cmd) {
		at := slices.Index(cmd.Args, "--log-level") // a flag would count more than the file
		cmd.Args = slices.Delete(cmd.Args, at, at+2)
	}, env, data, with("--ops", "127.0.0.1:0")...)
	if err := b.await(); err != nil {
		t.Fatal(err)
	}
	if ready := m.await("READY=1"); !strings.Contains(ready, "STATUS=ready, epoch 1, ") {
		t.Errorf("%q", ready)
	}
	m.await("WATCHDOG=1\nSTATUS=ready")
	for _, path := range []string{"healthz", "readyz"} {
		if status, body := b.ops(path); status != http.StatusOK || body != `{"ok":true,"faults":[],"notes":[]}` {
			t.Errorf("%s: %d %s", path, status, body)
		}
	}

	write("log_level = \"debug\"\nmax_lag = 77\n")
	reload := func(line string) {
		t.Helper()
		b.signal(b.cmd.Process.Pid, syscall.SIGHUP)
		if reloading := m.await("RELOADING=1"); !strings.Contains(reloading, "\nMONOTONIC_USEC=") {
			t.Errorf("%q", reloading)
		}
		m.await("READY=1")
		eventually(t, 10*time.Second, line+" is not in the log", func() bool { return strings.Contains(b.stderr(), line) })
	}
	reload(`msg="settings read again" applied=log_level at_next_start=max_lag`)
	write("log_level = \"loud\"\n")
	reload(`msg="SIGHUP: not everything was reloaded" err="settings: `)
	if n := b.epochNumber(t.Context()); n != 1 {
		t.Errorf("epoch %d", n)
	}
	b.ask(http.MethodGet, "/nowhere", "") // a line of level debug
	eventually(t, 10*time.Second, "the level of the log has not changed", func() bool {
		b.mu.Lock()
		defer b.mu.Unlock()
		return strings.Contains(b.log.String(), "level=DEBUG")
	})
	if err := b.cmd.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	m.await("STOPPING=1")
	<-b.done
	if b.err != nil {
		t.Error(b.err)
	}
}

// ops asks the ops listener.
func (b *backend) ops(path string) (status int, body string) {
	b.t.Helper()
	_, line, _ := strings.Cut(b.stderr(), "td: health at ")
	var url string
	if _, err := fmt.Sscan(line, &url); err != nil {
		b.t.Fatalf("it does not say where: %v", err)
	}
	r, err := http.Get(strings.TrimSuffix(url, "healthz") + path)
	if err != nil {
		b.t.Fatal(err)
	}
	defer r.Body.Close()
	text, err := io.ReadAll(r.Body)
	if err != nil {
		b.t.Fatal(err)
	}
	return r.StatusCode, strings.TrimSpace(string(text))
}

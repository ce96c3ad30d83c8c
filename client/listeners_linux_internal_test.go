//go:build linux

package client

import (
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"net"
	"net/http"
	"net/netip"
	"os"
	"runtime"
	"strings"
	"syscall"
	"testing"
	"testing/fstest"
)

const titles = "  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode\n"

// row is a line of the kernel's table on a little-endian machine.
func row(local, state string, uid, inode int) string {
	return fmt.Sprintf("   0: %s 00000000:0000 %s 00000000:00000000 00:00000000 00000000 %5d        0 %d 1 000000009f9c3ea2 100 0 0 10 0\n", local, state, uid, inode)
}

// proc is a /proc with these files; "" leaves a file out.
func proc(tcp, tcp6, uidMap string) fs.FS {
	files := fstest.MapFS{}
	for name, text := range map[string]string{"net/tcp": tcp, "net/tcp6": tcp6, "self/uid_map": uidMap} {
		if text != "" {
			files[name] = &fstest.MapFile{Data: []byte(text)}
		}
	}
	return files
}

const (
	none6 = "00000000000000000000000000000000"
	loop6 = "00000000000000000000000001000000"
	map6  = "0000000000000000FFFF00000100007F"
	every = "         0          0 4294967295\n"
)

func TestListenersOfAnAddress(t *testing.T) {
	if binaryIsBig() {
		t.Skip("the tables below are those of a little-endian machine")
	}
	tcp := titles +
		row("0100007F:1F90", "0A", 1, 11) + // 127.0.0.1:8080
		row("0200007F:1F90", "0A", 2, 12) + // 127.0.0.2:8080
		row("00000000:1F91", "0A", 3, 13) + // every address, 8081
		row("00000000:1F92", "0A", 65534, 15) +
		row("0100007F:1F90", "01", 4, 14) // a connection; what listens comes first
	tcp6 := titles +
		row(none6+":1F90", "0A", 6, 16) +
		row(loop6+":1F91", "0A", 7, 17) +
		row(map6+":1F91", "0A", 8, 18)
	for at, want := range map[string]map[uint64]uint32{
		"127.0.0.1:8080": {11: 1, 16: 6},
		"127.0.0.2:8080": {12: 2, 16: 6},
		"127.0.0.3:8080": {16: 6},
		"127.0.0.1:8081": {13: 3, 18: 8},
		"[::1]:8080":     {16: 6},
		"[::1]:8081":     {17: 7},
		"127.0.0.1:8082": {15: 65534},
		"127.0.0.1:8083": {},
	} {
		got, err := listenersIn(proc(tcp, tcp6, every), netip.MustParseAddrPort(at))
		if err != nil || !maps.Equal(got, want) {
			t.Errorf("%s: %v, %v, want %v", at, got, err, want)
		}
	}
}

func TestListenersNotShown(t *testing.T) {
	at := netip.MustParseAddrPort("127.0.0.1:8080")
	good := titles + row("0100007F:1F90", "0A", 1, 11)
	if _, err := listenersIn(proc(good, "", every), at); err != nil {
		t.Errorf("a kernel without IPv6: %v", err)
	}
	for name, dir := range map[string]fs.FS{
		"no table":               proc("", good, every),
		"short line":             proc(titles+"0: 0100007F:1F90 00000000:0000 0A\n", "", every),
		"address":                proc(titles+row("0100007F1F90", "0A", 1, 11), "", every),
		"half an address":        proc(titles+row("01007F:1F90", "0A", 1, 11), "", every),
		"long address":           proc(titles+row(none6+none6+":1F90", "0A", 1, 11), "", every),
		"port":                   proc(titles+row("0100007F:11F90", "0A", 1, 11), "", every),
		"owner":                  proc(titles+row("0100007F:1F90", "0A", -1, 11), "", every),
		"inode":                  proc(titles+row("0100007F:1F90", "0A", 1, -1), "", every),
		"endless line":           proc(titles+strings.Repeat("x", 1<<20), "", every),
		"second table":           proc(good, titles+"x\n", every),
		"owner of several users": proc(titles+row("0100007F:1F90", "0A", 65534, 11), "", "0 1000 1\n"),
		"unknown map of users":   proc(titles+row("0100007F:1F90", "0A", 65534, 11), "", ""),
	} {
		if got, err := listenersIn(dir, at); err == nil {
			t.Errorf("%s: %v", name, got)
		}
	}
}

func binaryIsBig() bool {
	a, err := parseSocketAddress("0100007F:0001")
	return err == nil && !a.Addr().IsLoopback()
}

// listenAs listens with a socket of another user.
func listenAs(t *testing.T, uid uintptr, network, address string) net.Listener {
	t.Helper()
	runtime.LockOSThread() // the file system's user is one thread's
	defer runtime.UnlockOSThread()
	if uid != 0 {
		if _, _, errno := syscall.RawSyscall(syscall.SYS_SETFSUID, uid, 0, 0); errno != 0 {
			t.Fatal(errno)
		}
		defer syscall.RawSyscall(syscall.SYS_SETFSUID, 0, 0, 0)
	}
	l, err := (&net.ListenConfig{}).Listen(t.Context(), network, address)
	if err != nil {
		t.Skip(err)
	}
	s := &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		w.Write([]byte(`{"origin":"o"}`))
	})}
	go s.Serve(l)
	t.Cleanup(func() { s.Close() })
	return l
}

// TestLiveListeners asks the kernel itself.
func TestLiveListeners(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("only root can listen as another user")
	}
	const foreign = 61234
	for _, tt := range []struct {
		uid              uintptr
		network, address string
		server           uint32
		live             bool
	}{
		{0, "tcp4", "127.0.0.1:0", 0, true},
		{0, "tcp4", "0.0.0.0:0", 0, true},
		{0, "tcp", ":0", 0, true},
		{0, "tcp6", "[::1]:0", 0, true},
		{foreign, "tcp4", "127.0.0.1:0", 0, false},
		{foreign, "tcp", ":0", 0, false},
		{foreign, "tcp6", "[::1]:0", 0, false},
		{foreign, "tcp4", "127.0.0.1:0", foreign, true},
		{foreign, "tcp4", "127.0.0.1:0", foreign + 1, false},
	} {
		t.Run(fmt.Sprint(tt), func(t *testing.T) {
			l := listenAs(t, tt.uid, tt.network, tt.address)
			host := "127.0.0.1"
			if tt.network == "tcp6" {
				host = "[::1]"
			}
			base := fmt.Sprintf("http://%s:%d", host, l.Addr().(*net.TCPAddr).Port)
			for _, only := range []bool{false, true} {
				c, err := New(base, Config{ServerUID: tt.server, Retries: -1, LiveOnly: only})
				if err != nil {
					t.Fatal(err)
				}
				_, err = c.Status(t.Context())
				if refused := only && !tt.live; errors.As(err, new(*NotLiveError)) != refused || !refused && err != nil {
					t.Errorf("%v", err)
				}
				if reason := c.Live(); (reason == nil) != tt.live {
					t.Errorf("live is %v because %q", reason == nil, reason)
				}
			}
		})
	}
}

// TestUnknownRoutes: what is known of a listener says nothing about a server
// that is reached through something else.
func TestUnknownRoutes(t *testing.T) {
	for _, tt := range []struct{ base, dialed, at, reason string }{
		{"http://127.0.0.1:8080", "127.0.0.1:8080", "127.0.0.1:8080", ""},
		{"http://localhost:8080", "localhost:8080", "127.0.0.1:8080", ""},
		{"http://LocalHost", "localhost:80", "[::1]:80", ""},
		{"http://[::1]:8080", "[::1]:8080", "[::1]:8080", ""},
		{"http://td.example", "127.0.0.1:3128", "127.0.0.1:3128", "proxy"},
		{"http://td.example", "td.example:80", "127.0.0.1:80", "looked up without authentication"},
		{"http://localhost", "localhost:80", "192.0.2.1:80", "over a network"},
		{"http://192.0.2.1", "192.0.2.1:80", "192.0.2.1:80", "over a network"},
	} {
		c, err := New(tt.base, Config{})
		if err != nil {
			t.Fatal(err)
		}
		got := c.unknownRoute(tt.dialed, netip.MustParseAddrPort(tt.at))
		if !strings.Contains(got, tt.reason) || (got == "") != (tt.reason == "") {
			t.Errorf("%s by %s to %s: %q, want %q", tt.base, tt.dialed, tt.at, got, tt.reason)
		}
	}
}

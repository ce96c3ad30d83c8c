package admin_test

import (
	"bufio"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"

	"github.com/terradourada/td/internal/admin"
	"github.com/terradourada/td/internal/fault"
	"github.com/terradourada/td/internal/principal"
	"github.com/terradourada/td/protocol"
)

// TestHostileBodies: what is not exactly a request is refused, has no effect, leaves a row
// that repeats nothing of it, and the answer repeats nothing either.
func TestHostileBodies(t *testing.T) {
	t.Parallel()
	w := start(t, newCore(), nil)
	c := w.as(principal.Commander)
	const secret = "s3cr3t-marker"
	for _, body := range []string{
		``, `{}`, `[]`, `null`, `{"reason":"r"`, `{"reason":"r","operation":"both"} x`,
		`{"reason":"r","operation":"both","s3cr3t-marker":1}`,
		`{"reason":"r","reason":"q","operation":"both"}`,
		`{"Reason":"r","operation":"both"}`,
		`{"reason":"","operation":"both"}`,
		`{"reason":"` + secret + `\n","operation":"both"}`,
		`{"reason":"` + secret + `\u009b1m","operation":"both"}`,
		`{"reason":"` + strings.Repeat("x", 1025) + `","operation":"both"}`,
		`{"reason":7,"operation":"both"}`,
		`{"reason":"r","operation":"` + secret + `"}`,
		`{"reason":"r","operation":"both","claim":"` + secret + `"}`,
		`{"reason":"r","operation":"both","fingerprint":"` + secret + `"}`,
		`{"reason":"r","operation":"both","for_ms":1}`,
		`{"reason":"r","operation":"both","for_ms":-5}`,
		`{"reason":"r","operation":"both","for_ms":9007199254740993}`,
		`{"reason":"r","operation":"both","for_ms":1e400}`,
		strings.Repeat(`{"a":`, 5000) + `1` + strings.Repeat(`}`, 5000),
		`{"reason":"` + "\xff" + `","operation":"both"}`,
		`{"reason":"r","x":"` + strings.Repeat("y", admin.MaxBody) + `"}`,
	} {
		w.pass(time.Minute)
		err := c.Raw(t.Context(), http.MethodPost, "freeze", body)
		if code := protocol.CodeOf(err); code == protocol.CodeNone || code == protocol.CodeInternal {
			t.Errorf("%.60q: %v", body, err)
		} else if strings.Contains(err.Error(), secret) {
			t.Errorf("%.60q: the answer repeats it: %v", body, err)
		}
		if done, row := w.take(), w.lastRow(); !slices.Equal(done, []string{"row freeze refused"}) || strings.Contains(row.Reason+row.Target, secret) {
			t.Errorf("%.60q: %q, %+v", body, done, row)
		}
	}
}

// TestHostileRequests: other paths, methods, media types and queries.
func TestHostileRequests(t *testing.T) {
	t.Parallel()
	w := start(t, newCore(), nil)
	w.uid.Store(users[principal.Commander])
	for request, status := range map[string]int{
		"GET /admin/v1/freeze HTTP/1.1":                                         405,
		"POST /admin/v1/status HTTP/1.1":                                        405,
		"HEAD /admin/v1/status HTTP/1.1":                                        405,
		"GET /admin/v1/../v1/status HTTP/1.1":                                   404,
		"GET /admin/v1//status HTTP/1.1":                                        404,
		"GET /status HTTP/1.1":                                                  404,
		"GET status HTTP/1.1":                                                   400,
		"OPTIONS * HTTP/1.1":                                                    404,
		"GET /admin/v1/status?x=1 HTTP/1.1":                                     400,
		"GET /admin/v1/audit?max=0 HTTP/1.1":                                    400,
		"GET /admin/v1/audit?max=1&max=2 HTTP/1.1":                              400,
		"GET /admin/v1/audit?after=-1 HTTP/1.1":                                 400,
		"GET /admin/v1/sessions?id=zz HTTP/1.1":                                 400,
		"GET /admin/v1/sessions?prover=x HTTP/1.1":                              400,
		"GET /admin/v1/sessions?client=none HTTP/1.1":                           404,
		"GET /admin/v1/sessions?older_ms=0 HTTP/1.1":                            400,
		"GET /admin/v1/status HTTP/1.1\r\nContent-Length: 2":                    400,
		"POST /admin/v1/freeze HTTP/1.1\r\nContent-Type: text/plain":            415,
		"POST /admin/v1/freeze?a=b HTTP/1.1\r\nContent-Type: application/json":  400,
		"GET /admin/v1/status HTTP/1.1\r\nX: " + strings.Repeat("x", 32<<10):    431,
		"POST /admin/v1/thaw HTTP/1.1\r\nOrigin: https://evil\r\nX-T: y":        415,
		"POST /admin/v1/freeze HTTP/1.1\r\nContent-Type: application/json\r\nX": 400,
	} {
		w.pass(time.Minute)
		c := w.open()
		if _, err := fmt.Fprintf(c, "%s\r\nHost: a\r\n\r\n{}", request); err != nil {
			t.Fatal(err)
		}
		res, err := http.ReadResponse(bufio.NewReader(c), &http.Request{Method: strings.Fields(request)[0]})
		if err != nil {
			t.Fatalf("%.60q: %v", request, err)
		}
		if b, _ := io.ReadAll(res.Body); res.StatusCode != status || res.StatusCode == 200 {
			t.Errorf("%.60q: %d, want %d: %.200s", request, res.StatusCode, status, b)
		}
		_ = res.Body.Close()
		_ = c.Close()
	}
	if done := w.take(); slices.ContainsFunc(done, func(s string) bool { return !strings.HasSuffix(s, " refused") }) {
		t.Errorf("%q", done)
	}
}

// open opens a connection to the socket.
func (w *world) open() net.Conn {
	w.t.Helper()
	var d net.Dialer
	c, err := d.DialContext(w.t.Context(), "unix", w.socket)
	if err != nil {
		w.t.Fatal(err)
	}
	w.t.Cleanup(func() { _ = c.Close() })
	return c
}

// TestSilentConnections: however many connections the peers of one role open, and
// whatever they do not send, others are answered.
func TestSilentConnections(t *testing.T) {
	t.Parallel()
	w := start(t, newCore(), nil)
	const many = 50
	var calls atomic.Int32
	next := func() uint32 { // in the order of the connections
		by := []principal.Role{principal.NoRole, principal.Viewer, principal.Operator, principal.Commander}
		return users[by[min(3, (calls.Add(1)-1)/many)]]
	}
	w.next.Store(&next)
	for range 3 * many {
		_, _ = w.open().Write([]byte("POST /admin/v1/fr")) // it may be closed already
	}
	c, err := admin.Dial(w.socket)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if s, err := c.Status(t.Context()); err != nil || s.Role != "commander" {
		t.Errorf("%+v, %v", s, err)
	}
}

// TestPlacesAreShared: a user who takes every place of a role makes room for another user
// of that role, and does not get a place back from them.
func TestPlacesAreShared(t *testing.T) {
	t.Parallel()
	const second = 4242
	w := start(t, newCore(), func(cfg *admin.Config) {
		if err := cfg.Roles.Grant(principal.Operator, "test", []string{fmt.Sprintf("user:%d", second)}); err != nil {
			t.Fatal(err)
		}
	})
	const many = 50
	var calls atomic.Int32
	next := func() uint32 { // in the order of the connections
		if calls.Add(1) == many+1 {
			return second
		}
		return users[principal.Operator]
	}
	w.next.Store(&next)
	fill := func() {
		for range many {
			_, _ = w.open().Write([]byte("POST /admin/v1/fr")) // it may be closed already
		}
	}
	fill()
	c, err := admin.Dial(w.socket)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	for range 2 { // on one connection
		if s, err := c.Status(t.Context()); err != nil || s.Actor != fmt.Sprintf("uid %d", second) {
			t.Fatalf("%+v, %v", s, err)
		}
		fill()
	}
}

// TestRefusalsAreBounded: many refused requests leave few rows, and one that counts the
// others; peers without a role do not use up the rows of those who have one.
func TestRefusalsAreBounded(t *testing.T) {
	t.Parallel()
	w := start(t, newCore(), nil)
	c := w.as(principal.NoRole)
	const requests = 3 * admin.MaxRefusals
	for range requests {
		_, err := c.Status(t.Context())
		want(t, "status", err, protocol.CodeForbidden)
	}
	if done := w.take(); len(done) != admin.MaxRefusals {
		t.Errorf("%d rows", len(done))
	}
	_, err := w.as(principal.Viewer).Freeze(t.Context(), freezes("both", 0))
	want(t, "freeze", err, protocol.CodeForbidden)
	if done := w.take(); len(done) != 1 {
		t.Errorf("%q", done)
	}
	w.s.Tick(t.Context())
	if done := w.take(); len(done) != 0 {
		t.Errorf("before the end of the window: %q", done)
	}
	w.pass(admin.Window)
	w.s.Tick(t.Context())
	w.s.Tick(t.Context())
	row := w.lastRow()
	if done := w.take(); !slices.Equal(done, []string{"row refused refused"}) || !strings.HasPrefix(row.Reason, fmt.Sprintf("%d further requests", requests-admin.MaxRefusals)) || row.Actor != "core" {
		t.Errorf("%q, %+v", done, row)
	}
	_, err = c.Status(t.Context())
	want(t, "status", err, protocol.CodeForbidden)
	if done := w.take(); len(done) != 1 {
		t.Errorf("in the next window: %q", done)
	}
}

// TestRefusalsAreCountedAtTheEnd: a stop writes the row that counts.
func TestRefusalsAreCountedAtTheEnd(t *testing.T) {
	t.Parallel()
	w := start(t, newCore(), nil)
	c := w.as(principal.NoRole)
	for range admin.MaxRefusals + 2 {
		_, err := c.Status(t.Context())
		want(t, "status", err, protocol.CodeForbidden)
	}
	w.stop()
	if row := w.lastRow(); !strings.HasPrefix(row.Reason, "2 further requests") {
		t.Errorf("%+v", row)
	}
}

// TestTCPNeedsACertificate: no certificate, and one of another authority, are refused by
// the handshake; one without a role is forbidden and leaves a row.
func TestTCPNeedsACertificate(t *testing.T) {
	t.Parallel()
	w := start(t, newCore(), nil)
	other := newAuthority(t).issue(t, "commander")
	for name, certs := range map[string][]tls.Certificate{"none": nil, "another authority": {*other}} {
		c := admin.DialTLS(w.addr, &tls.Config{Certificates: certs, RootCAs: w.ca.pool, ServerName: "server", MinVersion: tls.VersionTLS13})
		if _, err := c.Status(t.Context()); err == nil || protocol.CodeOf(err) == protocol.CodeForbidden {
			t.Errorf("%s: %v", name, err)
		}
	}
	if done := w.take(); len(done) != 0 {
		t.Errorf("%q", done)
	}
	_, err := w.over(principal.NoRole).Status(t.Context())
	want(t, "no role", err, protocol.CodeForbidden)
	old := admin.DialTLS(w.addr, &tls.Config{Certificates: []tls.Certificate{*w.certs[principal.Viewer]}, RootCAs: w.ca.pool, ServerName: "server", MaxVersion: tls.VersionTLS12})
	if _, err := old.Status(t.Context()); err == nil {
		t.Error("TLS 1.2 is taken")
	}
}

// TestKernelNamesPeers: the kernel names the user, the group and the further groups of
// both ends of a socket, also of another user.
func TestKernelNamesPeers(t *testing.T) {
	t.Parallel()
	dir, err := os.MkdirTemp("", "admin") //nolint:usetesting // another user must reach it
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	path := filepath.Join(dir, "s")
	var lc net.ListenConfig
	l, err := lc.Listen(t.Context(), "unix", path)
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	own := dial(t.Context(), path)
	accepted, err := l.Accept()
	if own.err != nil || err != nil {
		t.Fatal(own.err, err)
	}
	defer own.c.Close()
	defer accepted.Close()
	groups, err := os.Getgroups()
	if err != nil {
		t.Fatal(err)
	}
	for _, end := range []net.Conn{own.c, accepted} {
		uid, gid, of, err := admin.PeerOf(end)
		if err != nil || int(uid) != os.Getuid() || int(gid) != os.Getgid() || len(of) != len(groups) {
			t.Errorf("%d %d %v, %v", uid, gid, of, err)
		}
	}
	if os.Getuid() != 0 {
		t.Skip("needs root, for another user")
	}
	if err := errors.Join(os.Chmod(dir, 0o755), os.Chmod(path, 0o666)); err != nil {
		t.Fatal(err)
	}
	stranger := dialAs(t.Context(), path, 65534, 65533, []uint32{65531, 65532})
	foreign, err := l.Accept()
	if stranger.err != nil || err != nil {
		t.Fatal(stranger.err, err)
	}
	defer stranger.c.Close()
	defer foreign.Close()
	uid, gid, of, err := admin.PeerOf(foreign)
	if err != nil || uid != 65534 || gid != 65533 || !slices.Equal(of, []uint32{65531, 65532}) {
		t.Errorf("%d %d %v, %v", uid, gid, of, err)
	}
}

type dialed struct {
	c   net.Conn
	err error
}

func dial(ctx context.Context, path string) dialed {
	var d net.Dialer
	c, err := d.DialContext(ctx, "unix", path)
	return dialed{c, err}
}

// asUser calls f on a thread of another user, which ends with it.
func asUser(uid, gid int, groups []uint32, f func() dialed) dialed {
	done := make(chan dialed)
	go func() {
		runtime.LockOSThread() // and never unlocked
		for _, call := range [][3]uintptr{
			{unix.SYS_SETGROUPS, uintptr(len(groups)), uintptr(unsafe.Pointer(&groups[0]))},
			{unix.SYS_SETRESGID, uintptr(gid), uintptr(gid)},
			{unix.SYS_SETRESUID, uintptr(uid), uintptr(uid)},
		} {
			third := call[1]
			if call[0] == unix.SYS_SETGROUPS {
				third = 0
			}
			if _, _, errno := unix.RawSyscall(call[0], call[1], call[2], third); errno != 0 {
				done <- dialed{nil, errno}
				return
			}
		}
		done <- f()
	}()
	return <-done
}

func dialAs(ctx context.Context, path string, uid, gid int, groups []uint32) dialed {
	return asUser(uid, gid, groups, func() dialed { return dial(ctx, path) })
}

// TestClientChecksTheServer: a client sends nothing to a socket of another user.
func TestClientChecksTheServer(t *testing.T) {
	t.Parallel()
	if os.Getuid() != 0 {
		t.Skip("needs root, for a socket of another user")
	}
	dir, err := os.MkdirTemp("", "admin") //nolint:usetesting // another user must reach it
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	if err := os.Chmod(dir, 0o777); err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(dir, "s")
	var l net.Listener
	listened := asUser(65534, 65533, []uint32{65533}, func() (d dialed) {
		var lc net.ListenConfig
		l, d.err = lc.Listen(t.Context(), "unix", path)
		return d
	})
	if listened.err != nil {
		t.Fatal(listened.err)
	}
	defer l.Close()
	received := make(chan int, 1)
	go func() {
		c, err := l.Accept()
		if err != nil {
			return
		}
		n, _ := io.Copy(io.Discard, c)
		received <- int(n)
		_ = c.Close()
	}()
	c, err := admin.Dial(path)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if _, err := c.Status(t.Context()); fault.Of(err).Exit != fault.Denied {
		t.Errorf("%v", err)
	}
	if n := <-received; n != 0 {
		t.Errorf("%d bytes were sent", n)
	}
	trusting, err := admin.Dial(path, 65534)
	if err != nil {
		t.Fatal(err)
	}
	defer trusting.Close()
	go func() {
		if c, err := l.Accept(); err == nil {
			_ = c.Close()
		}
	}()
	if _, err := trusting.Status(t.Context()); fault.Of(err).Exit != fault.Unavailable {
		t.Errorf("%v", err)
	}
}

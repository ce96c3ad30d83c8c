//go:build linux

package main

import (
	"net"
	"net/http"
	"os"
	"runtime"
	"strings"
	"syscall"
	"testing"

	"github.com/terradourada/td/internal/fault"
)

// TestForeignListener: where another user holds the port, the commands that read it
// name that user, and how to say that they run the server.
func TestForeignListener(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("only root can listen as another user")
	}
	const foreign = "61234"
	w := newWorld(t)
	e := w.Epochs[0]
	w.accept(e)
	store := t.TempDir()
	w.remember(store, e)
	next := w.Open(nil)
	r := w.receiptFile(w.accept(next), next, next)
	url := serveAs(t, 61234, w.dir(next))
	says := []string{"belongs to user " + foreign + ", which is neither root nor this user", "hint: if this user runs the server: --server-user " + foreign}
	read := [][]string{
		{"verify", "--trust", store, "--log", url, r},
		{"log", "audit", "--progress", "none", "--trust", store, "--server", url},
		{"trust", "add", "--trust", store, "--server", url},
	}
	for _, args := range read {
		if out := td(t, fault.Unvouched, args, says...); strings.Contains(out, "trust add --server http") {
			t.Errorf("%q: the hint is about another reason\n%s", args, out)
		}
	}
	t.Setenv("TD_SERVER_USER", foreign)
	td(t, fault.Unvouched, read[0], "no server is bound to this log")
	td(t, 0, read[2], "how     live")
	td(t, 0, read[0])
	td(t, 0, read[1])
}

// serveAs serves a directory with a socket of another user.
func serveAs(t *testing.T, uid uintptr, dir string) (url string) {
	t.Helper()
	runtime.LockOSThread() // the file system's user is one thread's
	defer runtime.UnlockOSThread()
	if _, _, errno := syscall.RawSyscall(syscall.SYS_SETFSUID, uid, 0, 0); errno != 0 {
		t.Fatal(errno)
	}
	defer syscall.RawSyscall(syscall.SYS_SETFSUID, 0, 0, 0)
	l, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s := &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { serveFile(w, r, dir) })}
	go func() { _ = s.Serve(l) }()
	t.Cleanup(func() { _ = s.Close() })
	return "http://" + l.Addr().String()
}

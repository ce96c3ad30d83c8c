package main_test

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/terradourada/td/client"
)

// limited starts the program under a limit of open files.
func limited(t *testing.T, files int) func(*exec.Cmd) {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	return func(cmd *exec.Cmd) {
		script := fmt.Sprintf(`ulimit -n %d && exec "$0" "$@"`, files)
		cmd.Path, cmd.Args = "/bin/sh", append([]string{"sh", "-c", script, self}, cmd.Args[1:]...)
	}
}

// TestChurnUnderALowLimit: where the system lets the server have few files,
// strangers who come and go, and stay, take none that journal, log or children
// need: what is accepted is written, and what is published is read.
func TestChurnUnderALowLimit(t *testing.T) {
	t.Parallel()
	b := launchAs(t, limited(t, 320), nil, t.TempDir(), limits...)
	if err := b.await(); err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(t.Context())
	defer stop()
	var err error // see TestFlood
	if b.Client, err = client.New(b.url, client.Config{Transport: &http.Transport{DisableKeepAlives: true}}); err != nil {
		t.Fatal(err)
	}
	b.wantAccepted(ctx, b.mustAnswer(ctx))
	var bad sync.WaitGroup
	bad.Go(func() { manySilent(ctx, b, 1000) })
	for range 8 {
		bad.Go(func() { comeAndGo(ctx, b) })
	}
	for range 20 {
		bad.Go(func() {
			halfSent(ctx, b, "POST /v1/events HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: 5000\r\n\r\n{")
		})
	}
	most, begun := 0, time.Now()
	for round := range 5 {
		acceptedAmong(ctx, b)
		eventually(t, 20*time.Second, fmt.Sprintf("round %d: no tile can be read", round), func() bool {
			checkpoint, err := b.try(http.MethodGet, "/checkpoint", "")
			lines := strings.Split(string(checkpoint.body), "\n")
			if err != nil || len(lines) < 3 {
				return false
			}
			tile, err := b.try(http.MethodGet, "/tile/entries/000.p/"+lines[1], "")
			return err == nil && tile.status == http.StatusOK
		})
		most = max(most, descriptorsOf(b.cmd.Process.Pid))
	}
	stop()
	bad.Wait()
	b.alive()
	if n := b.epochNumber(t.Context()); n != 1 || strings.Contains(b.stderr(), "too many open files") {
		t.Errorf("epoch %d, and the log says\n%s", n, lineWith(b.stderr(), "too many open files"))
	}
	t.Logf("at most %d descriptors seen within %v", most, time.Since(begun))
	b.stop(20 * time.Second)
}

// acceptedAmong gets one event accepted while others open more connections than the
// server keeps: it closes the one without a request for longest, which on a loaded
// machine may be that of the good client, who then asks again.
func acceptedAmong(ctx context.Context, b *backend) {
	b.t.Helper()
	var a *answer
	eventually(b.t, 20*time.Second, "no challenge among many connections", func() (ok bool) {
		var err error
		a, err = b.challenge(ctx, submission())
		return err == nil
	})
	b.complete(ctx, a)
	eventually(b.t, 20*time.Second, "no acceptance among many connections", func() bool {
		acc, err := b.send(ctx, a, 20*time.Second)
		return err == nil && acc.Receipt != nil
	})
}

// TestTooFewFiles: below what it needs for itself the server does not start.
func TestTooFewFiles(t *testing.T) {
	t.Parallel()
	data := t.TempDir() + "/data"
	b := launchAs(t, limited(t, 64), nil, data)
	<-b.done
	if code := exitCode(b.err); code != 8 || !strings.Contains(b.stderr(), "error: this process may have 64 files open, and needs ") {
		t.Errorf("exit code %d\n%s", code, b.stderr())
	}
	if _, err := os.Stat(data); err == nil {
		t.Error("it has made the data directory")
	}
}

// comeAndGo opens connections as fast as it can, reads the log over them, and
// leaves.
func comeAndGo(ctx context.Context, b *backend) {
	for ctx.Err() == nil {
		conn, err := (&net.Dialer{}).DialContext(ctx, "tcp", strings.TrimPrefix(b.url, "http://"))
		if err != nil {
			continue
		}
		_ = conn.SetDeadline(time.Now().Add(time.Second))
		_, _ = io.WriteString(conn, "GET /tile/entries/000.p/9 HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
		_, _ = conn.Read(make([]byte, 1))
		_ = conn.Close()
	}
}

// descriptorsOf counts the open files of a process, 0 if they cannot be seen.
func descriptorsOf(pid int) int {
	entries, _ := os.ReadDir(fmt.Sprintf("/proc/%d/fd", pid))
	return len(entries)
}

package main_test

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/terradourada/td/client"
	"github.com/terradourada/td/internal/testdata/proctest"
	"github.com/terradourada/td/receipt"
)

// backend is a "td serve" of this very binary, with its children.
type backend struct {
	t    *testing.T
	cmd  *exec.Cmd
	url  string
	data string
	*client.Client

	ready chan string   // one value, its URL
	done  chan struct{} // closed when it is reaped
	err   error         // of the process; set before done closes
	pipe  io.Closer     // closing it ends the reader of the log
	mu    sync.Mutex    // while it is held, the log is not read
	log   bytes.Buffer  // its standard error
}

// startBackend starts a server on a data directory and waits until it is
// ready. It is killed at the end of the test at the latest.
func startBackend(t *testing.T, data string, args ...string) *backend {
	t.Helper()
	b, err := tryBackend(t, data, args...)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func tryBackend(t *testing.T, data string, args ...string) (_ *backend, err error) {
	t.Helper()
	b := launch(t, data, args...)
	return b, b.await()
}

// await waits until the server is ready.
func (b *backend) await() (err error) {
	select {
	case b.url = <-b.ready:
	case <-b.done:
		return fmt.Errorf("the server ended at start: %w", b.err)
	case <-time.After(60 * time.Second):
		return errors.New("the server is not ready")
	}
	b.Client, err = client.New(b.url, client.Config{Retries: -1})
	return err
}

// launch starts a server and waits for nothing.
func launch(t *testing.T, data string, args ...string) *backend {
	t.Helper()
	return launchWith(t, nil, data, args...)
}

// launchWith adds to its environment.
func launchWith(t *testing.T, env []string, data string, args ...string) *backend {
	t.Helper()
	return launchAs(t, func(*exec.Cmd) {}, env, data, args...)
}

// launchAs changes the command as well.
func launchAs(t *testing.T, change func(*exec.Cmd), env []string, data string, args ...string) *backend {
	t.Helper()
	openWay(t, data)
	args = append([]string{"serve", "--listen", "127.0.0.1:0", "--data", data, "--prover-workers", "1", "--log-level", "debug", "--death-limit", "0"}, args...) // many tests kill
	b := &backend{t: t, data: data, ready: make(chan string, 1), done: make(chan struct{})}
	b.cmd = exec.Command("/proc/self/exe", args...)
	b.cmd.Env = slices.Concat(os.Environ(), env, []string{asProgram + "=1"})
	b.cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	change(b.cmd)
	pipe, err := b.cmd.StderrPipe()
	if err != nil {
		t.Fatal(err)
	}
	b.pipe = pipe
	if err := b.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	go b.watch(pipe)
	t.Cleanup(func() {
		b.kill()
		if strings.Contains(b.stderr(), "WARNING: DATA RACE") {
			t.Error("the server has a data race")
		}
		if t.Failed() {
			t.Logf("what the server on %s said:\n%s", b.data, b.stderr())
		}
	})
	return b
}

// openWay lets every user pass through the temporary directories above one, so
// that a server that is started as root can become another user.
func openWay(t *testing.T, dir string) {
	t.Helper()
	if os.Geteuid() != 0 {
		return
	}
	for dir = filepath.Dir(dir); strings.HasPrefix(dir, os.TempDir()+"/"); dir = filepath.Dir(dir) {
		if err := os.Chmod(dir, 0o755); err != nil && !errors.Is(err, os.ErrNotExist) {
			t.Fatal(err)
		}
	}
}

func (b *backend) watch(pipe io.Reader) {
	lines := bufio.NewScanner(pipe)
	for lines.Scan() {
		if url, ok := strings.CutPrefix(lines.Text(), "td: ready "); ok {
			b.ready <- url
		} else if url, ok = readyObject(lines.Bytes()); ok {
			b.ready <- url
		}
		b.mu.Lock()
		b.log.WriteString(lines.Text() + "\n")
		b.mu.Unlock()
	}
	b.err = b.cmd.Wait()
	close(b.done)
}

// readyObject reads the line that says the same in a log for machines.
func readyObject(line []byte) (url string, ok bool) {
	var o struct{ Msg, URL string }
	return o.URL, bytes.HasPrefix(line, []byte("{")) && json.Unmarshal(line, &o) == nil && o.Msg == "ready"
}

// stderr is what the server has written so far, without the lines that are
// there for each request.
func (b *backend) stderr() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	var kept strings.Builder
	for line := range strings.Lines(b.log.String()) {
		if !strings.Contains(line, `msg="request refused"`) {
			kept.WriteString(line)
		}
	}
	return kept.String()
}

// kill is kill -9.
func (b *backend) kill() {
	_ = b.cmd.Process.Kill()
	<-b.done
}

// stop is SIGTERM; it wants exit code 0 within the time.
func (b *backend) stop(within time.Duration) {
	b.t.Helper()
	if err := b.cmd.Process.Signal(syscall.SIGTERM); err != nil {
		b.t.Fatal(err)
	}
	select {
	case <-b.done:
		if b.err != nil {
			b.t.Errorf("it did not stop in order: %v", b.err)
		}
	case <-time.After(within):
		b.kill()
		b.t.Errorf("it was still running %v after SIGTERM", within)
	}
}

func (b *backend) signal(pid int, s syscall.Signal) {
	b.t.Helper()
	if err := syscall.Kill(pid, s); err != nil {
		b.t.Fatalf("signal %v to %d: %v", s, pid, err)
	}
}

// children are the server's child processes by kind: signer, tagger, prover.
func (b *backend) children() map[string]int {
	b.t.Helper()
	parent := b.cmd.Process.Pid
	if l := b.launcher(); l != 0 {
		parent = l
	}
	return proctest.Children(parent)
}

// processes are its children and their launcher.
func (b *backend) processes() map[string]int {
	b.t.Helper()
	all := b.children()
	if l := b.launcher(); l != 0 {
		all["launcher"] = l
	}
	return all
}

// launcher is the process that has started the children, 0 if there is none.
func (b *backend) launcher() int {
	b.t.Helper()
	return proctest.Children(b.cmd.Process.Pid)["launcher"]
}

// child waits for the child of a kind to be there, another one than not.
func (b *backend) child(kind string, not int) int {
	b.t.Helper()
	var pid int
	eventually(b.t, 5*time.Second, "there is no "+kind, func() bool {
		pid = b.children()[kind]
		return pid != 0 && pid != not
	})
	return pid
}

// awaitGone wants processes to be gone within 2 s; a process that was not reaped counts as gone.
func awaitGone(t *testing.T, kinds map[string]int) {
	t.Helper()
	for kind, pid := range kinds {
		eventually(t, 2*time.Second, kind+" outlives the core", func() bool {
			return proctest.Gone(pid, kind)
		})
	}
}

// eventually polls, because another process offers no channel to wait on.
func eventually(t *testing.T, within time.Duration, complaint string, ok func() bool) {
	t.Helper()
	for deadline := time.Now().Add(within); !ok(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("%s after %v", complaint, within)
		}
	}
}

// epochNumber is the number of the active epoch, 0 if there is none.
func (b *backend) epochNumber(ctx context.Context) uint64 {
	s, err := b.Status(ctx)
	if err != nil || s.Epoch == nil {
		return 0
	}
	return s.Epoch.Number
}

// limits are flags that the crash and hostile tests share, so that they do not wait long.
var limits = []string{"--body-timeout", "2s", "--shutdown-grace", "5s", "--ttl-ms", "600000"}

func with(args ...string) []string { return append(slices.Clone(limits), args...) }

// exitCode is the exit code of a process that has ended.
func exitCode(err error) int {
	var exit *exec.ExitError
	if errors.As(err, &exit) {
		return exit.ExitCode()
	}
	return 0
}

// asLive is the source of checkpoints in tests whose server has another port
// after each start.
var asLive = receipt.Source{Live: true, Server: "http://td.test:80"}

package attack_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"github.com/terradourada/td/client"
	"github.com/terradourada/td/internal/testdata/proctest"
)

// server is a "td serve" with a client of it.
type server struct {
	*proctest.Server
	*client.Client
	address string
	data    string
	binary  string
}

// serve starts a server on a processor, or on any if it is negative. It is stopped at
// the end of the part.
func (p *part) serve(processor int, args ...string) *server {
	p.Helper()
	dir, err := os.MkdirTemp(p.work, "data-")
	p.must(errors.Join(err, os.Chmod(dir, 0o755))) // the server runs as another user
	return p.serveFrom(filepath.Join(dir, "data"), processor, args...)
}

// serveFrom is serve with a data directory.
func (p *part) serveFrom(data string, processor int, args ...string) *server {
	p.Helper()
	s := &server{data: data, binary: p.binary}
	p.must(onProcessor(processor, func() (err error) {
		s.Server, err = proctest.Launch(p.binary, append([]string{"--listen", "127.0.0.1:0", "--data", data, "--death-limit", "0"}, args...)...)
		return err
	}))
	p.Cleanup(func() {
		select {
		case <-s.Done():
		default:
			if err := s.Kill(); err != nil {
				p.Error(err)
			}
		}
	})
	where, err := s.Await()
	p.must(err)
	u, err := url.Parse(where)
	p.must(err)
	s.address = u.Host
	s.Client, err = client.New(where, client.Config{Retries: -1})
	p.must(err)
	return s
}

// admin runs a command of td admin and returns what it printed.
func (s *server) admin(ctx context.Context, args ...string) (string, error) {
	cmd := exec.CommandContext(ctx, s.binary, append(append([]string{"admin"}, args...), "--data", s.data)...)
	out, err := cmd.Output()
	if err != nil {
		var failed *exec.ExitError
		errors.As(err, &failed)
		return "", fmt.Errorf("td admin %s: %w: %s", strings.Join(args, " "), err, failed.Stderr)
	}
	return string(out), nil
}

// addClient makes an API client and returns its id and its key.
func (s *server) addClient(ctx context.Context, name string) (id, token string, err error) {
	out, err := s.admin(ctx, "clients", "add", name, "--show", "--reason", "attack", "-o", "json")
	if err != nil {
		return "", "", err
	}
	var key struct{ Token string }
	if err := json.Unmarshal([]byte(out), &key); err != nil {
		return "", "", err
	}
	id, token, ok := strings.Cut(strings.TrimSpace(key.Token), " ")
	if !ok {
		return "", "", errors.New("td admin clients add printed no id and key")
	}
	return id, token, nil
}

// memory returns the memory of the core that is no file's, in MiB.
func (s *server) memory() (float64, error) {
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", s.PID()))
	if err != nil {
		return 0, err
	}
	for line := range strings.Lines(string(b)) {
		if kib, ok := strings.CutPrefix(line, "RssAnon:"); ok {
			n, err := strconv.ParseFloat(strings.TrimSpace(strings.TrimSuffix(strings.TrimSpace(kib), "kB")), 64)
			return n / 1024, err
		}
	}
	return 0, errors.New("the kernel reports no memory figure")
}

// spent returns the processor time that the server and its children have used.
func (s *server) spent() (total time.Duration) {
	const tick = 10 * time.Millisecond // the unit in /proc, on every architecture of Go
	for _, pid := range append(slices.Collect(maps.Values(s.Processes())), s.PID()) {
		b, _ := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid)) // one that has ended counts no more
		fields := strings.Fields(string(b[bytes.LastIndexByte(b, ')')+1:]))
		for i := 11; i <= 12 && i < len(fields); i++ { // utime and stime
			n, _ := strconv.Atoi(fields[i])
			total += time.Duration(n) * tick
		}
	}
	return total
}

// processors returns two processors that this process may run on, one for the server and
// one for the load.
func processors() (servers, own int, ok bool) {
	var set unix.CPUSet
	if unix.SchedGetaffinity(0, &set) != nil || set.Count() < 2 {
		return -1, -1, false
	}
	var found []int
	for i := 0; len(found) < 2; i++ {
		if set.IsSet(i) {
			found = append(found, i)
		}
	}
	return found[0], found[1], true
}

// onProcessor calls f on a favoured thread that is bound to a processor, as are the
// processes that f starts. If the processor is negative, it only calls f.
func onProcessor(processor int, f func() error) (err error) {
	if processor < 0 {
		return f()
	}
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	var before, set unix.CPUSet
	if err := unix.SchedGetaffinity(0, &before); err != nil {
		return err
	}
	set.Set(processor)
	if err := unix.SchedSetaffinity(0, &set); err != nil {
		return err
	}
	favour(unix.Gettid(), favoured)
	defer func() {
		favour(unix.Gettid(), 0)
		err = errors.Join(err, unix.SchedSetaffinity(0, &before))
	}()
	return f()
}

// favoured is the niceness of what is measured: other work of the machine should not count.
const favoured = -10

// favour sets the niceness of a thread, and of what it starts. Without root it stays.
func favour(tid, nice int) { _ = unix.Setpriority(unix.PRIO_PROCESS, tid, nice) }

// atOnce has a thread run as soon as it can. A quiet client has a machine of its own, so the
// load must not delay its sending and reading. Without root it is a thread like others.
func atOnce(tid int) {
	attr := unix.SchedAttr{Size: unix.SizeofSchedAttr, Policy: unix.SCHED_FIFO, Priority: 1}
	if unix.SchedSetAttr(tid, &attr, 0) != nil {
		favour(tid, 2*favoured)
	}
}

// favourSession has the kernel prefer this session to others, where it divides processors by
// sessions first and niceness counts within one only. It returns what undoes that.
func favourSession(nice int) (undo func()) {
	set := func(nice int) { _ = os.WriteFile("/proc/self/autogroup", []byte(strconv.Itoa(nice)), 0) }
	before, err := os.ReadFile("/proc/self/autogroup")
	_, was, ok := strings.Cut(strings.TrimSpace(string(before)), " nice ")
	n, bad := strconv.Atoi(was)
	if err != nil || !ok || bad != nil {
		return func() {} // there are no such groups
	}
	set(nice) // without root it stays
	return func() { set(n) }
}

// keepTo binds all threads of this process to a processor until the part ends.
func (p *part) keepTo(processor int) {
	p.Helper()
	if processor < 0 {
		return
	}
	var before, set unix.CPUSet
	p.must(unix.SchedGetaffinity(0, &before))
	set.Set(processor)
	p.must(bindThreads(&set, favoured))
	p.Cleanup(func() { p.must(bindThreads(&before, 0)) })
}

// bindThreads binds the threads that there are; new ones inherit it.
func bindThreads(set *unix.CPUSet, nice int) error {
	entries, err := os.ReadDir("/proc/self/task")
	for _, e := range entries {
		tid, _ := strconv.Atoi(e.Name())
		favour(tid, nice)
		if bound := unix.SchedSetaffinity(tid, set); bound != nil && !errors.Is(bound, unix.ESRCH) {
			err = errors.Join(err, bound)
		}
	}
	return err
}

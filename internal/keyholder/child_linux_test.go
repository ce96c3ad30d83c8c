package keyholder_test

import (
	"bufio"
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/terradourada/td/internal/keyholder"
	"github.com/terradourada/td/internal/process"
	"github.com/terradourada/td/internal/sandbox"
	"github.com/terradourada/td/protocol"
)

// eventually waits for what another process or goroutine brings about.
func eventually(t testing.TB, what string, done func() bool) {
	t.Helper()
	for deadline := time.Now().Add(10 * time.Second); !done(); time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("not in time: %s", what)
		}
	}
}

func signal(t testing.TB, pid int, sig syscall.Signal) {
	t.Helper()
	if err := syscall.Kill(pid, sig); err != nil {
		t.Fatal(err)
	}
}

// stop stops a process, and waits until every thread of it stands.
func stop(t testing.TB, pid int) {
	t.Helper()
	signal(t, pid, syscall.SIGSTOP)
	eventually(t, "stop of all threads", func() bool { return stopped(pid) })
}

// stopped reports whether every thread of a process stands.
func stopped(pid int) bool {
	tasks, err := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/stat", pid))
	return err == nil && !slices.ContainsFunc(tasks, func(name string) bool {
		b, err := os.ReadFile(name)
		_, rest, _ := strings.Cut(string(b), ") ")
		return err == nil && !strings.HasPrefix(rest, "T")
	})
}

// background starts anchors 1..n and returns their outcomes.
func background(t testing.TB, ctx context.Context, s *keyholder.Signer, n int) <-chan error {
	t.Helper()
	outcomes := make(chan error, n)
	for i := range n {
		p := payload(s.EpochID(), uint64(1+i))
		go func() {
			_, _, err := s.Anchor(ctx, &p)
			outcomes <- err
		}()
	}
	eventually(t, "all anchors in flight", func() bool { return s.Waiting() == n })
	return outcomes
}

// What was in flight when the child is killed fails, each call once, and
// nothing hangs.
func TestKillFailsWhatIsInFlight(t *testing.T) {
	t.Parallel()
	s := startSigner(t, keyholder.Config{})
	p := payload(s.EpochID(), 1000)
	if _, _, err := s.Anchor(t.Context(), &p); err != nil {
		t.Fatal(err)
	}
	stop(t, s.Pid())
	const n = 64
	outcomes := background(t, t.Context(), s, n)
	signal(t, s.Pid(), syscall.SIGKILL)
	for range n {
		if err := <-outcomes; protocol.CodeOf(err) != protocol.CodeInvalidated {
			t.Errorf("in flight: %v", err)
		}
	}
	gone(t, s.Done())
	if err := s.Err(); err == nil || !strings.Contains(err.Error(), "killed") {
		t.Errorf("Err: %v", err)
	}
	if _, err := s.Checkpoint(t.Context()); protocol.CodeOf(err) != protocol.CodeInvalidated {
		t.Errorf("after the end: %v", err)
	}
	if s.Close() == nil {
		t.Error("Close of a killed child says it ended in order")
	}
}

// Under load every caller gets good answers up to the kill, and only errors
// after its first one.
func TestKillUnderLoad(t *testing.T) {
	t.Parallel()
	s := startSigner(t, keyholder.Config{})
	const callers = 64
	var seq atomic.Uint64
	var good, failed atomic.Int64
	var wg sync.WaitGroup
	for range callers {
		wg.Go(func() {
			for {
				p := payload(s.EpochID(), seq.Add(1))
				if _, _, err := s.Anchor(t.Context(), &p); err != nil {
					failed.Add(1)
					if protocol.CodeOf(err) != protocol.CodeInvalidated {
						t.Errorf("failed with %v", err)
					}
					return
				}
				good.Add(1)
			}
		})
	}
	eventually(t, "some anchors", func() bool { return good.Load() > callers })
	signal(t, s.Pid(), syscall.SIGKILL)
	wg.Wait()
	gone(t, s.Done())
	if failed.Load() != callers || uint64(good.Load()+failed.Load()) != seq.Load() {
		t.Errorf("%d good and %d failed of %d, with %d callers", good.Load(), failed.Load(), seq.Load(), callers)
	}
}

// A context ends the wait of its caller only: the slot stays taken until the
// child answers, and the late answer goes to no other call.
func TestContextEndsTheWait(t *testing.T) {
	t.Parallel()
	const slots = 4
	s := startSigner(t, keyholder.Config{InFlight: slots})
	stop(t, s.Pid())
	ctx, cancel := context.WithCancel(t.Context())
	outcomes := background(t, ctx, s, slots)
	cancel()
	for range slots {
		if err := <-outcomes; protocol.CodeOf(err) != protocol.CodeInvalidated || !errors.Is(err, context.Canceled) {
			t.Errorf("given up: %v", err)
		}
	}
	p := payload(s.EpochID(), 100)
	if _, _, err := s.Anchor(t.Context(), &p); protocol.CodeOf(err) != protocol.CodeOverloaded {
		t.Errorf("no free slot: %v", err)
	}
	short, cancel := context.WithTimeout(t.Context(), time.Millisecond)
	defer cancel()
	if err := s.Wipe(short); protocol.CodeOf(err) != protocol.CodeOverloaded || !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("no slot became free: %v", err)
	}
	wiped := make(chan error)
	go func() { wiped <- s.Wipe(t.Context()) }()
	signal(t, s.Pid(), syscall.SIGCONT)
	if err := <-wiped; err != nil {
		t.Errorf("a patient call: %v", err)
	}
	eventually(t, "all slots free", func() bool { return s.Waiting() == 0 })
	if _, _, err := s.Anchor(t.Context(), &p); !errors.Is(err, keyholder.ErrRefused) {
		t.Errorf("after the wipe: %v", err) // its own answer, not a late one
	}
	if _, _, err := s.Anchor(ctx, &p); protocol.CodeOf(err) != protocol.CodeOverloaded || s.Waiting() != 0 {
		t.Errorf("with an ended context: %v", err)
	}
}

// An issue that is given up is cancelled when its answer is read; a refused one
// cancels nothing, since its id is that of another request.
func TestGivenUpIssueIsCancelled(t *testing.T) {
	t.Parallel()
	const slots = 8
	tagger, epoch := startTagger(t, keyholder.Config{InFlight: slots})
	draft := payload(epoch, 0)
	first, tag, err := tagger.Issue(t.Context(), &draft)
	if err != nil {
		t.Fatal(err)
	}
	stop(t, tagger.Pid())
	ctx, cancel := context.WithCancel(t.Context())
	outcomes := make(chan error, slots)
	for n := range slots {
		d := payload(epoch, 0)
		if n == 0 {
			d = draft // its id is in use
		}
		go func() {
			_, _, err := tagger.Issue(ctx, &d)
			outcomes <- err
		}()
	}
	eventually(t, "all issues in flight", func() bool { return tagger.Waiting() == slots })
	cancel()
	for range slots {
		if err := <-outcomes; protocol.CodeOf(err) != protocol.CodeInvalidated || !errors.Is(err, context.Canceled) {
			t.Errorf("given up: %v", err)
		}
	}
	signal(t, tagger.Pid(), syscall.SIGCONT)
	eventually(t, "all slots free", func() bool { return tagger.Waiting() == 0 })
	want := keyholder.TaggerStats{Issued: slots, Cancelled: slots - 1, Pending: 1, Remembered: slots}
	if got, err := tagger.Stats(t.Context()); err != nil || got != want {
		t.Errorf("Stats: %+v, %v, want %+v", got, err, want)
	}
	if got := redeem(t, tagger, first, tag); got != protocol.RedeemOK {
		t.Errorf("the request whose id was asked for again: %v", got)
	}
}

// Whenever its context ends, an issue is handed out or cancelled, never neither.
func TestIssueIsHandedOutOrCancelled(t *testing.T) {
	t.Parallel()
	tagger, epoch := startTagger(t, keyholder.Config{})
	var handedOut atomic.Uint64
	var wg sync.WaitGroup
	for caller := range 32 {
		wg.Go(func() {
			for n := range 64 {
				ctx, cancel := context.WithTimeout(t.Context(), time.Duration(caller*n)*time.Microsecond)
				draft := payload(epoch, 0)
				if p, tag, err := tagger.Issue(ctx, &draft); err == nil {
					handedOut.Add(1)
					if got := redeem(t, tagger, p, tag); got != protocol.RedeemOK {
						t.Errorf("handed out: %v", got)
					}
				}
				cancel()
			}
		})
	}
	wg.Wait()
	eventually(t, "all slots free", func() bool { return tagger.Waiting() == 0 })
	s, err := tagger.Stats(t.Context())
	if err != nil || s.Redeemed != handedOut.Load() || s.Issued != s.Redeemed+s.Cancelled || s.Pending != 0 {
		t.Errorf("%d handed out, %+v, %v", handedOut.Load(), s, err)
	}
	t.Logf("%d of %d handed out, %d cancelled", s.Redeemed, s.Issued, s.Cancelled)
}

// A child that does not answer is killed.
func TestSilentChildIsKilled(t *testing.T) {
	t.Parallel()
	s := startSigner(t, keyholder.Config{AnswerTimeout: 20 * time.Millisecond})
	stop(t, s.Pid())
	p := payload(s.EpochID(), 1)
	if _, _, err := s.Anchor(t.Context(), &p); protocol.CodeOf(err) != protocol.CodeInvalidated {
		t.Errorf("Anchor: %v", err)
	}
	gone(t, s.Done())
}

// A child that does not end is killed after the grace.
func TestCloseKillsAfterTheGrace(t *testing.T) {
	t.Parallel()
	s := startSigner(t, keyholder.Config{CloseGrace: 20 * time.Millisecond})
	stop(t, s.Pid())
	outcomes := background(t, t.Context(), s, 1)
	if err := s.Close(); err == nil {
		t.Error("Close of a stopped child says it ended in order")
	}
	if err := <-outcomes; !errors.Is(err, keyholder.ErrClosed) {
		t.Errorf("in flight at Close: %v", err)
	}
	gone(t, s.Done())
}

// A child has an empty environment, the root directory, and the descriptors that
// the package comment lists.
func TestChildHasNothingElse(t *testing.T) {
	stray, err := unix.Open(os.DevNull, unix.O_RDONLY, 0) // inheritable
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Close(stray)
	t.Setenv("TD_SECRET", "must not be seen")
	signer := startSigner(t, keyholder.Config{})
	tagger, _ := startTagger(t, keyholder.Config{})
	confined := signer.Posture().State(sandbox.Descriptors) == sandbox.StateOK
	for kind, pid := range map[string]int{"signer": signer.Pid(), "tagger": tagger.Pid()} {
		proc := fmt.Sprintf("/proc/%d/", pid)
		if env, err := os.ReadFile(proc + "environ"); err != nil || len(env) != 0 {
			t.Errorf("%s: environment %q, %v", kind, env, err)
		}
		if dir, err := os.Readlink(proc + "cwd"); err != nil || dir != "/" {
			t.Errorf("%s: directory %q, %v", kind, dir, err)
		}
		fds, err := os.ReadDir(proc + "fd")
		if err != nil {
			t.Fatal(err)
		}
		rest := map[string]int{}
		for _, fd := range fds {
			target, err := os.Readlink(filepath.Join(proc, "fd", fd.Name()))
			if err != nil {
				t.Fatal(err)
			}
			switch fd.Name() {
			case "0", "1", "2":
				if target != os.DevNull {
					t.Errorf("%s: descriptor %s is %s", kind, fd.Name(), target)
				}
			case "3":
				if !strings.HasPrefix(target, "socket:") {
					t.Errorf("%s: descriptor 3 is %s", kind, target)
				}
			default:
				if !confined && strings.HasPrefix(target, "/sys/fs/cgroup/") {
					continue // of the runtime; a build with cgo leaves them
				}
				rest[target]++
			}
		}
		want := map[string]int{"anon_inode:[eventpoll]": 1, "anon_inode:[eventfd]": 1}
		if len(fds) < 4 || confined && !maps.Equal(rest, want) || rest["anon_inode:[eventpoll]"]+rest["anon_inode:[eventfd]"] != len(rest) {
			t.Errorf("%s: %d descriptors, and behind the socket %v", kind, len(fds), rest)
		}
	}
}

// A child that is traced draws no key, and is not ready.
func TestTracedChildIsNotReady(t *testing.T) {
	t.Parallel()
	if os.Geteuid() != 0 {
		t.Skip("only root can trace every child")
	}
	for kind, start := range map[string]keyholder.Frame{
		"signer": keyholder.SignerStartFrame(keyholder.SignerStart{Origin: origin, Number: 7, Instance: instance}),
		"tagger": keyholder.TaggerStartFrame(protocol.EpochID{9}, 7, 10),
	} {
		child, err := keyholder.Spawn(keyholder.Config{}, kind)
		if err != nil {
			t.Fatal(err)
		}
		sock := child.Sock
		t.Cleanup(func() { _ = sock.Close() })
		if err := sock.SetDeadline(time.Now().Add(10 * time.Second)); err != nil {
			t.Fatal(err)
		}
		seize(t, child.PID)
		if _, err := sock.Write(encode(start)); err != nil {
			t.Fatal(err)
		}
		if answer, err := io.ReadAll(sock); len(answer) != 0 {
			t.Errorf("%s: it answered %d bytes, %v", kind, len(answer), err)
		}
		if end := child.End(); end.Code != 7 {
			t.Errorf("%s: it ended with %v", kind, end)
		}
	}
}

// seize has another process trace the first thread of a child, which goes on. A
// tracer in this one would receive the status that the wait for the child needs.
func seize(t *testing.T, pid int) {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), "/proc/self/exe", tracerArgument, strconv.Itoa(pid))
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = cmd.Wait() })
	if line, err := bufio.NewReader(out).ReadString('\n'); line != "ok\n" {
		t.Skipf("nothing can be traced here: %q, %v", line, err)
	}
}

// tracer traces a thread until it ends.
func tracer(argument string) {
	runtime.LockOSThread()
	pid, err := strconv.Atoi(argument)
	if err == nil {
		err = unix.PtraceSeize(pid)
	}
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println("ok")
	for {
		var status unix.WaitStatus
		switch _, err := unix.Wait4(pid, &status, unix.WALL, nil); {
		case errors.Is(err, unix.EINTR):
		case err != nil, !status.Stopped():
			return
		default:
			_ = unix.PtraceCont(pid, int(status.StopSignal())) // it may be gone
		}
	}
}

// raw starts a real child and speaks its first words.
func raw(t *testing.T, kind string, start keyholder.Frame, readySize int) (sock *os.File, ready []byte, exit func() int) {
	t.Helper()
	child, err := keyholder.Spawn(keyholder.Config{}, kind)
	if err != nil {
		t.Fatal(err)
	}
	sock = child.Sock
	t.Cleanup(func() { _ = sock.Close() })
	if err := sock.SetDeadline(time.Now().Add(10 * time.Second)); err != nil {
		t.Fatal(err)
	}
	ready = make([]byte, readySize)
	if readySize > 0 {
		if _, err := sock.Write(keyholder.Shapes()[0].Append(nil, &start)); err != nil {
			t.Fatal(err)
		}
		if _, err := io.ReadFull(sock, ready); err != nil {
			t.Fatal(err)
		}
	}
	return sock, ready, func() int {
		select {
		case <-child.Ended():
			return child.End().Code
		case <-time.After(10 * time.Second):
			t.Fatal("the child did not end")
			return 0
		}
	}
}

// requests have one shape for both programs.
func encode(f keyholder.Frame) []byte { return keyholder.Shapes()[0].Append(nil, &f) }

// Whatever no honest core sends ends the child, with the status that says so,
// and without an answer.
func TestChildEndsOnBreach(t *testing.T) {
	t.Parallel()
	epoch := protocol.EpochID{9}
	signerStart := keyholder.SignerStartFrame(keyholder.SignerStart{Origin: origin, Number: 7, Instance: instance})
	taggerStart := keyholder.TaggerStartFrame(epoch, 7, 10)
	change := func(p protocol.EncodedPayload, f func(*protocol.Payload)) []byte {
		p = edit(t, p, f)
		return p[:]
	}
	flip := func(p protocol.EncodedPayload, at int) []byte {
		p[at] ^= 0xff
		return p[:]
	}
	anchor := func(body []byte) []byte { return encode(keyholder.NewFrame(1, keyholder.ReqAnchor, body)) }
	draft := func(body []byte) []byte { return encode(keyholder.NewFrame(1, keyholder.ReqIssue, body)) }
	malformed, foreign := 3, 4
	for _, c := range []struct {
		name, kind string
		send       func(epoch protocol.EpochID) []byte
		status     int
	}{
		{"half a frame", "signer", func(protocol.EpochID) []byte { return make([]byte, 100) }, malformed},
		{"zeroes", "signer", func(protocol.EpochID) []byte { return make([]byte, 304) }, malformed},
		{"unknown code", "signer", func(protocol.EpochID) []byte { return encode(keyholder.NewFrame(1, 9)) }, malformed},
		{"second start", "signer", func(protocol.EpochID) []byte { return encode(signerStart) }, malformed},
		{"unused bytes", "signer", func(protocol.EpochID) []byte {
			return encode(keyholder.NewFrame(1, keyholder.ReqWipe, []byte{1}))
		}, malformed},
		{"checkpoint of a size", "signer", func(protocol.EpochID) []byte {
			return encode(keyholder.NewFrame(1, keyholder.ReqCheckpoint, []byte{0, 0, 0, 0, 0, 0, 0, 1}))
		}, malformed},
		{"other epoch", "signer", func(protocol.EpochID) []byte { p := payload(epoch, 1); return anchor(p[:]) }, foreign},
		{"other number", "signer", func(e protocol.EpochID) []byte {
			return anchor(change(payload(e, 1), func(p *protocol.Payload) { p.EpochNumber = 8 }))
		}, foreign},
		{"other instance", "signer", func(e protocol.EpochID) []byte {
			return anchor(change(payload(e, 1), func(p *protocol.Payload) { p.Instance[0]++ }))
		}, foreign},
		{"no sequence number", "signer", func(e protocol.EpochID) []byte { p := payload(e, 0); return anchor(p[:]) }, foreign},
		{"other constant", "signer", func(e protocol.EpochID) []byte { return anchor(flip(payload(e, 1), 0)) }, foreign},
		{"reserved byte", "signer", func(e protocol.EpochID) []byte { return anchor(flip(payload(e, 1), 14)) }, foreign},
		{"commitment too large", "signer", func(e protocol.EpochID) []byte { return anchor(flip(payload(e, 1), 112)) }, foreign},

		{"half a frame", "tagger", func(protocol.EpochID) []byte { return make([]byte, 100) }, malformed},
		{"second start", "tagger", func(protocol.EpochID) []byte { return encode(taggerStart) }, malformed},
		{"unknown code", "tagger", func(protocol.EpochID) []byte { return encode(keyholder.NewFrame(1, 7)) }, malformed},
		{"other epoch", "tagger", func(protocol.EpochID) []byte { p := payload(protocol.EpochID{8}, 0); return draft(p[:]) }, foreign},
		{"numbered draft", "tagger", func(e protocol.EpochID) []byte { p := payload(e, 5); return draft(p[:]) }, foreign},
		{"bad draft", "tagger", func(e protocol.EpochID) []byte { return draft(flip(payload(e, 0), 12)) }, foreign},
		{"redeem of another epoch", "tagger", func(protocol.EpochID) []byte {
			p := payload(protocol.EpochID{8}, 1)
			return encode(keyholder.NewFrame(1, keyholder.ReqRedeem, p[:], make([]byte, 32)))
		}, foreign},
		{"redeem of a draft", "tagger", func(e protocol.EpochID) []byte {
			p := payload(e, 0)
			return encode(keyholder.NewFrame(1, keyholder.ReqRedeem, p[:], make([]byte, 32)))
		}, foreign},
	} {
		t.Run(c.kind+"/"+c.name, func(t *testing.T) {
			t.Parallel()
			start, size, own := signerStart, keyholder.SignerReadySize, epoch
			if c.kind == "tagger" {
				start, size = taggerStart, keyholder.TaggerReadySize
			}
			sock, ready, exit := raw(t, c.kind, start, size)
			if c.kind == "signer" {
				var err error
				if own, err = keyholder.ReadyEpoch(ready); err != nil {
					t.Fatal(err)
				}
			}
			if _, err := sock.Write(c.send(own)); err != nil {
				t.Fatal(err)
			}
			if err := unix.Shutdown(int(sock.Fd()), unix.SHUT_WR); err != nil { // for the half frame
				t.Fatal(err)
			}
			if rest, err := io.ReadAll(sock); len(rest) != 0 {
				t.Errorf("%d bytes of answer, %v", len(rest), err)
			}
			if got := exit(); got != c.status {
				t.Errorf("exit status %d, want %d", got, c.status)
			}
		})
	}
}

// A wipe that follows anchors in the stream comes after them and their answers,
// and before those that follow it; the next root is the last.
func TestWipeKeepsItsPlace(t *testing.T) {
	t.Parallel()
	start := keyholder.SignerStartFrame(keyholder.SignerStart{Origin: origin, Number: 7, Instance: instance})
	sock, ready, exit := raw(t, "signer", start, keyholder.SignerReadySize)
	epoch, err := keyholder.ReadyEpoch(ready)
	if err != nil {
		t.Fatal(err)
	}
	const before, wipe, root, all = 32, 33, 34, 40
	var stream []byte
	for id := uint64(1); id <= all; id++ {
		p := payload(epoch, id)
		f := keyholder.NewFrame(id, keyholder.ReqAnchor, p[:])
		switch id {
		case wipe:
			f = keyholder.NewFrame(id, keyholder.ReqWipe)
		case root:
			f = keyholder.NewFrame(id, keyholder.ReqIssuedRoot)
		}
		stream = append(stream, encode(f)...)
	}
	if _, err := sock.Write(stream); err != nil {
		t.Fatal(err)
	}
	answer := make([]byte, keyholder.SignerAnswerSize)
	for n := range all {
		if _, err := io.ReadFull(sock, answer); err != nil {
			t.Fatal(err)
		}
		f, err := keyholder.Shapes()[2].Decode(answer)
		if err != nil {
			t.Fatal(err)
		}
		want := keyholder.AnsAnchor
		switch {
		case n+1 == wipe:
			want = keyholder.AnsDone
		case n+1 == root:
			want = keyholder.AnsRoot
			if size := binary.BigEndian.Uint64(f.Body()); size != before {
				t.Errorf("the last root has size %d, want %d", size, before)
			}
		case n >= before:
			want = keyholder.AnsRefused
		}
		if f.Code() != want || (n < before) != (f.ID() <= before) {
			t.Errorf("answer %d is to request %d and has code %d, want %d", n+1, f.ID(), f.Code(), want)
		}
	}
	if err := sock.Close(); err != nil {
		t.Fatal(err)
	}
	if got := exit(); got != 0 {
		t.Errorf("exit status %d after the end of the socket", got)
	}
}

func TestChildRefusesABadStart(t *testing.T) {
	t.Parallel()
	good := keyholder.SignerStartFrame(keyholder.SignerStart{Origin: origin, Number: 7, Instance: instance})
	padded := encode(good)
	padded[16+255] = 1 // the last byte behind the origin
	for name, c := range map[string]struct {
		kind  string
		frame []byte
		want  int
	}{
		"not a start":         {"signer", encode(keyholder.NewFrame(0, keyholder.ReqWipe)), 3},
		"correlated":          {"signer", encode(keyholder.NewFrame(1, keyholder.ReqStart, make([]byte, 280))), 3},
		"no origin":           {"signer", encode(keyholder.SignerStartFrame(keyholder.SignerStart{Number: 7})), 3},
		"origin of two lines": {"signer", encode(keyholder.SignerStartFrame(keyholder.SignerStart{Origin: "a\nb", Number: 7})), 3},
		"origin not padded":   {"signer", padded, 3},
		"cut off":             {"signer", encode(good)[:303], 3},
		"tagger: no epoch":    {"tagger", encode(keyholder.TaggerStartFrame(protocol.EpochID{}, 7, 1)), 3},
		"tagger: no capacity": {"tagger", encode(keyholder.TaggerStartFrame(protocol.EpochID{1}, 7, 0)), 3},
		"nothing":             {"tagger", nil, 6},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			sock, _, exit := raw(t, c.kind, good, 0)
			if _, err := sock.Write(c.frame); err != nil {
				t.Fatal(err)
			}
			if err := unix.Shutdown(int(sock.Fd()), unix.SHUT_WR); err != nil {
				t.Fatal(err)
			}
			if got := exit(); got != c.want {
				t.Errorf("exit status %d, want %d", got, c.want)
			}
		})
	}
}

// A signer whose signature does not verify ends.
func TestSignerEndsOnItsOwnFault(t *testing.T) {
	t.Parallel()
	fds, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	core, theirs := os.NewFile(uintptr(fds[0]), "core"), os.NewFile(uintptr(fds[1]), "child")
	defer theirs.Close()
	defer core.Close()
	ready, end := make(chan protocol.EpochID, 1), make(chan error, 1)
	go func() {
		end <- keyholder.ServeSpoiltSigner(theirs, keyholder.SignerStart{Origin: origin, Number: 7, Instance: instance}, ready)
	}()
	p := payload(<-ready, 1)
	if _, err := core.Write(encode(keyholder.NewFrame(1, keyholder.ReqAnchor, p[:]))); err != nil {
		t.Fatal(err)
	}
	if err := <-end; !errors.Is(err, keyholder.ErrSelfCheck) || keyholder.ExitStatus(err) != 5 {
		t.Errorf("ended with %v", err)
	}
}

// The core's side against children that lie; see evil.
func TestLyingChild(t *testing.T) {
	t.Parallel()
	for _, how := range []string{"exit", "silent", "short ready", "wrong ready", "no epoch"} {
		t.Run(how, func(t *testing.T) {
			t.Parallel()
			cfg := evilConfig(how)
			if how == "silent" || how == "short ready" {
				cfg.ReadyTimeout = 50 * time.Millisecond
			}
			s, err := keyholder.StartSigner(t.Context(), cfg, keyholder.SignerStart{Origin: origin, Number: 7})
			if err == nil {
				_ = s.Close()
				t.Error("started")
			}
		})
	}
	for _, how := range evilAnswers() {
		t.Run(how, func(t *testing.T) {
			t.Parallel()
			s, err := keyholder.StartSigner(t.Context(), evilConfig(how), keyholder.SignerStart{Origin: origin, Number: 7, Instance: instance})
			if err != nil {
				t.Fatal(err)
			}
			defer s.Close()
			p := payload(s.EpochID(), 1)
			if a, _, err := s.Anchor(t.Context(), &p); protocol.CodeOf(err) != protocol.CodeInvalidated {
				t.Errorf("Anchor: %v, %v", a, err)
			}
			gone(t, s.Done())
			if s.Err() == nil {
				t.Error("no reason is given for the end")
			}
		})
	}
	t.Run("cancelled start", func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		cfg := evilConfig("silent")
		cfg.ReadyTimeout = time.Hour
		s, err := keyholder.StartSigner(ctx, cfg, keyholder.SignerStart{Origin: origin, Number: 7})
		if !errors.Is(err, context.Canceled) {
			t.Errorf("StartSigner: %v, %v", s, err)
		}
	})
	t.Run("no such program", func(t *testing.T) {
		cfg := keyholder.Config{Starter: process.Direct{}}
		if _, err := keyholder.StartTagger(t.Context(), cfg, protocol.EpochID{1}, 1); err == nil || !strings.Contains(err.Error(), "no program") {
			t.Errorf("StartTagger: %v", err)
		}
	})
}

// A child that its sandbox kills ends like any other that is killed, and the log says
// what killed it.
func TestSandboxKillIsTold(t *testing.T) {
	t.Parallel()
	if p := startSigner(t, keyholder.Config{}).Posture(); p.State(sandbox.Seccomp) != sandbox.StateOK {
		t.Skip("there is no filter in this build, or on this machine")
	}
	var log bytes.Buffer
	s := startSigner(t, keyholder.Config{
		Starter: evilStarter("forbidden call"),
		Log:     slog.New(slog.NewTextHandler(&log, nil)),
	})
	p := payload(s.EpochID(), 1)
	if a, _, err := s.Anchor(t.Context(), &p); protocol.CodeOf(err) != protocol.CodeInvalidated {
		t.Errorf("Anchor: %v, %v", a, err)
	}
	gone(t, s.Done())
	if text := log.String(); !strings.Contains(text, `msg="keyholder ended"`) || !strings.Contains(text, "killed by its sandbox") || !strings.Contains(text, "SIGSYS") {
		t.Errorf("the log says:\n%s", text)
	}
}

// The tagger's payload must be the draft with a number.
func TestTaggerCannotSwapPayloads(t *testing.T) {
	t.Parallel()
	for _, how := range []string{"swap", "no number"} {
		cfg := evilConfig(how)
		tagger, epoch := startTagger(t, cfg)
		draft := payload(epoch, 0)
		if _, _, err := tagger.Issue(t.Context(), &draft); protocol.CodeOf(err) != protocol.CodeInvalidated {
			t.Errorf("%s: Issue: %v", how, err)
		}
		gone(t, tagger.Done())
	}
}

// When the core is killed its children end.
func TestChildrenEndWithTheCore(t *testing.T) {
	t.Parallel()
	pids := startCore(t)
	for _, pid := range pids {
		eventually(t, "end of a child of a killed core", func() bool {
			stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
			if err != nil {
				return true
			}
			_, rest, _ := strings.Cut(string(stat), ") ")
			return strings.HasPrefix(rest, "Z") // it is not reaped here
		})
	}
}

func TestRunChildIsNotForOthers(t *testing.T) {
	for _, args := range [][]string{nil, {"td"}, {"td", "serve"}, {"td", "internal-"}, {"td", "internal-signer"}, {"td", "internal-signer", "x"}, {"td", "internal-signer", "0", "0"}, {"internal-signer", "0"}} {
		if status, ok := keyholder.RunChild(slices.Clone(args)); ok {
			t.Errorf("%q runs a child, status %d", args, status)
		}
	}
}

package journal_test

import (
	"bytes"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/terradourada/td/internal/journal"
)

// thinDisk is an ext4 file system on a loop device over a sparse file in a small
// tmpfs. While the tmpfs is full the device fails writes to blocks that it has
// not stored before; with ext4's defaults these blocks stay unwritten after a
// later flush has succeeded. Unmounting drops what the kernel has in memory.
//
// A loop device reports a request of which it has stored only a part as done.
// What such a device loses is lost as soon as the page leaves memory, which no
// journal can prevent. Requests of one page have no parts.
type thinDisk struct {
	disk
	ballast string
	most    string // size of a request before it was limited
}

func newThinDisk(t *testing.T) thinDisk {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Skip("mounting a loop device needs root")
	}
	for _, tool := range []string{"mkfs.ext4", "mount", "dd", "truncate"} {
		if _, err := exec.LookPath(tool); err != nil {
			t.Skipf("%s is not installed", tool)
		}
	}
	dir := t.TempDir()
	store := filepath.Join(dir, "store")
	if err := os.Mkdir(store, 0o700); err != nil {
		t.Fatal(err)
	}
	if out, err := exec.Command("mount", "-t", "tmpfs", "-o", "size=40m", "none", store).CombinedOutput(); err != nil {
		t.Skipf("no tmpfs can be mounted here: %s", bytes.TrimSpace(out))
	}
	t.Cleanup(func() { unmount(t, store) })
	d := thinDisk{disk: disk{filepath.Join(store, "disk"), filepath.Join(dir, "mnt")}, ballast: filepath.Join(store, "ballast")}
	run(t, "truncate", "-s", "64M", d.file)
	run(t, "mkfs.ext4", "-q", "-F", "-b", "4096", "-E", "lazy_journal_init=0,lazy_itable_init=0", d.file)
	run(t, "dd", "status=none", "if="+d.file, "of="+d.file, "bs=64k", "count=144", "conv=notrunc") // the first 9 MB are stored
	if err := os.Mkdir(d.dir, 0o700); err != nil {
		t.Fatal(err)
	}
	if out, err := exec.Command("mount", "-o", "loop", d.file, d.dir).CombinedOutput(); err != nil {
		t.Skipf("no loop device can be mounted here: %s", bytes.TrimSpace(out))
	}
	t.Cleanup(func() { unmount(t, d.dir) })
	d.most = d.limit(t, strconv.Itoa(os.Getpagesize()/1024))
	t.Cleanup(func() { d.limit(t, d.most) })
	return d
}

// unmount waits for a child that another test has just started: it holds the files
// too, until it executes its program.
func unmount(t *testing.T, dir string) {
	t.Helper()
	for end := time.Now().Add(10 * time.Second); ; time.Sleep(5 * time.Millisecond) {
		err := unix.Unmount(dir, 0)
		if err == nil {
			return
		}
		if !errors.Is(err, unix.EBUSY) || time.Now().After(end) {
			t.Errorf("unmount %s: %v", dir, err)
			return
		}
	}
}

const loopMajor = 7 // of loop devices, in the kernel's list

// limit sets the size of the largest request of the device in KiB and returns
// what it was. It outlasts the mount.
func (d thinDisk) limit(t *testing.T, most string) (was string) {
	t.Helper()
	var st unix.Stat_t
	if err := unix.Stat(d.dir, &st); err != nil {
		t.Fatal(err)
	}
	if unix.Major(st.Dev) != loopMajor {
		t.Fatalf("%s is not mounted", d.dir)
	}
	name := fmt.Sprintf("/sys/dev/block/%d:%d/queue/max_sectors_kb", loopMajor, unix.Minor(st.Dev))
	b, err := os.ReadFile(name)
	if err == nil {
		err = os.WriteFile(name, []byte(most), 0)
	}
	if err != nil {
		t.Skipf("requests of a loop device cannot be limited here: %v", err)
	}
	return strings.TrimSpace(string(b))
}

// forget makes the kernel drop the pages that it treats as written, as it may at
// any time. Another process does it: closing a file of the journal here would drop
// SQLite's locks.
func (d thinDisk) forget(t *testing.T) {
	t.Helper()
	for _, name := range []string{d.journal(), d.journal() + "-wal"} {
		if _, err := os.Stat(name); err == nil { // the log goes when a copy is put in place
			_ = exec.Command("dd", "status=none", "if="+name, "of=/dev/null", "iflag=nocache", "count=0").Run()
		}
	}
}

// checkpointed waits for the first checkpoint. After it the write-ahead log is
// written over, which needs no new block, so the database fails first.
func (d thinDisk) checkpointed(t *testing.T) {
	t.Helper()
	for end := time.Now().Add(30 * time.Second); ; time.Sleep(time.Millisecond) {
		if info, err := os.Stat(d.journal()); err == nil && info.Size() > 1<<20 {
			return
		}
		if time.Now().After(end) {
			t.Fatal("the writer makes no checkpoint")
		}
	}
}

// fail fills the tmpfs; heal empties it.
func (d thinDisk) fail(t *testing.T) {
	t.Helper()
	f, err := os.Create(d.ballast)
	if err != nil {
		t.Fatal(err)
	}
	for b := make([]byte, 4096); err == nil; {
		_, err = f.Write(b)
	}
	if !errors.Is(err, syscall.ENOSPC) {
		t.Fatal(err)
	}
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
}

func (d thinDisk) heal(t *testing.T) {
	t.Helper()
	if err := os.Remove(d.ballast); err != nil {
		t.Fatal(err)
	}
}

// remount drops what is only in the kernel's memory.
func (d thinDisk) remount(t *testing.T) {
	t.Helper()
	d.limit(t, d.most)
	unmount(t, d.dir)
	run(t, "mount", "-o", "loop", d.file, d.dir)
}

// load accepts without pause until stop is called, which returns what was
// acknowledged.
type load struct {
	log    *log
	mu     sync.Mutex
	acks   []ack
	failed int
	quit   chan struct{}
	done   sync.WaitGroup
}

func startLoad(l *log, pause time.Duration) *load {
	w := &load{log: l, quit: make(chan struct{})}
	for range 2 {
		w.done.Go(func() {
			for tick := time.NewTicker(pause); ; {
				select {
				case <-w.quit:
					tick.Stop()
					return
				case <-tick.C:
				}
				a := l.acceptance()
				e, err := l.Accept(l.Context(), l.now, a)
				w.mu.Lock()
				if err == nil {
					w.acks = append(w.acks, ack{e.Seq, request(a)})
				} else {
					w.failed++
				}
				w.mu.Unlock()
			}
		})
	}
	return w
}

func (w *load) stop() []ack {
	close(w.quit)
	w.done.Wait()
	return w.acks
}

// await waits until this many more were acknowledged, and this many failed.
func (w *load) await(t *testing.T, acked, failed int, deadline time.Duration) {
	t.Helper()
	w.mu.Lock()
	acked, failed = acked+len(w.acks), failed+w.failed
	w.mu.Unlock()
	for end := time.Now().Add(deadline); ; time.Sleep(10 * time.Millisecond) {
		w.mu.Lock()
		done := len(w.acks) >= acked && w.failed >= failed
		w.mu.Unlock()
		if done {
			return
		}
		if time.Now().After(end) {
			t.Fatalf("after %v: %d acknowledged, %d failed; want %d, %d; condition %+v", deadline, len(w.acks), w.failed, acked, failed, w.log.Condition())
		}
	}
}

// A device that fails for a while and recovers loses nothing that was
// acknowledged before, meanwhile or after, although the flushes after it
// succeed. It makes no difference whether the kernel keeps the pages meanwhile.
func TestDeviceFails(t *testing.T) {
	t.Parallel()
	if testing.Short() {
		t.Skip("takes long")
	}
	total, lost := 0, 0
	for _, forget := range []bool{false, true} {
		d := newThinDisk(t)
		l := newLog(t, sqliteAt(d.journal()), journal.Config{})
		w := startLoad(l, 20*time.Millisecond)
		w.await(t, 50, 0, 30*time.Second)
		d.fail(t)
		w.await(t, 0, 1, 30*time.Second)
		for range 6 { // how long the device fails
			time.Sleep(500 * time.Millisecond)
			if forget {
				d.forget(t)
			}
		}
		d.heal(t)
		w.await(t, 50, 0, 60*time.Second)
		acks := w.stop()
		l.stop()
		d.remount(t)
		total += len(acks)
		j, err := openFree(t, journal.Config{Path: d.journal()})
		if err != nil {
			t.Errorf("after a remount, with %d acknowledged: %v", len(acks), err)
			continue
		}
		n := missing(t, j, acks)
		lost += n
		t.Logf("%d acknowledged, %d failed, %d lost, %d leaves", len(acks), w.failed, n, len(checkLog(t, j)))
		closeJournal(t, j)
	}
	if lost != 0 {
		t.Errorf("%d of %d acknowledged are lost", lost, total)
	}
}

// The process is killed between the failure and the copy, while the device
// fails. The next one starts when the device has recovered, with pages in the
// kernel's memory that were never stored, or without them, and continues; then that
// memory is lost.
func TestDeviceFailsAndKill(t *testing.T) {
	t.Parallel()
	if testing.Short() {
		t.Skip("takes long")
	}
	for _, c := range []struct{ late, forget bool }{{false, false}, {false, true}, {true, false}, {true, true}} {
		d := newThinDisk(t)
		p := startFaulty(t, d.journal(), "", "none")
		acks := []ack{p.first(t)}
		if c.late {
			d.checkpointed(t)
		}
		time.Sleep(rand.N(300 * time.Millisecond)) // the random moment
		d.fail(t)
		<-p.failed
		time.Sleep(time.Second) // the kernel drops what it could not store
		acks = append(acks, p.kill()...)
		if c.forget {
			d.forget(t)
		}
		d.heal(t)
		l := emptyLog(t, sqliteAt(d.journal()), journal.Config{})
		l.openEpoch()
		l.vk = l.addClaim()
		w := startLoad(l, time.Millisecond)
		w.await(t, 50, 0, 30*time.Second)
		acks = append(acks, w.stop()...)
		l.stop()
		d.remount(t)
		wantAll(t, d.journal(), acks)
		t.Logf("%d acknowledged", len(acks))
	}
}

// A file system that the kernel makes read-only because of an error: reading
// continues, and the condition reports it.
func TestDeviceReadOnly(t *testing.T) {
	t.Parallel()
	d := newThinDisk(t)
	l := newLog(t, sqliteAt(d.journal()), journal.Config{})
	for range 20 {
		l.mustAccept(l.acceptance())
	}
	run(t, "sync", "-f", d.dir)
	if out, err := exec.Command("mount", "-o", "remount,abort", d.dir).CombinedOutput(); err != nil {
		t.Skipf("the file system cannot be made to fail: %s", bytes.TrimSpace(out))
	}
	for l.accept(l.acceptance()) == nil { // until the kernel refuses
		time.Sleep(10 * time.Millisecond)
	}
	for end := time.Now().Add(20 * time.Second); l.Condition().Cause != journal.CauseReadOnly; time.Sleep(10 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("condition %+v", l.Condition())
		}
	}
	checkLog(t, l.Journal)
}

package journal_test

import (
	"bytes"
	"errors"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/terradourada/td/internal/journal"
)

// thinDisk is an ext4 file system on a loop device over a sparse file in a small
// tmpfs. While the tmpfs is full the device fails writes to blocks that it has
// not stored before; with ext4's defaults these blocks stay unwritten after a
// later flush has succeeded. Unmounting drops what the kernel has in memory.
type thinDisk struct {
	disk
	ballast string
}

func newThinDisk(t *testing.T) thinDisk {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Skip("mounting a loop device needs root")
	}
	for _, tool := range []string{"mkfs.ext4", "mount", "umount", "dd", "truncate"} {
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
	t.Cleanup(func() { run(t, "umount", store) })
	d := thinDisk{disk{filepath.Join(store, "disk"), filepath.Join(dir, "mnt")}, filepath.Join(store, "ballast")}
	run(t, "truncate", "-s", "64M", d.file)
	run(t, "mkfs.ext4", "-q", "-F", "-b", "4096", "-E", "lazy_journal_init=0,lazy_itable_init=0", d.file)
	run(t, "dd", "status=none", "if="+d.file, "of="+d.file, "bs=64k", "count=144", "conv=notrunc") // the first 9 MB are stored
	if err := os.Mkdir(d.dir, 0o700); err != nil {
		t.Fatal(err)
	}
	if out, err := exec.Command("mount", "-o", "loop", d.file, d.dir).CombinedOutput(); err != nil {
		t.Skipf("no loop device can be mounted here: %s", bytes.TrimSpace(out))
	}
	t.Cleanup(func() { run(t, "umount", d.dir) })
	return d
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
	run(t, "umount", d.dir)
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
// succeed.
func TestDeviceFails(t *testing.T) {
	t.Parallel()
	if testing.Short() {
		t.Skip("takes long")
	}
	total, lost := 0, 0
	for range 2 {
		d := newThinDisk(t)
		l := newLog(t, sqliteAt(d.journal()), journal.Config{})
		w := startLoad(l, 20*time.Millisecond)
		w.await(t, 50, 0, 30*time.Second)
		d.fail(t)
		w.await(t, 0, 1, 30*time.Second)
		time.Sleep(3 * time.Second) // how long the device fails
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
// kernel's memory that were never stored, and continues; then that memory is
// lost.
func TestDeviceFailsAndKill(t *testing.T) {
	t.Parallel()
	if testing.Short() {
		t.Skip("takes long")
	}
	for range 2 {
		d := newThinDisk(t)
		p := startFaulty(t, d.journal(), "", "none")
		acks := []ack{p.first(t)}
		time.Sleep(rand.N(300 * time.Millisecond)) // the random moment
		d.fail(t)
		<-p.failed
		time.Sleep(time.Second) // the kernel drops what it could not store
		acks = append(acks, p.kill()...)
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

package journal_test

import (
	"bytes"
	"errors"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/terradourada/td/internal/journal"
	"github.com/terradourada/td/protocol"
)

// kill -9 does not test flushing: the kernel keeps what the process wrote.
// These tests cut the power instead. The journal is on an ext4 file system
// inside a file, on a loop device. The writer is stopped and the file, which
// holds only what was flushed, is copied. The copy is mounted and read.
//
// They need root and a loop device and run with TD_POWERCUT=1. With
// TD_POWERCUT=control the writer runs with synchronous=NORMAL. The test then
// requires that acknowledged entries are lost, which shows that it can detect
// a loss.
const envPowerCut = "TD_POWERCUT"

// disk is an ext4 file system inside a file.
type disk struct {
	file, dir string
}

func powerCut(t *testing.T) (mode string) {
	t.Helper()
	mode = os.Getenv(envPowerCut)
	if mode == "" {
		t.Skip("TD_POWERCUT is not set: no power is cut")
	}
	if os.Geteuid() != 0 {
		t.Skip("mounting a loop device needs root")
	}
	for _, tool := range []string{"mkfs.ext4", "mount", "umount"} {
		if _, err := exec.LookPath(tool); err != nil {
			t.Skipf("%s is not installed", tool)
		}
	}
	return mode
}

func newDisk(t *testing.T, size string) disk {
	t.Helper()
	dir := t.TempDir()
	d := disk{filepath.Join(dir, "disk"), filepath.Join(dir, "mnt")}
	run(t, "truncate", "-s", size, d.file)
	run(t, "mkfs.ext4", "-q", "-F", d.file)
	d.mount(t)
	return d
}

// mount also unmounts at the end of the test. The kernel's own periodic commit
// is delayed, so that only the journal's flushes count.
func (d disk) mount(t *testing.T) {
	t.Helper()
	if err := os.Mkdir(d.dir, 0o700); err != nil {
		t.Fatal(err)
	}
	if out, err := exec.Command("mount", "-o", "loop,commit=600", d.file, d.dir).CombinedOutput(); err != nil {
		t.Skipf("no loop device can be mounted here: %s", bytes.TrimSpace(out))
	}
	t.Cleanup(func() { run(t, "umount", d.dir) })
}

// copy returns the disk without the changes that are only in memory.
func (d disk) copy(t *testing.T) disk {
	t.Helper()
	dir := t.TempDir()
	c := disk{filepath.Join(dir, "disk"), filepath.Join(dir, "mnt")}
	run(t, "cp", "--sparse=always", d.file, c.file)
	c.mount(t)
	return c
}

func (d disk) journal() string { return filepath.Join(d.dir, "journal.db") }

func run(t *testing.T, name string, args ...string) {
	t.Helper()
	if out, err := exec.Command(name, args...).CombinedOutput(); err != nil {
		t.Errorf("%s: %v: %s", name, err, bytes.TrimSpace(out))
	}
}

func TestPowerCut(t *testing.T) {
	mode := powerCut(t)
	synchronous := map[string]string{"control": "NORMAL"}[mode]
	rounds := 4
	if testing.Short() {
		rounds = 2
	}
	lost, total := 0, 0
	for range rounds {
		d := newDisk(t, "256M")
		p := startWriter(t, d.journal(), synchronous)
		acks := []ack{p.first(t)}
		time.Sleep(300*time.Millisecond + rand.N(500*time.Millisecond)) // the random moment
		p.freeze(t)
		c := d.copy(t)
		acks = append(acks, p.kill()...) // everything printed before it was stopped
		j, err := openFree(t, journal.Config{Path: c.journal()})
		if err != nil {
			t.Fatal(err)
		}
		n := missing(t, j, acks)
		size := len(checkLog(t, j))
		closeJournal(t, j)
		t.Logf("%d acknowledged, %d lost, %d leaves on the copy", len(acks), n, size)
		lost, total = lost+n, total+len(acks)
	}
	if mode == "control" && lost == 0 {
		t.Errorf("nothing of %d was lost with synchronous=NORMAL: this test shows nothing here", total)
	}
	if mode != "control" && lost != 0 {
		t.Errorf("%d of %d acknowledged are lost", lost, total)
	}
}

// freeze stops the process and waits until none of its threads runs, so that
// nothing is written while the disk is copied.
func (p *process) freeze(t *testing.T) {
	t.Helper()
	if err := p.cmd.Process.Signal(syscall.SIGSTOP); err != nil {
		t.Fatal(err)
	}
	for deadline := time.Now().Add(10 * time.Second); ; {
		if stopped(t, p.cmd.Process.Pid) {
			return
		}
		if time.Now().After(deadline) {
			t.Fatal("the writer does not stop")
		}
		time.Sleep(time.Millisecond)
	}
}

func stopped(t *testing.T, pid int) bool {
	t.Helper()
	files, err := filepath.Glob(filepath.Join("/proc", strconv.Itoa(pid), "task", "*", "stat"))
	if err != nil || len(files) == 0 {
		t.Fatal("the writer is gone")
	}
	for _, f := range files {
		b, err := os.ReadFile(f)
		if err != nil {
			return false
		}
		_, state, _ := strings.Cut(string(b), ") ")
		if !strings.HasPrefix(state, "T") {
			return false
		}
	}
	return true
}

// A full disk leads to refusals, loses nothing, and the journal continues when
// there is space again.
func TestPowerCutDiskFull(t *testing.T) {
	powerCut(t)
	d := newDisk(t, "8M")
	l := newLog(t, sqliteAt(d.journal()), journal.Config{})
	ballast := filepath.Join(d.dir, "ballast")
	if err := os.WriteFile(ballast, make([]byte, 1<<20), 0o600); err != nil {
		t.Fatal(err)
	}
	size := uint64(2)
	var err error
	var last *journal.Acceptance
	for err == nil {
		last = l.acceptance()
		if err = l.accept(last); err == nil {
			size++
		}
	}
	if !errors.Is(err, protocol.CodeLedgerUnavailable) || size < 100 {
		t.Errorf("after %d entries: %v", size, err)
	}
	if err := os.Remove(ballast); err != nil {
		t.Fatal(err)
	}
	deadline := time.Now().Add(10 * time.Second)
	for err != nil && time.Now().Before(deadline) {
		if err = l.accept(l.acceptance()); err != nil {
			time.Sleep(50 * time.Millisecond) // the writer retries on its own timer
		}
	}
	if err != nil {
		t.Fatalf("with room again: %v", err)
	}
	_, there, err := l.Accepted(t.Context(), request(last))
	if err != nil {
		t.Fatal(err)
	}
	size++
	if there {
		size++
	}
	l.check(size)
	l.restart()
	l.check(size)
	l.stop()
}

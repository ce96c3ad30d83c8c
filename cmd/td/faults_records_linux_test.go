package main_test

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/terradourada/td/protocol"
)

// afterDamage stops a server, changes its data directory, and wants the next start
// refused without a new file.
func afterDamage(t *testing.T, damage func(data string) error) string {
	t.Helper()
	b := startBackend(t, t.TempDir())
	b.stop(20 * time.Second)
	if err := damage(b.data); err != nil {
		t.Fatal(err)
	}
	before := filesBelow(t, b.data)
	said := refusal(t, launch(t, b.data))
	if after := filesBelow(t, b.data); !slices.Equal(before, after) {
		t.Errorf("the refused start has changed the files from %v to %v", before, after)
	}
	return said
}

func filesBelow(t *testing.T, dir string) (names []string) {
	t.Helper()
	err := filepath.WalkDir(dir, func(path string, _ fs.DirEntry, err error) error {
		names = append(names, path)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return names
}

// zeroPage overwrites the second page of the journal.
func zeroPage(data string) error {
	f, err := os.OpenFile(filepath.Join(data, "journal.db"), os.O_WRONLY, 0)
	if err != nil {
		return err
	}
	_, err = f.WriteAt(make([]byte, 4096), 4096)
	return errors.Join(err, f.Close())
}

// olderJournal starts a server after its journal of the run before last was put
// back.
func olderJournal(t *testing.T) string {
	t.Helper()
	return afterDamage(t, func(data string) error {
		name := filepath.Join(data, "journal.db")
		older, err := os.ReadFile(name)
		if err != nil {
			return err
		}
		startBackend(t, data).stop(20 * time.Second)
		return os.WriteFile(name, older, 0o600)
	})
}

// runOrdinary runs the command as a user without rights if this process is root.
func runOrdinary(cmd *exec.Cmd) {
	if os.Geteuid() == 0 {
		cmd.SysProcAttr.Credential = &syscall.Credential{Uid: ordinary, Gid: ordinary}
	}
}

// deniedJournal starts a server on a journal that it may not write.
func deniedJournal(t *testing.T) string {
	t.Helper()
	data := t.TempDir()
	if os.Geteuid() == 0 {
		if err := os.Chown(data, ordinary, ordinary); err != nil {
			t.Fatal(err)
		}
	}
	b := launchAs(t, runOrdinary, nil, data)
	if err := b.await(); err != nil {
		t.Fatal(err)
	}
	b.stop(20 * time.Second)
	if err := os.Chmod(filepath.Join(data, "journal.db"), 0o400); err != nil {
		t.Fatal(err)
	}
	return refusal(t, launchAs(t, runOrdinary, nil, data))
}

// fullDisk fills the file system of a running server and makes room again.
func fullDisk(t *testing.T) string {
	t.Helper()
	b := launchMounted(t, "mount -t tmpfs -o size=16m none m", "m/data")
	if err := b.await(); err != nil {
		t.Fatal(err)
	}
	// The mount is the server's alone and is reached through its root.
	fill := filepath.Join(fmt.Sprintf("/proc/%d/root", b.cmd.Process.Pid), filepath.Dir(b.data), "fill")
	if err := fillUp(fill); !errors.Is(err, syscall.ENOSPC) {
		t.Fatal(err)
	}
	b.wantCode(t.Context(), b.mustAnswer(t.Context()), protocol.CodeLedgerUnavailable)
	eventually(t, 10*time.Second, "no line names the cause", func() bool { return strings.Contains(b.stderr(), `cause="the file system is full"`) })
	if err := os.Remove(fill); err != nil {
		t.Fatal(err)
	}
	eventually(t, 30*time.Second, "it does not recover", func() bool { return strings.Contains(b.stderr(), "journal can be written again") })
	b.wantAccepted(t.Context(), b.mustAnswer(t.Context()))
	return b.stderr()
}

// fillUp writes a file until that fails.
func fillUp(name string) error {
	f, err := os.Create(name)
	for err == nil {
		_, err = f.Write(make([]byte, 4096))
	}
	return errors.Join(err, f.Close())
}

// deniedLedger makes the log of a running server read-only and writable again.
func deniedLedger(t *testing.T) string {
	t.Helper()
	b := startBackend(t, t.TempDir())
	mode := func(mode os.FileMode) {
		err := filepath.WalkDir(filepath.Join(b.data, "ledger"), func(path string, d fs.DirEntry, err error) error {
			if err == nil && d.IsDir() {
				err = os.Chmod(path, mode)
			}
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	mode(0o500)
	t.Cleanup(func() { mode(0o700) })
	a := b.mustAnswer(t.Context())
	if _, err := b.send(t.Context(), a, time.Minute); err != nil {
		t.Fatal(err)
	}
	eventually(t, 30*time.Second, "it does not stall", func() bool {
		return strings.Contains(b.stderr(), `msg="ledger stalled" part=projection cause="permission denied"`)
	})
	mode(0o700)
	eventually(t, 30*time.Second, "it does not recover", func() bool { return strings.Contains(b.stderr(), "ledger goes on") })
	return b.stderr()
}

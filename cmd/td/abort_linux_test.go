//go:build !cgo

package main_test

import (
	"errors"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"

	"github.com/terradourada/td/internal/testdata/proctest"
)

// TestNoCoreFile: neither the core nor its launcher nor a child leaves a core file
// when it aborts. The server is started with core files of any size allowed, with a
// runtime that crashes instead of exiting, and in a writable directory. Another
// process that is killed the same way leaves a core file.
func TestNoCoreFile(t *testing.T) {
	proctest.AllowCoreFiles(t)
	control := exec.Command("/bin/sh", "-c", "kill -ABRT $$")
	control.Dir = t.TempDir()
	var ended *exec.ExitError
	if err := control.Run(); !errors.As(err, &ended) || !ended.Sys().(syscall.WaitStatus).CoreDump() {
		t.Skipf("no core files are written here: %v", err)
	}
	if left, err := filepath.Glob(filepath.Join(control.Dir, "core*")); err != nil || len(left) == 0 {
		t.Skipf("the core file of the control is not in its directory: %v", err)
	}
	data := t.TempDir()
	t.Chdir(data)
	there := coreFiles(t, data)
	launched := launchWith(t, []string{"GOTRACEBACK=crash"}, data, limits...)
	if err := launched.await(); err != nil {
		t.Fatal(err)
	}
	launched.signal(launched.launcher(), syscall.SIGABRT)
	<-launched.done
	b := launchWith(t, []string{"GOTRACEBACK=crash"}, data, limits...)
	if err := b.await(); err != nil {
		t.Fatal(err)
	}
	for _, kind := range []string{"signer", "tagger", "prover"} {
		pid := b.child(kind, 0)
		b.signal(pid, syscall.SIGABRT)
		b.child(kind, pid) // another one, with the next epoch
	}
	b.signal(b.cmd.Process.Pid, syscall.SIGABRT)
	<-b.done
	status := b.cmd.ProcessState.Sys().(syscall.WaitStatus)
	if !status.Signaled() || status.Signal() != syscall.SIGABRT || status.CoreDump() {
		t.Errorf("the core ended with %v", b.cmd.ProcessState)
	}
	if strings.Contains(b.stderr(), "core dumped") {
		t.Error("a child left a core file")
	}
	if now := coreFiles(t, data); !slices.Equal(now, there) {
		t.Errorf("core files %v, before %v", now, there)
	}
}

// coreFiles are those in the directory of the core and in that of its children.
func coreFiles(t *testing.T, dir string) (names []string) {
	t.Helper()
	for _, pattern := range []string{filepath.Join(dir, "core*"), "/core*"} {
		found, err := filepath.Glob(pattern)
		if err != nil {
			t.Fatal(err)
		}
		names = append(names, found...)
	}
	return names
}

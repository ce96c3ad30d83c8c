//go:build linux && !cgo

package prover_test

import (
	"bytes"
	"fmt"
	"log/slog"
	"maps"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/terradourada/td/claim"
	"github.com/terradourada/td/internal/process"
	"github.com/terradourada/td/internal/prover"
	"github.com/terradourada/td/internal/sandbox"
)

// TestPoolProverIsLockedIn: the prover proves from inside its sandbox, and what
// it says of that is what is seen from outside.
func TestPoolProverIsLockedIn(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("only root can give up root")
	}
	if p := sandbox.Machine(); !landlockOK(p) {
		t.Skip("this kernel has no Landlock")
	}
	var log bytes.Buffer
	p, stop := running(t, prover.PoolConfig{Starter: process.Direct{Programs: prover.Programs(0, sandbox.FirstUID+2)}, Log: slog.New(slog.NewTextHandler(&log, nil))})
	s := newSample(t, claim.Open, time.Minute)
	a, err := p.Prove(t.Context(), &s.Job)
	s.check(t, a, err)
	for _, probe := range sandbox.Inspect(os.DirFS("/"), p.PID(), sandbox.Prover) {
		if probe.State != sandbox.StateOK {
			t.Errorf("%s is %s: %s", probe.ID, probe.State, probe.Value)
		}
	}
	// Sockets are the one that connections come through, and the connections.
	got := descriptors(t, p.PID())
	if got["socket"] < 2 {
		t.Errorf("%d sockets, with a connection open", got["socket"])
	}
	delete(got, "socket")
	if want := map[string]int{"/dev/null": 3, "anon_inode:[eventpoll]": 1, "anon_inode:[eventfd]": 1}; !maps.Equal(got, want) {
		t.Errorf("its other descriptors are %v, want %v", got, want)
	}
	stop()
	if text := log.String(); !strings.Contains(text, `msg="prover ready"`) || !strings.Contains(text, "grade=A") {
		t.Errorf("the log does not say how well the prover is locked in:\n%s", text)
	}
}

// descriptors counts those of a process by what they are.
func descriptors(t *testing.T, pid int) map[string]int {
	t.Helper()
	links, err := filepath.Glob(fmt.Sprintf("/proc/%d/fd/*", pid))
	if err != nil {
		t.Fatal(err)
	}
	kinds := map[string]int{}
	for _, link := range links {
		target, err := os.Readlink(link)
		if err != nil {
			t.Fatal(err)
		}
		if strings.HasPrefix(target, "socket:") {
			target = "socket"
		}
		kinds[target]++
	}
	return kinds
}

func landlockOK(probes []sandbox.Probe) bool {
	for _, p := range probes {
		if p.ID == sandbox.Landlock {
			return p.State == sandbox.StateOK
		}
	}
	return false
}

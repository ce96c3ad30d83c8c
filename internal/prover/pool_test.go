package prover_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/terradourada/td/claim"
	"github.com/terradourada/td/internal/process"
	"github.com/terradourada/td/internal/prover"
	"github.com/terradourada/td/protocol"
)

func TestPoolProves(t *testing.T) {
	p, stop := running(t, prover.PoolConfig{})
	for _, id := range []claim.ID{claim.Open, claim.Range, claim.RecordRange} { // the first waits for the prover
		s := newSample(t, id, time.Minute)
		a, err := p.Prove(t.Context(), &s.Job)
		s.check(t, a, err)
	}
	pid := p.PID()
	checkProcess(t, pid)
	stop()
	if err := unix.Kill(pid, 0); !errors.Is(err, unix.ESRCH) {
		t.Errorf("the prover outlives the pool: %v", err)
	}
	s := newSample(t, claim.Open, time.Minute)
	_, err := p.Prove(t.Context(), &s.Job)
	wantCode(t, err, protocol.CodeOverloaded)
}

// checkProcess looks at what the prover was given.
func checkProcess(t *testing.T, pid int) {
	t.Helper()
	proc := fmt.Sprintf("/proc/%d/", pid)
	env, err := os.ReadFile(proc + "environ")
	if errors.Is(err, os.ErrPermission) {
		t.Log("not checked: the process cannot be looked into without privilege, as it should be")
		return
	}
	if err != nil || len(env) != 0 {
		t.Errorf("environment of %d bytes, %v", len(env), err)
	}
	fds, err := os.ReadDir(proc + "fd")
	if err != nil {
		t.Fatal(err)
	}
	for _, fd := range fds {
		name, err := os.Readlink(proc + "fd/" + fd.Name())
		known := name == "/dev/null" || strings.HasPrefix(name, "socket:") ||
			strings.HasPrefix(name, "anon_inode:") || strings.HasPrefix(name, "/sys/fs/cgroup/") // of the Go runtime
		if err != nil || !known {
			t.Errorf("descriptor %s is %s, %v", fd.Name(), name, err)
		}
	}
	limits, err := os.ReadFile(proc + "limits")
	if err != nil || !strings.Contains(strings.Join(strings.Fields(string(limits)), " "), "Max core file size 0 0") {
		t.Errorf("core dumps are possible, %v", err)
	}
}

func TestPoolReplacesADeadProver(t *testing.T) {
	p, _ := running(t, prover.PoolConfig{MinBackoff: 10 * time.Millisecond})
	pid := awaitReady(t, p, 0)
	if err := unix.Kill(pid, unix.SIGKILL); err != nil {
		t.Fatal(err)
	}
	awaitReady(t, p, pid)
	s := newSample(t, claim.Open, time.Minute)
	a, err := p.Prove(t.Context(), &s.Job)
	s.check(t, a, err)
}

// TestPoolSparesJobsADyingProver: a prover's death costs at most the job that
// it had; the next one waits for the next prover.
func TestPoolSparesJobsADyingProver(t *testing.T) {
	p, _ := running(t, prover.PoolConfig{MinBackoff: 10 * time.Millisecond, Workers: 1})
	pid := 0
	for range 4 {
		pid = awaitReady(t, p, pid)
		s := newSample(t, claim.Open, time.Minute)
		a, err := p.Prove(t.Context(), &s.Job)
		s.check(t, a, err)
		if err := unix.Kill(pid, unix.SIGKILL); err != nil {
			t.Fatal(err)
		}
		for failed := 0; ; failed++ {
			a, err := p.Prove(t.Context(), &s.Job)
			if err == nil {
				s.check(t, a, nil)
				break
			}
			wantCode(t, err, protocol.CodeProverBadResponse)
			if failed > 0 {
				t.Fatal("a second job was given to a prover that is gone")
			}
		}
	}
}

func TestPoolReplacesAStoppedProver(t *testing.T) {
	p, _ := running(t, prover.PoolConfig{MinBackoff: 10 * time.Millisecond, PingEvery: 500 * time.Millisecond})
	pid := awaitReady(t, p, 0)
	if err := unix.Kill(pid, unix.SIGSTOP); err != nil {
		t.Fatal(err)
	}
	s := newSample(t, claim.Open, 200*time.Millisecond)
	_, err := p.Prove(t.Context(), &s.Job)
	wantCode(t, err, protocol.CodeProverTimeout)
	awaitReady(t, p, pid)
	s = newSample(t, claim.Open, time.Minute)
	a, err := p.Prove(t.Context(), &s.Job)
	s.check(t, a, err)
}

func TestPoolWithHostileChildren(t *testing.T) {
	for how, want := range map[string]protocol.Code{
		"exits at once":        protocol.CodeProverTimeout, // there never is a prover
		"never ready":          protocol.CodeProverTimeout,
		"exits during the job": protocol.CodeProverBadResponse,
		"slow":                 protocol.CodeProverTimeout,
	} {
		t.Run(how, func(t *testing.T) {
			p, stop := running(t, prover.PoolConfig{Starter: misbehaving(how), MinBackoff: 10 * time.Millisecond, MaxBackoff: 50 * time.Millisecond})
			s := newSample(t, claim.Open, 2*time.Second)
			_, err := p.Prove(t.Context(), &s.Job)
			wantCode(t, err, want)
			stop()
		})
	}
	t.Run("not a program", func(t *testing.T) {
		p, stop := running(t, prover.PoolConfig{Starter: process.Direct{}, MinBackoff: time.Hour})
		s := newSample(t, claim.Open, 100*time.Millisecond)
		_, err := p.Prove(t.Context(), &s.Job)
		wantCode(t, err, protocol.CodeProverTimeout)
		stop()
	})
}

func TestPoolBoundsWhatWaits(t *testing.T) {
	p, stop := running(t, prover.PoolConfig{Starter: misbehaving("slow"), Workers: 1, Queue: 1})
	awaitReady(t, p, 0)
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	const jobs = 5
	results := make(chan error, jobs)
	for range jobs {
		s := newSample(t, claim.Open, time.Minute)
		go func() { _, err := p.Prove(ctx, &s.Job); results <- err }()
	}
	for range jobs - 2 { // one is at the prover, one waits
		wantCode(t, <-results, protocol.CodeOverloaded)
	}
	select {
	case err := <-results:
		t.Fatalf("the queue does not hold: %v", err)
	default:
	}
	cancel()
	for range 2 {
		wantCode(t, <-results, protocol.CodeProverTimeout)
	}
	stop()
}

// A job that waits while the pool ends is not left waiting.
func TestPoolEndFailsWaiters(t *testing.T) {
	p, stop := running(t, prover.PoolConfig{Starter: misbehaving("never ready")})
	result := make(chan error, 1)
	s := newSample(t, claim.Open, time.Minute)
	go func() { _, err := p.Prove(t.Context(), &s.Job); result <- err }()
	stop()
	wantCode(t, <-result, protocol.CodeOverloaded)
}

func TestRunChildIsForChildren(t *testing.T) {
	for _, args := range [][]string{nil, {"td"}, {"td", "serve"}, {"td", "internal-prover"}, {"td", "internal-signer", "1"}, {"td", "internal-prover", "1"}, {"td", "internal-prover", "1", "2", "3"}} {
		if _, ok := prover.RunChild(args); ok {
			t.Errorf("%q was taken", args)
		}
	}
}

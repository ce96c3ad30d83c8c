package faults_test

import (
	"math/rand/v2"
	"syscall"
	"testing"
	"time"

	"github.com/terradourada/td/internal/testdata/proctest"
)

const (
	// killWithin is the time in which answers are sent, and in which a process
	// is killed.
	killWithin = 80 * time.Millisecond
	// upTime is about how long a server needs until it is ready.
	upTime = 1500 * time.Millisecond
)

// killCores kills the core under load, and one in eight times during its start.
func (r *run) killCores(t *testing.T, rng *rand.Rand) {
	t.Helper()
	var old []*answer
	newWorld := func() *world { return r.newWorld(t, rng, false, "--prover-workers", "1") }
	r.inject(t, r.plan.coreKills, "core kills", newWorld, func(w *world, _ int) {
		r.injected("core killed")
		if rng.IntN(8) == 0 {
			w.launch()
			time.Sleep(randomTime(rng, 0, upTime)) // the random moment
			w.kill()
		} else if w.begin() {
			w.sendLate(old)
			old = w.load(2, rng.IntN(2), w.kill)
		}
	})
}

// load has one answer accepted, then sends n answers and pushes some events while
// strike is called. It returns the n answers.
func (w *world) load(n, pushes int, strike func()) []*answer {
	w.Helper()
	ctx := w.Context()
	all := w.prepareAll(ctx, n)
	w.mustAccept(ctx, callTime)
	pushed, sent := w.push(ctx, pushes), w.release(ctx, all, killWithin)
	time.Sleep(randomTime(w.rng, 0, killWithin)) // the random moment
	strike()
	sent.Wait()
	pushed.Wait()
	return all
}

// sendLate sends answers to challenges of an epoch that has ended. None may be
// accepted, whatever the outcome of earlier attempts.
func (w *world) sendLate(old []*answer) {
	for _, a := range old {
		if err := w.send(w.Context(), w.srv, a, 0); err == nil {
			w.complain("the answer to request %s was accepted after its epoch", a.ch.RequestID)
		}
	}
}

// killChildren kills signer, tagger and prover under load. The core continues.
// After each round the server is started again, after some because its launcher
// was killed.
func (r *run) killChildren(t *testing.T, rng *rand.Rand) {
	t.Helper()
	newWorld := func() *world { return r.newWorld(t, rng, false, "--prover-workers", "1") }
	r.inject(t, r.plan.childKills, "child kills", newWorld, func(w *world, round int) {
		if !w.begin() {
			return
		}
		for _, i := range rng.Perm(3) {
			kind := []string{"signer", "tagger", "prover"}[i]
			r.injected(kind + " killed")
			w.load(2, 2, func() { w.killChild(kind) })
			if !w.mustAccept(w.Context(), callTime) || !w.check(w.Context()) {
				return
			}
		}
		end := w.stop
		if round%(r.plan.childKills/r.plan.launcherKills) == 0 {
			r.injected("launcher killed")
			end = w.killLauncher
		}
		w.load(2, 1, end)
	})
}

// killAny kills one process after the other under load, in random order: each kind once
// before any is killed again. After the core or the launcher the server is started again.
func (r *run) killAny(t *testing.T, rng *rand.Rand) {
	t.Helper()
	newWorld := func() *world { return r.newWorld(t, rng, false, "--prover-workers", "1", "--death-limit", "0") }
	var kinds []string
	r.inject(t, r.plan.anyKills, "kills of any process", newWorld, func(w *world, _ int) {
		if w.srv == nil && !w.begin() {
			return
		}
		if len(kinds) == 0 {
			kinds = []string{"core", "launcher", "signer", "tagger", "prover"}
			rng.Shuffle(len(kinds), func(i, j int) { kinds[i], kinds[j] = kinds[j], kinds[i] })
		}
		kind := kinds[0]
		kinds = kinds[1:]
		r.injected(kind + " killed")
		strike := map[string]func(){"core": w.kill, "launcher": w.killLauncher}[kind]
		if strike == nil {
			strike = func() { w.killChild(kind) }
		}
		w.load(1+rng.IntN(2), 1, strike) // the next one begins with an answer that must be accepted
		if w.srv != nil {
			w.check(w.Context())
		}
	})
}

func (w *world) killChild(kind string) {
	w.Helper()
	pid, err := w.srv.AwaitChild(kind)
	w.must(err)
	if pid != 0 {
		w.must(syscall.Kill(pid, syscall.SIGKILL))
	}
}

// killLauncher kills the launcher and waits until the server has ended by
// itself.
func (w *world) killLauncher() {
	w.Helper()
	all := w.srv.Processes()
	w.killChild("launcher")
	select {
	case <-w.srv.Done():
		w.must(proctest.AwaitGone(all))
		w.srv = nil
	case <-time.After(proctest.StopTime):
		w.complain("the server goes on without its launcher")
		w.kill()
	}
}

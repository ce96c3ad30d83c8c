package faults_test

import (
	"context"
	"math/rand/v2"
	"syscall"
	"testing"
	"time"
)

const (
	beforeError         = 800 * time.Millisecond // of load
	afterError          = 2 * time.Second
	leastDown, mostDown = 300 * time.Millisecond, 4 * time.Second
)

// failDevices makes the disk fail for a while under load.
func (r *run) failDevices(t *testing.T, rng *rand.Rand) {
	t.Helper()
	newWorld := func() *world { return r.newWorld(t, rng, true, "--prover", "none") }
	r.inject(t, r.plan.deviceErrors, "device errors", newWorld, func(w *world, i int) {
		r.injected("device error")
		w.failDevice(i)
	})
}

// failDevice is one device error. The file system is mounted again before the
// check, so that only what is on the disk counts.
func (w *world) failDevice(i int) {
	w.Helper()
	if !w.begin() {
		return
	}
	errno, end := syscall.EIO, w.kill
	if i%2 == 1 {
		errno = syscall.ENOSPC
	}
	if i/2%2 == 1 {
		end = w.stop
	}
	ctx, stop := context.WithCancel(w.Context())
	defer stop()
	load := w.keepUp(ctx, 2)
	time.Sleep(beforeError)
	w.disk.fail(errno)
	time.Sleep(randomTime(w.rng, leastDown, mostDown))
	w.disk.fail(0)
	time.Sleep(afterError)
	stop()
	load.Wait()
	end()
	if err := w.disk.unmount(); err != nil {
		w.Fatal(err)
	}
	if err := w.disk.mount(); err != nil {
		w.Fatal(err)
	}
	if w.begin() {
		w.kill()
	}
}

package faults_test

import (
	"errors"
	"math/rand/v2"
	"os"
	"path/filepath"
	"testing"

	"github.com/terradourada/td/internal/testdata/proctest"
)

// controlOlderCopy replaces the data directory by an older copy.
func (r *run) controlOlderCopy(t *testing.T, rng *rand.Rand) {
	t.Helper()
	w := r.newWorld(t, rng, false, "--prover", "none")
	older := filepath.Join(w.dir, "older")
	w.fill(2)
	w.must(proctest.Command("cp", "-a", w.data, older))
	w.fill(2)
	w.must(errors.Join(os.RemoveAll(w.data), os.Rename(older, w.data)))
	w.control("older copy")
}

// controlDropped removes what was flushed since the check.
func (r *run) controlDropped(t *testing.T, rng *rand.Rand) {
	t.Helper()
	w := r.newWorld(t, rng, true, "--prover", "none")
	if !w.begin() {
		t.Fatal(w.complaints)
	}
	from := w.position()
	w.mustAccept(t.Context(), callTime)
	w.mustAccept(t.Context(), callTime)
	w.kill()
	if err := w.disk.dropFlushed(from); err != nil {
		t.Fatal(err)
	}
	w.control("flushed writes dropped")
}

// fill starts a server, has n answers accepted and kills it.
func (w *world) fill(n int) {
	w.Helper()
	if !w.begin() {
		w.Fatal(w.complaints)
	}
	for range n {
		w.mustAccept(w.Context(), callTime)
	}
	w.kill()
}

// control starts a server on what was damaged on purpose, and counts the
// answers that were found to be lost.
func (w *world) control(name string) {
	w.begin()
	w.run.add(func(r *result) { r.Control[name] = len(w.lost) })
	w.Logf("control: %d of %d are found to be lost; %q", len(w.lost), w.seen.size(), w.complaints)
}

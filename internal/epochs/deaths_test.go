package epochs_test

import (
	"errors"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/terradourada/td/internal/epochs"
	"github.com/terradourada/td/internal/sandbox"
	"github.com/terradourada/td/protocol"
)

// killSigner kills the signer of the current epoch and waits for the next epoch.
func killSigner(t *testing.T, w *world) {
	t.Helper()
	n := w.started()
	w.signers[n-1].kill()
	for range 100_000 {
		if w.started() > n {
			synctest.Wait()
			return
		}
		time.Sleep(time.Millisecond)
		synctest.Wait()
	}
	t.Fatal("no epoch follows")
}

func count(steps []string, step string) (n int) {
	for _, s := range steps {
		if s == step {
			n++
		}
	}
	return n
}

// TestDeathsFreeze: the third death within ten minutes freezes acceptance before the
// next epoch opens, and resets the count.
func TestDeathsFreeze(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := &world{deathLimit: 3}
		_, stop := start(t, w)
		killSigner(t, w)
		killSigner(t, w)
		if n := count(w.take(), "freeze"); n != 0 {
			t.Fatalf("%d freezes after two deaths", n)
		}
		killSigner(t, w)
		steps := w.take()
		if freeze, open := slices.Index(steps, "freeze"), slices.Index(steps, "epoch-open"); freeze < 0 || open < freeze {
			t.Fatalf("after the third death: %q", steps)
		}
		killSigner(t, w)
		killSigner(t, w)
		if n := count(w.take(), "freeze"); n != 0 {
			t.Fatalf("%d freezes after two deaths more", n)
		}
		killSigner(t, w)
		if n := count(w.take(), "freeze"); n != 1 {
			t.Errorf("%d freezes after three deaths more, want 1", n)
		}
		stop()
	})
}

// TestDeathsLongAgo: deaths outside the window do not count, nor do epochs that ended
// for another reason.
func TestDeathsLongAgo(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := &world{deathLimit: 3}
		m, stop := start(t, w)
		for range 20 {
			killSigner(t, w)
			time.Sleep(5*time.Minute + time.Second)
		}
		for range 5 {
			e, err := m.Active()
			if err != nil {
				t.Fatal(err)
			}
			e.Destroy()
			time.Sleep(time.Minute)
		}
		if n := count(w.take(), "freeze"); n != 0 {
			t.Errorf("%d freezes", n)
		}
		stop()
	})
}

// TestFreezeFails: no epoch opens while a freeze that is due cannot be committed.
func TestFreezeFails(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := &world{deathLimit: 1, failFreeze: 3}
		_, stop := start(t, w)
		w.take()
		killSigner(t, w)
		steps := w.take()
		if open, freeze := slices.Index(steps, "epoch-open"), slices.Index(steps, "freeze"); count(steps, "freeze fails") != 3 || freeze < 0 || open < freeze {
			t.Errorf("got %q", steps)
		}
		stop()
	})
}

func TestDeathsWithoutLimit(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := &world{}
		_, stop := start(t, w)
		for range 20 {
			killSigner(t, w)
		}
		if n := count(w.take(), "freeze"); n != 0 {
			t.Errorf("%d freezes", n)
		}
		stop()
	})
}

// TestGradesInTheLeaf: the open leaf records how well the children are protected.
func TestGradesInTheLeaf(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := sandbox.Posture{Profile: sandbox.Keyholder}
		for _, id := range []string{
			sandbox.KeyMemory, sandbox.KeyCompute, sandbox.User, sandbox.Dumpable,
			sandbox.NoNewPrivs, sandbox.Landlock, sandbox.Seccomp, sandbox.SelfTest, sandbox.Core, sandbox.Tracer,
		} {
			p.Probes = append(p.Probes, sandbox.Measure(id, sandbox.StateOK, "fine"))
		}
		w := &world{posture: p}
		_, stop := start(t, w)
		e := w.leaves[0].(*protocol.EpochOpen)
		if e.SignerGrade != 1 || e.TaggerGrade != 4 { // the tagger has no posture
			t.Errorf("grades %d and %d, want 1 and 4", e.SignerGrade, e.TaggerGrade)
		}
		if e.Posture != epochs.PostureDigest(p, sandbox.Posture{}) || e.Posture == epochs.PostureDigest(sandbox.Posture{}, p) {
			t.Errorf("posture %v", e.Posture)
		}
		stop()
	})
}

// TestRefusalAtStart: below the minimum grade the manager returns an error and does not
// retry.
func TestRefusalAtStart(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := &world{refusal: sandbox.Posture{}.Require("signer", sandbox.GradeB)}
		var refusal *sandbox.Refusal
		if err := epochs.New(w.config()).Run(t.Context()); !errors.As(err, &refusal) {
			t.Errorf("got %v, want the refusal", err)
		}
	})
}

// TestRefusalLater: after the first epoch, an epoch that is refused is retried, and the
// server goes on.
func TestRefusalLater(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := &world{}
		m, stop := start(t, w)
		w.refuse(sandbox.Posture{}.Require("signer", sandbox.GradeB))
		w.signers[0].kill()
		time.Sleep(time.Minute)
		if _, err := m.Active(); !errors.Is(err, protocol.CodeDraining) {
			t.Errorf("got %v, want draining", err)
		}
		w.refuse(nil)
		time.Sleep(time.Minute)
		if _, err := m.Active(); err != nil {
			t.Error(err)
		}
		stop()
	})
}

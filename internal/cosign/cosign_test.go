package cosign_test

import (
	"errors"
	"math/rand/v2"
	"slices"
	"sync"
	"testing"

	"github.com/terradourada/td/internal/addcheckpoint"
	"github.com/terradourada/td/internal/cosign"
	"github.com/terradourada/td/internal/testdata/logtest"
	"github.com/terradourada/td/protocol"
	"github.com/terradourada/td/receipt"
)

// TestAdd: what continues the log is cosigned and becomes the head; everything else is
// refused and leaves the head as it was.
func TestAdd(t *testing.T) {
	for name, tt := range map[string]struct {
		onBreak cosign.OnBreak
		do      func(*world) (string, error)
		want    error // nil: cosigned
	}{
		"an extension under the same key": {cosign.Live, func(w *world) (string, error) {
			grow(w.log, 700)
			w.showNothing() // the server is not asked
			return w.submit(w.log, 700, w.epoch)
		}, nil},
		"a size that the server has not published last": {cosign.Live, func(w *world) (string, error) {
			grow(w.log, 700)
			return w.submit(w.log, 512, w.epoch)
		}, nil},
		"the same checkpoint again": {cosign.Live, func(w *world) (string, error) {
			return w.submit(w.log, w.size, w.epoch)
		}, nil},
		"a key that was handed over to": {cosign.Live, func(w *world) (string, error) {
			next := w.log.Open(w.epoch)
			grow(w.log, 400)
			w.show(w.log, next, false) // proofs are enough
			return w.submit(w.log, 400, next)
		}, nil},
		"two hand-overs": {cosign.Live, func(w *world) (string, error) {
			last := w.log.Open(w.log.Open(w.epoch))
			grow(w.log, 1000)
			w.show(w.log, last, false)
			return w.submit(w.log, 900, last)
		}, nil},
		"after a crash, as the server shows it": {cosign.Live, func(w *world) (string, error) {
			next := w.log.Open(nil)
			w.show(w.log, next, true)
			return w.submit(w.log, w.log.Size(), next)
		}, nil},
		"after a crash, a prefix of what the server shows": {cosign.Live, func(w *world) (string, error) {
			next := w.log.Open(nil)
			grow(w.log, 800)
			w.show(w.log, next, true)
			return w.submit(w.log, 302, next)
		}, nil},

		"a proof from another size": {cosign.Live, func(w *world) (string, error) {
			grow(w.log, 400)
			return w.add(addcheckpoint.Request{Old: 299, Proof: proof(w.t, w.log, 299, 400), Note: w.log.Note(400, w.epoch)})
		}, &cosign.SizeError{Size: 300}},
		"a proof from nothing": {cosign.Live, func(w *world) (string, error) {
			return w.add(addcheckpoint.Request{Note: w.log.Note(300, w.epoch)})
		}, &cosign.SizeError{Size: 300}},
		"a rollback": {cosign.Live, func(w *world) (string, error) {
			return w.add(addcheckpoint.Request{Old: 200, Note: w.log.Note(200, w.epoch)})
		}, &cosign.SizeError{Size: 300}},
		"a rollback from the right size": {cosign.Live, func(w *world) (string, error) {
			return w.add(addcheckpoint.Request{Old: 300, Note: w.log.Note(200, w.epoch)})
		}, addcheckpoint.ErrMalformed},
		"a fork of the same size under the same key": {cosign.Live, func(w *world) (string, error) {
			return w.submit(fork(w.log, 200, 300), 300, w.epoch)
		}, cosign.ErrOtherTree},
		"a fork under the same key": {cosign.Live, func(w *world) (string, error) {
			return w.submit(fork(w.log, 299, 400), 400, w.epoch)
		}, cosign.ErrProof},
		"no proof": {cosign.Live, func(w *world) (string, error) {
			grow(w.log, 400)
			return w.add(addcheckpoint.Request{Old: 300, Note: w.log.Note(400, w.epoch)})
		}, cosign.ErrProof},
		"a proof where none belongs": {cosign.Live, func(w *world) (string, error) {
			grow(w.log, 400)
			return w.add(addcheckpoint.Request{Old: 300, Proof: proof(w.t, w.log, 300, 400), Note: w.log.Note(300, w.epoch)})
		}, cosign.ErrProof},
		"another log": {cosign.Live, func(w *world) (string, error) {
			return w.add(addcheckpoint.Request{Old: 300, Note: "other.example" + w.log.Note(300, w.epoch)[len(logtest.Origin):]})
		}, cosign.ErrUnknownLog},
		"no signature": {cosign.Live, func(w *world) (string, error) {
			return w.add(addcheckpoint.Request{Old: 300, Note: without(w.log.Note(300, w.epoch))})
		}, addcheckpoint.ErrMalformed},

		"a stranger's extension, longer than the log": {cosign.Live, func(w *world) (string, error) {
			copied := w.log.Fork(300)
			return w.submit(copied, 301, copied.Open(nil))
		}, cosign.ErrForeignKey},
		"a stranger's extension, shorter than the log": {cosign.Live, func(w *world) (string, error) {
			copied := w.log.Fork(300)
			stranger := copied.Open(nil)
			grow(w.log, 700)
			w.show(w.log, w.epoch, true)
			return w.submit(copied, 301, stranger)
		}, cosign.ErrForeignKey},
		"a stranger's signature on the log's own tree": {cosign.Live, func(w *world) (string, error) {
			stranger := w.log.Fork(300).Open(nil)
			grow(w.log, 700)
			w.show(w.log, w.epoch, true)
			return w.submit(w.log, 700, stranger)
		}, cosign.ErrForeignKey},
		"a stranger's signature on the newest cosigned tree": {cosign.Live, func(w *world) (string, error) {
			return w.submit(w.log, 300, w.log.Fork(300).Open(nil))
		}, cosign.ErrForeignKey},
		"a forged hand-over": {cosign.Live, func(w *world) (string, error) {
			copied := w.log.Fork(300)
			stranger := copied.Epoch(nil)
			stranger.HandOver(stranger.Open, 300, copied.Tree.Root()) // by the wrong key
			stranger.Index = copied.Add(stranger.Open)
			w.show(copied, stranger, false)
			return w.submit(copied, copied.Size(), stranger)
		}, cosign.ErrForeignKey},
		"a hand-over from before the newest cosigned checkpoint": {cosign.Live, func(w *world) (string, error) {
			next := w.log.Epoch(nil)
			w.epoch.HandOver(next.Open, 250, w.log.Tree.RootAt(250))
			next.Index = w.log.Add(next.Open)
			w.show(w.log, next, false)
			return w.submit(w.log, w.log.Size(), next)
		}, cosign.ErrForeignKey},
		"the first key again, after a hand-over": {cosign.Live, func(w *world) (string, error) {
			handedOver(w)
			return w.submit(w.log, w.log.Size(), w.epoch)
		}, cosign.ErrForeignKey},
		"the first key again, in a new leaf that was handed over to": {cosign.Live, func(w *world) (string, error) {
			first := again(w, handedOver(w))
			return w.submit(w.log, w.log.Size(), first)
		}, cosign.ErrOldKey},
		"the first key again, in a new leaf that the server shows": {cosign.Live, func(w *world) (string, error) {
			handedOver(w)
			first := again(w, nil)
			return w.submit(w.log, w.log.Size(), first)
		}, cosign.ErrOldKey},

		"after a crash, the server not reached securely": {cosign.Live, func(w *world) (string, error) {
			next := w.log.Open(nil)
			w.show(w.log, next, false)
			return w.submit(w.log, w.log.Size(), next)
		}, cosign.ErrForeignKey},
		"after a crash, the server under another key": {cosign.Live, func(w *world) (string, error) {
			first := w.log.Open(nil)
			size := w.log.Size()
			w.show(w.log, w.log.Open(nil), true)
			return w.submit(w.log, size, first)
		}, cosign.ErrForeignKey},
		"after a crash, the server with another tree": {cosign.Live, func(w *world) (string, error) {
			copied := w.log.Fork(300)
			next := w.log.Open(nil)
			copied.AddRaw(w.log.Leaves[300]) // the leaf of the key in both
			next.Index = 300
			grow(w.log, 400)
			copied.AddRaw([]byte("another"))
			grow(copied, 500)
			w.show(copied, next, true)
			return w.submit(w.log, 400, next)
		}, cosign.ErrForeignKey},
		"after a crash, the server away": {cosign.Live, func(w *world) (string, error) {
			next := w.log.Open(nil)
			w.showNothing()
			return w.submit(w.log, w.log.Size(), next)
		}, cosign.ErrUnavailable},

		"after a crash, no person asked yet": {cosign.Approve, func(w *world) (string, error) {
			next := w.log.Open(nil)
			w.show(w.log, next, true)
			return w.submit(w.log, w.log.Size(), next)
		}, cosign.ErrForeignKey},
		"after a crash, approved by a person": {cosign.Approve, func(w *world) (string, error) {
			next := w.log.Open(nil)
			w.show(w.log, next, false)
			w.must(w.store.Approve(t.Context(), logtest.Origin, next.Open.CheckpointKey))
			return w.submit(w.log, w.log.Size(), next)
		}, nil},
		"after a crash, another key approved": {cosign.Approve, func(w *world) (string, error) {
			next := w.log.Open(nil)
			w.show(w.log, next, true)
			w.must(w.store.Approve(t.Context(), logtest.Origin, [32]byte{1}))
			return w.submit(w.log, w.log.Size(), next)
		}, cosign.ErrForeignKey},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t, tt.onBreak)
			lines, err := tt.do(w)
			if tt.want != nil {
				if !same(err, tt.want) || lines != "" {
					t.Fatalf("%q, %v, want %v", lines, err, tt.want)
				}
				return
			}
			if err != nil || lines == "" {
				t.Fatalf("%q, %v, want a cosignature", lines, err)
			}
		})
	}
}

// same reports whether an error is the wanted one, with the same size.
func same(err, want error) bool {
	var got, size *cosign.SizeError
	if errors.As(want, &size) {
		return errors.As(err, &got) && *got == *size
	}
	return errors.Is(err, want)
}

// fork returns a log of a size that has the first leaves of another one and the same
// epochs, and then others.
func fork(l *logtest.Log, from, size uint64) *logtest.Log {
	f := l.Fork(from)
	f.AddRaw([]byte("fork"))
	grow(f, size)
	return f
}

// handedOver has a second epoch, to which the first one handed over, cosigned.
func handedOver(w *world) *logtest.Epoch {
	w.t.Helper()
	next := w.log.Open(w.epoch)
	w.show(w.log, next, true)
	if _, err := w.submit(w.log, w.log.Size(), next); err != nil {
		w.t.Fatal(err)
	}
	return next
}

// again appends a leaf that announces the key of the first epoch once more, and has the
// server show it.
func again(w *world, from *logtest.Epoch) *logtest.Epoch {
	e := w.log.Epoch(nil)
	e.Key, e.Open.CheckpointKey = w.epoch.Key, w.epoch.Open.CheckpointKey
	e.Open.PublicKey[0] = 1 // so that its id is another one
	e.Open.ID = protocol.DeriveEpochID(e.Open.PublicKey[:], e.Open.CheckpointKey)
	if from != nil {
		from.HandOver(e.Open, w.log.Size(), w.log.Tree.Root())
	}
	e.Index = w.log.Add(e.Open)
	w.log.Epochs = append(w.log.Epochs, e)
	w.show(w.log, e, true)
	return e
}

// TestHead: the head is what was cosigned last, and a refusal leaves it.
func TestHead(t *testing.T) {
	w := newWorld(t, cosign.Live)
	if _, err := w.submit(fork(w.log, 100, 400), 400, w.epoch); !errors.Is(err, cosign.ErrProof) || w.head() != head(w.log, 300, w.epoch) {
		t.Fatalf("%v, head of size %d", err, w.head().Size)
	}
	grow(w.log, 400)
	if _, err := w.submit(w.log, 400, w.epoch); err != nil || w.head() != head(w.log, 400, w.epoch) {
		t.Fatalf("%v, head of size %d", err, w.head().Size)
	}
	next := handedOver(w)
	if w.head() != head(w.log, 401, next) {
		t.Errorf("the head is of size %d, under the first key: %t", w.head().Size, w.head().Key == w.epoch.Open.CheckpointKey)
	}
}

// TestWaiting: a key without a hand-over waits for a person, whose approval counts once.
func TestWaiting(t *testing.T) {
	w := newWorld(t, cosign.Approve)
	log := func() cosign.Log {
		l, err := w.store.Log(t.Context(), logtest.Origin)
		w.must(err)
		return l
	}
	waiting := func() [32]byte { return log().Waiting }
	next := w.log.Open(nil)
	w.show(w.log, next, true)
	if _, err := w.submit(w.log, 301, next); !errors.Is(err, cosign.ErrForeignKey) || waiting() != next.Open.CheckpointKey {
		t.Fatalf("%v, %x waits", err, waiting())
	}
	w.must(w.store.Approve(t.Context(), logtest.Origin, next.Open.CheckpointKey))
	if l := log(); l.Approved != next.Open.CheckpointKey || l.Waiting != [32]byte{} {
		t.Errorf("%x is approved, %x waits", l.Approved, l.Waiting)
	}
	if _, err := w.submit(w.log, 301, next); err != nil || waiting() != [32]byte{} || log().Approved != [32]byte{} {
		t.Fatalf("%v, %x waits", err, waiting())
	}
	for _, old := range [][32]byte{w.epoch.Open.CheckpointKey, next.Open.CheckpointKey} {
		if err := w.store.Approve(t.Context(), logtest.Origin, old); !errors.Is(err, cosign.ErrOldKey) {
			t.Errorf("a key that was used was approved: %v", err)
		}
	}
	if err := w.store.Approve(t.Context(), "unknown", [32]byte{1}); !errors.Is(err, cosign.ErrUnknownLog) {
		t.Errorf("an unknown log: %v", err)
	}
}

// TestStrangersCostLittle: a stranger's checkpoint that cannot be right makes the
// cosigner read nothing, and one that could be makes it read the bound server once.
func TestStrangersCostLittle(t *testing.T) {
	w := newWorld(t, cosign.Live)
	copied := w.log.Fork(200)
	stranger := copied.Open(nil)
	grow(copied, 400)
	if _, err := w.submit(copied, 400, stranger); !errors.Is(err, cosign.ErrProof) || w.reads != 0 {
		t.Errorf("%v after %d reads", err, w.reads)
	}
	copied = w.log.Fork(300)
	stranger = copied.Open(nil)
	if _, err := w.submit(copied, 301, stranger); !errors.Is(err, cosign.ErrForeignKey) || w.reads != 1 {
		t.Errorf("%v after %d reads", err, w.reads)
	}
}

// TestRace: of many forks under a stolen key, submitted at once, one is cosigned.
func TestRace(t *testing.T) {
	w := newWorld(t, cosign.Live)
	const forks = 16
	var won []uint64
	var mu sync.Mutex
	var wg sync.WaitGroup
	for i := range uint64(forks) {
		f := w.log.Fork(300)
		f.AddRaw([]byte{0xff, byte(i)})
		grow(f, 310+i)
		r := addcheckpoint.Request{Old: 300, Proof: proof(t, f, 300, f.Size()), Note: f.Note(f.Size(), w.epoch)}
		wg.Go(func() {
			_, err := w.add(r)
			mu.Lock()
			defer mu.Unlock()
			switch {
			case err == nil:
				won = append(won, r.Old+10+i)
			case !errors.As(err, new(*cosign.SizeError)):
				t.Error(err)
			}
		})
	}
	wg.Wait()
	if len(won) != 1 || won[0] != w.head().Size {
		t.Errorf("cosigned %v, the head is of size %d", won, w.head().Size)
	}
}

// TestOneHistory: whatever is submitted in whatever order by the thief of all keys, all
// that is cosigned is one history.
func TestOneHistory(t *testing.T) {
	w := newWorld(t, cosign.Live)
	random := rand.New(rand.NewPCG(1, 2))
	grow(w.log, 320)
	logs := []*logtest.Log{w.log}
	var cosigned []receipt.Head
	histories := map[receipt.Head]*logtest.Log{}
	for range 120 {
		l := logs[random.IntN(len(logs))]
		if n := len(cosigned); n > 0 && random.IntN(4) > 0 {
			l = histories[cosigned[n-1]]
		}
		if random.IntN(3) > 0 { // a new branch of it
			l = fork(l, l.Size()-random.Uint64N(10), l.Size()+random.Uint64N(20))
			if random.IntN(2) == 0 {
				l.Open(l.Epochs[random.IntN(len(l.Epochs))])
			}
			logs = append(logs, l)
		}
		by := l.Epochs[random.IntN(len(l.Epochs))]
		w.show(l, l.Epochs[len(l.Epochs)-1], random.IntN(2) == 0)
		size := l.Size() - random.Uint64N(12)
		if _, err := w.submit(l, size, by); err == nil {
			cosigned = append(cosigned, head(l, size, by))
			histories[cosigned[len(cosigned)-1]] = l
		}
	}
	if len(cosigned) < 15 {
		t.Fatalf("only %d checkpoints were cosigned", len(cosigned))
	}
	for i, later := range cosigned {
		for _, earlier := range cosigned[:i] {
			if earlier.Size > later.Size || histories[later].Tree.RootAt(earlier.Size) != protocol.Digest(earlier.Root) {
				t.Fatalf("sizes %d and %d are of two histories", earlier.Size, later.Size)
			}
		}
	}
	var keys [][32]byte
	for _, h := range cosigned {
		if len(keys) > 0 && keys[len(keys)-1] == h.Key {
			continue
		}
		if slices.Contains(keys, h.Key) {
			t.Fatal("a key that was replaced came back")
		}
		keys = append(keys, h.Key)
	}
}

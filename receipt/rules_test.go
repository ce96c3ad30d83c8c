package receipt_test

import (
	"context"
	"crypto/ed25519"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"golang.org/x/mod/sumdb/tlog"

	"github.com/terradourada/td/protocol"
	"github.com/terradourada/td/receipt"
)

var (
	file   = receipt.Source{}
	mirror = receipt.Source{Server: "http://mirror.example/"}
	errLog = errors.New("log is away")
)

type failingLog struct{}

func (failingLog) Prefix(context.Context, uint64, uint64) ([][32]byte, error) { return nil, errLog }

func (failingLog) Entry(context.Context, uint64, uint64) ([]byte, [][32]byte, error) {
	return nil, nil, errLog
}

// lying is a log whose proofs a mirror has changed.
type lying struct {
	*world
	prefix func([][32]byte) [][32]byte
	entry  func(leaf []byte, path [][32]byte) ([]byte, [][32]byte)
}

func (l lying) Prefix(ctx context.Context, from, to uint64) ([][32]byte, error) {
	h, err := l.world.Prefix(ctx, from, to)
	if l.prefix != nil {
		h = l.prefix(h)
	}
	return h, err
}

func (l lying) Entry(ctx context.Context, index, size uint64) ([]byte, [][32]byte, error) {
	leaf, path, err := l.world.Entry(ctx, index, size)
	if l.entry != nil {
		leaf, path = l.entry(slices.Clone(leaf), path)
	}
	return leaf, path, err
}

// The outcomes of a check beside a rule, one word each for the tables.
func outcome(s receipt.Standing, err error) string {
	var c *receipt.ContradictionError
	var b *receipt.BindingError
	var d *receipt.DamagedError
	switch {
	case err == nil:
		return s.Rule
	case errors.As(err, &c) && c.Vouched:
		return "contradicted"
	case errors.As(err, &c):
		return "contradicts, unvouched"
	case errors.As(err, &b):
		return "bound"
	case errors.As(err, &d):
		return "damaged"
	case errors.Is(err, receipt.ErrUnknownLog):
		return "unknown"
	case errors.Is(err, receipt.ErrNotShown):
		return "not shown"
	case errors.Is(err, receipt.ErrOtherKey):
		return "other key"
	case errors.Is(err, errLog):
		return "log failed"
	}
	return err.Error()
}

// rotated is a log of three epochs, each handed over to the next, and a fourth
// after a restart.
type rotated struct {
	*world
	e [4]*epochKey
}

func newRotated(tb testing.TB) *rotated {
	tb.Helper()
	l := &rotated{world: newWorld(tb)}
	l.e[0] = l.openEpoch(nil, 0) // leaf 0
	l.grow(6)
	l.e[1] = l.openEpoch(l.e[0], 1) // leaf 7, over 6 leaves
	l.grow(4)
	l.e[2] = l.openEpoch(l.e[1], 0) // leaf 12
	l.grow(4)
	l.e[3] = l.openEpoch(nil, 0) // leaf 17
	l.e[3].open.Previous, l.e[3].open.PreviousIndex = l.e[2].open.ID, l.e[2].index
	l.grow(4)
	return l
}

// intruder is a fork whose new part is signed with another key.
func (w *world) intruder(size uint64, more int) (*world, *epochKey) {
	w.t.Helper()
	f := w.fork(size)
	f.grow(more)
	e := f.openEpoch(nil, 0)
	f.grow(more)
	return f, e
}

// The rules for a file and for a live read, for V of every epoch.
func TestRules(t *testing.T) {
	l := newRotated(t)
	short, thief := l.intruder(5, 1)
	long, stranger := l.intruder(22, 2)
	early, outsider := l.intruder(3, 10)
	stolen := l.fork(19)
	stolen.grow(9)
	forked := l.fork(4)
	forked.grow(20)
	for name, tt := range map[string]struct {
		v    *receipt.Checkpoint
		c    *receipt.Checkpoint
		log  receipt.Log
		from receipt.Source
		want string
	}{
		"recorded":                           {l.at(5, l.e[0]), l.at(5, l.e[0]), nil, file, "recorded"},
		"recorded, other key":                {l.at(9, l.e[0]), l.at(9, l.e[1]), nil, file, "recorded"},
		"later, same key":                    {l.at(3, l.e[0]), l.at(5, l.e[0]), l, file, "same_key"},
		"later by a power of two":            {l.at(4, l.e[0]), l.at(8, l.e[0]), l, file, "same_key"},
		"earlier":                            {l.at(6, l.e[0]), l.at(3, l.e[0]), l, file, "prefix"},
		"earlier, a power of two":            {l.at(6, l.e[0]), l.at(4, l.e[0]), l, file, "prefix"},
		"first leaf":                         {l.at(6, l.e[0]), l.at(1, l.e[0]), l, file, "prefix"},
		"earlier, key of an earlier epoch":   {l.at(22, l.e[3]), l.at(9, l.e[1]), l, file, "prefix"},
		"no log, later":                      {l.at(3, l.e[0]), l.at(5, l.e[0]), nil, file, "not shown"},
		"no log, earlier":                    {l.at(5, l.e[0]), l.at(3, l.e[0]), nil, file, "not shown"},
		"no log, live":                       {l.at(3, l.e[0]), l.at(20, l.e[3]), nil, live, "not shown"},
		"log fails":                          {l.at(3, l.e[0]), l.at(5, l.e[0]), failingLog{}, file, "log failed"},
		"handed over":                        {l.at(5, l.e[0]), l.at(9, l.e[1]), l, file, "hand_over"},
		"handed over, last size":             {l.at(6, l.e[0]), l.at(8, l.e[1]), l, file, "hand_over"},
		"handed over twice":                  {l.at(5, l.e[0]), l.at(15, l.e[2]), l, file, "hand_over"},
		"signed after its hand-over":         {l.at(7, l.e[0]), l.at(9, l.e[1]), l, file, "other key"},
		"after a restart":                    {l.at(15, l.e[2]), l.at(20, l.e[3]), l, file, "other key"},
		"after a restart, read live":         {l.at(15, l.e[2]), l.at(20, l.e[3]), l, live, "live"},
		"after a restart, from a mirror":     {l.at(15, l.e[2]), l.at(20, l.e[3]), l, mirror, "other key"},
		"forged extension":                   {l.at(22, l.e[3]), long.at(26, stranger), long, file, "other key"},
		"forged extension, mirror":           {l.at(22, l.e[3]), long.at(26, stranger), long, mirror, "other key"},
		"stolen key of an ended epoch":       {l.at(19, l.e[3]), stolen.at(25, l.e[1]), stolen, file, "other key"},
		"stolen key before the one that was": {l.at(19, l.e[3]), stolen.at(25, l.e[2]), stolen, file, "other key"},
		"the key of V":                       {l.at(19, l.e[3]), stolen.at(25, l.e[3]), stolen, file, "same_key"},
		"foreign fork, same size":            {l.at(7, l.e[0]), short.at(7, thief), nil, file, "contradicts, unvouched"},
		"foreign fork, earlier":              {l.at(22, l.e[3]), short.at(7, thief), l, file, "contradicts, unvouched"},
		"foreign fork, later":                {l.at(6, l.e[0]), short.at(8, thief), short, file, "contradicts, unvouched"},
		"foreign fork, read live":            {l.at(6, l.e[0]), short.at(8, thief), short, live, "contradicts, unvouched"},
		"foreign fork, its own log, earlier": {l.at(22, l.e[3]), early.at(20, outsider), early, file, "not shown"},
		"fork by V's key, same size":         {l.at(9, l.e[0]), forked.at(9, l.e[0]), nil, file, "contradicted"},
		"fork by V's key, later":             {l.at(9, l.e[0]), forked.at(12, l.e[0]), forked, file, "contradicted"},
		"fork by V's key, earlier":           {l.at(9, l.e[0]), forked.at(7, l.e[0]), l, file, "contradicted"},
		"fork by V's key, no log":            {l.at(9, l.e[0]), forked.at(7, l.e[0]), nil, file, "not shown"},
		"fork by a key before V's":           {l.at(9, l.e[1]), forked.at(9, l.e[0]), nil, file, "contradicts, unvouched"},
	} {
		t.Run(name, func(t *testing.T) {
			trust := recorded(t, tt.v).Trust
			before := content(t, trust)
			s, err := trust.Check(t.Context(), tt.c, tt.log, tt.from)
			if got := outcome(s, err); got != tt.want {
				t.Errorf("Check: got %s (%v), want %s", got, err, tt.want)
			}
			if err == nil && (s.How != receipt.VouchLive || s.Server != testServer) || err != nil && s.Rule+string(s.How) != "" {
				t.Errorf("standing is %+v", s)
			}
			if content(t, trust) != before {
				t.Error("Check wrote")
			}
			s, err = trust.Record(t.Context(), tt.c, tt.log, tt.from, now)
			if got := outcome(s, err); got != tt.want {
				t.Errorf("Record: got %s (%v), want %s", got, err, tt.want)
			}
			// What was pinned stays pinned without a log; what was refused stays
			// refused.
			pinned := err == nil
			s, err = trust.Check(t.Context(), tt.c, nil, file)
			if (outcome(s, err) == "recorded") != pinned {
				t.Errorf("after Record: got %s (%v), pinned was %t", outcome(s, err), err, pinned)
			}
			if s, err := trust.Check(t.Context(), tt.v, nil, file); outcome(s, err) != "recorded" {
				t.Errorf("what was recorded before is gone: %v", err)
			}
			how := map[bool]string{true: " live ", false: " chain "}[tt.from == live]
			added := strings.TrimPrefix(content(t, trust), before)
			switch {
			case pinned && tt.want == "recorded" || strings.HasPrefix(tt.want, "contradict"):
				if added != "" {
					t.Errorf("appended %q", added)
				}
			case pinned && !strings.Contains(added, how), !pinned && !strings.Contains(added, " unauthenticated "):
				t.Errorf("appended %q", added)
			}
		})
	}
}

func content(tb testing.TB, trust *receipt.TrustStore) string {
	tb.Helper()
	b, err := os.ReadFile(trust.Path(testOrigin))
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		tb.Fatal(err)
	}
	return string(b)
}

func TestHandedOverHistories(t *testing.T) {
	// A log whose first key signs V, then forks and hands over in the fork.
	l := newRotated(t)
	fork := l.fork(4)
	fork.grow(6)
	next := fork.openEpoch(l.e[0], 0) // over 10 leaves
	fork.grow(3)
	trust := recorded(t, l.at(6, l.e[0])).Trust
	s, err := trust.Check(t.Context(), fork.at(13, next), fork, file)
	if got := outcome(s, err); got != "contradicted" {
		t.Errorf("got %s (%v), want contradicted", got, err)
	}
	for _, want := range []string{"possible split view", testOrigin, trust.Path(testOrigin)} {
		if err != nil && !strings.Contains(err.Error(), want) {
			t.Errorf("error %q does not say %q", err, want)
		}
	}
	// Without the hand-overs of the log the same shows a contradiction, but not
	// whose log it is.
	s, err = trust.Check(t.Context(), fork.at(13, next), lying{world: fork, entry: func([]byte, [][32]byte) ([]byte, [][32]byte) { return nil, nil }}, file)
	if got := outcome(s, err); got != "contradicts, unvouched" {
		t.Errorf("got %s (%v), want contradicts, unvouched", got, err)
	}
}

// Every condition on a hand-over, broken alone.
func TestHandoverChain(t *testing.T) {
	for name, tt := range map[string]struct {
		change func(w *world, first *epochKey, open *protocol.EpochOpen)
		v      uint64 // size of V
		want   string
	}{
		"as it should be": {func(w *world, first *epochKey, open *protocol.EpochOpen) {
			w.handOver(open, first.key, w.size(), w.root(w.size()))
		}, 8, "hand_over"},
		"over an earlier tree": {func(w *world, first *epochKey, open *protocol.EpochOpen) {
			w.handOver(open, first.key, 8, w.root(8))
		}, 8, "hand_over"},
		"over a tree before V": {func(w *world, first *epochKey, open *protocol.EpochOpen) {
			w.handOver(open, first.key, 7, w.root(7))
		}, 8, "other key"},
		"over the empty tree": {func(w *world, first *epochKey, open *protocol.EpochOpen) {
			w.handOver(open, first.key, 0, w.root(0))
		}, 8, "other key"},
		"over a false empty tree": {func(w *world, first *epochKey, open *protocol.EpochOpen) {
			w.handOver(open, first.key, 0, tlog.Hash{1})
		}, 8, "other key"},
		"over its own leaf": {func(w *world, first *epochKey, open *protocol.EpochOpen) {
			w.handOver(open, first.key, w.size()+1, w.root(w.size()))
		}, 8, "other key"},
		"over another tree": {func(w *world, first *epochKey, open *protocol.EpochOpen) {
			w.handOver(open, first.key, w.size(), w.root(w.size()-1))
		}, 8, "other key"},
		"by another key": {func(w *world, _ *epochKey, open *protocol.EpochOpen) {
			w.handOver(open, newKey(w.t), w.size(), w.root(w.size()))
		}, 8, "other key"},
		"none": {func(*world, *epochKey, *protocol.EpochOpen) {}, 8, "other key"},
		"for another epoch": {func(w *world, first *epochKey, open *protocol.EpochOpen) {
			other := *open
			other.ID[0] ^= 1
			w.handOver(&other, first.key, w.size(), w.root(w.size()))
			open.Handover = other.Handover
		}, 8, "other key"},
		"for another key": {func(w *world, first *epochKey, open *protocol.EpochOpen) {
			key := open.CheckpointKey
			open.CheckpointKey = [32]byte{1}
			w.handOver(open, first.key, w.size(), w.root(w.size()))
			open.CheckpointKey = key
		}, 8, "other key"},
		"in another log": {func(w *world, first *epochKey, open *protocol.EpochOpen) {
			other := &world{t: w.t, origin: "other"}
			other.handOver(open, first.key, w.size(), w.root(w.size()))
		}, 8, "other key"},
		"number does not grow": {func(w *world, first *epochKey, open *protocol.EpochOpen) {
			open.Number = first.open.Number
			w.handOver(open, first.key, w.size(), w.root(w.size()))
		}, 8, "other key"},
		"index of another leaf": {func(w *world, first *epochKey, open *protocol.EpochOpen) {
			open.PreviousIndex++
			w.handOver(open, first.key, w.size(), w.root(w.size()))
		}, 8, "other key"},
		"index of another epoch": {func(w *world, first *epochKey, open *protocol.EpochOpen) {
			open.PreviousIndex = 0
			w.handOver(open, first.key, w.size(), w.root(w.size()))
		}, 8, "other key"},
		"index of itself": {func(w *world, first *epochKey, open *protocol.EpochOpen) {
			open.PreviousIndex = w.size()
			w.handOver(open, first.key, w.size(), w.root(w.size()))
		}, 8, "other key"},
		"index behind": {func(w *world, first *epochKey, open *protocol.EpochOpen) {
			open.PreviousIndex = w.size() + 1
			w.handOver(open, first.key, w.size(), w.root(w.size()))
		}, 8, "other key"},
		"index of a copy": {func(w *world, first *epochKey, open *protocol.EpochOpen) {
			open.PreviousIndex = 9
			w.handOver(open, first.key, w.size(), w.root(w.size()))
		}, 8, "other key"},
		"id of another epoch": {func(w *world, first *epochKey, open *protocol.EpochOpen) {
			open.Previous[0] ^= 1
			w.handOver(open, first.key, w.size(), w.root(w.size()))
		}, 8, "other key"},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			w.openEpoch(nil, 0) // an earlier epoch, leaf 0
			w.grow(2)
			first := w.openEpoch(nil, 0)
			w.grow(5)
			w.appendRaw(w.leaves[first.index]) // leaf 9, which names another index
			next := &epochKey{key: newKey(t), open: protocol.EpochOpen{Number: 3, Previous: first.open.ID, PreviousIndex: first.index}}
			copy(next.open.CheckpointKey[:], next.key.Public().(ed25519.PublicKey))
			next.open.ID = protocol.DeriveEpochID(next.open.PublicKey[:], next.open.CheckpointKey)
			tt.change(w, first, &next.open)
			next.index = w.append(&next.open)
			w.epochs = append(w.epochs, next)
			w.append(&first.open)
			w.grow(3)
			trust := recorded(t, w.at(tt.v, first)).Trust
			if s, err := trust.Check(t.Context(), w.at(w.size(), next), w, file); outcome(s, err) != tt.want {
				t.Errorf("got %s (%v), want %s", outcome(s, err), err, tt.want)
			}
			// One more valid hand-over does not make up for it.
			last := w.openEpoch(next, 0)
			w.grow(2)
			if s, err := trust.Check(t.Context(), w.at(w.size(), last), w, file); outcome(s, err) != tt.want {
				t.Errorf("one step further: got %s (%v), want %s", outcome(s, err), err, tt.want)
			}
		})
	}
}

// unreadable is a log of which a part cannot be read.
type unreadable struct {
	*world
	entries bool // the leaves can
}

func (unreadable) Prefix(context.Context, uint64, uint64) ([][32]byte, error) { return nil, errLog }

func (u unreadable) Entry(ctx context.Context, index, size uint64) ([]byte, [][32]byte, error) {
	if u.entries {
		return u.world.Entry(ctx, index, size)
	}
	return nil, nil, errLog
}

// TestHandedOverErrors: what could not be read is named as such, and an epoch that has not
// the id of its keys hands over to none.
func TestHandedOverErrors(t *testing.T) {
	l := newRotated(t)
	w := newWorld(t)
	odd := &epochKey{key: newKey(t), open: protocol.EpochOpen{Number: 1, ID: protocol.EpochID{1}}}
	copy(odd.open.CheckpointKey[:], odd.key.Public().(ed25519.PublicKey))
	odd.index = w.append(&odd.open)
	w.epochs = append(w.epochs, odd)
	w.grow(3)
	next := w.openEpoch(odd, 0)
	w.grow(2)
	for name, tt := range map[string]struct {
		c    *receipt.Checkpoint
		log  receipt.Log
		from *epochKey
		want error
	}{
		"as it should be":  {l.at(9, l.e[1]), l, l.e[0], nil},
		"no log":           {l.at(9, l.e[1]), nil, l.e[0], receipt.ErrNoLog},
		"no leaf":          {l.at(9, l.e[1]), unreadable{l.world, false}, l.e[0], errLog},
		"no proof":         {l.at(9, l.e[1]), unreadable{l.world, true}, l.e[0], errLog},
		"id of other keys": {w.at(w.size(), next), w, odd, receipt.ErrOtherKey},
	} {
		if err := receipt.HandedOver(t.Context(), tt.c, tt.log, receipt.Head{Size: 1, Key: tt.from.open.CheckpointKey}); !errors.Is(err, tt.want) {
			t.Errorf("%s: got %v, want %v", name, err, tt.want)
		}
	}
}

func TestHandoverChainIsBounded(t *testing.T) {
	if testing.Short() {
		t.Skip("4,097 epochs take seconds")
	}
	w := newWorld(t)
	e := []*epochKey{w.openEpoch(nil, 0)}
	for range 4097 {
		e = append(e, w.openEpoch(e[len(e)-1], 0))
	}
	trust := recorded(t, w.at(1, e[0])).Trust
	for n, want := range map[int]string{4096: "hand_over", 4097: "other key"} {
		if s, err := trust.Check(t.Context(), w.at(uint64(n+1), e[n]), w, file); outcome(s, err) != want {
			t.Errorf("%d hand-overs: got %s (%v), want %s", n, outcome(s, err), err, want)
		}
	}
}

// A mirror that changes proofs proves nothing: it accuses no log, and its data
// is not believed.
func TestLyingMirror(t *testing.T) {
	l := newRotated(t)
	foreign, thief := l.intruder(5, 1)
	none := func([][32]byte) [][32]byte { return nil }
	for name, lie := range map[string]func([][32]byte) [][32]byte{
		"nothing":   none,
		"rubbish":   func(h [][32]byte) [][32]byte { return make([][32]byte, len(h)) },
		"first":     func(h [][32]byte) [][32]byte { h[0][0] ^= 1; return h },
		"last":      func(h [][32]byte) [][32]byte { h[len(h)-1][31] ^= 1; return h },
		"one more":  func(h [][32]byte) [][32]byte { return append(h, [32]byte{}) },
		"one front": func(h [][32]byte) [][32]byte { return append([][32]byte{h[0]}, h...) },
		"one less":  func(h [][32]byte) [][32]byte { return h[:len(h)-1] },
		"reversed":  func(h [][32]byte) [][32]byte { slices.Reverse(h); h[0][0] ^= 1; return h },
		"many":      func(h [][32]byte) [][32]byte { return make([][32]byte, 1000) },
	} {
		t.Run(name, func(t *testing.T) {
			for what, tt := range map[string]struct{ v, c *receipt.Checkpoint }{
				"later":         {l.at(5, l.e[0]), l.at(6, l.e[0])},
				"earlier":       {l.at(6, l.e[0]), l.at(5, l.e[0])},
				"handed over":   {l.at(5, l.e[0]), l.at(15, l.e[2])},
				"after restart": {l.at(15, l.e[2]), l.at(20, l.e[3])},
				"foreign":       {l.at(6, l.e[0]), foreign.at(8, thief)},
			} {
				trust := recorded(t, tt.v).Trust
				s, err := trust.Check(t.Context(), tt.c, lying{world: l.world, prefix: lie}, live)
				if got := outcome(s, err); got != "not shown" {
					t.Errorf("%s: got %s (%v), want not shown", what, got, err)
				}
			}
		})
	}
	for name, lie := range map[string]func(leaf []byte, path [][32]byte) ([]byte, [][32]byte){
		"leaf": func(leaf []byte, path [][32]byte) ([]byte, [][32]byte) {
			leaf[len(leaf)-1] ^= 1
			return leaf, path
		},
		"other leaf": func(_ []byte, path [][32]byte) ([]byte, [][32]byte) { return l.leaves[1], path },
		"no leaf":    func(_ []byte, path [][32]byte) ([]byte, [][32]byte) { return nil, path },
		"path": func(leaf []byte, path [][32]byte) ([]byte, [][32]byte) {
			path[0][0] ^= 1
			return leaf, path
		},
		"no path": func(leaf []byte, _ [][32]byte) ([]byte, [][32]byte) { return leaf, nil },
	} {
		t.Run("entry, "+name, func(t *testing.T) {
			trust := recorded(t, l.at(5, l.e[0])).Trust
			s, err := trust.Check(t.Context(), l.at(15, l.e[2]), lying{world: l.world, entry: lie}, file)
			if got := outcome(s, err); got != "not shown" {
				t.Errorf("got %s (%v), want not shown", got, err)
			}
		})
	}
	t.Run("the truth", func(t *testing.T) {
		trust := recorded(t, l.at(5, l.e[0])).Trust
		s, err := trust.Check(t.Context(), l.at(15, l.e[2]), lying{world: l.world}, file)
		if got := outcome(s, err); got != "hand_over" {
			t.Errorf("got %s (%v), want hand_over", got, err)
		}
	})
}

// The proof of every prefix of every small tree contains both roots.
func TestPrefixProofs(t *testing.T) {
	w := newWorld(t)
	w.grow(40)
	for to := uint64(2); to <= 40; to++ {
		for from := uint64(1); from < to; from++ {
			hashes, err := w.Prefix(t.Context(), from, to)
			if err != nil {
				t.Fatal(err)
			}
			prefix, whole, ok := receipt.PrefixRoots(hashes, from, to)
			if !ok || prefix != w.root(from) || whole != w.root(to) {
				t.Fatalf("%d of %d: got %x, %x, %t", from, to, prefix, whole, ok)
			}
			if _, _, ok := receipt.PrefixRoots(append(hashes, [32]byte{}), from, to); ok {
				t.Fatalf("%d of %d: one hash too many", from, to)
			}
			if _, whole, ok := receipt.PrefixRoots(hashes[1:], from, to); ok && whole == w.root(to) {
				t.Fatalf("%d of %d: one hash too few", from, to)
			}
		}
	}
}

// A tree of no leaves has no prefix proof, and none reaches beyond its tree. The callers
// exclude both.
func TestPrefixProofOutOfRange(t *testing.T) {
	for _, r := range [][2]uint64{{0, 0}, {0, 1}, {0, 5}, {2, 1}, {9, 8}} {
		if _, _, ok := receipt.PrefixRoots(make([][32]byte, 4), r[0], r[1]); ok {
			t.Errorf("%d of %d: four hashes are a proof", r[0], r[1])
		}
	}
}

func FuzzPrefixRoots(f *testing.F) {
	f.Add(uint64(3), uint64(7), make([]byte, 32*4))
	f.Add(uint64(1), uint64(1)<<63-1, make([]byte, 32*63))
	f.Fuzz(func(t *testing.T, from, to uint64, b []byte) {
		if to >= 1<<63 {
			return
		}
		var hashes [][32]byte
		for ; len(b) >= 32; b = b[32:] {
			hashes = append(hashes, [32]byte(b))
		}
		if _, _, ok := receipt.PrefixRoots(hashes, from, to); ok && len(hashes) > 64 {
			t.Errorf("%d hashes are a proof", len(hashes))
		}
	})
}

// First use, and checkpoints that the user vouches for.
func TestFirstUse(t *testing.T) {
	l := newRotated(t)
	for name, tt := range map[string]struct {
		from receipt.Source
		want string
	}{
		"live":                  {live, "first_use"},
		"file":                  {file, "unknown"},
		"mirror":                {mirror, "unknown"},
		"live, without a name":  {receipt.Source{Live: true}, "unknown"},
		"not live, with a name": {receipt.Source{Server: testServer}, "unknown"},
	} {
		t.Run(name, func(t *testing.T) {
			dir := filepath.Join(t.TempDir(), "not", "there", "yet")
			trust := openTrust(t, dir)
			if s, err := trust.Check(t.Context(), l.at(5, l.e[0]), l, tt.from); outcome(s, err) != "unknown" {
				t.Errorf("Check: got %s (%v)", outcome(s, err), err)
			}
			if _, err := os.Stat(dir); !errors.Is(err, os.ErrNotExist) {
				t.Error("Check made the directory")
			}
			s, err := trust.Record(t.Context(), l.at(5, l.e[0]), l, tt.from, now)
			if outcome(s, err) != tt.want {
				t.Errorf("Record: got %s (%v), want %s", outcome(s, err), err, tt.want)
			}
			if err == nil && (s.How != receipt.VouchLive || s.Server != testServer) {
				t.Errorf("standing is %+v", s)
			}
			size, root, ok, err := trust.Newest(testOrigin)
			if first := tt.want == "first_use"; err != nil || ok != first || first && (size != 5 || root != l.root(5)) {
				t.Errorf("Newest: %d, %x, %t, %v", size, root, ok, err)
			}
			// An unauthenticated record never pins and never refuses.
			if tt.want == "unknown" {
				if s, err := trust.Check(t.Context(), l.at(5, l.e[0]), l, file); outcome(s, err) != "unknown" {
					t.Errorf("verified later: %s (%v)", outcome(s, err), err)
				}
				fork := l.fork(2)
				fork.grow(8)
				s, err := trust.Record(t.Context(), fork.at(5, l.e[0]), nil, live, now)
				if outcome(s, err) != "first_use" || len(s.Warnings) != 1 || !strings.Contains(s.Warnings[0], "another root at size 5") {
					t.Errorf("another history: %s (%v), warnings %q", outcome(s, err), err, s.Warnings)
				}
			}
			checkFiles(t, dir)
		})
	}
	t.Run("a name that no line could hold", func(t *testing.T) {
		for _, server := range []string{"a b", "a\n", "-", "é", strings.Repeat("x", 3000)} {
			trust := openTrust(t, t.TempDir())
			if s, err := trust.Record(t.Context(), l.at(5, l.e[0]), nil, receipt.Source{Live: true, Server: server}, now); err == nil {
				t.Errorf("server %.20q: %+v", server, s)
			}
		}
	})
	t.Run("unknown logs leave no trace", func(t *testing.T) {
		trust := openTrust(t, t.TempDir())
		for i := range 100 {
			w := newWorld(t)
			w.origin = fmt.Sprintf("made/up/%d", i)
			e := w.openEpoch(nil, 0)
			if _, err := trust.Check(t.Context(), w.at(1, e), nil, file); !errors.Is(err, receipt.ErrUnknownLog) {
				t.Fatalf("got %v, want ErrUnknownLog", err)
			}
		}
		if n := trust.Cached(); n != 0 {
			t.Errorf("%d logs are in memory", n)
		}
	})
}

// checkFiles verifies that all files are private and no temporary file is left.
func checkFiles(t *testing.T, dir string) {
	t.Helper()
	if info, err := os.Stat(dir); err != nil || info.Mode().Perm() != 0o700 {
		t.Errorf("directory has mode %v, %v", info.Mode(), err)
	}
	files, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range files {
		info, err := f.Info()
		if err != nil || info.Mode().Perm() != 0o600 {
			t.Errorf("%s has mode %v, %v", f.Name(), info.Mode(), err)
		}
		if !strings.HasSuffix(f.Name(), ".trust") && !strings.HasSuffix(f.Name(), ".lock") {
			t.Errorf("left behind: %s", f.Name())
		}
	}
}

func TestTrustOnTheUsersWord(t *testing.T) {
	l := newRotated(t)
	forked := l.fork(4)
	forked.grow(20)
	foreign, thief := l.intruder(5, 1)
	for name, tt := range map[string]struct {
		v    *receipt.Checkpoint // nil for none
		c    *receipt.Checkpoint
		log  receipt.Log
		from receipt.Source
		how  receipt.Vouch
		want string // the outcome of Trust; "" for an error of use
	}{
		"first":                      {nil, l.at(5, l.e[0]), nil, file, receipt.VouchOperator, "recorded"},
		"first, by policy":           {nil, l.at(5, l.e[0]), nil, mirror, receipt.VouchPolicy, "recorded"},
		"first, live":                {nil, l.at(5, l.e[0]), nil, live, receipt.VouchLive, "recorded"},
		"live, but it was not":       {nil, l.at(5, l.e[0]), nil, mirror, receipt.VouchLive, ""},
		"as chain":                   {nil, l.at(5, l.e[0]), nil, file, receipt.VouchChain, ""},
		"as unauthenticated":         {nil, l.at(5, l.e[0]), nil, file, receipt.VouchNone, ""},
		"after a restart":            {l.at(15, l.e[2]), l.at(20, l.e[3]), l, file, receipt.VouchOperator, "recorded"},
		"after a restart, not shown": {l.at(15, l.e[2]), l.at(20, l.e[3]), nil, file, receipt.VouchOperator, "not shown"},
		"earlier":                    {l.at(20, l.e[3]), l.at(9, l.e[1]), l, file, receipt.VouchOperator, "recorded"},
		"earlier, not shown":         {l.at(20, l.e[3]), l.at(9, l.e[1]), nil, live, receipt.VouchLive, "not shown"},
		"log fails":                  {l.at(15, l.e[2]), l.at(20, l.e[3]), failingLog{}, live, receipt.VouchLive, "log failed"},
		"fork by V's key":            {l.at(9, l.e[0]), forked.at(12, l.e[0]), forked, live, receipt.VouchLive, "contradicted"},
		"foreign fork":               {l.at(6, l.e[0]), foreign.at(8, thief), foreign, live, receipt.VouchLive, "contradicts, unvouched"},
		"recorded already":           {l.at(9, l.e[0]), l.at(9, l.e[0]), nil, file, receipt.VouchOperator, "recorded"},
	} {
		t.Run(name, func(t *testing.T) {
			trust := openTrust(t, t.TempDir())
			if tt.v != nil {
				trust = recorded(t, tt.v).Trust
			}
			before := content(t, trust)
			s, err := trust.Trust(t.Context(), tt.c, tt.log, tt.from, tt.how, now)
			if tt.want == "" {
				if err == nil {
					t.Errorf("got %+v, want an error", s)
				}
			} else if outcome(s, err) != tt.want {
				t.Errorf("got %s (%v), want %s", outcome(s, err), err, tt.want)
			}
			if err != nil {
				if content(t, trust) != before {
					t.Error("what was refused is recorded")
				}
				return
			}
			again, err := trust.Check(t.Context(), tt.c, nil, file)
			if outcome(again, err) != "recorded" || again.How != s.How || again.Server != s.Server {
				t.Errorf("Check: %+v, %v; Trust was %+v", again, err, s)
			}
		})
	}
}

// Bindings of a server to a log and of a log to a server.
func TestBindings(t *testing.T) {
	const otherServer, otherOrigin = "https://other.example/", "terradourada/other"
	from := func(server string) receipt.Source { return receipt.Source{Live: true, Server: server} }
	a, b := newRotated(t), newRotated(t)
	b.origin = otherOrigin
	b = func() *rotated { // hand-overs name the origin
		l := &rotated{world: newWorld(t)}
		l.origin = otherOrigin
		l.e[0] = l.openEpoch(nil, 0)
		l.grow(6)
		l.e[1] = l.openEpoch(l.e[0], 0)
		l.grow(5)
		return l
	}()
	fork := b.fork(3)
	fork.grow(9)
	type call struct {
		verb string // Record, Check or Trust
		c    *receipt.Checkpoint
		log  receipt.Log
		from receipt.Source
		want string
		srv  string // Standing.Server
	}
	for name, calls := range map[string][]call{
		"a server that shows another log": {
			{"Record", a.at(5, a.e[0]), a, from(testServer), "first_use", testServer},
			{"Record", b.at(5, b.e[0]), b, from(testServer), "bound", ""},
			{"Record", b.at(5, b.e[0]), b, from(otherServer), "first_use", otherServer},
			{"Record", b.at(6, b.e[0]), b, from(testServer), "bound", otherServer},
			{"Record", fork.at(5, b.e[0]), nil, from(testServer), "contradicted", otherServer},
			{"Check", b.at(5, b.e[0]), b, file, "recorded", otherServer},
		},
		"a log at another server": {
			{"Record", a.at(15, a.e[2]), a, from(testServer), "first_use", testServer},
			{"Record", a.at(20, a.e[3]), a, from(otherServer), "bound", testServer},
			{"Record", a.at(16, a.e[2]), a, from(otherServer), "same_key", testServer}, // but it binds nothing
			{"Record", a.at(20, a.e[3]), a, from(otherServer), "bound", testServer},
			{"Record", a.at(20, a.e[3]), a, from(testServer), "live", testServer},
		},
		"a log that moves": {
			{"Record", a.at(15, a.e[2]), a, from(testServer), "first_use", testServer},
			{"Trust", a.at(16, a.e[2]), a, from(otherServer), "recorded", otherServer},
			{"Record", a.at(20, a.e[3]), a, from(testServer), "bound", otherServer},
			{"Record", a.at(20, a.e[3]), a, from(otherServer), "live", otherServer},
			{"Record", b.at(5, b.e[0]), b, from(testServer), "first_use", testServer}, // the old server is free
			{"Record", b.at(5, b.e[0]), b, from(otherServer), "bound", testServer},
		},
		"a server that gets another log": {
			{"Record", a.at(15, a.e[2]), a, from(testServer), "first_use", testServer},
			{"Trust", b.at(5, b.e[0]), b, from(testServer), "recorded", testServer},
			{"Record", b.at(9, b.e[1]), b, from(testServer), "hand_over", testServer},
			{"Record", a.at(16, a.e[2]), a, from(testServer), "bound", ""},
			{"Record", a.at(20, a.e[3]), a, from(otherServer), "other key", ""}, // bound to none
			{"Trust", a.at(15, a.e[2]), nil, from(testServer), "recorded", testServer},
			{"Record", a.at(20, a.e[3]), a, from(testServer), "live", testServer},
			{"Check", b.at(5, b.e[0]), b, file, "recorded", ""},
		},
		"only live records bind": {
			{"Record", a.at(15, a.e[2]), a, mirror, "unknown", ""},
			{"Record", b.at(5, b.e[0]), b, from(mirror.Server), "first_use", mirror.Server},
			{"Trust", a.at(15, a.e[2]), a, receipt.Source{Server: testServer}, "operator", ""},
			{"Record", a.at(20, a.e[3]), a, from(testServer), "other key", ""},
			{"Record", a.at(16, a.e[2]), a, from(testServer), "same_key", ""},
		},
	} {
		t.Run(name, func(t *testing.T) {
			trust := openTrust(t, t.TempDir())
			for i, c := range calls {
				var s receipt.Standing
				var err error
				want := c.want
				switch c.verb {
				case "Record":
					s, err = trust.Record(t.Context(), c.c, c.log, c.from, now) // the clock stands still
				case "Check":
					s, err = trust.Check(t.Context(), c.c, c.log, c.from)
				default:
					how := receipt.VouchLive
					if want == "operator" {
						how, want = receipt.VouchOperator, "recorded"
					}
					s, err = trust.Trust(t.Context(), c.c, c.log, c.from, how, now)
				}
				if outcome(s, err) != want || s.Server != c.srv {
					t.Fatalf("call %d: got %s, server %q (%v), want %s, %q", i, outcome(s, err), s.Server, err, want, c.srv)
				}
			}
			// Another process sees the same records.
			last := calls[len(calls)-1]
			fresh := openTrust(t, filepath.Dir(trust.Path(testOrigin)))
			s, err := fresh.Check(t.Context(), last.c, last.log, last.from)
			if err == nil && s.Server != last.srv {
				t.Errorf("a fresh store binds %s to %q, want %q", last.c.Origin, s.Server, last.srv)
			}
			known, err := trust.List()
			if err != nil || len(known) == 0 {
				t.Fatalf("List: %v, %v", known, err)
			}
			for _, k := range known {
				if k.Origin == last.c.Origin && k.Server != last.srv {
					t.Errorf("List binds %s to %q, want %q", k.Origin, k.Server, last.srv)
				}
			}
		})
	}
}

// The newest checkpoint of the log's own server suffices for a receipt whose
// key nothing else ties to the log.
func TestLive(t *testing.T) {
	s := sharedScene()
	w := s.fork(s.size())
	w.grow(2)
	again := w.openEpoch(nil, 0) // after a restart
	w.grow(3)
	w.t = t
	other, thief := w.intruder(w.size(), 2)
	r := w.receiptAt(s.open, again, w.size()-2, s.withdrawals...)
	newest := w.at(w.size(), again)
	fork := w.fork(s.size() - 2)
	fork.grow(9)
	foreign := newWorld(t)
	foreign.origin = "terradourada/other"
	foreignEpoch := foreign.openEpoch(nil, 0)
	for name, tt := range map[string]struct {
		v    *receipt.Checkpoint
		log  receipt.Log
		c    *receipt.Checkpoint // what the server shows
		from receipt.Source
		err  error
		want string // verdict
		in   string // in the detail of identity, or in warnings
	}{
		"bound server":             {s.at(s.size(), s.second), w, newest, live, nil, receipt.Flagged, "pinned: it is a proved prefix of the checkpoint that the log's own server shows now"},
		"the very checkpoint":      {s.at(s.size(), s.second), w, w.at(w.size()-2, again), live, nil, receipt.Flagged, "pinned: the log's own server shows this checkpoint now"},
		"an earlier one":           {s.at(s.size(), s.second), w, w.at(w.size()-3, again), live, nil, receipt.Flagged, "pinned: it extends"},
		"before V":                 {s.at(s.size(), s.second), w, s.at(s.size()-2, s.second), live, nil, receipt.Unvouched, "without a hand-over"},
		"a mirror":                 {s.at(s.size(), s.second), w, newest, mirror, nil, receipt.Unvouched, "without a hand-over"},
		"another server":           {s.at(s.size(), s.second), w, newest, receipt.Source{Live: true, Server: "https://a.example/"}, nil, receipt.Unvouched, "bind it to " + testServer},
		"another log":              {s.at(s.size(), s.second), w, foreign.at(1, foreignEpoch), live, nil, receipt.Unvouched, "keeps another log"},
		"server is away":           {s.at(s.size(), s.second), w, nil, live, errLog, receipt.Unavailable, "could not be read: log is away"},
		"server is away, pinned":   {w.at(w.size()-3, again), w, nil, live, errLog, receipt.Flagged, "pinned: it extends"},
		"no log":                   {s.at(s.size(), s.second), nil, newest, live, nil, receipt.Unvouched, "a log of this name is recorded, but not this checkpoint"},
		"an extension of it":       {s.at(s.size(), s.second), other, other.at(other.size(), thief), live, nil, receipt.Flagged, "proved prefix"}, // according to the server
		"nothing is vouched for":   {nil, w, newest, live, nil, receipt.Unvouched, "nothing on this machine vouches"},
		"it shows another history": {s.at(s.size(), s.second), fork, fork.at(fork.size(), s.second), live, nil, receipt.Contradicted, "possible split view"},
	} {
		t.Run(name, func(t *testing.T) {
			o := receipt.Options{Trust: openTrust(t, t.TempDir())}
			if tt.v != nil {
				o = recorded(t, tt.v)
			}
			o.Log = tt.log
			o.Live = func(context.Context) (*receipt.Checkpoint, receipt.Source, error) { return tt.c, tt.from, tt.err }
			before := content(t, o.Trust)
			p := verify(t, r, o)
			contradiction, bound := (*receipt.ContradictionError)(nil), (*receipt.BindingError)(nil)
			if (errors.As(p.Reason, &contradiction) || errors.As(p.Reason, &bound)) && strings.Contains(errors.Unwrap(p.Reason).Error(), "does not help") {
				t.Errorf("an accusation is excused: %v", errors.Unwrap(p.Reason))
			}
			if p.Verdict != tt.want || !strings.Contains(step(p, "identity").Detail+fmt.Sprint(p.Warnings), tt.in) {
				t.Errorf("got %s, %q, warnings %q, want %s, %q", p.Verdict, step(p, "identity").Detail, p.Warnings, tt.want, tt.in)
			}
			if content(t, o.Trust) != before {
				t.Error("Verify wrote")
			}
		})
	}
	t.Run("an old checkpoint does not go back before V", func(t *testing.T) {
		// The key of V's predecessor was stolen, and the server repeats what it signed.
		o := recorded(t, w.at(w.size()-3, again))
		o.Log = w
		o.Live = func(context.Context) (*receipt.Checkpoint, receipt.Source, error) {
			return s.at(s.size(), s.second), live, nil
		}
		r := w.receiptAt(s.open, s.second, w.size()-2, s.withdrawals...)
		wantVerdict(t, verify(t, r, o), receipt.Unvouched, "identity", "nothing ties the key")
	})
}

// ending is a log whose copy has only this many leaves.
type ending struct {
	*world
	size uint64
}

func (l ending) Prefix(ctx context.Context, from, to uint64) ([][32]byte, error) {
	if to > l.size {
		return nil, &receipt.ShortError{Size: l.size, Want: to}
	}
	return l.world.Prefix(ctx, from, to)
}

// A refusal names the reason that the user needs: a copy is old, a server was
// set back, no server is bound, or why a server is not believed.
func TestReasons(t *testing.T) {
	l := newRotated(t)
	short, thief := l.intruder(5, 1)
	unread := receipt.Source{Server: testServer, NotLive: errors.New("the port belongs to user 3001")}
	for name, tt := range map[string]struct {
		how  receipt.Vouch // of V
		v, c *receipt.Checkpoint
		log  receipt.Log
		from receipt.Source
		want string // outcome
		says string
	}{
		"no log":               {receipt.VouchLive, l.at(5, l.e[0]), l.at(6, l.e[0]), nil, file, "not shown", "a log of this name is recorded, but not this checkpoint"},
		"an older copy":        {receipt.VouchLive, l.at(5, l.e[0]), l.at(6, l.e[0]), ending{l.world, 5}, file, "not shown", "(5 of 6 leaves)"},
		"an older server":      {receipt.VouchLive, l.at(15, l.e[2]), l.at(9, l.e[1]), ending{l.world, 9}, live, "not shown", "the server shows 9 leaves; this machine has recorded 15"},
		"one not believed":     {receipt.VouchLive, l.at(15, l.e[2]), l.at(9, l.e[1]), ending{l.world, 9}, unread, "not shown", "(9 of 15 leaves); the server is not believed: the port belongs to user 3001"},
		"a restart, no server": {receipt.VouchOperator, l.at(15, l.e[2]), l.at(20, l.e[3]), l, live, "other key", "no server is bound to this log on this machine"},
		"a restart, not live":  {receipt.VouchLive, l.at(15, l.e[2]), l.at(20, l.e[3]), l, unread, "other key", "not believed: the port belongs to user 3001"},
		"unknown, not live":    {"", nil, l.at(5, l.e[0]), l, unread, "unknown", "not believed: the port belongs to user 3001"},
		"a fork, its server":   {receipt.VouchLive, l.at(6, l.e[0]), short.at(8, thief), short, live, "contradicts, unvouched", "shows another history than the one recorded"},
		"a fork":               {receipt.VouchLive, l.at(6, l.e[0]), short.at(8, thief), short, unread, "contradicts, unvouched", "anybody can sign anything"},
	} {
		t.Run(name, func(t *testing.T) {
			trust := openTrust(t, t.TempDir())
			if tt.v != nil {
				from := live
				if tt.how != receipt.VouchLive {
					from = file
				}
				if _, err := trust.Trust(t.Context(), tt.v, nil, from, tt.how, now); err != nil {
					t.Fatal(err)
				}
			}
			s, err := trust.Check(t.Context(), tt.c, tt.log, tt.from)
			if outcome(s, err) != tt.want || !strings.Contains(err.Error(), tt.says) {
				t.Errorf("got %s (%v), want %s and %q", outcome(s, err), err, tt.want, tt.says)
			}
			if errors.As(err, new(*receipt.ShortError)) && strings.Contains(err.Error(), "belong together") {
				t.Errorf("an older copy is blamed: %v", err)
			}
			if strings.Contains(err.Error(), "anybody") != strings.Contains(tt.says, "anybody") {
				t.Errorf("it says %q", err)
			}
		})
	}
}

// An older copy of the log means missing data; an older server is not believed.
func TestOlderThanTheReceipt(t *testing.T) {
	s := sharedScene()
	w := s.fork(s.size())
	w.grow(2)
	w.t = t
	r := w.receiptAt(s.open, s.second, w.size(), s.withdrawals...)
	o := recorded(t, s.at(s.size(), s.second))
	o.Log = ending{w, s.size()}
	wantVerdict(t, verify(t, r, o), receipt.Unavailable, "identity", "the copy of the log is older than the checkpoint")
	o.AllowSelfAsserted = true
	if p := verify(t, r, o); p.Verdict != receipt.Flagged {
		t.Errorf("self-asserted: %s", p.Verdict)
	}
	o = recorded(t, w.at(w.size(), s.second))
	o.Log = ending{w, s.size()}
	o.Live = func(context.Context) (*receipt.Checkpoint, receipt.Source, error) {
		return s.at(s.size(), s.second), live, nil
	}
	r = w.receiptAt(s.open, s.second, s.size()+1, s.withdrawals...)
	p := verify(t, r, o)
	wantVerdict(t, p, receipt.Unvouched, "identity", "the server runs on an older copy, or it is another server")
	if strings.Contains(step(p, "identity").Detail, "does not help") {
		t.Errorf("identity says %q", step(p, "identity").Detail)
	}
	if back := (*receipt.SetBackError)(nil); !errors.As(p.Reason, &back) || back.Recorded != w.size() || back.Size != s.size() {
		t.Errorf("the reason is %v", p.Reason)
	}
}

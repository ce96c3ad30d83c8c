package session_test

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/terradourada/td/internal/lifecycle"
	"github.com/terradourada/td/internal/session"
	"github.com/terradourada/td/protocol"
)

var live = lifecycle.EventIssued{EpochLive: true}

func newSession(n uint64) (*session.Session, *session.Open) {
	var id protocol.RequestID
	binary.BigEndian.PutUint64(id[:], n*0x9e3779b97f4a7c15) // spread over the shards
	return &session.Session{ID: id}, &session.Open{Epoch: protocol.EpochID{1}, Claim: "open/1"}
}

func add(t *testing.T, table *session.Table, n uint64, deadline time.Time) *session.Session {
	t.Helper()
	s, open := newSession(n)
	if err := table.Reserve(0); err != nil {
		t.Fatal(err)
	}
	if code := table.Add(s, open, deadline, live); code != protocol.CodeNone {
		t.Fatalf("session %d: got code %v", n, code)
	}
	return s
}

func answer(s *session.Session, proof byte) (lifecycle.Effect, protocol.Code) {
	c := s.Step(lifecycle.EventAnswer{ClientMatches: true, TagMatches: true}, protocol.Digest{proof})
	return c.Effect, c.Code
}

func TestTakenOnce(t *testing.T) {
	table := session.New(session.Config{})
	for round := range uint64(50) {
		s := add(t, table, round, time.Now().Add(time.Minute))
		var winners atomic.Int32
		var wg sync.WaitGroup
		for i := range byte(64) {
			wg.Go(func() {
				if effect, _ := answer(s, i); effect == lifecycle.EffectRedeem {
					winners.Add(1)
				}
			})
		}
		wg.Wait()
		if n := winners.Load(); n != 1 {
			t.Fatalf("round %d: %d of 64 answers won the session, want 1", round, n)
		}
	}
}

func TestBounded(t *testing.T) {
	table := session.New(session.Config{MaxPending: 3})
	now := time.Now()
	first := add(t, table, 1, now.Add(time.Minute))
	add(t, table, 2, now.Add(time.Minute))
	add(t, table, 3, now.Add(time.Minute))
	if err := table.Reserve(0); !errors.Is(err, protocol.CodeOverloaded) {
		t.Fatalf("a fourth of three places: got %v, want overloaded", err)
	}
	if table.Pending() != 3 {
		t.Errorf("got %d pending, want 3", table.Pending())
	}
	first.Step(lifecycle.EventInvalidate{Reason: protocol.CodeInvalidated}, protocol.Digest{})
	if err := table.Reserve(0); err != nil {
		t.Errorf("the place of an ended session is not free: %v", err)
	}
	table.Release(0)
	if table.Pending() != 2 {
		t.Errorf("got %d pending, want 2", table.Pending())
	}
}

// TestParametersTakePlaces: a session with long parameters takes several places, from
// its reservation to its end.
func TestParametersTakePlaces(t *testing.T) {
	table := session.New(session.Config{MaxPending: 9})
	for params, places := range map[int]int{0: 1, 1: 1, 256: 1, 257: 2, 512: 2, protocol.MaxParamsSize: 8} {
		if err := table.Reserve(params); err != nil {
			t.Fatal(err)
		}
		if got := table.Pending(); got != places {
			t.Errorf("%d bytes of parameters take %d places, want %d", params, got, places)
		}
		s, open := newSession(uint64(params) + 1)
		open.Params = make([]byte, params)
		if code := table.Add(s, open, time.Now().Add(time.Minute), live); code != protocol.CodeNone {
			t.Fatal(code)
		}
		if err := table.Reserve(protocol.MaxParamsSize); places > 1 && !errors.Is(err, protocol.CodeOverloaded) {
			t.Errorf("beside %d places: got %v, want overloaded", places, err)
		} else if err == nil {
			table.Release(protocol.MaxParamsSize)
		}
		s.Step(lifecycle.EventInvalidate{Reason: protocol.CodeInvalidated}, protocol.Digest{})
		if got := table.Pending(); got != 0 {
			t.Errorf("%d places are taken after the end", got)
		}
	}
}

// TestSmallTable: if a table has fewer places than long parameters take, they take all.
func TestSmallTable(t *testing.T) {
	table := session.New(session.Config{MaxPending: 2})
	if err := table.Reserve(protocol.MaxParamsSize); err != nil {
		t.Fatal(err)
	}
	if err := table.Reserve(0); !errors.Is(err, protocol.CodeOverloaded) {
		t.Errorf("beside them: got %v, want overloaded", err)
	}
	table.Release(protocol.MaxParamsSize)
	if got := table.Pending(); got != 0 {
		t.Errorf("%d places are taken after the end", got)
	}
}

func TestAddRefuses(t *testing.T) {
	table := session.New(session.Config{})
	add(t, table, 1, time.Now().Add(time.Minute))
	twin, open := newSession(1)
	_ = table.Reserve(0)
	if code := table.Add(twin, open, time.Now(), live); code != protocol.CodeInternal {
		t.Errorf("the same id twice: got %v, want internal", code)
	}
	dead, open := newSession(2)
	_ = table.Reserve(0)
	if code := table.Add(dead, open, time.Now(), lifecycle.EventIssued{}); code != protocol.CodeInvalidated {
		t.Errorf("issued under a dead epoch: got %v, want invalidated", code)
	}
	if _, ok := table.Get(dead.ID); ok {
		t.Error("a refused session is in the table")
	}
	if table.Pending() != 1 {
		t.Errorf("got %d pending, want 1: the place of a refused session is released", table.Pending())
	}
}

func TestDueAndKept(t *testing.T) {
	table := session.New(session.Config{Keep: 10 * time.Minute})
	start := time.Now()
	var all []*session.Session
	for n := range uint64(300) {
		all = append(all, add(t, table, n, start.Add(time.Duration(n)*time.Second)))
	}
	due := table.Due(start.Add(99 * time.Second))
	if len(due) != 100 {
		t.Fatalf("got %d due at 99 s, want 100", len(due))
	}
	for _, s := range due {
		c := s.Step(lifecycle.EventExpire{}, protocol.Digest{})
		if c.State.Phase != lifecycle.PhaseExpired || !c.Ended || c.Effect != lifecycle.EffectCancel || c.Open == nil {
			t.Fatalf("expire: got %+v", c)
		}
		if again := s.Step(lifecycle.EventExpire{}, protocol.Digest{}); again.Ended || again.Open != nil {
			t.Fatalf("expire again: got %+v", again)
		}
		if s.View().Open != nil {
			t.Fatal("an ended session still holds its payload")
		}
	}
	if again := table.Due(start.Add(99 * time.Second)); len(again) != 0 {
		t.Errorf("%d sessions are due twice", len(again))
	}
	table.Due(start.Add(9 * time.Minute))
	if _, ok := table.Get(all[50].ID); !ok {
		t.Error("an ended session is dropped before its time")
	}
	table.Due(start.Add(99*time.Second + 10*time.Minute))
	for n, s := range all[:100] {
		if _, ok := table.Get(s.ID); ok {
			t.Errorf("ended session %d is kept past its time", n)
		}
	}
}

func TestKeptIsBounded(t *testing.T) {
	const most = 640
	table := session.New(session.Config{MaxKept: most})
	kept := 0
	var all []*session.Session
	for n := range uint64(5000) {
		s := add(t, table, n, time.Now().Add(time.Minute))
		s.Step(lifecycle.EventExpire{}, protocol.Digest{})
		all = append(all, s)
	}
	for _, s := range all {
		if _, ok := table.Get(s.ID); ok {
			kept++
		}
	}
	if kept == 0 || kept > most {
		t.Errorf("got %d ended sessions kept, want 1 to %d", kept, most)
	}
}

func TestAwaitChange(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		table := session.New(session.Config{})
		s := add(t, table, 1, time.Now().Add(time.Minute))
		answer(s, 1)
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if err := s.AwaitChange(ctx, lifecycle.PhaseClaimed); !errors.Is(err, context.DeadlineExceeded) {
			t.Fatalf("nothing changed: got %v, want deadline exceeded", err)
		}
		done := make(chan error)
		for range 3 {
			go func() { done <- s.AwaitChange(t.Context(), lifecycle.PhaseClaimed) }()
		}
		synctest.Wait()
		s.Step(lifecycle.EventAborted{}, protocol.Digest{})
		for range 3 {
			if err := <-done; err != nil {
				t.Error(err)
			}
		}
		if err := s.AwaitChange(t.Context(), lifecycle.PhaseClaimed); err != nil {
			t.Errorf("already changed: got %v", err)
		}
	})
}

func TestRepeatedAnswer(t *testing.T) {
	table := session.New(session.Config{})
	s := add(t, table, 1, time.Now().Add(time.Minute))
	answer(s, 7)
	for _, e := range []lifecycle.Event{
		lifecycle.EventRedeemed{Verdict: protocol.RedeemOK},
		lifecycle.EventVerified{OK: true},
		lifecycle.EventCommitted{Outcome: lifecycle.CommitDone, Index: 42},
	} {
		s.Step(e, protocol.Digest{})
	}
	if effect, code := answer(s, 7); code != protocol.CodeNone || effect != lifecycle.EffectReply || s.View().State.Index != 42 {
		t.Errorf("the same proof again: got %v, %v", effect, code)
	}
	if _, code := answer(s, 8); code != protocol.CodeAlreadyConsumed {
		t.Errorf("another proof: got %v, want already_consumed", code)
	}
	if _, code := answer(s, 7); code != protocol.CodeNone {
		t.Errorf("the accepted proof after another one: got %v", code)
	}
	claims := lifecycle.EventAnswer{ClientMatches: true, TagMatches: true, SameProof: true}
	if c := s.Step(claims, protocol.Digest{8}); c.Code != protocol.CodeAlreadyConsumed {
		t.Errorf("another proof whose event says it is the same: got %v, want already_consumed", c.Code)
	}
}

// TestList: pages follow the order of the ids, and hold no session that has ended.
func TestList(t *testing.T) {
	table := session.New(session.Config{})
	for i := range uint64(100) {
		s := add(t, table, i, time.Now().Add(time.Minute))
		if i%3 == 0 {
			s.Step(lifecycle.EventExpire{}, protocol.Digest{})
		}
	}
	all := func(*session.Session, *session.Open) bool { return true }
	want := table.List(protocol.RequestID{}, 0, all)
	var got []*session.Session
	for after := (protocol.RequestID{}); ; after = got[len(got)-1].ID {
		page := table.List(after, 7, all)
		if got = append(got, page...); len(page) < 7 {
			break
		}
	}
	if len(want) != 66 || len(got) != len(want) {
		t.Fatalf("%d sessions in pages of %d", len(got), len(want))
	}
	for i := 1; i < len(got); i++ {
		if bytes.Compare(got[i-1].ID[:], got[i].ID[:]) >= 0 {
			t.Fatalf("session %d is not after the one before", i)
		}
	}
	if got := table.List(protocol.RequestID{}, 0, func(s *session.Session, o *session.Open) bool { return o.Epoch == protocol.EpochID{2} }); len(got) != 0 {
		t.Errorf("%d sessions of another epoch", len(got))
	}
}

func BenchmarkAddGetExpire(b *testing.B) {
	table := session.New(session.Config{MaxPending: 1 << 30})
	now := time.Now()
	b.ReportAllocs()
	for n := range uint64(b.N) {
		s, open := newSession(n)
		_ = table.Reserve(0)
		table.Add(s, open, now, live)
		table.Get(s.ID)
		s.Step(lifecycle.EventExpire{}, protocol.Digest{})
	}
}

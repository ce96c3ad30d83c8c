package limit_test

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/terradourada/td/internal/limit"
)

// TestQueueOrder: places go to those who wait in order of arrival, to those in a hurry
// first; who has waited for too long is refused when its turn comes, unless it is patient.
func TestQueueOrder(t *testing.T) {
	q, start := limit.NewQueue(1, 0, 5, 100*time.Millisecond), time.Unix(1_800_000_000, 0)
	join := func(at time.Duration, m limit.Ask) *limit.Turn {
		turn, err := q.Join(start.Add(at), m)
		if err != nil {
			t.Fatal(err)
		}
		return turn
	}
	first := join(0, limit.Ask{Units: 1})
	late := join(0, limit.Ask{Units: 1})
	patient := join(0, limit.Ask{Units: 1, Patient: true})
	third := join(30*time.Millisecond, limit.Ask{Units: 1})
	hurry := join(40*time.Millisecond, limit.Ask{Units: 1, Hurry: true})
	hurry2 := join(41*time.Millisecond, limit.Ask{Units: 1, Hurry: true})
	if _, err := q.Join(start, limit.Ask{Units: 1, Hurry: true}); !errors.Is(err, limit.ErrFull) {
		t.Errorf("a sixth waits: %v", err)
	}
	if first.Waits() || !late.Waits() {
		t.Error("the first waits or the second does not")
	}
	leave := func(at time.Duration, turn *limit.Turn) (next *limit.Turn) {
		for _, next = range q.Leave(start.Add(at), turn) {
		}
		return next
	}
	if got := leave(70*time.Millisecond, first); got != hurry {
		t.Error("the place does not go to the one in a hurry")
	}
	if got := leave(70*time.Millisecond, first); got != nil {
		t.Error("a place is left twice")
	}
	if got := leave(80*time.Millisecond, hurry); got != hurry2 {
		t.Error("the place does not go to the second in a hurry")
	}
	if got := leave(110*time.Millisecond, hurry2); got != patient {
		t.Error("the place does not go to the patient one")
	}
	if err := q.Await(t.Context(), late); !errors.Is(err, limit.ErrLate) {
		t.Errorf("after 110 ms: %v", err)
	}
	if got := leave(120*time.Millisecond, patient); got != third || !third.Began().Equal(start.Add(120*time.Millisecond)) {
		t.Error("the place does not go to the third")
	}
	if got := leave(130*time.Millisecond, third); got != nil || q.Waiting(1) != 0 {
		t.Error("a turn still waits")
	}
	if turn := join(140*time.Millisecond, limit.Ask{Units: 1}); turn.Waits() {
		t.Error("the place is not free again")
	}
}

// TestQueueUnits: small work shares what large work takes alone; none overtakes what waits
// but that in a hurry.
func TestQueueUnits(t *testing.T) {
	q, now := limit.NewQueue(4, 0, 9, time.Minute), time.Unix(1_800_000_000, 0)
	join := func(a limit.Ask) *limit.Turn {
		turn, err := q.Join(now, a)
		if err != nil {
			t.Fatal(err)
		}
		return turn
	}
	small := []*limit.Turn{join(limit.Ask{Units: 1}), join(limit.Ask{Units: 1}), join(limit.Ask{Units: 1})}
	large, behind, hurry := join(limit.Ask{Units: 4}), join(limit.Ask{Units: 1}), join(limit.Ask{Units: 1, Hurry: true})
	if small[2].Waits() || !large.Waits() || !behind.Waits() || hurry.Waits() {
		t.Error("the wrong ones wait")
	}
	for _, turn := range append(small, hurry) {
		if next := q.Leave(now, turn); (len(next) == 1) != (turn == hurry) {
			t.Errorf("%d go on", len(next))
		}
	}
	another := join(limit.Ask{Units: 2})
	if next := q.Leave(now, large); len(next) != 2 || next[0] != behind || next[1] != another {
		t.Errorf("%d go on after the large one", len(next))
	}
}

// TestQueueReserve: only what is in a hurry uses the reserve, small and large.
func TestQueueReserve(t *testing.T) {
	q, now := limit.NewQueue(8, 2, 9, time.Minute), time.Unix(1_800_000_000, 0)
	join := func(units int, hurry bool) *limit.Turn {
		turn, err := q.Join(now, limit.Ask{Units: units, Hurry: hurry})
		if err != nil {
			t.Fatal(err)
		}
		return turn
	}
	large, behind := join(8, false), join(1, false)
	if large.Waits() || !behind.Waits() {
		t.Error("the large one waits, or one that is not in a hurry uses the reserve")
	}
	first, second, third := join(1, true), join(1, true), join(1, true)
	if first.Waits() || second.Waits() || !third.Waits() {
		t.Error("the reserve is not as large as it is")
	}
	if next := q.Leave(now, large); len(next) != 2 || next[0] != third || next[1] != behind {
		t.Errorf("%d go on after the large one", len(next))
	}
	for _, turn := range []*limit.Turn{third, behind} {
		q.Leave(now, turn)
	}
	if join(8, true).Waits() {
		t.Error("a large one in a hurry waits for small ones that the reserve has room for")
	}
}

// TestQueueReservePasses: what has room in the reserve waits for none of those that wait, and
// takes nothing from them.
func TestQueueReservePasses(t *testing.T) {
	const within = 100 * time.Millisecond
	q, now := limit.NewQueue(8, 2, 9, within), time.Unix(1_800_000_000, 0)
	join := func(units int, hurry bool) *limit.Turn {
		turn, err := q.Join(now, limit.Ask{Units: units, Hurry: hurry, Patient: true})
		if err != nil {
			t.Fatal(err)
		}
		return turn
	}
	running, overdue := join(8, false), join(8, false)
	now = now.Add(within/2 + 1)
	passing := join(2, true) // puts the second large one in a hurry
	waiting := join(1, true)
	if running.Waits() || !overdue.Waits() || passing.Waits() || !waiting.Waits() {
		t.Fatal("one that has room in the reserve waits, or one that has none does not")
	}
	if next := q.Leave(now, passing); len(next) != 1 || next[0] != waiting {
		t.Errorf("the reserve goes to %d", len(next))
	}
	if next := q.Leave(now, running); len(next) != 1 || next[0] != overdue {
		t.Errorf("%d go on after the first large one", len(next))
	}
}

// TestQueueHurryIsBounded: small turns in a hurry, of which there is always one more, do
// not keep a large one waiting for longer than half of the time and what has begun.
func TestQueueHurryIsBounded(t *testing.T) {
	const within, small, every = 100 * time.Millisecond, 3 * time.Millisecond, time.Millisecond
	q, start := limit.NewQueue(8, 0, 64, within), time.Unix(1_800_000_000, 0)
	running := map[*limit.Turn]time.Duration{} // the small ones with a place, by their end
	var large *limit.Turn
	for at := time.Duration(0); at <= within; at += every {
		now := start.Add(at)
		for turn, end := range running {
			if end <= at {
				delete(running, turn)
				for _, next := range q.Leave(now, turn) {
					if next == large {
						if at < within/2 || at > within/2+2*small {
							t.Errorf("the large one has its place after %v", at)
						}
						return
					}
					running[next] = at + small
				}
			}
		}
		turn, err := q.Join(now, limit.Ask{Units: 1, Hurry: true})
		if err != nil {
			t.Fatal(err)
		}
		if !turn.Waits() {
			running[turn] = at + small
		}
		if at == every {
			if large, err = q.Join(now, limit.Ask{Units: 8}); err != nil {
				t.Fatal(err)
			}
		}
	}
	t.Error("the large one has no place after its time")
}

// TestQueueGivesUp: a turn whose context ends frees its place in the queue, or the place
// that it was given in the same moment.
func TestQueueGivesUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		q := limit.NewQueue(1, 0, 1, time.Minute)
		first, _ := q.Join(time.Now(), limit.Ask{Units: 1})
		for range 100 {
			ctx, cancel := context.WithCancel(t.Context())
			second, err := q.Join(time.Now(), limit.Ask{Units: 1})
			if err != nil {
				t.Fatal(err)
			}
			go cancel()
			q.Leave(time.Now(), first)
			if err := q.Await(ctx, second); err == nil {
				q.Leave(time.Now(), second)
			}
			synctest.Wait()
			if first, err = q.Join(time.Now(), limit.Ask{Units: 1}); err != nil || first.Waits() {
				t.Fatalf("the place is lost: %v", err)
			}
			cancel()
		}
	})
}

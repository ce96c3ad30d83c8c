package keyholder_test

import (
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/terradourada/td/internal/keyholder"
	"github.com/terradourada/td/protocol"
)

// issued is what the model knows of one issued payload.
type issued struct {
	payload  protocol.EncodedPayload
	id       protocol.RequestID
	deadline time.Duration
	closed   bool
}

// model is a table that forgets nothing.
type model struct {
	all []issued
	now time.Duration
}

// live is the request under an id whose deadline has not come.
func (m *model) live(id protocol.RequestID) *issued {
	for i := range m.all {
		if m.all[i].id == id && m.all[i].deadline > m.now {
			return &m.all[i]
		}
	}
	return nil
}

func (m *model) remembered() int {
	n := 0
	for i := range m.all {
		if m.all[i].deadline > m.now {
			n++
		}
	}
	return n
}

func (m *model) redeem(id protocol.RequestID, p protocol.EncodedPayload, right bool) protocol.Redemption {
	r := m.live(id)
	switch {
	case r == nil && right:
		return protocol.RedeemExpired
	case r == nil:
		return protocol.RedeemUnknown
	case !right || r.payload != p:
		return protocol.RedeemMismatch
	case r.closed:
		return protocol.RedeemUsed
	}
	r.closed = true
	return protocol.RedeemOK
}

// The table against the model, with few ids, a small capacity and a clock that
// jumps around the deadlines.
func TestTable(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		const capacity = 5
		table := keyholder.NewTable(capacity)
		m := new(model)
		ids := rapid.Map(rapid.Uint8Range(1, 8), func(b uint8) protocol.RequestID { return protocol.RequestID{b} })
		t.Repeat(map[string]func(*rapid.T){
			"issue": func(t *rapid.T) {
				draft := protocol.Payload{
					Mode:      protocol.ModePush,
					RequestID: ids.Draw(t, "id"),
					TTL:       rapid.Uint32Range(protocol.MinTTL, 4*protocol.MinTTL).Draw(t, "ttl"),
				}
				want := protocol.CodeNone
				switch {
				case m.live(draft.RequestID) != nil:
					want = protocol.CodeConflict
				case m.remembered() == capacity:
					want = protocol.CodeOverloaded
				}
				p, code := table.Issue(m.now, &draft)
				if code != want {
					t.Fatalf("Issue: %v, want %v", code, want)
				}
				if code != protocol.CodeNone {
					return
				}
				draft.Seq = uint64(len(m.all) + 1)
				if p != draft.Encode() {
					t.Fatalf("the issued payload is not the draft with number %d", draft.Seq)
				}
				deadline := m.now + time.Duration(draft.TTL)*time.Millisecond
				m.all = append(m.all, issued{payload: p, id: draft.RequestID, deadline: deadline})
			},
			"redeem": func(t *rapid.T) {
				id, right := ids.Draw(t, "id"), rapid.Bool().Draw(t, "right")
				var p protocol.EncodedPayload
				if len(m.all) > 0 {
					r := m.all[rapid.IntRange(0, len(m.all)-1).Draw(t, "which")]
					p, id = r.payload, r.id
				} else {
					right = false // there is no right tag of a payload that was never issued
				}
				want := m.redeem(id, p, right)
				if got := table.Redeem(m.now, id, &p, right); got != want {
					t.Fatalf("Redeem: %v, want %v", got, want)
				}
			},
			"redeem what was never issued": func(t *rapid.T) {
				id := ids.Draw(t, "id")
				want := m.redeem(id, protocol.EncodedPayload{}, false)
				if got := table.Redeem(m.now, id, new(protocol.EncodedPayload), false); got != want {
					t.Fatalf("Redeem: %v, want %v", got, want)
				}
			},
			"cancel": func(t *rapid.T) {
				id := ids.Draw(t, "id")
				table.Cancel(m.now, id)
				if r := m.live(id); r != nil {
					r.closed = true
				}
			},
			"cancel all": func(*rapid.T) {
				table.CancelAll(m.now)
				for i := range m.all {
					m.all[i].closed = m.all[i].closed || m.all[i].deadline > m.now
				}
			},
			"wait": func(t *rapid.T) {
				m.now += time.Duration(rapid.IntRange(0, 1500).Draw(t, "ms")) * time.Millisecond
			},
			"": func(t *rapid.T) {
				open := 0
				for i := range m.all {
					if m.all[i].deadline > m.now && !m.all[i].closed {
						open++
					}
				}
				s := table.Figures(m.now)
				if s.Issued != uint64(len(m.all)) || s.Pending != uint64(open) || s.Remembered != uint64(m.remembered()) {
					t.Fatalf("figures %+v, want %d issued, %d pending, %d remembered", s, len(m.all), open, m.remembered())
				}
			},
		})
	})
}

// A request is good to the last instant before its deadline and not at it.
func TestTableDeadline(t *testing.T) {
	for _, c := range []struct {
		after time.Duration
		want  protocol.Redemption
	}{
		{0, protocol.RedeemOK},
		{2*time.Second - 1, protocol.RedeemOK},
		{2 * time.Second, protocol.RedeemExpired},
		{time.Hour, protocol.RedeemExpired},
	} {
		table := keyholder.NewTable(1)
		const boot = 42 * time.Hour
		draft := protocol.Payload{RequestID: protocol.RequestID{1}, TTL: 2000}
		p, code := table.Issue(boot, &draft)
		if code != protocol.CodeNone {
			t.Fatal(code)
		}
		if got := table.Redeem(boot+c.after, draft.RequestID, &p, true); got != c.want {
			t.Errorf("after %v: %v, want %v", c.after, got, c.want)
		}
	}
}

func TestTableFigures(t *testing.T) {
	table := keyholder.NewTable(10)
	var p [6]protocol.EncodedPayload
	id := func(i int) protocol.RequestID { return protocol.RequestID{byte(i + 1)} }
	for i := range p {
		p[i], _ = table.Issue(0, &protocol.Payload{RequestID: id(i), TTL: 1000})
	}
	table.Redeem(1, id(0), &p[0], true)
	table.Redeem(1, id(0), &p[0], true)  // used
	table.Redeem(1, id(1), &p[1], false) // mismatch
	table.Redeem(1, id(2), &p[1], true)  // mismatch: another request's payload
	table.Redeem(1, id(9), &p[1], false) // unknown
	table.Cancel(1, id(3))
	table.Cancel(1, id(3))
	table.Cancel(1, id(0))
	want := keyholder.TaggerStats{
		Issued: 6, Redeemed: 1, Cancelled: 1, Pending: 4, Remembered: 6, Mismatched: 2, Unknown: 1, Reused: 1,
	}
	if got := table.Figures(1); got != want {
		t.Errorf("figures %+v, want %+v", got, want)
	}
	table.Redeem(time.Second, id(4), &p[4], true) // late
	want.Expired, want.Pending, want.Remembered, want.Late = 4, 0, 0, 1
	if got := table.Figures(time.Second); got != want {
		t.Errorf("figures after the deadline %+v, want %+v", got, want)
	}
}

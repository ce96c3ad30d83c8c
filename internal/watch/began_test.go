package watch_test

import (
	"slices"
	"testing"

	"github.com/terradourada/td/internal/watch"
)

// TestBegan: an alert counts once as begun and once as ended, also one that joins an
// incident, and not again when its incident is notified again.
func TestBegan(t *testing.T) {
	t.Parallel()
	b := start(t)
	var before watch.Stats
	want := func(what string, fired, ended []string) {
		t.Helper()
		s := b.Stats()
		if f, e := more(before.Fired, s.Fired), more(before.Ended, s.Ended); !slices.Equal(f, fired) || !slices.Equal(e, ended) {
			t.Errorf("%s: %q began and %q ended, want %q and %q", what, f, e, fired, ended)
		}
		before = s
	}
	wrong, both := with(global(watch.WrongTags, 60)), with(global(watch.WrongTags, 60), global(watch.FalseProofs, 60))
	b.ticks(1, wrong)
	want("pending", nil, nil)
	b.ticks(1, wrong)
	want("fires", []string{"WrongTags"}, nil)
	b.ticks(1, both)
	want("goes on", nil, nil)
	b.want("another rule", b.ticks(1, both), "worse")
	want("another one joins", []string{"FalseProofs"}, nil)
	b.ticks(2, wrong)
	want("it ends", nil, []string{"FalseProofs"})
	b.ticks(2, quiet())
	want("the first one ends", nil, []string{"WrongTags"})
	b.ticks(1, with(global(watch.FalseProofs, 60)))
	notices := b.ticks(1, with(global(watch.FalseProofs, 60)))
	b.want("within half an hour", notices, "again")
	want("one is back", []string{"FalseProofs"}, nil)
}

// more returns the rules that count one more than before; a rule that counts more than
// that, or less, is named twice.
func more(before, now map[string]uint64) (rules []string) {
	for rule, n := range now {
		switch n - before[rule] {
		case 0:
		case 1:
			rules = append(rules, rule)
		default:
			rules = append(rules, rule, rule)
		}
	}
	slices.Sort(rules)
	return rules
}

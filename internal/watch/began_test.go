package watch_test

import (
	"slices"
	"testing"

	"github.com/terradourada/td/internal/watch"
)

// TestBegan: an alert counts once as begun and once as ended, also one that joins an
// incident without a notice of its own, and not again when its incident is notified again.
func TestBegan(t *testing.T) {
	t.Parallel()
	b := start(t)
	want := func(what string, began, ended []string) {
		t.Helper()
		if s := b.Stats(); !slices.Equal(s.Began, began) || !slices.Equal(s.Ended, ended) {
			t.Errorf("%s: %q began and %q ended, want %q and %q", what, s.Began, s.Ended, began, ended)
		}
	}
	wrong, both := with(global(watch.WrongTags, 60)), with(global(watch.WrongTags, 60), global(watch.FalseProofs, 60))
	b.ticks(1, wrong)
	want("pending", nil, nil)
	b.ticks(1, wrong)
	want("fires", []string{"WrongTags"}, nil)
	b.ticks(1, both)
	want("goes on", nil, nil)
	if notices := b.ticks(1, both); len(notices) != 0 {
		t.Errorf("an alert of the same severity was notified: %q", words(notices))
	}
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

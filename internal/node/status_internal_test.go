package node

import (
	"context"
	"path/filepath"
	"testing"
	"time"

	"github.com/terradourada/td/api"
	"github.com/terradourada/td/internal/datadir"
	"github.com/terradourada/td/internal/journal"
	"github.com/terradourada/td/protocol"
)

// aJournal opens a journal and runs it until the returned function is called.
func aJournal(t *testing.T, dir string) (*journal.Journal, func()) {
	t.Helper()
	j, err := journal.Open(t.Context(), journal.Config{Path: filepath.Join(dir, datadir.JournalFile)})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error)
	go func() { done <- j.Run(ctx) }()
	return j, func() {
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
		if err := j.Close(); err != nil {
			t.Error(err)
		}
	}
}

// TestHeldByWhom: the status says who froze what, since when and why, by the leaf
// that began it, also after a restart.
func TestHeldByWhom(t *testing.T) {
	t.Parallel()
	dir, begun := t.TempDir(), time.Now().Truncate(time.Millisecond)
	j, stop := aJournal(t, dir)
	for _, c := range []protocol.Control{
		{Action: protocol.ActionFreezeIssue, Reason: reasonDivergence}, // 0
		{Action: protocol.ActionThawIssue},
		{Action: protocol.ActionFreezeIssue, Actor: protocol.Digest{1}, Reason: 77}, // 2
		{Action: protocol.ActionFreezeAccept, Reason: reasonDeaths},                 // 3
		{Action: protocol.ActionFreezeAccept, Reason: reasonDivergence},
	} {
		if _, err := j.Control(t.Context(), time.Now(), journal.Request{Action: "test"}, c); err != nil {
			t.Fatal(err)
		}
	}
	check := func(j *journal.Journal) {
		t.Helper()
		state, err := j.State(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		want := []api.Hold{{Kind: "issue", By: "operator"}, {Kind: "accept", By: "core", Why: "signer or tagger died too often"}}
		got := describeHolds(&state)
		if len(got) != len(want) {
			t.Fatalf("%d holds", len(got))
		}
		for i := range got {
			if got[i].Index == nil || *got[i].Index != uint64(2+i) || got[i].Since == nil || got[i].Since.Before(begun) || time.Since(*got[i].Since) < 0 {
				t.Errorf("hold %d: %+v", i, got[i])
			}
			got[i].Index, got[i].Since = nil, nil
			if got[i] != want[i] {
				t.Errorf("hold %d: %+v, want %+v", i, got[i], want[i])
			}
		}
	}
	check(j)
	stop()
	j, stop = aJournal(t, dir)
	defer stop()
	check(j)
}

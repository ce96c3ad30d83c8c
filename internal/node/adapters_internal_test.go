package node

import (
	"context"
	"path/filepath"
	"testing"
	"time"

	"github.com/terradourada/td/internal/journal"
	"github.com/terradourada/td/protocol"
)

// runningJournal is a new journal with one epoch open.
func runningJournal(t *testing.T) *journal.Journal {
	t.Helper()
	j, err := journal.Open(t.Context(), journal.Config{Path: filepath.Join(t.TempDir(), "journal.db")})
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- j.Run(ctx) }()
	t.Cleanup(func() {
		stop()
		if err := <-ended; err != nil {
			t.Error(err)
		}
		if err := j.Close(); err != nil {
			t.Error(err)
		}
	})
	if _, err := j.Append(t.Context(), time.Now(), &protocol.EpochOpen{Number: 1, ID: protocol.EpochID{7}, SignerGrade: 1, TaggerGrade: 1}); err != nil {
		t.Fatal(err)
	}
	return j
}

// TestHolds: what the journal holds, the gate is told.
func TestHolds(t *testing.T) {
	j := runningJournal(t)
	h, vk := holds{j}, protocol.Digest{9}
	if h.IssueHeld(vk) || h.AcceptHeld(vk) || !h.Writable() {
		t.Error("a new journal holds something")
	}
	if _, err := j.Control(t.Context(), time.Now(), protocol.Control{Action: protocol.ActionFreezeAccept}); err != nil {
		t.Fatal(err)
	}
	state, err := j.State(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	list := describeHolds(&state)
	if h.IssueHeld(vk) || !h.AcceptHeld(vk) || len(list) != 1 || list[0].Kind != "accept" || list[0].Claim != nil {
		t.Errorf("after a freeze of acceptance: %v %v %+v", h.IssueHeld(vk), h.AcceptHeld(vk), list)
	}
}

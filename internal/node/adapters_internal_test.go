package node

import (
	"context"
	"errors"
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

// TestHolds: a hold that is in force is refused by the journal and described.
func TestHolds(t *testing.T) {
	j := runningJournal(t)
	vk := protocol.Digest{9}
	if j.Check(journal.Issue, vk) != nil || j.Check(journal.Accept, vk) != nil || !j.Writable() {
		t.Error("a new journal holds something")
	}
	if _, err := j.Control(t.Context(), time.Now(), journal.Request{Action: "test"}, protocol.Control{Action: protocol.ActionFreezeAccept}); err != nil {
		t.Fatal(err)
	}
	state, err := j.State(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	list := describeHolds(&state)
	issue, accept := j.Check(journal.Issue, vk), j.Check(journal.Accept, vk)
	if issue != nil || !errors.Is(accept, protocol.CodeFrozen) || len(list) != 1 || list[0].Kind != "accept" || list[0].Claim != nil {
		t.Errorf("after a freeze of acceptance: %v, %v, %+v", issue, accept, list)
	}
}

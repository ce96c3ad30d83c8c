package main_test

import (
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/terradourada/td/protocol"
)

// TestDiskFull takes the server's right to write files away for a while, as a
// full disk does: nothing is accepted, nothing acknowledged is lost, nothing is
// frozen, and it goes on by itself when there is room again.
func TestDiskFull(t *testing.T) {
	t.Parallel()
	b := startBackend(t, t.TempDir(), limits...)
	ctx := t.Context()
	kept := b.wantAccepted(ctx, b.mustAnswer(ctx))
	all := b.answers(ctx, 3)
	var before unix.Rlimit
	if err := unix.Prlimit(b.cmd.Process.Pid, unix.RLIMIT_FSIZE, &unix.Rlimit{Cur: 1, Max: unix.RLIM_INFINITY}, &before); err != nil {
		t.Skipf("the limit of another process cannot be set here: %v", err)
	}
	first, err := b.send(ctx, all[0], 0)
	if code := protocol.CodeOf(err); code != protocol.CodeLedgerUnavailable && code != protocol.CodeInvalidated {
		t.Errorf("an answer while nothing can be written: %v, %v", first, err)
	}
	r := b.submit(all[1].ch.RequestID, all[1].ch.Tag, all[1].proof)
	b.wantProblem("an answer after that", r, protocol.CodeLedgerUnavailable)
	if _, err := b.challenge(ctx, submission()); protocol.CodeOf(err) != protocol.CodeLedgerUnavailable {
		t.Errorf("a challenge meanwhile: %v", err)
	}
	if _, err := b.Receipt(ctx, kept.RequestID, 0); err != nil {
		t.Errorf("receipts cannot be had meanwhile: %v", err)
	}
	if err := unix.Prlimit(b.cmd.Process.Pid, unix.RLIMIT_FSIZE, &before, nil); err != nil {
		t.Fatal(err)
	}
	eventually(t, 15*time.Second, "the journal is not written again", func() bool {
		_, err := b.challenge(ctx, submission())
		return err == nil
	})
	b.wantAccepted(ctx, all[1]) // which consumed nothing
	b.alive()
	rows := awaitPublished(t, b.data)
	wantSameLog(t, b.data, rows)
	if index, ok := acceptedIn(t, rows)[kept.RequestID]; !ok || index != kept.Index {
		t.Error("what was accepted before is gone")
	}
	b.stop(10 * time.Second)
}

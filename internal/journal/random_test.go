package journal_test

import (
	"testing"

	"pgregory.net/rapid"

	"github.com/terradourada/td/internal/journal"
	"github.com/terradourada/td/protocol"
)

// A log with a random history, restarts included, passes the audit of the
// harness, and the next start finds that every table agrees with the leaves.
func TestRandomHistory(t *testing.T) {
	rapid.Check(t, func(r *rapid.T) {
		l := newLog(t, newSQLite(t), journal.Config{})
		defer func() { l.stop() }()
		keys := []protocol.Digest{l.vk}
		for range rapid.IntRange(1, 40).Draw(r, "steps") {
			switch rapid.SampledFrom([]string{"accept", "accept", "accept", "claim", "retire", "revoke", "epoch", "close", "restart"}).Draw(r, "step") {
			case "accept":
				a := acceptance(&l.epoch, rapid.SampledFrom(keys).Draw(r, "key"))
				size := rapid.Uint64Range(1, 20).Draw(r, "size")
				a.Leaf.Issued.Position, a.Leaf.Issued.SignedRoot = rapid.Uint64Range(0, size-1).Draw(r, "position"), signedRoot(size)
				l.may(l.accept(a), protocol.CodeUnknownClaim, protocol.CodeInvalidated)
			case "claim":
				keys = append(keys, l.addClaim())
			case "retire":
				l.may(l.control(protocol.ActionRetireVK, rapid.SampledFrom(keys).Draw(r, "key")), protocol.CodeConflict)
			case "revoke":
				l.may(l.control(protocol.ActionRevokeEpoch, journal.EpochTarget(l.epoch.ID)), protocol.CodeConflict)
			case "epoch":
				l.openEpoch()
			case "close":
				c := &protocol.EpochClose{
					ID: l.epoch.ID, Number: l.epoch.Number,
					Reason:   protocol.CloseReason(rapid.IntRange(1, 5).Draw(r, "reason")),
					Issued:   signedRoot(rapid.Uint64Range(0, 30).Draw(r, "issued")),
					Accepted: rapid.Uint64Range(0, 5).Draw(r, "accepted"), Rejected: rapid.Uint64Range(0, 5).Draw(r, "rejected"),
					Expired: rapid.Uint64Range(0, 5).Draw(r, "expired"), Invalidated: rapid.Uint64Range(0, 5).Draw(r, "invalidated"),
				}
				_, err := l.Append(l.Context(), l.now, c)
				l.may(err, protocol.CodeConflict, protocol.CodeInternal)
			case "restart":
				l.restart()
			}
		}
		l.check(uint64(len(l.told)))
		l.restart()
	})
}

// may accepts success or one of these refusals.
func (l *log) may(err error, codes ...protocol.Code) {
	l.Helper()
	for _, c := range append(codes, protocol.CodeNone) {
		if protocol.CodeOf(err) == c {
			return
		}
	}
	l.Errorf("refused: %v", err)
}

// Package datadir knows the data directory of a server as a whole: the names in it, and
// how it is audited, copied and restored.
//
// # What belongs together
//
//	journal.db   the truth: every row is a leaf of the log (package journal)
//	ledger/      the log, a projection of the journal, never ahead of it (package ledger)
//	published/   checkpoints that the server has published (package receipt)
//	backups/     copies of these three, made by the server itself
//
// # Audit
//
// [Audit] compares the three with one another, and checks the rules of the log in every
// entry (package audit). It takes no lock and writes nothing, so the server may run. It
// reads in the order recorded checkpoints, log, journal: a server writes them in the
// opposite order, so what it writes meanwhile is never a difference.
package datadir

import "github.com/terradourada/td/internal/journal"

// The names of what a server makes in its data directory.
const (
	JournalFile  = "journal.db" // with files beside it, see [journal.Suffixes]
	LedgerDir    = "ledger"     // the log
	PublishedDir = "published"  // the record of the checkpoints that were published
)

// Names returns the names of all that a server may make in its data directory.
func Names() []string {
	names := []string{JournalFile, LedgerDir, PublishedDir}
	for _, suffix := range journal.Suffixes() {
		names = append(names, JournalFile+suffix)
	}
	return names
}

// Package datadir knows the data directory of a server as a whole: the names in it, and
// how it is audited, copied and restored.
//
// # What belongs together
//
//	journal.db   the truth: every row is a leaf of the log (package journal)
//	ledger/      the log, a projection of the journal, never ahead of it (package ledger)
//	published/   checkpoints that the server has published (package receipt)
//	backups/     copies of these three, made by the server itself
//	notify/      sinks of alerts with their secrets, and what waits for them; in no copy
//
// # Audit
//
// [Audit] compares the three with one another, and checks the rules of the log in every
// entry (package audit). It takes no lock and writes nothing, so the server may run. It
// reads in the order recorded checkpoints, log, journal: a server writes them in the
// opposite order, so what it writes meanwhile is never a difference.
//
// # Backup
//
// [Backup] copies in that order, too. The journal is copied by SQLite in one read
// transaction, the log tile by tile: exactly the tree of one checkpoint. The copy is
// audited, synced, and renamed whole. Memory does not grow with a log but for 36 bytes an
// entry, in the audit.
//
// A server that has confined itself may write below its data directory only, and a
// client of its admin socket names no path of the server's machine. [BackupAs] therefore
// writes to backups/ in the data directory, under a plain name. From there the operator
// moves a copy to another disk. A descriptor of a client's directory would not help:
// Landlock judges by where a file is, and not by who has opened the directory. A server
// under load passes a [Pace] with its options.
package datadir

import "github.com/terradourada/td/internal/journal"

// The names of what a server makes in its data directory.
const (
	JournalFile  = "journal.db" // with files beside it, see [journal.Suffixes]
	LedgerDir    = "ledger"     // the log
	PublishedDir = "published"  // the record of the checkpoints that were published
	BackupsDir   = "backups"    // copies that the server made, see [BackupAs]
	EvidenceDir  = "evidence"   // of incidents
	NotifyDir    = "notify"     // the store of the notifier
	AnomalyDir   = "anomaly"    // what is usual, for the detectors of anomalies
	SocketFile   = "admin.sock" // the admin socket, unless a setting names another path
)

// Names returns the names of all that a server may make in its data directory.
func Names() []string {
	names := []string{JournalFile, LedgerDir, PublishedDir, BackupsDir, EvidenceDir, NotifyDir, AnomalyDir, SocketFile}
	for _, suffix := range journal.Suffixes() {
		names = append(names, JournalFile+suffix)
	}
	return names
}

// Package ledger keeps the Merkle log of section 12: tiles, checkpoints and
// proofs on disk, as a deterministic projection of the journal.
//
// The journal is the truth and the log decides nothing. Entry number n of the
// log is row number n of the journal, always; after any crash the projection
// goes on from the size it had reached; a log directory that was deleted is
// built again from row 0.
//
// # Order of starting
//
// [Open] reads the journal's size once. Rows below that size were there before
// this process; every row from there on must be announced by
// [Ledger.Committed]. So Open must return before the journal's writer takes
// its first row, and Committed must be called for each commit, in order. This
// makes the core's own view sound: a row that is in the journal without having
// been announced, an announced row that reads back differently, and a tree
// whose root is not the root of what was announced all end in [ErrDiverged].
// The core's own compact range is seeded from the tiles found at Open (whose
// last bundle, and whose published checkpoint, have been compared by then),
// runs over the remaining old rows as the projection reads them, and over the
// announced leaves after that; it is compared with a root computed from the
// tiles on disk each time the projection has grown, and before any checkpoint
// of that size is asked for.
//
// # Who writes what
//
// Tessera's POSIX driver sequences and integrates. It does not publish: its
// publication compares a file time with the wall clock (a clock set back would
// stop checkpoints until it caught up), does not publish again when only the
// signer changed, and asks a signer for a root before anybody has compared it.
// Publication is this package's: one goroutine takes the compared size and
// root, asks the current [Signer], verifies the answer under that signer's
// key, writes the file and only then shows it. Without a signer, or with one
// that is dead, slow or wrong, there is no new checkpoint and the projection
// goes on.
//
// Tessera's queue can hand over two batches in the wrong order when several
// are in flight (its timer and its size limit send from different goroutines).
// Therefore one batch is in flight at a time, and the next is read from the
// journal and hashed meanwhile.
//
// # Directory
//
//	checkpoint     the published checkpoint (C2SP tlog-checkpoint)
//	tile/...       hash tiles and entry bundles (C2SP tlog-tiles)
//	origin         the log's origin and a newline, written before anything else
//	lock           held by the one process that projects
//	.state/        Tessera's own
//
// Everything in it is public.
package ledger

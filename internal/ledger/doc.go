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
// # Growing
//
// One goroutine takes rows in batches, in the journal's order, and writes the
// entry bundles and hash tiles that they complete or widen. Every file is
// written whole: as a new file under a temporary name, synced, renamed into
// place; then the directory is synced. Only when all files of a batch are there
// is the root read back from the tiles and compared.
//
// The size of the log is the size of the published checkpoint; no other file
// records it. After each start everything beyond that size is written again from
// the rows, because a crash may have left files incomplete. Only the names of the
// entry bundles are used: a bundle with more entries than the journal has rows
// shows that the journal has lost rows ([ErrAhead]).
//
// # Failures
//
// No failure of the file system ends the process, and reading continues. A batch
// that fails counts as not written. It is retried after a pause of at most a
// second, each file as a new one. A file whose sync failed is not synced again: the
// kernel reports a lost write once, and the next sync may succeed without the data.
// [Ledger.Condition] reports what fails and since when. [Open] returns
// [ErrMismatch] if a file contradicts the journal or the published checkpoint, or
// is missing; a file that cannot be read is another error.
//
// # Publishing
//
// Another goroutine takes the compared size and root, asks the current
// [Signer], verifies the answer under that signer's key, writes the file, and
// then makes the checkpoint known. Without a signer, or with one that has exited,
// is slow or answers wrongly, there is no new checkpoint; the projection continues.
//
// # Partial tiles
//
// The partial tiles of the last 64 checkpoints are kept, and those of the tree that
// is being signed and of the newest tree. Others are removed every 16 batches,
// those of earlier processes included. [Ledger.Read] returns a removed tile from a
// wider one, so that only a reader of the files can miss it.
//
// # Directory
//
//	checkpoint     the published checkpoint (C2SP tlog-checkpoint)
//	tile/...       hash tiles and entry bundles (C2SP tlog-tiles)
//	origin         the log's origin and a newline, written before anything else
//	lock           held by the one process that projects
//	.new-N         a file that is being written, here or below tile
//
// Everything in it is public.
package ledger

// Package ledger keeps the Merkle log of section 12: tiles, checkpoints and
// proofs on disk, as a deterministic projection of the journal.
//
// The journal is the truth, and the log decides nothing. Entry number n of the log is
// always row number n of the journal. After a crash the projection continues from the size
// that it had reached. A log directory that was deleted is built again from row 0.
//
// # Order of starting
//
// [Open] reads the size of the journal once. Rows below it were there before this
// process. Every later row must be announced by [Ledger.Committed]. So Open must return
// before the first row is written, and Committed must be called for each commit, in order.
//
// Run ends in [ErrDiverged] if a row was not announced, if an announced row reads back
// differently, or if the tree has another root than the announced rows. To find this the
// core has a compact range of its own. It begins with the tiles found at Open, whose last
// bundle and published checkpoint were compared, and is extended by the old rows and then
// by the announced leaves. Whenever the projection has grown, and before a checkpoint of
// that size is requested, its root is compared with that of the tiles on disk.
//
// # Growing
//
// One goroutine takes rows in batches, in the order of the journal, and writes the entry
// bundles and hash tiles that they complete or widen. Every file is written whole: as a
// new file under a temporary name, synced, and renamed; then the directory is synced. When
// all files of a batch are there, the root is read back from the tiles and compared.
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
// Another goroutine requests a signature of the compared size and root from the current
// [Signer], verifies it, writes the file, and then makes the checkpoint known. There is no
// new checkpoint while there is no signer, or while it fails; the projection continues.
//
// Cosignatures come later, from [Ledger.Cosigned], and publication does not wait for them.
// The file and [Ledger.Latest] have them while no newer checkpoint is published.
//
// # Partial tiles
//
// The partial tiles of the last 64 checkpoints are kept, and those of the tree that
// is being signed and of the newest tree. Others are removed every 16 batches,
// those of earlier processes included. [Ledger.Read] returns a removed tile from a
// wider one, as readers of the files do.
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

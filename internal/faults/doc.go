// Package faults holds no code, only tests: they inject faults into real
// servers and check whether anything that was acknowledged is lost. "make
// faults" runs them; without TD_FAULTS they are skipped.
//
// # What is injected
//
//   - SIGKILL of the core under load, or during its start; of signer, tagger,
//     prover and launcher under load.
//   - Power cuts of the whole machine: the server, the ledger and a client with
//     its receipts and trust record are on one disk.
//   - Transient device errors: writes and flushes fail with EIO or ENOSPC for
//     0.3 to 4 s, then the disk works again and the load continues. The file
//     system is unmounted and mounted again before anything is checked, so that
//     nothing is read from the page cache.
//   - File faults: files of the data directory missing, empty, truncated,
//     unreadable, of another owner, immutable, moved away, on a full or
//     read-only file system, or one that becomes read-only under load.
//
// # How a disk is modelled
//
// The disk is a file of a FUSE file system that the test serves itself, with
// ext4 on a loop device above it. It logs each write and each flush in the
// order in which they were complete. A flush covers the writes that were
// complete when it began. A cut after k operations keeps what the flushes among
// them cover; of the other writes it keeps nothing, everything, or a random
// subset in which single sectors of 512 bytes may be missing. The file system
// is mounted from the result, and the next server starts on it.
//
// # What is checked
//
// A client records each acknowledged answer, and how many operations the disk
// had completed when the answer was received. After each fault the server is
// started again. Each answer that was acknowledged before the fault must be in
// the journal exactly once, at its index; the published log must hold the same
// leaves as the journal; each receipt must verify against a checkpoint that
// extends those recorded before, in a trust store outside of the disk. At the end of
// each log td log audit must find nothing, and td verify must find every receipt valid.
//
// After a file fault a server may refuse to start until the fault is repaired.
// It may not start with less than was acknowledged. After every other fault it
// must start.
//
// # Controls
//
// Two controls lose answers on purpose: an older copy of the data directory,
// and a disk that drops what it had flushed. The run fails unless each loss is
// found.
//
// # Repeating a run
//
// All choices follow from a seed, which is printed and can be given in
// TD_FAULTS_SEED. The scheduling of processes does not: a second run makes the same
// choices, at moments that differ a little.
package faults

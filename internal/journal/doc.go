// Package journal is the authoritative record of Terra Dourada, in SQL. The
// commit of one of its transactions is the acceptance of a proof, and nothing
// else is.
//
// # What it holds
//
// It holds the leaves, exactly as they enter the log, numbered from 0 without gaps in the
// order of their commits; the index that makes an acceptance unique (request
// id, anchor, commitment, scope and nullifier); epochs and whether they are
// live; registered claims; the control state (holds, seal, withdrawals); the
// evidence of hardware about an epoch; the API clients with the digests of their
// keys; the audit rows. It holds no secret key, tag, ML-DSA signature or content of an
// event, and has no column for them.
//
// # One writer
//
// All writes pass through the goroutine of [Journal.Run]. It takes up to 256
// waiting submissions into one transaction, in order of arrival, and judges
// each by the state that the ones before it left. A refused one writes nothing
// and does not affect the others. A control action has a transaction of its own
// and overtakes waiting submissions. The sequence number, the time and the
// count of withdrawals in the header of a leaf come from one counter row that
// the transaction locks; the time is never less than the previous leaf's.
// Everything the writer decides by is read again at the start of each
// transaction, so that a failed one leaves nothing behind.
//
// # Audit
//
// Every request of the administration is an audit row, refused ones included. No row,
// no action: [Journal.Audited] commits the row before it calls the effect.
// [Journal.Control], [Journal.Incident] and the changes of API clients commit the row
// and the effect in one transaction. A row and its leaf share a salt: the row opens the
// leaf's commitments to actor and reason, and [Journal.VerifyAudit] compares them.
//
// [Journal.Stop] is for what must not wait for a disk: a freeze, the seal, a forced
// rotation. It is in force in memory at once. The writer begins each transaction with
// the stops that are not committed yet, so they come before the next acceptance.
//
// # Outcomes
//
// A nil error means committed and flushed to the disk. After an error the
// entry was certainly not written, unless errors.Is(err, [ErrUnknown]). Then
// the caller's context ended while the writer was at work, or the COMMIT
// itself failed and its effect is not known. [Journal.Accepted] returns
// ErrUnknown for that request until its outcome is known.
//
// A failed COMMIT may still be on the disk and take effect at the next start.
// The writer therefore commits an empty transaction after it, and at every
// start, before it relies on what it reads. After that, the earlier one is
// either part of the history or can never become so. The same commit flushes
// what a killed process had written but not flushed.
//
// # After a failed write
//
// A kernel that cannot write a page reports that once and then treats the page
// as written. So after any error of a write or a flush, except a full disk, the
// writer no longer uses the file. It copies the journal to a new file, flushes
// and verifies that, and puts it in place. Until then it acknowledges nothing,
// and the outcome of what was in flight is unknown. [Journal.Condition] reports
// this state, its cause and when it began. A start that finds the write-ahead
// log of a process that did not close the journal makes it durable first.
// Decision 0021 has the reasons.
//
// # Refusals
//
// The codes of refusals: frozen (a hold on accept, or any leaf after the seal);
// invalidated (the epoch is not live); unknown_claim (the claim has no leaf, or
// its verifying key is retired); conflict (the request id, anchor, commitment, epoch or
// verifying key exists already, or the epoch does not name the last one as its
// previous); nullifier_used; not_found (the target of a control action does not
// exist); internal (the core contradicts the journal about what it accepted);
// overloaded (too many stops wait to be written); ledger_unavailable (the journal
// cannot be written at the moment).
//
// # SQLite
//
// WAL, synchronous=FULL, foreign keys, STRICT tables, append-only triggers; one
// connection for writing and a small read-only pool beside it. The writer makes
// the checkpoints, because SQLite does not report a failure of its own ones. A
// lock file beside the database keeps a second writer out.
//
// # What is checked at every start
//
// Everything that the other tables and their indexes must hold follows from the
// leaves: what was accepted; which nullifiers are used; the epochs, how many
// acceptances each has, and which of them has the greatest root of the issued
// tree; the claims, holds and withdrawals; and the counter row with the seal.
// Each header must count the withdrawals before it. Open runs PRAGMA
// quick_check, which does not check indexes. It then reads all leaves once,
// computes those rows again, and compares them with every row and every index
// entry. A journal with any difference is refused: without a missing row, a
// commitment or a member could be accepted twice. With 100,000 acceptances the
// comparison takes 0.8 s on a busy machine of two processors. It takes 1.7 s if
// all are of group/1, whose parameters are parsed; quick_check takes 0.25 s.
//
// # What is checked after a start
//
// With more leaves than [Config].CheckLater, Open leaves both checks to
// [Journal.Compare], which runs while the journal is open. Acceptances wait for it,
// unless three things hold: an earlier process made the comparison; every process since
// closed the journal in order; and the inode, size and times of the file are those that
// were noted at the last close, so no other program has written it. What a start appends
// meanwhile, the ends and beginnings of epochs, follows from leaves alone. After a
// difference acceptances are refused permanently, and the caller freezes.
//
// Evidence about an epoch is not compared: its verifiers need no journal. Audit rows
// must be numbered without gaps, and a copy made after a failed write must hold every
// client, key and row that was acknowledged; [Journal.VerifyAudit] compares the rows
// with the leaves. A leaf that was added together with everything that follows from it
// is not detected here. The ledger, a later checkpoint that was recorded, or an audit
// detects it. An audit also verifies the paths and signatures of the issued
// tree, and that no position occurs twice in an epoch.
package journal

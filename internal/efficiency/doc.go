// Package efficiency holds no code, only tests. They count what one event costs, and
// compare the counts with a golden file: a change that makes an event cost one signature,
// one proof verification or one journal transaction more is a visible change of that file.
//
// A core is gate, epochs, session table, journal and ledger as a server has them, on files,
// with a real signer and a real tagger. Frames are counted on the sockets of these two
// processes. A signer signs once for each frame anchor (ML-DSA-65), issued root, checkpoint
// and hand-over (Ed25519), and verifies each signature once; a tagger computes one HMAC for
// each frame issue and redeem. Proof verifications are those that the gate reports, each of
// which is one product of pairings. Transactions are those that the journal reports.
//
// Times and allocations are not counted here: they depend on the machine. Flushes of the
// disk are not counted either; the journal makes one for each transaction.
package efficiency

// Package receipt reads, writes and verifies receipts of TD/1 (section 13 of
// docs/spec/td-1.md): everything that an auditor needs to check an acceptance
// with no server and no network. It is small, and should be read before it is
// trusted: [Verify] and the files verify.go, steps.go, withdrawals.go,
// binding.go, identity.go and trustrules.go first.
//
// # Receipt
//
// A receipt is a JSON object with exactly these members:
//
//	{"version": 1,
//	 "leaf":   "…", "log": "…",             the accepted leaf
//	 "claim":  {"leaf": "…", "log": "…"},   the leaf of its claim and verifying key
//	 "epoch":  {"leaf": "…", "log": "…"},   the epoch-open leaf that its payload names
//	 "signer": {"leaf": "…", "log": "…"},   the epoch-open leaf whose key signed the checkpoint
//	 "last":   {"leaf": "…", "log": "…"},   the last leaf of the checkpoint's tree
//	 "flags":  [{"leaf": "…", "log": "…"}]} control leaves that withdraw an epoch or a claim
//
// A "leaf" is the base64url, without padding, of the exact bytes logged; a
// "log" is a C2SP tlog-proof@v1 text, verbatim:
//
//	c2sp.org/tlog-proof@v1
//	index 4
//	nND/nri/U0xuHUrYSy0HtMeal2vzD9V4k/BO79C+QeI=
//	…one line for each hash, from the leaf upwards…
//
//	terradourada/0123456789abcdef
//	11
//	sFodV/vSp5O8n9a8QpW6PRY97tfOSW5bsc2Xl/EQi08=
//
//	— terradourada/0123456789abcdef hI2DJw…
//
// There is no extra line and no extension line; numbers and base64 are
// canonical, an origin is 1 to 128 printable ASCII characters without space and
// "+". All log texts of a receipt end in the byte-identical checkpoint. The
// first three lines under the empty one are signed with Ed25519, in the form of
// C2SP signed-note, by the checkpoint key of the signer leaf. The key name is
// the origin. There are at most 32 signature lines, no two of one name and key
// id. If the epoch signed its own checkpoint, epoch and signer are the same
// pair.
//
// Flags are leaves 5 of action 6 (its target is the fingerprint of a verifying
// key) or 9 (an epoch id and 16 zero bytes). They are in log order, at most
// [MaxFlags]. They are all of the log up to the checkpoint, or those about this
// epoch and claim. The list is present even if it is empty. The header of every
// leaf counts the withdrawals before it. So flags numbered from 0 up to the
// count of the last leaf are complete according to the log; if the last leaf is
// a withdrawal itself, it counts as shown.
//
// # Opening
//
// An opening is private; it is never part of a receipt. The event is its RFC
// 8785 text, as a JSON string:
//
//	{"version": 1, "request_id": "<hex>", "event": "…", "blind": "<base64url>", "client_salt": "<base64url>"}
//
// The opening of a single field of a record contains its number, the value as
// section 6 encodes it, its salt, three siblings from the leaf upwards, and
// h = C(e, r). All but the first are base64url:
//
//	{"i": 2, "value": "…", "salt": "…", "siblings": ["…", "…", "…"], "h": "…"}
//
// # Policy file
//
// The C2SP tlog-policy text: lines "log VKEY", "witness NAME VKEY [URL]", "group NAME
// all|any|N MEMBER…" and one "quorum NAME|none"; "#" begins a comment. The keyword
// witness is C2SP's word for a cosigner. A log is submitted to a cosigner at its URL;
// verification does not use it. A witness key is one of C2SP tlog-cosignature, Ed25519
// or ML-DSA-44; a group can ask for both of one cosigner. A group names at most 4096
// keys, with those of its members. A log key is an operator's own key on the same
// checkpoint. Since a log's checkpoint key changes with every epoch, a line
// "origin NAME" may name a log without a key.
//
// A file must name a log in one of the two ways. If it names several, any one of them
// is enough. No key may be named twice. A receipt's checkpoint need not carry the
// signatures itself: see Options.Cosigned.
//
// # Trust store
//
// A directory with one file per log, named by the first 16 bytes of the SHA-256
// of its origin in hexadecimal and ".trust", mode 0600, lines of text:
//
//	terradourada-trust/2 ORIGIN
//	SIZE ROOT KEY SIGNATURE SECONDS HOW SERVER
//
// with one line for each checkpoint recorded: its size and root, the Ed25519
// key that signed it and the base64 of its signature line, the Unix time it was
// recorded, how it was vouched for, and the server it was read from or "-".
// There is one space between two fields; numbers are canonical decimals; root,
// key and signature are standard base64. The signed checkpoint can be
// reconstructed from its line, as evidence; its signature is verified before it
// is first used.
//
// HOW is live, chain, policy or operator, which vouch for the log, or
// unauthenticated, which only warns. Of the vouched records, the one of the
// greatest size is V. A checkpoint signed by a key whose epoch-open leaf is
// proved in its tree, and which no vouched record contradicts, is pinned if
//
//  1. a vouched record has its size and root; or
//  2. it is a proved prefix of V; or
//  3. V is a proved prefix of it, and the same key signed both; or
//  4. V is a proved prefix of it, and hand-overs lead from V's key to its key; or
//  5. V is a proved prefix of it, and it was read live from the log's server.
//
// Consistency alone never pins: anyone can copy a log, add leaves and sign. The
// first checkpoint of a log is believed only when it is recorded, never when a
// receipt is verified, and only if it was read live from a server that is bound
// to no other log. The
// newest live record binds its server and its log to each other.
//
// A proof from the log counts only if the root of the larger tree follows from
// it, so that a mirror cannot accuse a log. A proved contradiction is held
// against the log only if the key is tied to the log by rule 3 or 4 or by the
// policy: anyone can sign anything under a public origin.
//
// Files are written whole and then appended to, under an exclusive lock of the
// file of the same name that ends in ".lock". Systems without file locks have
// none. Readers take no lock. A last line without its end was left by an
// interrupted write: readers ignore it, and the next writer cuts it off.
// Anything else that is no record is damage, and so is a header alone, since no
// file is written without a record; the file is refused with a [*DamagedError].
// After [MaxRecorded] vouched records the smaller half is dropped, but never V
// and never the newest live record; receipts under the dropped ones need the
// log to show that they belong. At most [MaxUnauthenticated] of the others are
// kept.
//
// The directory lists, beside these files, holds member lists as
// "<list id>.json"; a list in it is accepted as the electorate.
package receipt

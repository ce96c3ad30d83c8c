// Package receipt reads, writes and verifies receipts of TD/1 (section 13 of
// docs/spec/td-1.md): everything that an auditor needs to check an acceptance
// by himself, with no server and no network. It is small, and is meant to be
// read before it is trusted: [Verify] and the files verify.go, steps.go,
// binding.go and identity.go first.
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
//	 "flags":  [{"leaf": "…", "log": "…"}]} control leaves that withdraw the epoch or the claim
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
// first three lines under the empty one are signed with Ed25519, as C2SP
// signed-note says, by the checkpoint key of the signer leaf, whose key name is
// the origin; more signature lines may follow. If the epoch signed itself,
// epoch and signer are the same pair. Flags are leaves 5 of action retire
// (target: fingerprint of the verifying key) or revoke (target: epoch id and 16
// zero bytes), in log order; the list is there even if it is empty.
//
// # Opening
//
// An opening is private; it never is in a receipt. The event is its RFC 8785
// text, as a JSON string:
//
//	{"version": 1, "request_id": "<hex>", "event": "…", "blind": "<base64url>", "client_salt": "<base64url>"}
//
// The opening of a single field of a record shows its number, the value as
// section 6 encodes it, its salt, three siblings from the leaf upwards, and
// h = C(e, r), all but the first base64url:
//
//	{"i": 2, "value": "…", "salt": "…", "siblings": ["…", "…", "…"], "h": "…"}
//
// # Policy file
//
// The C2SP tlog-policy text: lines "log VKEY", "witness NAME VKEY",
// "group NAME all|any|N MEMBER…" and one "quorum NAME|none"; "#" begins a
// comment. A witness key is one of C2SP tlog-cosignature (Ed25519), a log key
// is an operator's own key on the same checkpoint. Since the log's everyday key
// changes with every epoch, a line "origin NAME" may name a log without a key;
// a file must name a log one way or the other, any one of those named is
// enough, and no key may stand twice. The keyword witness is C2SP's word for
// what this project calls a cosigner.
//
// # Trust store
//
// A directory with one file per log, named by the first 16 bytes of the SHA-256
// of its origin in hexadecimal and ".trust", mode 0600, lines of text:
//
//	terradourada-trust/1 ORIGIN
//	SIZE ROOT KEY SIGNATURE SECONDS
//
// with one line for each checkpoint recorded: its size and root, the Ed25519
// key that signed it and the base64 of its signature line, and the Unix time it
// was recorded, so that each line gives back a signed checkpoint, as evidence.
// The first line's time is when the log was first seen. Root, key and signature
// are standard base64. Files are made whole and then only appended to, so that
// processes may share them; an interrupted last line stands for nothing. After
// [MaxRecorded] checkpoints the smaller half is dropped; receipts under those
// need the log to show consistency.
//
// The directory lists, beside these files, keeps member lists as
// "<list id>.json"; whoever puts one there vouches for the electorate.
//
// The first checkpoint of a log is believed, each later one must be consistent
// with the newest recorded, by a proof from the log itself. A log that ever
// shows another history is refused with a [SplitViewError].
package receipt

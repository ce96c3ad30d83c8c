// Package keyholder holds the two programs that hold keys, the signer and the
// tagger, and the core's side of their sockets.
//
// The signer owns the ML-DSA-65 key and the Ed25519 checkpoint key of one
// epoch, the tagger its HMAC-SHA-256 key and the one-shot table. Each is the
// running executable started again (see [RunChild]) with an empty environment,
// /dev/null as its standard streams and one socket as descriptor 3. Keys are
// drawn in the child and end with it: process exit is key destruction, and the
// end of the socket is process exit. The attackers are listed in THREATS.md.
//
// Every wait of the core's side is bounded: a call ends with its context, with the
// end of the child, or after [Config.AnswerTimeout], when a child that does
// not answer is killed. Deciding when the next epoch starts is not done here.
//
// # Frames
//
// The socket is a stream of frames of fixed size; numbers are big-endian and
// whatever a code does not use is zero. Both directions of a frame begin alike:
//
//	u64 id | u8 code | 7 zero bytes | body
//
// The id correlates: an answer repeats the id of its request, answers come in
// any order but for what is said below, and the core never uses an id twice.
// Bodies have 288 bytes in requests to either program and in answers of the
// tagger, and 104 bytes in answers of the signer, so no answer has room for an
// ML-DSA signature (3,309 bytes).
//
// The first request on a socket is start, and only the first:
//
//	signer  1 start       u8 len | origin, zero-padded to 255 | u64 epoch number | instance[16]
//	        2 anchor      payload[256]
//	        3 checkpoint
//	        4 hand-over   epoch id[16] | u64 epoch number | checkpoint key[32]
//	        5 wipe
//	        6 issued root
//	        7 tree        u64 size | u8 first | 8 node hashes[32], unused ones zero
//	        8 leaves      u8 n, 1 to 8 | 8 leaf hashes[32], unused ones zero
//	tagger  1 start       epoch id[16] | u64 epoch number | u32 capacity
//	        2 issue       payload[256], sequence number zero
//	        3 redeem      payload[256] | tag[32]
//	        4 cancel      request id[16]
//	        5 cancel all
//	        6 stats
//
// Start is answered by one ready record, the only one on the wire that is not
// a frame; everything else by a frame:
//
//	signer ready  "TDSIGNR1" | epoch id[16] | ML-DSA public key[1952] | checkpoint key[32] | posture[1280]
//	tagger ready  "TDTAGGR1" | epoch id[16] | u64 epoch number | posture[1280]
//
// The posture is the text of a [sandbox.Posture], zero-padded: what the child
// says of its memory, and what became of giving up everything but its socket.
// The core does not use a child of a lower grade than [Config.MinGrade].
//
// Between start and ready a child maps the memory for its keys, enters its
// sandbox, which ends a process that is traced, and only then draws the keys; a
// signer signs once with them. It keeps these descriptors and no other: 0 to 2,
// /dev/null; 3, its socket; the epoll and event descriptors of the Go runtime's
// poller. At the end of the socket, and of any other end that it sees coming, it
// wipes its memory when nothing is computed with it any more.
//
//	both    1 done
//	        2 refused
//	signer  3 anchor      anchor[32] | u64 position
//	        4 signed root u64 size | root[32] | Ed25519 signature[64]
//	tagger  3 issued      payload[256] | tag[32]
//	        4 redemption  u8, the values of protocol.Redemption
//	        5 stats       the figures of [TaggerStats], u64 each, in their order
//	        6 full
//
// # The issued tree
//
// The signer keeps the compact range of an RFC 6962 tree with one leaf,
// [protocol.IssuedDigest], for each payload that it anchored. To take a
// position, to append the leaf and to queue the answer is one step, so answers
// with anchors stand on the socket in order of position, from 0. The answer to
// issued root is the tree as it is then, signed by the checkpoint key
// ([protocol.IssuedRootDigest]); it stands after everything it covers.
//
// The core appends the same leaves where it reads the socket, also for calls
// that were given up meanwhile, in memory of about 64 bytes a payload. A
// position out of order, a root that is not its own, a root that lacks an
// anchor that was read before it was asked for, and a signature that does not
// verify end the epoch.
//
// # The log that the signer knows
//
// A checkpoint takes no size and no root: the signer signs the log that the core
// has sent it, so that one key signs one history. The core first sends the compact
// range of the log before the epoch-open leaf, once, in tree frames of 8 nodes: those
// from the first-th node on, largest first, where a size of at most 2^62 has as many
// nodes as bits set. The frames follow each other with first 0, 8, ... until
// all nodes are there; a size of zero takes one frame. Then it sends every leaf hash
// ([protocol.LeafHash]) in order. The signer cannot verify the range.
//
// The hand-over is signed over the last checkpoint, or the empty tree if there
// was none, and its answer holds that size and root.
//
// # Refused, and fatal
//
// A request is fatal to the child when no honest core can send it: a frame
// that is not well-formed, a payload that TD/1 forbids, or one of another
// epoch, number or instance; a tree frame out of order or after the last one,
// and leaves before it. The core's side checks the same before it sends, so that
// no mistake in handling a client's request ends an epoch. What still reaches the
// child that way comes from a core that is broken or under an attacker's control.
//
// A request is refused, by an answer, when an honest core may send it too late: a sequence number that was anchored before or is older than the
// window, an anchor after the wipe, a checkpoint before the tree or after the
// hand-over, an issued root after the wipe of the checkpoint key, a request id
// that is in the table. A hand-over is refused before the wipe of the ML-DSA
// key, before a signed root of the issued tree over all positions, and the
// second time. The refusal reveals only what the core knows, and ending the
// epoch would let one mistake end every pending request of every client.
//
// To the core, any malformed answer, an answer to no request and the end of the
// stream are the end of the epoch: the child is killed.
//
// # Exit status of a child
//
// The standard error of a child is /dev/null: the trace of a panic prints words
// of the stack. Its exit status says why it ended:
//
//	0  the core closed the socket
//	2  panic, or not started by the core
//	3  malformed frame or record, or a log sent in disorder
//	4  payload that no honest core sends
//	5  a signature of its own did not verify
//	6  the socket failed
//	7  it is traced
package keyholder

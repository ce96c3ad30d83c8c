// Package cosign is a cosigner of logs: it signs a log's checkpoints with keys of its
// own, outside of the backend, and never signs two that do not continue each other. So
// an auditor who trusts the cosigner needs neither the operator nor a memory of their own.
//
// A [Store] keeps for every log the newest checkpoint that was cosigned, the key that
// signed it and the URL of the log's server. [Cosigner.Add] decides about a submitted
// checkpoint:
//
//  1. it must contain the newest cosigned one, by the consistency proof that came
//     with it; then
//  2. it is signed by the same key; or
//  3. by another key, to which hand-overs lead from that key (rule 4 of section 13 of
//     docs/spec/td-1.md), whose leaves are read at the bound URL and count by their
//     proofs only; or
//  4. by another key without a hand-over, as after a crash, if the bound server itself,
//     over an authenticated connection, shows a checkpoint under that key whose tree
//     contains the submitted one; or, with [Approve], if a person has approved the key.
//
// The leaf that announces another key must be newer than the newest cosigned
// checkpoint, and a key that was replaced is never accepted again. Size, root and key
// change in one compare-and-set, which is durable before a signature leaves the
// process. Everything else is refused.
//
// The wire is C2SP tlog-witness v1.0.0. Each cosignature has two lines: Ed25519
// (cosignature/v1) and ML-DSA-44, of C2SP tlog-cosignature. They are signatures of the
// cosigner over public checkpoints. These keys sign no anchor, tag or acceptance, and
// no package of the backend may import this one.
package cosign

// Package failpoints holds no code, only tests: they plant one fault in one call of a
// flow, for every call and every fault, and check what must hold whatever fails.
//
// A core is gate, epochs, session table, journal and ledger as a server has them, on
// files, in the virtual time of testing/synctest. Signer and tagger are fakes with real
// Ed25519 keys and real trees; proofs are real. Every call that these packages make
// through an interface of theirs passes a failpoint.
//
// A flow is run once without a fault, and its calls are listed. A call that is new is
// so in the matrix by itself, and the test fails until the table of the flow names
// the step of the specification that it belongs to.
package failpoints

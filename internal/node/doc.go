// Package node is a running server: it wires the packages that do the work.
//
// [Run] opens a server in this order, and closes it in the opposite one:
//
//	prepare    what a start needs of the system; the listeners
//	confine    attestor and launcher of the children; then the process gives up its
//	           privileges ([Confine])
//	records    journal, log, and the record of the published checkpoints
//	machine    epochs, gate and prover; the first epoch opens and signs a checkpoint
//	HTTP       requests are answered
//
// The records need no keyholder. The machine is wired before it is started, and a
// node whose machine is not started serves the log, receipts and the status. It
// refuses with draining what needs a key.
//
// Constructors start nothing. What runs is a service of the node, which stops them
// one by one. If one ends by itself, the server ends, except after a disagreement of
// journal and log: then acceptance is frozen, and reading goes on.
//
// "td doctor" uses what the server needs of the system and of its data directory
// ([Preflight], [LockOf], [CoreUser], [TryCore]).
package node

//go:build memscan && linux

package keyholder

// Hedges is how many values the randomness of signatures has.
const Hedges = hedges

// Hedge names the randomness of the signature of a message.
var Hedge = hedge

// HedgingOf runs what makes a hedged signature of a message with the randomness
// that a child of the seed has.
var HedgingOf = hedgingOf

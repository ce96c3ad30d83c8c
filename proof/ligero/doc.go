// Package ligero is a zero-knowledge argument that needs no set-up: a prover
// shows that it knows values that satisfy a [System] of equations, which are
// linear in the values and in products of two values.
//
// It is a one-sum variant of Ligero (ePrint 2022/1608) over the KoalaBear field.
// docs/spec/suite-2.md describes it to the byte, names every variable of this
// code, and has the bound on the soundness error with its proof. In short: the
// prover commits to a Merkle tree over the columns of encoded rows of values and
// of random masks. A random combination U of the rows shows that they are code
// words; a polynomial T, whose sum over the slots is a random combination of all
// equations, shows that these hold. The verifier checks both at t columns.
//
// The prover is constant-time in the values, but for the number of random
// elements that it has to draw again.
package ligero

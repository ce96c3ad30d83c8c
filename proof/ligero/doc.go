// Package ligero is a zero-knowledge argument that needs no set-up: a prover
// shows that it knows values that satisfy a [System] of equations, which are
// linear in the values and in products of two values.
//
// It is a one-sum variant of Ligero (ePrint 2022/1608) over the KoalaBear field.
// docs/spec/suite-2.md has every byte, the bound on its soundness error with the
// proof, and the argument for zero knowledge. In short:
//
//   - Values stand in rows of l slots. The slots are the points of the subgroup
//     H_l, in bit-reversed order. A row is the polynomial of degree below
//     k = l + t that has the values on H_l and is random otherwise.
//   - A word is the values of a polynomial on a coset of the subgroup of size n
//     that is disjoint from H_l. Beside the rows the prover commits to two masks
//     for each of the D components of the challenge field K: a random polynomial
//     of degree below k, and one of degree below d = 2k + l - 2 whose sum over H_l
//     is 0. The columns of all words, each with a salt, are the leaves of a Merkle
//     tree, whose root comes first in a proof.
//   - The verifier answers with a weight from K for each row and for each
//     equation. The prover sends U, the first mask plus the weighted rows, and T,
//     the second mask plus the polynomial whose sum over H_l is the weighted sum
//     of all equations. The constant term of T is not sent: it follows from the
//     sum that T must have.
//   - The verifier opens t columns and checks U and T at their points.
//
// Everything the verifier asks is a hash of what was said before, see package
// transcript. The prover is constant-time in the values, but for the number of
// random elements that it has to draw again.
package ligero

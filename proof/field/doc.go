// Package field is arithmetic modulo the KoalaBear prime, p = 2^31 - 2^24 + 1,
// and the number-theoretic transform over it.
//
// An [Element] travels as 4 bytes, big-endian, below p. Its methods take
// the same time for all values, because provers compute with them on secrets:
// there is no branch and no table index that depends on an element. What is
// public in the protocol (exponents, sizes, positions) may take its own time.
//
// The challenge field K = GF(p^5) has no type of its own. The protocol only adds
// elements of K and multiplies them by elements of the base field, and both are
// done for each of the 5 components alone. No product of two elements of K
// exists, so that no basis has to be chosen.
//
// A polynomial is a slice of coefficients, the lowest first. A [Domain] is a
// coset c·H of the subgroup H of size n, a power of two. Values on it stand in
// bit-reversed order: position j holds the value at c·w^rev(j), where w is the
// root of unity of order n that [Root] returns and rev reverses the log2(n) bits
// of j.
package field

// Package circuit builds the systems of equations that package ligero proves,
// and computes the values that satisfy them.
//
// A [Builder] is called with what has to hold; it knows four kinds of values:
// public ones, secret ones, products, and their linear expressions. Addition and
// multiplication by a constant cost nothing. A gate multiplies: it commits to a
// left and a right factor, and its product is a value that need not be committed.
// The cube of x is one gate with the factors x and x·x.
//
// [Builder.Compile] lays the values out in rows and returns a [Circuit]. Order is
// part of the format: gates, secrets and equations are numbered as they were
// made, so that the same calls make the same system and the same digest.
//
//   - Gate g stands in slot g mod l of the rows 2·(g div l) for left factors and
//     2·(g div l) + 1 for right ones. Its equations are "left - expression = 0",
//     then "right - left·left = 0" for a cube or "right - expression = 0".
//   - The secrets follow one after another: first in the slots of the last pair
//     of rows that no gate has, first the left row, then the right one; then in
//     further rows. Slots that are left over are 0, and in no equation.
//   - A product of two rows is in the system if an equation has a term of it.
//
// Solving a circuit takes the same time for all secrets.
package circuit

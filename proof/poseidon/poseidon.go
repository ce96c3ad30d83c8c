// Package poseidon is the Poseidon permutation (the first version, not Poseidon2)
// over the KoalaBear field: width 16, S-box x^3, 8 full and 20 partial rounds,
// and the two-to-one compression of digests made of it.
//
// A full round adds 16 constants, cubes all 16 lanes and multiplies by [Matrix].
// A partial round adds a constant to lane 0, cubes lane 0 and multiplies by the
// same matrix. 4 full rounds come first and 4 last.
//
// The constants come from the Grain generator of the Poseidon paper (ePrint
// 2019/458, appendix E) with the parameters of this instance: 16 elements for
// each of the 28 rounds, of which a partial round uses the first. A constant of
// another lane would pass through the linear layer unchanged, and be the same as
// another constant of a later round. The result is the permutation that Plonky3
// calls default_koalabear_poseidon1_16, whose test vector is a test here.
package poseidon

import "github.com/terradourada/td/proof/field"

// The instance.
const (
	Width         = 16
	fullRounds    = 8
	partialRounds = 20
	Rounds        = fullRounds + partialRounds
	DigestSize    = Width / 2 // elements of a digest
)

// Digest is a value of [Compress]: 8 elements, about 248 bits.
type Digest [DigestSize]field.Element

// firstRow is the first row of the circulant matrix; each row is the one above,
// moved to the right by one.
var firstRow = [Width]uint64{1, 1, 51, 1, 11, 17, 2, 1, 101, 63, 15, 2, 67, 22, 13, 3}

// tables are computed at start-up, in less than a millisecond, and then only read.
var (
	matrix    = circulant()
	constants = roundConstants()
)

// Matrix returns row i of the matrix.
func Matrix(i int) [Width]field.Element { return matrix[i] }

// Constants returns the constants of a round, which starts at 0. Those of a
// partial round are 0 but for the first.
func Constants(round int) [Width]field.Element { return constants[round] }

// Full reports whether a round is a full one.
func Full(round int) bool {
	return round < fullRounds/2 || round >= fullRounds/2+partialRounds
}

// Permute applies the permutation. It takes the same time for all states.
func Permute(state *[Width]field.Element) {
	for round := range Rounds {
		for i := range state {
			state[i] = state[i].Add(constants[round][i])
		}
		cubed := 1
		if Full(round) {
			cubed = Width
		}
		for i := range cubed {
			state[i] = state[i].Square().Mul(state[i])
		}
		old := *state
		for i := range state {
			state[i] = field.Dot(matrix[i][:], old[:])
		}
	}
}

// Compress returns C(x, y) = P(x ‖ y)[8..15] + y. It has no domain separation: a
// caller fixes the depth of every tree and chain beforehand.
func Compress(x, y Digest) (digest Digest) {
	var state [Width]field.Element
	copy(state[:], x[:])
	copy(state[DigestSize:], y[:])
	Permute(&state)
	for i := range digest {
		digest[i] = state[DigestSize+i].Add(y[i])
	}
	clear(state[:])
	return digest
}

func circulant() (m [Width][Width]field.Element) {
	for i := range m {
		for j := range m[i] {
			m[i][j] = field.New(firstRow[(j-i+Width)%Width])
		}
	}
	return m
}

func roundConstants() (c [Rounds][Width]field.Element) {
	g := newGrain()
	for round := range c {
		for i := range c[round] {
			x := g.element()
			if i == 0 || Full(round) {
				c[round][i] = x
			}
		}
	}
	return c
}

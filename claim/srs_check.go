package claim

import (
	"crypto/rand"
	"errors"

	"github.com/consensys/gnark-crypto/ecc"
	bls12381 "github.com/consensys/gnark-crypto/ecc/bls12-381"
	"github.com/consensys/gnark-crypto/ecc/bls12-381/fr"
	"github.com/consensys/gnark-crypto/ecc/bls12-381/fr/fft"
	"github.com/consensys/gnark-crypto/utils"
)

// CheckSRS checks that the embedded reference string is the pinned one and has
// the right form: the digest; every point canonical, on the curve and in the
// subgroup; the standard generators first; consecutive powers of one secret in
// both groups, by pairings over random 128-bit combinations; the Lagrange
// forms equal to the powers. The subgroup is checked by 64 random
// sums of all points, which a point outside passes with probability 2^-64. An
// error means that the executable is damaged and must not be used.
func CheckSRS() error {
	if err := checkDigests(powersFile, lagrangeFile); err != nil {
		return err
	}
	r, err := decodeReference(powersFile, lagrangeFile)
	if err != nil {
		return err
	}
	return r.check()
}

// reference is a whole reference string, decoded.
type reference struct {
	g1, small, large []bls12381.G1Affine
	g2               []bls12381.G2Affine
}

// decodeReference refuses points that are not canonical, not on the curve or
// not in the subgroup.
func decodeReference(powers, lagrange string) (*reference, error) {
	if len(powers) != g1Powers*g1Size+g2Powers*g2Size || len(lagrange) != (smallDomain+largeDomain)*g1Size {
		return nil, errors.New("claim: reference string: wrong length")
	}
	g1, err := decodeG1(powers[:g1Powers*g1Size], bls12381.NoSubgroupChecks())
	if err != nil {
		return nil, err
	}
	g2, err := decodeG2(powers[g1Powers*g1Size:])
	if err != nil {
		return nil, err
	}
	forms, err := decodeG1(lagrange, bls12381.NoSubgroupChecks())
	if err != nil {
		return nil, err
	}
	if !bls12381.IsInSubGroupBatchG1(g1) || !bls12381.IsInSubGroupBatchG1(forms) {
		return nil, errors.New("claim: reference string: point outside the subgroup")
	}
	return &reference{g1: g1, g2: g2, small: forms[:smallDomain], large: forms[smallDomain:]}, nil
}

// check makes every check of the points except that of the subgroup.
func (r *reference) check() error {
	if err := r.checkStart(); err != nil {
		return err
	}
	if err := r.checkG1Powers(); err != nil {
		return err
	}
	if err := r.checkG2Powers(); err != nil {
		return err
	}
	if err := r.checkLagrange(r.small); err != nil {
		return err
	}
	return r.checkLagrange(r.large)
}

// checkStart checks the generators, and that the secret is neither 0 nor 1.
// With that, consecutive powers cannot be infinity.
func (r *reference) checkStart() error {
	_, _, gen1, gen2 := bls12381.Generators()
	if !r.g1[0].Equal(&gen1) || !r.g2[0].Equal(&gen2) || r.g1[1].Equal(&gen1) || r.g1[1].IsInfinity() {
		return errors.New("claim: reference string: wrong generators")
	}
	return nil
}

// checkG1Powers checks e(sum r_i g1[i+1], G2) = e(sum r_i g1[i], tau G2).
func (r *reference) checkG1Powers() error {
	scalars := randomScalars(len(r.g1) - 1)
	var low, high bls12381.G1Affine
	if _, err := low.MultiExp(r.g1[:len(scalars)], scalars, ecc.MultiExpConfig{}); err != nil {
		return err
	}
	if _, err := high.MultiExp(r.g1[1:], scalars, ecc.MultiExpConfig{}); err != nil {
		return err
	}
	low.Neg(&low)
	return pairingCheck([]bls12381.G1Affine{high, low}, r.g2[:2])
}

// checkG2Powers checks e(G1, sum r_i g2[i+1]) = e(tau G1, sum r_i g2[i]).
func (r *reference) checkG2Powers() error {
	scalars := randomScalars(len(r.g2) - 1)
	var low, high bls12381.G2Affine
	if _, err := low.MultiExp(r.g2[:len(scalars)], scalars, ecc.MultiExpConfig{}); err != nil {
		return err
	}
	if _, err := high.MultiExp(r.g2[1:], scalars, ecc.MultiExpConfig{}); err != nil {
		return err
	}
	low.Neg(&low)
	return pairingCheck(r.g1[:2], []bls12381.G2Affine{high, low})
}

// pairingCheck checks that the product of the pairings is one.
func pairingCheck(p []bls12381.G1Affine, q []bls12381.G2Affine) error {
	ok, err := bls12381.PairingCheck(p, q)
	if err == nil && !ok {
		err = errors.New("claim: reference string: not consecutive powers")
	}
	return err
}

// checkLagrange checks sum r_i form[i] = commitment to the polynomial that
// takes the values r_i on the domain.
func (r *reference) checkLagrange(form []bls12381.G1Affine) error {
	scalars := randomScalars(len(form))
	var got, want bls12381.G1Affine
	if _, err := got.MultiExp(form, scalars, ecc.MultiExpConfig{}); err != nil {
		return err
	}
	fft.NewDomain(uint64(len(form))).FFTInverse(scalars, fft.DIF)
	utils.BitReverse(scalars)
	if _, err := want.MultiExp(r.g1[:len(form)], scalars, ecc.MultiExpConfig{}); err != nil {
		return err
	}
	if !got.Equal(&want) {
		return errors.New("claim: reference string: Lagrange form differs from the powers")
	}
	return nil
}

// randomScalars draws n scalars of 128 bits.
func randomScalars(n int) []fr.Element {
	random := make([]byte, 16*n)
	_, _ = rand.Read(random) // never fails
	r := make([]fr.Element, n)
	for i := range r {
		r[i].SetBytes(random[16*i : 16*(i+1)])
	}
	return r
}

package claim

import (
	"crypto/rand"
	"errors"

	"github.com/consensys/gnark-crypto/ecc"
	bls12381 "github.com/consensys/gnark-crypto/ecc/bls12-381"
	"github.com/consensys/gnark-crypto/ecc/bls12-381/fr"
	"github.com/consensys/gnark-crypto/ecc/bls12-381/fr/fft"
)

// CheckSRS proves to the caller that the embedded reference string is the
// pinned one and has the right form: digest; every point canonical, on the
// curve, in the subgroup and not infinity; the standard generators first;
// consecutive powers of one secret in both groups, by pairings over random
// 128-bit combinations; the Lagrange forms equal to the powers. It costs a few
// hundred milliseconds of CPU. An error means that the executable is damaged
// and must not be used.
func CheckSRS() error {
	if err := checkDigests(powersFile, lagrangeFile); err != nil {
		return err
	}
	return checkPoints(powersFile, lagrangeFile)
}

// checkPoints is [CheckSRS] without the digests, so that each check can be
// seen to fail.
func checkPoints(powers, lagrange string) error {
	if len(powers) != g1Powers*g1Size+g2Powers*g2Size || len(lagrange) != (smallDomain+largeDomain)*g1Size {
		return errors.New("claim: reference string: wrong length")
	}
	g1, err := decodeG1(powers[:g1Powers*g1Size])
	if err != nil {
		return err
	}
	g2, err := decodeG2(powers[g1Powers*g1Size:])
	if err != nil {
		return err
	}
	forms, err := decodeG1(lagrange)
	if err != nil {
		return err
	}
	if err := checkStart(g1, g2); err != nil {
		return err
	}
	if err := checkG1Powers(g1, g2); err != nil {
		return err
	}
	if err := checkG2Powers(g1, g2); err != nil {
		return err
	}
	if err := checkLagrange(forms[:smallDomain], g1); err != nil {
		return err
	}
	return checkLagrange(forms[smallDomain:], g1)
}

// checkStart checks the generators, that the secret is neither 0 nor 1, and
// that no point is infinity.
func checkStart(g1 []bls12381.G1Affine, g2 []bls12381.G2Affine) error {
	_, _, gen1, gen2 := bls12381.Generators()
	if !g1[0].Equal(&gen1) || !g2[0].Equal(&gen2) || g1[1].Equal(&gen1) {
		return errors.New("claim: reference string: wrong generators")
	}
	for i := range g1 {
		if g1[i].IsInfinity() {
			return errors.New("claim: reference string: point at infinity")
		}
	}
	return nil
}

// checkG1Powers checks e(sum r_i g1[i+1], G2) = e(sum r_i g1[i], tau G2).
func checkG1Powers(g1 []bls12381.G1Affine, g2 []bls12381.G2Affine) error {
	r := randomScalars(len(g1) - 1)
	var low, high bls12381.G1Affine
	if _, err := low.MultiExp(g1[:len(r)], r, ecc.MultiExpConfig{}); err != nil {
		return err
	}
	if _, err := high.MultiExp(g1[1:], r, ecc.MultiExpConfig{}); err != nil {
		return err
	}
	low.Neg(&low)
	return pairingEqual([]bls12381.G1Affine{high, low}, g2[:2])
}

// checkG2Powers checks e(G1, sum r_i g2[i+1]) = e(tau G1, sum r_i g2[i]).
func checkG2Powers(g1 []bls12381.G1Affine, g2 []bls12381.G2Affine) error {
	r := randomScalars(len(g2) - 1)
	var low, high bls12381.G2Affine
	if _, err := low.MultiExp(g2[:len(r)], r, ecc.MultiExpConfig{}); err != nil {
		return err
	}
	if _, err := high.MultiExp(g2[1:], r, ecc.MultiExpConfig{}); err != nil {
		return err
	}
	low.Neg(&low)
	return pairingEqual(g1[:2], []bls12381.G2Affine{high, low})
}

func pairingEqual(p []bls12381.G1Affine, q []bls12381.G2Affine) error {
	ok, err := bls12381.PairingCheck(p, q)
	if err == nil && !ok {
		err = errors.New("claim: reference string: not consecutive powers")
	}
	return err
}

// checkLagrange checks sum r_i form[i] = commitment to the polynomial that
// takes the values r_i on the domain.
func checkLagrange(form, g1 []bls12381.G1Affine) error {
	r := randomScalars(len(form))
	var got, want bls12381.G1Affine
	if _, err := got.MultiExp(form, r, ecc.MultiExpConfig{}); err != nil {
		return err
	}
	fft.NewDomain(uint64(len(r))).FFTInverse(r, fft.DIF)
	fft.BitReverse(r)
	if _, err := want.MultiExp(g1[:len(r)], r, ecc.MultiExpConfig{}); err != nil {
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

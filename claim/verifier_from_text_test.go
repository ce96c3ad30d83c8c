package claim_test

// The verifier of this file is written from section 6 of docs/spec/td-1.md and
// uses field, curve and pairing arithmetic only. If the text and this file
// differ, one of them is wrong; if both differ from Verify, the text is wrong.

import (
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"math/big"

	bls12381 "github.com/consensys/gnark-crypto/ecc/bls12-381"
	"github.com/consensys/gnark-crypto/ecc/bls12-381/fr"
)

// textKey is a verifying key as the text encodes it.
type textKey struct {
	n                              uint64
	inputs                         uint32
	ql, qr, qm, qo, qk, s1, s2, s3 bls12381.G1Affine
}

// textProof is a proof as the text lays it out.
type textProof struct {
	l, r, o, z, h1, h2, h3, w, wShifted bls12381.G1Affine
	c                                   [6]fr.Element
	zShifted                            fr.Element
}

// textTrace holds every intermediate value that the text names.
type textTrace struct {
	digests                      [5][32]byte // of gamma, beta, alpha, zeta, v, not reduced
	gamma, beta, alpha, zeta, v  fr.Element
	zh, l1, pi, linearised, a, b fr.Element
	d, f                         bls12381.G1Affine
	value                        fr.Element
}

var errText = errors.New("refused")

// takePoint reads a compressed point; the arithmetic library checks curve and
// subgroup.
func takePoint(b *[]byte, p *bls12381.G1Affine) error {
	if (*b)[0]>>6 != 0b10 {
		return errText
	}
	n, err := p.SetBytes((*b)[:48])
	if err != nil || n != 48 {
		return errText
	}
	*b = (*b)[48:]
	return nil
}

func takePoints(b *[]byte, points ...*bls12381.G1Affine) error {
	for _, p := range points {
		if err := takePoint(b, p); err != nil {
			return err
		}
	}
	return nil
}

func takeScalar(b *[]byte, s *fr.Element) error {
	if s.SetBytesCanonical((*b)[:32]) != nil {
		return errText
	}
	*b = (*b)[32:]
	return nil
}

func takeWord(b *[]byte, want uint32) error {
	if binary.BigEndian.Uint32(*b) != want {
		return errText
	}
	*b = (*b)[4:]
	return nil
}

func readTextKey(b []byte) (*textKey, error) {
	if len(b) != 404 || string(b[:8]) != "TDVK0001" {
		return nil, errText
	}
	k := &textKey{n: binary.BigEndian.Uint64(b[8:]), inputs: binary.BigEndian.Uint32(b[16:])}
	b = b[20:]
	return k, takePoints(&b, &k.ql, &k.qr, &k.qm, &k.qo, &k.qk, &k.s1, &k.s2, &k.s3)
}

func readTextProof(b []byte) (*textProof, error) {
	if len(b) != 664 {
		return nil, errText
	}
	p := &textProof{}
	if err := takePoints(&b, &p.l, &p.r, &p.o, &p.z, &p.h1, &p.h2, &p.h3, &p.w); err != nil {
		return nil, err
	}
	if err := takeWord(&b, 6); err != nil {
		return nil, err
	}
	for i := range p.c {
		if err := takeScalar(&b, &p.c[i]); err != nil {
			return nil, err
		}
	}
	return p, errors.Join(takePoint(&b, &p.wShifted), takeScalar(&b, &p.zShifted), takeWord(&b, 0))
}

// rawPoint is 96 bytes, x and y.
func rawPoint(p *bls12381.G1Affine) []byte {
	if p.IsInfinity() {
		return append([]byte{0x40}, make([]byte, 95)...)
	}
	x, y := p.X.Bytes(), p.Y.Bytes()
	return append(x[:], y[:]...)
}

// hashAll returns SHA-256 over a label and parts, and the digest reduced.
func hashAll(label string, parts ...any) ([32]byte, fr.Element) {
	h := sha256.New()
	h.Write([]byte(label))
	for _, part := range parts {
		switch part := part.(type) {
		case [32]byte:
			h.Write(part[:])
		case *bls12381.G1Affine:
			h.Write(rawPoint(part))
		case fr.Element:
			b := part.Bytes()
			h.Write(b[:])
		default:
			panic("no such part")
		}
	}
	digest := [32]byte(h.Sum(nil))
	var e fr.Element
	e.SetBigInt(new(big.Int).SetBytes(digest[:]))
	return digest, e
}

// Field arithmetic in the form of formulas; 1/0 is 0.

func fieldSum(terms ...fr.Element) (e fr.Element) {
	for _, t := range terms {
		e.Add(&e, &t)
	}
	return e
}

func fieldProduct(factors ...fr.Element) fr.Element {
	e := fr.One()
	for _, f := range factors {
		e.Mul(&e, &f)
	}
	return e
}

func fieldMinus(x, y fr.Element) (e fr.Element) { e.Sub(&x, &y); return e }

func fieldInverse(x fr.Element) (e fr.Element) { e.Inverse(&x); return e }

func fieldPower(x fr.Element, n uint64) (e fr.Element) {
	e.Exp(x, new(big.Int).SetUint64(n))
	return e
}

// combine is the sum of s_i·P_i.
func combine(scalars []fr.Element, points ...*bls12381.G1Affine) (sum bls12381.G1Affine) {
	var acc bls12381.G1Jac
	for i, p := range points {
		var t bls12381.G1Jac
		t.FromAffine(p)
		t.ScalarMultiplication(&t, scalars[i].BigInt(new(big.Int)))
		acc.AddAssign(&t)
	}
	sum.FromJacobian(&acc)
	return sum
}

// generatorOf is omega, of order n.
func generatorOf(n uint64) fr.Element {
	var root fr.Element
	if _, err := root.SetString("10238227357739495823651030575849232062558860180284477541189508159991286009131"); err != nil {
		panic(err)
	}
	return fieldPower(root, 1<<32/n)
}

// verifyFromText verifies by the text and returns the values it computed on
// the way. A proof that cannot be decoded has no trace.
func verifyFromText(key, proof []byte, x []fr.Element, tau *bls12381.G2Affine) (bool, *textTrace) {
	k, err := readTextKey(key)
	if err != nil {
		return false, nil
	}
	p, err := readTextProof(proof)
	if err != nil || len(x) != int(k.inputs) {
		return false, nil
	}
	t := &textTrace{}
	t.challenges(k, p, x)
	t.relation(k, p, x)
	if t.linearised != p.c[0] {
		return false, t
	}
	t.fold(k, p)
	omega := generatorOf(k.n)
	return opens(&t.f, t.value, t.zeta, &p.w, tau) &&
		opens(&p.z, p.zShifted, fieldProduct(t.zeta, omega), &p.wShifted, tau), t
}

func (t *textTrace) challenges(k *textKey, p *textProof, x []fr.Element) {
	parts := []any{&k.s1, &k.s2, &k.s3, &k.ql, &k.qr, &k.qm, &k.qo, &k.qk}
	for _, e := range x {
		parts = append(parts, e)
	}
	t.digests[0], t.gamma = hashAll("gamma", append(parts, &p.l, &p.r, &p.o)...)
	t.digests[1], t.beta = hashAll("beta", t.digests[0])
	t.digests[2], t.alpha = hashAll("alpha", t.digests[1], &p.z)
	t.digests[3], t.zeta = hashAll("zeta", t.digests[2], &p.h1, &p.h2, &p.h3)
}

// relation computes what the value of the linearisation must be, and the
// linearised digest.
func (t *textTrace) relation(k *textKey, p *textProof, x []fr.Element) {
	one, n, omega := fr.One(), fr.NewElement(k.n), generatorOf(k.n)
	l, r, o, s1, s2 := p.c[1], p.c[2], p.c[3], p.c[4], p.c[5]

	t.zh = fieldMinus(fieldPower(t.zeta, k.n), one)
	t.l1 = fieldProduct(t.zh, fieldInverse(fieldProduct(n, fieldMinus(t.zeta, one))))
	t.pi = fr.Element{}
	for i := range x {
		w := fieldPower(omega, uint64(i))
		li := fieldProduct(w, t.zh, fieldInverse(fieldProduct(n, fieldMinus(t.zeta, w))))
		t.pi = fieldSum(t.pi, fieldProduct(x[i], li))
	}
	sigma := fieldProduct(
		fieldSum(l, fieldProduct(t.beta, s1), t.gamma),
		fieldSum(r, fieldProduct(t.beta, s2), t.gamma))
	alpha2L1 := fieldProduct(t.alpha, t.alpha, t.l1)
	t.linearised = fieldMinus(alpha2L1, fieldSum(t.pi,
		fieldProduct(t.alpha, sigma, fieldSum(o, t.gamma), p.zShifted)))

	u := fr.NewElement(7)
	betaZeta := fieldProduct(t.beta, t.zeta)
	identity := fieldProduct(
		fieldSum(l, betaZeta, t.gamma),
		fieldSum(r, fieldProduct(u, betaZeta), t.gamma),
		fieldSum(o, fieldProduct(u, u, betaZeta), t.gamma))
	t.a = fieldProduct(t.alpha, t.beta, p.zShifted, sigma)
	t.b = fieldMinus(alpha2L1, fieldProduct(t.alpha, identity))

	minusZh := fieldMinus(fr.Element{}, t.zh)
	step := fieldPower(t.zeta, k.n+2)
	t.d = combine(
		[]fr.Element{
			l, r, fieldProduct(l, r), o, one, t.a, t.b,
			minusZh, fieldProduct(minusZh, step), fieldProduct(minusZh, step, step),
		},
		&k.ql, &k.qr, &k.qm, &k.qo, &k.qk, &k.s3, &p.z, &p.h1, &p.h2, &p.h3)
}

// fold derives v and folds the six openings at zeta into one.
func (t *textTrace) fold(k *textKey, p *textProof) {
	points := []*bls12381.G1Affine{&t.d, &p.l, &p.r, &p.o, &k.s1, &k.s2}
	parts := []any{t.zeta}
	for _, point := range points {
		parts = append(parts, point)
	}
	for _, value := range p.c {
		parts = append(parts, value)
	}
	t.digests[4], t.v = hashAll("gamma", append(parts, p.zShifted)...)
	powers := make([]fr.Element, len(points))
	for i := range powers {
		powers[i] = fieldPower(t.v, uint64(i))
		t.value = fieldSum(t.value, fieldProduct(powers[i], p.c[i]))
	}
	t.f = combine(powers, points...)
}

// opens reports whether e(P - value·G1 + at·W, G2) = e(W, tau·G2).
func opens(p *bls12381.G1Affine, value, at fr.Element, w *bls12381.G1Affine, tau *bls12381.G2Affine) bool {
	_, _, g1, g2 := bls12381.Generators()
	left := combine([]fr.Element{fr.One(), fieldMinus(fr.Element{}, value), at}, p, &g1, w)
	var minusW bls12381.G1Affine
	minusW.Neg(w)
	ok, err := bls12381.PairingCheck([]bls12381.G1Affine{left, minusW}, []bls12381.G2Affine{g2, *tau})
	return err == nil && ok
}

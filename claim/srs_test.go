package claim_test

import (
	"crypto/sha256"
	"encoding/hex"
	"slices"
	"strings"
	"testing"

	bls12381 "github.com/consensys/gnark-crypto/ecc/bls12-381"

	"github.com/terradourada/td/claim"
	"github.com/terradourada/td/protocol"
)

func TestSRSDigest(t *testing.T) {
	powers, _ := claim.Embedded()
	const want = "bfe6bde32861347be66bd8af2f1be07c541971b46eb485cfa403eb1a2e846695"
	sum, digest := sha256.Sum256([]byte(powers)), claim.SRSDigest()
	if got := hex.EncodeToString(digest[:]); got != want {
		t.Errorf("SRSDigest is %s, want %s", got, want)
	}
	if got := hex.EncodeToString(sum[:]); got != want {
		t.Errorf("digest of the embedded powers is %s, want %s", got, want)
	}
	if digest != protocol.Digest(sum) {
		t.Error("the two differ")
	}
}

func TestCheckSRS(t *testing.T) {
	if err := claim.CheckSRS(); err != nil {
		t.Fatal(err)
	}
}

func TestCheckDigests(t *testing.T) {
	powers, lagrange := claim.Embedded()
	if err := claim.CheckDigests(powers, lagrange); err != nil {
		t.Fatal(err)
	}
	for name, files := range map[string][2]string{
		"powers, one bit":   {flip(powers, 100_000), lagrange},
		"powers, cut":       {powers[:len(powers)-1], lagrange},
		"powers, longer":    {powers + "\x00", lagrange},
		"lagrange, one bit": {powers, flip(lagrange, 100_000)},
		"lagrange, cut":     {powers, lagrange[:len(lagrange)-1]},
		"both empty":        {},
		"exchanged":         {lagrange, powers},
	} {
		if claim.CheckDigests(files[0], files[1]) == nil {
			t.Errorf("%s: accepted", name)
		}
	}
}

func flip(s string, i int) string {
	return s[:i] + string([]byte{s[i] ^ 1}) + s[i+1:]
}

// TestDamagedPoints damages the encodings; each must be refused in decoding.
func TestDamagedPoints(t *testing.T) {
	if testing.Short() {
		t.Skip("long, and without concurrency")
	}
	powers, lagrange := claim.Embedded()
	outside := string(outsideSubgroup(t))
	put := func(s string, i int, point string) string { return s[:48*i] + point + s[48*(i+1):] }
	for name, files := range map[string][2]string{
		"power outside the subgroup":    {put(powers, 17, outside), lagrange},
		"power off the curve":           {put(powers, 4095, string(offCurve(t))), lagrange},
		"G2 power off the curve":        {flip(powers, 4096*48+96*20+95), lagrange},
		"Lagrange outside the subgroup": {powers, put(lagrange, 3000, outside)},
		"short":                         {powers[:len(powers)-96], lagrange},
		"Lagrange short":                {powers, strings.Repeat("\x00", 48)},
	} {
		if _, err := claim.DecodeReference(files[0], files[1]); err == nil {
			t.Errorf("%s: accepted", name)
		}
	}
}

// TestReferenceCheck changes decoded points; each check must fail by itself.
func TestReferenceCheck(t *testing.T) {
	if testing.Short() {
		t.Skip("long, and without concurrency")
	}
	r, err := claim.DecodeReference(claim.Embedded())
	if err != nil {
		t.Fatal(err)
	}
	g1, small, large, g2 := r.Points()
	tests := map[string]func(){
		"powers swapped":             func() { g1[9], g1[10] = g1[10], g1[9] },
		"power negated":              func() { g1[2000].Neg(&g1[2000]) },
		"power replaced by the next": func() { g1[100] = g1[101] },
		"last power":                 func() { g1[4095].Add(&g1[4095], &g1[0]) },
		"power at infinity":          func() { g1[50] = bls12381.G1Affine{} },
		"powers of zero":             func() { clear(g1[1:]); clear(g2[1:]) },
		"powers of one": func() {
			fill(g1[1:], g1[0])
			fill(g2[1:], g2[0])
		},
		"first power missing":     func() { copy(g1, g1[1:]) },
		"other generator":         func() { g1[0].Neg(&g1[0]) },
		"other G2 generator":      func() { g2[0].Neg(&g2[0]) },
		"tau G2":                  func() { g2[1].Add(&g2[1], &g2[0]) },
		"G2 powers swapped":       func() { g2[30], g2[31] = g2[31], g2[30] },
		"last G2 power":           func() { g2[64] = g2[63] },
		"Lagrange points swapped": func() { small[0], small[1] = small[1], small[0] },
		"Lagrange point replaced": func() { large[2047] = large[0] },
		"Lagrange point negated":  func() { large[1000].Neg(&large[1000]) },
		"Lagrange forms are one":  func() { copy(large, small) },
	}
	saved := [][]bls12381.G1Affine{slices.Clone(g1), slices.Clone(small), slices.Clone(large)}
	saved2 := slices.Clone(g2)
	for name, change := range tests {
		change()
		if r.Check() == nil {
			t.Errorf("%s: accepted", name)
		}
		copy(g1, saved[0])
		copy(small, saved[1])
		copy(large, saved[2])
		copy(g2, saved2)
	}
	if err := r.Check(); err != nil {
		t.Errorf("restored: %v", err)
	}
}

func fill[T any](s []T, v T) {
	for i := range s {
		s[i] = v
	}
}

func BenchmarkCheckSRS(b *testing.B) {
	for b.Loop() {
		if err := claim.CheckSRS(); err != nil {
			b.Fatal(err)
		}
	}
}

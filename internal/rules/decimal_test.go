package rules_test

import (
	"fmt"
	"math/big"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/terradourada/td/internal/rules"
)

func TestScaled(t *testing.T) {
	const refused = -1
	for _, test := range []struct {
		number string
		scale  int
		offset int64
		bits   int
		want   int64
	}{
		{"0", 0, 0, 32, 0},
		{"-0", 0, 0, 32, 0},
		{"-0.0e5", 0, 7, 32, 7},
		{"0e999999999999", 18, 0, 32, 0},
		{"7", 0, 0, 32, 7},
		{"7", 2, 0, 32, 700},
		{"7.25", 2, 0, 32, 725},
		{"7.250", 2, 0, 32, 725},
		{"7.255", 2, 0, 32, refused},
		{"7.5", 0, 0, 32, refused},
		{"-7", 0, 0, 32, refused},
		{"-7", 0, 7, 32, 0},
		{"-7.5", 1, 100, 32, 25},
		{"-7", 0, 6, 32, refused},
		{"10", 0, -10, 32, 0},
		{"10", 0, -11, 32, refused},
		{"4294967295", 0, 0, 32, 1<<32 - 1},
		{"4294967296", 0, 0, 32, refused},
		{"4294967296", 0, -1, 32, 1<<32 - 1},
		{"4294967295", 0, 1, 32, refused},
		{"68719476735", 0, 0, 36, 1<<36 - 1},
		{"68719476736", 0, 0, 36, refused},
		{"1e+21", 0, 0, 64, refused},
		{"1e21", 0, 0, 64, refused},
		{"1E2", 0, 0, 64, 100},
		{"1e-7", 7, 0, 64, 1},
		{"1e-7", 6, 0, 64, refused},
		{"1.5e-7", 8, 0, 64, 15},
		{"5e-324", 18, 0, 64, refused},
		{"1.7976931348623157e+308", 18, 0, 64, refused},
		{"-1.7976931348623157e+308", 18, 1<<53 - 1, 64, refused},
		{"1e1000000000000000000000", 0, 0, 64, refused},
		{"1e-1000000000000000000000", 0, 0, 64, refused},
		{"9007199254740992", 0, -(1<<53 - 1), 64, 1},
		{"9.223372036854775", 18, 0, 64, 9223372036854775000},
		{"0.000000000000000001", 18, 0, 64, 1},
		{"00012.500", 1, 0, 64, 125}, // not JSON, but harmless
	} {
		name := fmt.Sprintf("%s·10^%d%+d<2^%d", test.number, test.scale, test.offset, test.bits)
		got, ok := rules.Scaled(test.number, test.scale, test.offset, test.bits)
		if want := test.want != refused; ok != want || ok && got != uint64(test.want) {
			t.Errorf("%s: got %d, %v; want %d", name, got, ok, test.want)
		}
	}
}

func TestScaledAtTheTopOf64Bits(t *testing.T) {
	for number, want := range map[string]bool{
		"18446744073709551615": true,
		"18446744073709551616": false,
	} {
		if got, ok := rules.Scaled(number, 0, 0, 64); ok != want || ok && got != 1<<64-1 {
			t.Errorf("%s: got %d, %v; want accepted %v", number, got, ok, want)
		}
	}
}

// drawNumber draws the text of a JSON number, with values near and far from
// what can be encoded.
func drawNumber(t *rapid.T) string {
	var b strings.Builder
	if rapid.Bool().Draw(t, "negative") {
		b.WriteByte('-')
	}
	b.WriteString(rapid.StringMatching(`0|[1-9][0-9]{0,21}`).Draw(t, "whole"))
	if rapid.Bool().Draw(t, "fractional") {
		b.WriteByte('.')
		b.WriteString(rapid.StringMatching(`[0-9]{1,20}0{0,3}`).Draw(t, "fraction"))
	}
	if rapid.Bool().Draw(t, "scientific") {
		fmt.Fprintf(&b, "e%+d", rapid.IntRange(-330, 310).Draw(t, "exponent"))
	}
	return b.String()
}

// TestScaledAgreesWithRationals compares with big.Rat, which shares nothing with
// the conversion.
func TestScaledAgreesWithRationals(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		number := drawNumber(t)
		scale := rapid.IntRange(0, 18).Draw(t, "scale")
		offset := rapid.Int64Range(-(1<<53-1), 1<<53-1).Draw(t, "offset")
		bits := rapid.SampledFrom([]int{32, 36, 64}).Draw(t, "bits")
		checkScaled(t, number, scale, offset, bits)
	})
}

// TestScaledAgreesNearTheLimits draws integers near both ends and writes them as
// numbers that hit them exactly.
func TestScaledAgreesNearTheLimits(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		bits := rapid.SampledFrom([]int{32, 36, 64}).Draw(t, "bits")
		scale := rapid.IntRange(0, 18).Draw(t, "scale")
		offset := rapid.Int64Range(-100, 100).Draw(t, "offset")
		target := new(big.Int)
		if rapid.Bool().Draw(t, "top") {
			target.Lsh(big.NewInt(1), uint(bits))
		}
		target.Add(target, big.NewInt(rapid.Int64Range(-3, 3).Draw(t, "step")-offset))
		unit := new(big.Int).Exp(big.NewInt(10), big.NewInt(int64(scale)), nil)
		number := new(big.Rat).SetFrac(target, unit).FloatString(scale)
		checkScaled(t, number, scale, offset, bits)
	})
}

func checkScaled(t *rapid.T, number string, scale int, offset int64, bits int) {
	x, ok := new(big.Rat).SetString(number)
	if !ok {
		t.Fatalf("%s is no number", number)
	}
	unit := new(big.Int).Exp(big.NewInt(10), big.NewInt(int64(scale)), nil)
	x.Mul(x, new(big.Rat).SetInt(unit)).Add(x, new(big.Rat).SetInt64(offset))
	want := x.IsInt() && x.Sign() >= 0 && x.Num().BitLen() <= bits
	got, ok := rules.Scaled(number, scale, offset, bits)
	if ok != want || ok && new(big.Int).SetUint64(got).Cmp(x.Num()) != 0 {
		t.Errorf("%s·10^%d%+d<2^%d: got %d, %v; want %v, %v", number, scale, offset, bits, got, ok, x.Num(), want)
	}
}

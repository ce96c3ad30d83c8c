package claim

import (
	"math/big"
	"strconv"
	"strings"
)

// maxDigits bounds the digits of x·10^scale that are read: more than 2^64 +
// 2^53 has.
const maxDigits = 21

// apply converts the text of a JSON number by exact decimal arithmetic. It
// refuses a result that is not an integer or not in [0, 2^bits). The work is
// bounded by the length of the text, whatever the exponent says.
func (s scaling) apply(number string, bits int) (uint64, bool) {
	negative, digits, exponent, ok := splitDecimal(number)
	if !ok {
		return 0, false
	}
	sum := new(big.Int)
	if digits != "" {
		exponent += s.scale
		if exponent < 0 || exponent > maxDigits || len(digits)+exponent > maxDigits {
			return 0, false
		}
		sum.SetString(digits+strings.Repeat("0", exponent), 10)
	}
	if negative {
		sum.Neg(sum)
	}
	sum.Add(sum, big.NewInt(s.offset))
	if sum.Sign() < 0 || sum.BitLen() > bits {
		return 0, false
	}
	return sum.Uint64(), true
}

// splitDecimal reads a JSON number as ± digits · 10^exponent, where digits has
// no zero at either end and is empty for zero.
func splitDecimal(number string) (negative bool, digits string, exponent int, ok bool) {
	number, negative = strings.CutPrefix(number, "-")
	number, exp, scientific := strings.Cut(strings.ToLower(number), "e")
	whole, fraction, _ := strings.Cut(number, ".")
	digits = strings.TrimLeft(whole+fraction, "0")
	if digits == "" {
		return negative, "", 0, true
	}
	if scientific {
		var err error
		if exponent, err = strconv.Atoi(exp); err != nil || exponent > 1<<20 || exponent < -1<<20 {
			return false, "", 0, false
		}
	}
	exponent -= len(fraction)
	trimmed := strings.TrimRight(digits, "0")
	return negative, trimmed, exponent + len(digits) - len(trimmed), true
}

package rules

import (
	"math/big"
	"strconv"
	"strings"
)

// maxDigits bounds the digits of x·10^scale that are read: more than 2^64 +
// 2^53 has.
const maxDigits = 21

// apply converts the text of a JSON number by exact decimal arithmetic. It
// refuses a result that is not an integer or not in [0, 2^bits).
func (s scaling) apply(number string, bits int) (uint64, bool) {
	n, ok := units(number, s.scale)
	if !ok {
		return 0, false
	}
	n.Add(n, big.NewInt(s.offset))
	if n.Sign() < 0 || n.BitLen() > bits {
		return 0, false
	}
	return n.Uint64(), true
}

// units returns x·10^scale for the text of a JSON number x. It refuses a result
// that is not an integer, or that no offset brings into range. The work is
// bounded by the length of the text, whatever the exponent says.
func units(number string, scale int) (*big.Int, bool) {
	negative, digits, exponent, ok := splitDecimal(number)
	if !ok {
		return nil, false
	}
	n := new(big.Int)
	if digits != "" {
		exponent += scale
		if exponent < 0 || exponent > maxDigits || len(digits)+exponent > maxDigits {
			return nil, false
		}
		n.SetString(digits+strings.Repeat("0", exponent), 10)
	}
	if negative {
		n.Neg(n)
	}
	return n, true
}

// places returns how many decimals a JSON number has, without zeros at the end.
func places(number string) int {
	_, digits, exponent, _ := splitDecimal(number)
	if digits == "" {
		return 0
	}
	return max(-exponent, 0)
}

// decimalText writes n·10^-scale as a plain decimal.
func decimalText(n *big.Int, scale int) string {
	digits := new(big.Int).Abs(n).String()
	if pad := scale + 1 - len(digits); pad > 0 {
		digits = strings.Repeat("0", pad) + digits
	}
	whole, fraction := digits[:len(digits)-scale], strings.TrimRight(digits[len(digits)-scale:], "0")
	if fraction != "" {
		whole += "." + fraction
	}
	if n.Sign() < 0 {
		whole = "-" + whole
	}
	return whole
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

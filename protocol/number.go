package protocol

import "strconv"

// A JSON number passes when its exact decimal value equals the exact decimal
// value of its RFC 8785 form (section 4). Both are brought to one form and
// compared.
//
//	0.d1 d2 .. dn * 10^point, d1 and dn not zero
//
// The work is bounded by the length of the text: no value is ever expanded to
// its digits.

// maxShortest is the most significant digits that an RFC 8785 number has.
const maxShortest = 17

// No float64 lies outside 10^-324 .. 10^309: a point outside is refused at
// once, and a point inside fits the integers used below.
const (
	minPoint = -330
	maxPoint = 330
)

// maxNumberText is the longest number text that is passed to strconv
// unchanged, in bytes. Longer ones are rewritten first: strconv.ParseFloat
// keeps 800 digits and loses the decimal point of an integer that has more.
const maxNumberText = 400

// exactNumber takes a number of correct grammar and returns the same number in
// at most 26 bytes. It is ok only if the RFC 8785 form has the same value.
func exactNumber(text []byte) (short []byte, exact bool) {
	digits, point, ok := significant(text)
	if !ok {
		return nil, false
	}
	if len(digits) == 0 {
		return []byte("0"), true // whatever the exponent or sign
	}
	if point < minPoint || point > maxPoint {
		return nil, false
	}
	if text[0] == '-' {
		short = append(short, '-')
	}
	short = append(append(short, "0."...), digits...)
	short = strconv.AppendInt(append(short, 'e'), int64(point), 10)
	f, err := strconv.ParseFloat(string(short), 64)
	if err != nil || f == 0 {
		return nil, false // beyond the largest float64, or below the smallest
	}
	gotDigits, gotPoint, ok := significant(strconv.AppendFloat(nil, f, 'e', -1, 64))
	return short, ok && string(gotDigits) == string(digits) && gotPoint == point
}

// significant returns the significant digits of a number and its decimal
// point. Zero has no digits. It is not ok if there are more digits than a
// float64 can represent.
func significant(text []byte) (digits []byte, point int, ok bool) {
	i := 0
	if text[i] == '-' {
		i++
	}
	zeros := 0 // seen since the last digit kept
	inFraction := false
	for ; i < len(text) && text[i] != 'e' && text[i] != 'E'; i++ {
		c := text[i]
		switch {
		case c == '.':
			inFraction = true
			continue
		case c != '0':
			if len(digits)+zeros >= maxShortest {
				return nil, 0, false
			}
			for ; zeros > 0; zeros-- {
				digits = append(digits, '0')
			}
			digits = append(digits, c)
		case len(digits) > 0:
			zeros++
		}
		if !inFraction && len(digits) > 0 {
			point++
		}
		if inFraction && len(digits) == 0 {
			point--
		}
	}
	if i < len(text) {
		point += exponent(text[i+1:])
	}
	return digits, point, true
}

// exponent reads the digits after the e. It stops counting beyond a billion,
// since no mantissa of a bounded text can compensate for that.
func exponent(text []byte) int {
	const enough = 1_000_000_000
	negative := text[0] == '-'
	if negative || text[0] == '+' {
		text = text[1:]
	}
	n := 0
	for _, c := range text {
		if n < enough {
			n = n*10 + int(c-'0')
		}
	}
	if negative {
		return -n
	}
	return n
}

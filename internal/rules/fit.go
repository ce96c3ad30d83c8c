package rules

import (
	"fmt"
	"math/big"
	"strings"

	"github.com/terradourada/td/protocol"
)

// numeral is a number of the event or of the parameters: its JSON text, the name
// that an explanation uses, a pointer or for example "lo -25", and the bits that
// it may have after scale and offset.
type numeral struct {
	name, text string
	bits       int
}

// fit is a scale with the offsets that turn numbers into integers of their bits.
type fit struct {
	scale     int
	low, high int64   // the least and the greatest offset
	min, max  numeral // the numbers that determine them
}

// fitting returns the fit of numbers at a scale of at least the given one, or
// why there is none.
func (s scaling) fitting(numbers []numeral, least int) (fit, string) {
	f := fit{scale: least}
	for _, n := range numbers {
		p := places(n.text)
		if p > maxScale {
			return fit{}, fmt.Sprintf("%s has %d decimals, and the greatest scale is %d", n.show(), p, maxScale)
		}
		f.scale = max(f.scale, p)
	}
	low, high, why := f.extremes(numbers)
	if why != "" {
		return fit{}, why
	}
	limit := big.NewInt(maxOffset)
	switch {
	case s.noOffset && low.Sign() > 0:
		return fit{}, f.min.show() + " is negative, and this claim has no offset"
	case s.noOffset && high.Sign() < 0:
		return fit{}, fmt.Sprintf("%s is not below 2^%d at scale %d", f.max.show(), f.max.bits, f.scale)
	case low.Cmp(high) > 0:
		return fit{}, fmt.Sprintf("at scale %d the numbers from %s to %s are too far apart for integers below 2^%d", f.scale, f.min.show(), f.max.show(), f.max.bits)
	case low.Cmp(limit) > 0 || high.Cmp(new(big.Int).Neg(limit)) < 0:
		return fit{}, fmt.Sprintf("at scale %d the numbers from %s to %s need an offset beyond 2^53", f.scale, f.min.show(), f.max.show())
	}
	f.low, f.high = clamp(low), clamp(high)
	return f, ""
}

// extremes returns the least and the greatest offset at the scale.
func (f *fit) extremes(numbers []numeral) (low, high *big.Int, why string) {
	for _, n := range numbers {
		u, ok := units(n.text, f.scale)
		if !ok {
			return nil, nil, fmt.Sprintf("%s is too large at scale %d", n.show(), f.scale)
		}
		u.Neg(u)
		if low == nil || u.Cmp(low) > 0 {
			low, f.min = u, n
		}
		room := new(big.Int).Lsh(big.NewInt(1), uint(n.bits))
		room.Add(room, u).Sub(room, big.NewInt(1))
		if high == nil || room.Cmp(high) < 0 {
			high, f.max = room, n
		}
	}
	return low, high, ""
}

// clamp limits an offset to what parameters may hold.
func clamp(n *big.Int) int64 {
	switch limit := big.NewInt(maxOffset); {
	case n.Cmp(limit) > 0:
		return maxOffset
	case n.Cmp(limit.Neg(limit)) < 0:
		return -maxOffset
	}
	return n.Int64()
}

// offset returns the offset that a fit proposes: 0 if it will do, otherwise the
// one that turns the least number into 0.
func (f fit) offset() int64 {
	if f.low <= 0 && f.high >= 0 {
		return 0
	}
	return f.low
}

func (n numeral) show() string {
	if n.name == "" {
		return protocol.Escaped(Cut(n.text))
	}
	return fmt.Sprintf("%s (%s)", protocol.Escaped(Cut(n.text)), n.name)
}

// remedy says what scale and offset numbers need, for an explanation that begins
// with the name of the one that was refused.
func (s scaling) remedy(numbers []numeral) string {
	f, why := s.fitting(numbers, s.scale)
	if why != "" { // a smaller scale may do
		f, why = s.fitting(numbers, 0)
	}
	if why != "" {
		return "does not fit: " + why
	}
	var needs []string
	if f.scale != s.scale {
		needs = append(needs, fmt.Sprintf("scale %d", f.scale))
	}
	switch {
	case s.offset < f.low:
		needs = append(needs, fmt.Sprintf("offset >= %d for values down to %s", f.low, f.min.show()))
	case s.offset > f.high:
		needs = append(needs, fmt.Sprintf("offset from %d to %d for values up to %s", f.low, f.high, f.max.show()))
	}
	return "needs " + strings.Join(needs, " and ")
}

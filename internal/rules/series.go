package rules

import "fmt"

// Series is series-range/1: a list of exactly Count numbers, each in [Lo, Hi], whose sum is
// in [SumLo, SumHi].
type Series struct {
	scaling
	Count        int
	Lo, Hi       uint32
	SumLo, SumHi uint64
	at           pointer
	given        []given
}

func parseSeries(v value) (Rule, error) {
	m, err := v.membersAt("params", "at", "count", "hi", "lo", "offset", "scale", "sumhi", "sumlo")
	if err != nil {
		return nil, err
	}
	r := &Series{}
	if r.at, err = parsePointerValue("params.at", m[0]); err != nil {
		return nil, err
	}
	count, ok := m[1].integer(SeriesSlots)
	if !ok || count < 1 {
		return nil, expected(Malformed("count is not a possible number of readings"), "params.count", fmt.Sprintf("a whole number 1..%d", SeriesSlots), m[1])
	}
	r.Count = int(count)
	if r.scaling, err = parseScaling(m[5], m[4]); err != nil {
		return nil, err
	}
	r.given = []given{{"params", "lo", m[3], SeriesBits}, {"params", "hi", m[2], SeriesBits}}
	lo, hi, err := r.bounds(r.given, 0)
	if err != nil {
		return nil, err
	}
	r.Lo, r.Hi = uint32(lo), uint32(hi)
	return r, r.parseSums(m[7], m[6])
}

// parseSums reads the bounds of the sum.
func (r *Series) parseSums(lo, hi value) (err error) {
	if r.SumLo, err = r.sumBound("sumlo", lo); err != nil {
		return err
	}
	if r.SumHi, err = r.sumBound("sumhi", hi); err != nil {
		return err
	}
	if r.SumLo > r.SumHi {
		return Explained(errOrder(), func() string {
			return fmt.Sprintf("params: sumlo %s is above sumhi %s", lo.show(), hi.show())
		})
	}
	return nil
}

// ofSum is the scale and offset of the sum: each number has the offset once.
func (r *Series) ofSum() scaling {
	return scaling{scale: r.scale, offset: r.offset * int64(r.Count)}
}

// sumBound converts a bound of the sum, which is between the sums that are possible. One
// that no JSON number can hold is a text, as in record-range/1.
func (r *Series) sumBound(name string, v value) (uint64, error) {
	v = wideBound(v)
	if !v.isNumber() {
		return 0, expected(errMembers(), "params."+name, "a number", v)
	}
	least, greatest := uint64(r.Count)*uint64(r.Lo), uint64(r.Count)*uint64(r.Hi)
	n, ok := r.ofSum().apply(string(v), seriesSumBits)
	if !ok || side(n, least, greatest) != 0 {
		return 0, Explained(Malformed("a bound of the sum is not one that the sum can have"), func() string {
			return fmt.Sprintf("params.%s: from count·lo %s to count·hi %s at this scale, got %s", name, r.ofSum().text(least), r.ofSum().text(greatest), v.show())
		})
	}
	return n, nil
}

// seriesSumBits are those of a sum of readings.
const seriesSumBits = SeriesBits + 10

// Encode returns the readings.
func (r *Series) Encode(event []byte) ([]uint32, error) {
	list, ok := r.at.resolve(event)
	if !ok {
		return nil, errNotThere(r.at, event)
	}
	items, ok := list.array(SeriesSlots)
	if !ok || len(items) != r.Count {
		return nil, Explained(notEncodable("the value that the parameters name is not a list of as many numbers as they say"), func() string {
			if list.kind() != '[' {
				return fmt.Sprintf("%s = %s is %s, and the claim needs a list of numbers", r.at, list.show(), list.typeName())
			}
			return fmt.Sprintf("%s has another number of elements than count %d", r.at, r.Count)
		})
	}
	readings := make([]uint32, len(items))
	for i, item := range items {
		n, err := r.number(r.place(i), item, SeriesBits, func() []numeral { return numbersOf(r.given) })
		if err != nil {
			return nil, err
		}
		readings[i] = uint32(n)
	}
	return readings, nil
}

// place is the pointer to a reading.
func (r *Series) place(i int) pointer {
	return append(r.at[:len(r.at):len(r.at)], fmt.Sprint(i))
}

func (r *Series) encodes(event value) error {
	_, err := r.Encode(event)
	return err
}

// Falsity names the first reading outside of its interval, or says on which side of its
// interval the sum is.
func (r *Series) Falsity(event []byte) string {
	readings, err := r.Encode(event)
	if err != nil {
		return ""
	}
	var sum uint64
	for i, n := range readings {
		sum += uint64(n)
		v, _ := r.place(i).resolve(event)
		if text := r.outside(fmt.Sprintf("%s = %s", r.place(i), v.show()), uint64(n), uint64(r.Lo), uint64(r.Hi)); text != "" {
			return text
		}
	}
	of := r.ofSum()
	what := fmt.Sprintf("the sum of %s = %s", r.at, of.text(sum))
	switch side(sum, r.SumLo, r.SumHi) {
	case -1:
		return fmt.Sprintf("%s is below sumlo %s", what, of.text(r.SumLo))
	case 1:
		return fmt.Sprintf("%s is above sumhi %s", what, of.text(r.SumHi))
	}
	return ""
}

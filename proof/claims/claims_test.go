package claims_test

import (
	"bytes"
	"encoding/hex"
	"errors"
	"flag"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/terradourada/td/proof/claims"
	"github.com/terradourada/td/proof/field"
	"github.com/terradourada/td/proof/ligero"
	"github.com/terradourada/td/proof/poseidon"
)

var update = flag.Bool("update", false, "write the golden file")

// suite is shared, so that circuits are compiled once.
var suite claims.Suite

func digest(name string) claims.Digest { return claims.HashToDigest("TD-V2-test", []byte(name)) }

func record() (r claims.Record) {
	for i := range r {
		r[i] = digest(fmt.Sprint("value", i))
	}
	return r
}

func list(t testing.TB, n int) (*claims.Tree, []claims.Digest) {
	t.Helper()
	var secrets, members []claims.Digest
	for i := range n {
		secrets = append(secrets, digest(fmt.Sprint("sk", i)))
		members = append(members, claims.MemberOf(secrets[i]))
	}
	l, err := claims.NewTree(members)
	if err != nil {
		t.Fatal(err)
	}
	return l, secrets
}

func member(t testing.TB, n, who int) *claims.Witness {
	t.Helper()
	l, secrets := list(t, n)
	w, err := claims.NewMember(digest("cm"), digest("scope"), secrets[who], l)
	if err != nil {
		t.Fatal(err)
	}
	return w
}

func rangeOf(number int, v, lo, hi uint64) *claims.Witness {
	return claims.NewRecordRange(digest("e"), digest("r"), record(), number, v, lo, hi)
}

// witnesses are one of every shape that has a rule of its own.
func witnesses(t testing.TB) map[string]*claims.Witness {
	t.Helper()
	return map[string]*claims.Witness{
		"open":     claims.NewOpen(digest("e"), digest("r")),
		"record 0": rangeOf(0, 77, 10, 100),
		"record 5": rangeOf(5, 1<<63, 1<<63, 1<<63),
		"member":   member(t, 5, 3),
		"equals":   claims.NewRecordEquals(digest("e"), digest("r"), record(), 6),
		"one of":   oneOf(3, 5),
		"range":    ranges(7),
		"range 2":  ranges(2),
		"sum":      sumOf(14),
		"sum 3":    sumOf(3),
		"series":   series(11, 100, 131),
		"series 1": series(1, 0, claims.MaxReading),
	}
}

// choices are values of which number i is that of a field of the record.
func choices(field, i int) (values [claims.Choices]claims.Digest) {
	for j := range values {
		values[j] = digest(fmt.Sprint("choice", j))
	}
	values[i] = record()[field]
	return values
}

func oneOf(field, i int) *claims.Witness {
	return claims.NewRecordOneOf(digest("e"), digest("r"), record(), field, choices(field, i))
}

func values(n int) (v []uint32) {
	for i := range n {
		v = append(v, uint32(0x9e3779b9*(i+1)))
	}
	return v
}

// ranges has a value at the lower bound, one at the upper one, and others.
func ranges(n int) *claims.Witness {
	v := values(n)
	intervals := make([]claims.Interval, n)
	for i := range v {
		intervals[i] = claims.Interval{Lo: v[i] - uint32(i)*70000, Hi: v[i] + uint32(n-1-i)*70000}
	}
	return claims.NewRange(digest("e"), digest("r"), v, intervals)
}

func sumOf(n int) *claims.Witness {
	total := uint64(0)
	for _, v := range values(n) {
		total += uint64(v)
	}
	return claims.NewSum(digest("e"), digest("r"), values(n), total-1, total+1<<17)
}

// readings are n readings with both bounds among them, where there are two.
func readings(n int, lo, hi uint32) (v []uint32, sum uint64) {
	for i := range n {
		v = append(v, lo+uint32(i)*(hi-lo)/uint32(max(1, n-1)))
		sum += uint64(v[i])
	}
	return v, sum
}

func series(n int, lo, hi uint32) *claims.Witness {
	v, sum := readings(n, lo, hi)
	return claims.NewSeries(digest("e"), digest("r"), v, claims.Series{Lo: lo, Hi: hi, SumLo: max(sum, 1) - 1, SumHi: sum})
}

// session has three digests of its own for each name.
func session(name string) claims.Session {
	return claims.Session{Anchor: digest(name + "a"), Context: digest(name + "c"), Tag: digest(name + "t")}
}

// in binds statements to the session of the tests.
func in(statements ...claims.Statement) (bound []claims.Bound) {
	for _, s := range statements {
		bound = append(bound, claims.Bound{Session: session(""), Statement: s})
	}
	return bound
}

func prove(t testing.TB, w *claims.Witness) []byte {
	t.Helper()
	proof, err := suite.Prove(ligero.NewCoins(), w.In(session("")))
	if err != nil {
		t.Fatal(err)
	}
	return proof
}

// others are statements that differ from one in a public value.
func others(s claims.Statement) (o []claims.Statement) {
	bump := func(d claims.Digest, i int) claims.Digest { d[i] = d[i].Add(field.One); return d }
	for i := range 8 {
		switch s := s.(type) {
		case claims.Open:
			o = append(o, claims.Open{Commitment: bump(s.Commitment, i)})
		case claims.RecordRange:
			x := s
			x.Commitment = bump(s.Commitment, i)
			o = append(o, x)
			x = s
			x.Field = (s.Field + 1 + i%7) % 8
			o = append(o, x)
			x = s
			x.Hi += 1 << (8 * i)
			o = append(o, x)
			if s.Lo >= 1<<(8*i) {
				x = s
				x.Lo -= 1 << (8 * i)
				o = append(o, x)
			}
		case claims.RecordEquals:
			x := s
			x.Commitment = bump(s.Commitment, i)
			o = append(o, x)
			x = s
			x.Field = (s.Field + 1 + i%7) % 8
			o = append(o, x)
			x = s
			x.Value = bump(s.Value, i)
			o = append(o, x)
		case claims.RecordOneOf:
			x := s
			x.Commitment = bump(s.Commitment, i)
			o = append(o, x)
			x = s
			x.Field = (s.Field + 1 + i%7) % 8
			o = append(o, x)
			x = s
			x.Values[5] = bump(s.Values[5], i)
			o = append(o, x)
		case claims.Range:
			x := s
			x.Commitment = bump(s.Commitment, i)
			o = append(o, x)
			for j := range s.Intervals {
				x = s
				x.Intervals = slices.Clone(s.Intervals)
				x.Intervals[j].Hi ^= 1 << (4 * i)
				o = append(o, x)
				x = s
				x.Intervals = slices.Clone(s.Intervals)
				x.Intervals[j].Lo ^= 1 << (4 * i)
				o = append(o, x)
			}
			x = s
			x.Intervals = s.Intervals[1:]
			o = append(o, x)
		case claims.Sum:
			x := s
			x.Commitment = bump(s.Commitment, i)
			o = append(o, x)
			x = s
			x.Lo ^= 1 << (4 * i)
			o = append(o, x)
			x = s
			x.Hi ^= 1 << (4 * i)
			o = append(o, x)
			x = s
			x.Count = 1 + (s.Count+i)%14
			o = append(o, x)
		case claims.Series:
			x := s
			x.Commitment = bump(s.Commitment, i)
			o = append(o, x)
			x = s
			x.Count += 1 + i
			x.SumHi += uint64(1+i) * uint64(x.Lo)
			o = append(o, x)
			for _, change := range []func(x *claims.Series){
				func(x *claims.Series) { x.Lo ^= 1 << (3 * i) },
				func(x *claims.Series) { x.Hi ^= 1 << (3 * i) },
				func(x *claims.Series) { x.SumLo ^= 1 << (4 * i) },
				func(x *claims.Series) { x.SumHi ^= 1 << (4 * i) },
			} {
				x := s
				change(&x)
				o = append(o, x)
			}
		case claims.Member:
			for _, change := range []func(x *claims.Member){
				func(x *claims.Member) { x.Commitment = bump(x.Commitment, i) },
				func(x *claims.Member) { x.Root = bump(x.Root, i) },
				func(x *claims.Member) { x.Scope = bump(x.Scope, i) },
				func(x *claims.Member) { x.Nullifier = bump(x.Nullifier, i) },
			} {
				x := s
				change(&x)
				o = append(o, x)
			}
		}
	}
	return o
}

// TestClaims proves every claim, and refuses the proof for every statement that
// differs in one element, one limb or the field.
func TestClaims(t *testing.T) {
	for name, w := range witnesses(t) {
		proof := prove(t, w)
		if err := suite.Verify(proof, in(w.Statement())...); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		for _, o := range others(w.Statement()) {
			if o.Check() == nil && suite.Verify(proof, in(o)...) == nil {
				t.Errorf("%s: accepted for %+v", name, o)
			}
		}
		t.Logf("%s: %d bytes", name, len(proof))
	}
}

// TestFalseWitness: every secret counts.
func TestFalseWitness(t *testing.T) {
	for name, w := range witnesses(t) {
		if n := suite.Failed(w.In(session(""))); n != 0 {
			t.Errorf("%s: %d equations fail", name, n)
		}
		secrets := w.Secrets()
		step := max(1, len(secrets)/map[bool]int{true: 20, false: 100}[testing.Short()])
		for i := 0; i < len(secrets); i += step {
			kept := secrets[i]
			secrets[i] = kept.Add(field.One)
			if suite.Failed(w.In(session(""))) == 0 {
				t.Errorf("%s: secret %d is free", name, i)
			}
			secrets[i] = kept
		}
		// The secrets of one statement do not prove another, but that the commitment
		// of a member is opened by none.
		for _, o := range others(w.Statement())[1:4] {
			if _, err := suite.Prove(ligero.NewCoins(), w.Restate(o).In(session(""))); err == nil {
				t.Errorf("%s: proved %+v", name, o)
			}
		}
	}
}

// mustFail wants that the secrets of a witness do not satisfy its statement.
func mustFail(t *testing.T, what string, w *claims.Witness) {
	t.Helper()
	if _, err := suite.Prove(ligero.NewCoins(), w.In(session(""))); !errors.Is(err, ligero.ErrUnsatisfied) {
		t.Errorf("%s: %v", what, err)
	}
}

// TestInterval: a value outside of its interval has no proof, at every edge.
func TestInterval(t *testing.T) {
	for _, c := range []struct{ v, lo, hi uint64 }{
		{9, 10, 100},
		{101, 10, 100},
		{0, 1, 1},
		{2, 1, 1},
		{1<<64 - 1, 0, 1<<64 - 2},
		{0, 1, 1<<64 - 1},
		{1<<32 - 1, 1 << 32, 1 << 33},
	} {
		mustFail(t, fmt.Sprint(c), rangeOf(2, c.v, c.lo, c.hi))
	}
}

// TestIntervals: in each place a value outside of its interval has no proof.
func TestIntervals(t *testing.T) {
	for _, c := range []struct{ v, lo, hi uint32 }{
		{9, 10, 100},
		{101, 10, 100},
		{1<<32 - 1, 0, 1<<32 - 2},
		{0, 1, 1<<32 - 1},
		{1<<16 - 1, 1 << 16, 1 << 17},
		{1 << 17, 1 << 16, 1<<17 - 1},
	} {
		for place := range 3 {
			v, intervals := []uint32{5, 5, 5}, slices.Repeat([]claims.Interval{{Lo: 5, Hi: 5}}, 3)
			v[place], intervals[place] = c.v, claims.Interval{Lo: c.lo, Hi: c.hi}
			mustFail(t, fmt.Sprint(c, " in place ", place), claims.NewRange(digest("e"), digest("r"), v, intervals))
		}
	}
}

// TestRangePacking: a commitment to some values opens as no others, and further
// values are 0.
func TestRangePacking(t *testing.T) {
	everything := func(n int) []claims.Interval { return slices.Repeat([]claims.Interval{{Hi: 1<<32 - 1}}, n) }
	of := func(v ...uint32) *claims.Witness {
		return claims.NewRange(digest("e"), digest("r"), v, everything(len(v)))
	}
	cm := of(1, 2, 3).Statement().(claims.Range).Commitment
	for _, w := range []*claims.Witness{of(1, 2), of(2, 1, 3), of(1, 2, 2), of(1, 2, 3, 1), of(1, 2, 3|1<<31)} {
		s := w.Statement().(claims.Range)
		s.Commitment = cm
		mustFail(t, fmt.Sprint(len(s.Intervals)), w.Restate(s))
	}
	seen := map[claims.Digest]bool{}
	for _, v := range [][]uint32{{0}, {1 << 28}, {0, 1}, {0, 1 << 24}, {field.Modulus}, {1 << 31}, {0, field.Modulus}, {0, 1 << 31}} {
		seen[of(v...).Statement().(claims.Range).Commitment] = true
	}
	if len(seen) != 8 {
		t.Errorf("8 lists of values have %d commitments", len(seen))
	}
	longer := of(1, 2, 3, 0)
	if longer.Statement().(claims.Range).Commitment != cm {
		t.Error("a further value of 0 changes the commitment")
	}
	prove(t, longer)
}

// TestSums: sums outside of their interval have no proof, and values that are not
// counted are 0.
func TestSums(t *testing.T) {
	of := func(lo, hi uint64, v ...uint32) *claims.Witness {
		return claims.NewSum(digest("e"), digest("r"), v, lo, hi)
	}
	const most = 1<<32 - 1
	for name, w := range map[string]*claims.Witness{
		"too low":       of(11, 20, 1, 2, 3, 4),
		"too high":      of(1, 9, 1, 2, 3, 4),
		"all, too low":  of(14*most+1, 1<<36-1, slices.Repeat([]uint32{most}, 14)...),
		"all, too high": of(0, 14*most-1, slices.Repeat([]uint32{most}, 14)...),
		"one":           of(1<<16, 1<<20, 1<<16-1),
	} {
		mustFail(t, name, w)
	}
	eight := of(10, 10, 1, 2, 3, 4, 0, 0, 0, 0)
	prove(t, eight)
	s := of(10, 10, 1, 2, 3, 4, 0, 0, 0, 1).Statement().(claims.Sum)
	s.Count = 4
	mustFail(t, "a value that is not counted", of(10, 10, 1, 2, 3, 4).Restate(s))
	prove(t, of(14*most, 14*most, slices.Repeat([]uint32{most}, 14)...))
	for _, bad := range []claims.Sum{{Count: 0}, {Count: 15}, {Count: 1, Lo: 2, Hi: 1}, {Count: 1, Hi: 1 << 36}} {
		if !errors.Is(bad.Check(), claims.ErrStatement) {
			t.Errorf("%+v is well-formed", bad)
		}
	}
}

// TestChoices: the field equals no other value, and is none of others.
func TestChoices(t *testing.T) {
	equals := claims.NewRecordEquals(digest("e"), digest("r"), record(), 3)
	s := equals.Statement().(claims.RecordEquals)
	s.Value = record()[2]
	mustFail(t, "another value", equals.Restate(s))
	for i := range claims.Choices {
		prove(t, oneOf(3, i))
		mustFail(t, "none of them", claims.NewRecordOneOf(digest("e"), digest("r"), record(), 3, choices(4, i)))
	}
}

// TestSeries: one reading outside of the interval, a sum outside of its own, and
// another count have no proof.
func TestSeries(t *testing.T) {
	of := func(s claims.Series, v ...uint32) *claims.Witness {
		return claims.NewSeries(digest("e"), digest("r"), v, s)
	}
	v := []uint32{10, 12, 14, 16, 18, 20, 10, 10, 20}
	wide := claims.Series{Lo: 10, Hi: 20, SumLo: 90, SumHi: 180}
	prove(t, of(wide, v...))
	for i := range v {
		for _, bad := range []uint32{9, 21, 1<<32 - 1} {
			changed := slices.Clone(v)
			changed[i] = bad
			mustFail(t, fmt.Sprintf("reading %d is %d", i, bad), of(wide, changed...))
		}
	}
	exact := claims.Series{Lo: 10, Hi: 20, SumLo: 130, SumHi: 130}
	prove(t, of(exact, v...))
	for _, sum := range []uint64{129, 131, 90, 180} {
		mustFail(t, fmt.Sprint("sum ", sum), of(claims.Series{Lo: 10, Hi: 20, SumLo: sum, SumHi: sum}, v...))
	}
	top := slices.Repeat([]uint32{claims.MaxReading}, 9)
	prove(t, of(claims.Series{Hi: claims.MaxReading, SumHi: 9 * claims.MaxReading, SumLo: 9 * claims.MaxReading}, top...))

	// A zero more or less is another series, although a block is filled with zeros.
	short := of(claims.Series{Hi: 7, SumHi: 21}, 1, 2, 0).Statement().(claims.Series)
	for _, readings := range [][]uint32{{1, 2}, {1, 2, 0, 0}, {1, 2, 0, 0, 0, 0, 0, 0, 0}} {
		w := of(claims.Series{Hi: 7, SumHi: 7 * uint64(len(readings))}, readings...)
		s := w.Statement().(claims.Series)
		s.Commitment = short.Commitment
		mustFail(t, fmt.Sprint(len(readings), " readings"), w.Restate(s))
	}
}

func TestStatementsRefused(t *testing.T) {
	good := rangeOf(2, 5, 1, 9).Statement().(claims.RecordRange)
	m := member(t, 3, 0).Statement().(claims.Member)
	for name, s := range map[string]claims.Statement{
		"empty interval": claims.RecordRange{Commitment: good.Commitment, Field: 2, Lo: 9, Hi: 8},
		"field 8":        claims.RecordRange{Commitment: good.Commitment, Field: 8, Hi: 8},
		"field -1":       claims.RecordRange{Commitment: good.Commitment, Field: -1, Hi: 8},
		"depth 0":        claims.Member{Commitment: m.Commitment, Root: m.Root},
		"scope 1":        claims.Member{Commitment: m.Commitment, Root: m.Root, Scope: claims.Digest{field.One}, Depth: 2},
		"equals 8":       claims.RecordEquals{Field: 8},
		"one of -1":      claims.RecordOneOf{Field: -1},
		"no interval":    claims.Range{},
		"8 intervals":    claims.Range{Intervals: make([]claims.Interval, 8)},
		"empty second":   claims.Range{Intervals: []claims.Interval{{}, {Lo: 1}}},
		"no values":      claims.Sum{},
		"15 values":      claims.Sum{Count: 15},
		"empty sums":     claims.Sum{Count: 2, Lo: 1},
		"wide sum":       claims.Sum{Count: 2, Hi: 1 << 36},
		"no readings":    claims.Series{},
		"1025 readings":  claims.Series{Count: 1025},
		"empty readings": claims.Series{Count: 2, Lo: 1, SumLo: 2, SumHi: 2},
		"wide readings":  claims.Series{Count: 1, Hi: 1 << 30},
		"low sum":        claims.Series{Count: 2, Lo: 1, Hi: 2, SumLo: 1, SumHi: 2},
		"high sum":       claims.Series{Count: 2, Lo: 1, Hi: 2, SumLo: 2, SumHi: 5},
		"empty sum":      claims.Series{Count: 2, Lo: 1, Hi: 2, SumLo: 4, SumHi: 3},
		"depth 18":       claims.Member{Commitment: m.Commitment, Root: m.Root, Depth: 18},
	} {
		if err := suite.Verify(nil, in(s)...); !errors.Is(err, claims.ErrStatement) {
			t.Errorf("%s: %v", name, err)
		}
		if err := s.Check(); !errors.Is(err, claims.ErrStatement) {
			t.Errorf("%s is well-formed: %v", name, err)
		}
	}
	for _, w := range []*claims.Witness{
		claims.NewRecordEquals(digest("e"), digest("r"), record(), 8), claims.NewRecordOneOf(digest("e"), digest("r"), record(), -1, choices(0, 0)),
		claims.NewRange(digest("e"), digest("r"), nil, nil), claims.NewSum(digest("e"), digest("r"), nil, 0, 0),
		claims.NewSeries(digest("e"), digest("r"), make([]uint32, 1025), claims.Series{}),
		rangeOf(8, 5, 1, 9), rangeOf(-1, 5, 1, 9), rangeOf(0, 5, 9, 1),
	} {
		if _, err := suite.Prove(ligero.NewCoins(), w.In(session(""))); !errors.Is(err, claims.ErrStatement) {
			t.Errorf("%+v: %v", w.Statement(), err)
		}
	}
}

// batch has n statements of one claim.
// Each is in a session of its own.
func batch(t testing.TB, n int) (w []*claims.Witness, s []claims.Bound) {
	t.Helper()
	for i := range n {
		w = append(w, claims.NewOpen(digest(fmt.Sprint("e", i)), digest(fmt.Sprint("r", i))).In(session(fmt.Sprint(i))))
		b, err := w[i].Bound()
		if err != nil {
			t.Fatal(err)
		}
		s = append(s, b)
	}
	return w, s
}

// TestBatches proves several statements at once, and refuses the proof for them
// in another order, for fewer, and for others; a false one spoils the batch.
func TestBatches(t *testing.T) {
	for _, n := range []int{2, 5} {
		w, s := batch(t, n)
		proof, err := suite.Prove(ligero.NewCoins(), w...)
		if err != nil {
			t.Fatal(err)
		}
		if err := suite.Verify(proof, s...); err != nil {
			t.Errorf("%d statements: %v", n, err)
		}
		swapped := slices.Clone(s)
		swapped[0], swapped[n-1] = s[n-1], s[0]
		moved := slices.Clone(s)
		moved[0].Session, moved[n-1].Session = s[n-1].Session, s[0].Session
		shared := slices.Clone(s)
		shared[n-1].Session = s[0].Session
		for name, bad := range map[string][]claims.Bound{
			"swapped": swapped, "fewer": s[1:], "more": append(slices.Clone(s), s[0]), "others": append(slices.Clone(s[1:]), s[1]),
			"sessions swapped": moved, "one session": shared,
		} {
			if suite.Verify(proof, bad...) == nil {
				t.Errorf("%d statements, %s: accepted", n, name)
			}
		}
		w[n-1] = w[n-1].Restate(s[0].Statement)
		if _, err := suite.Prove(ligero.NewCoins(), w...); !errors.Is(err, ligero.ErrUnsatisfied) {
			t.Errorf("%d statements, the last one false: %v", n, err)
		}
	}
}

func TestBatchesRefused(t *testing.T) {
	w, s := batch(t, claims.MaxBatch+1)
	_, two := batch(t, 1)
	two = append(two, in(rangeOf(0, 1, 1, 1).Statement())...)
	for name, bad := range map[string][]claims.Bound{
		"none": nil, "65": s, "of two claims": two, "of nothing": in(nil), "of two fields": in(rangeOf(0, 1, 1, 1).Statement(), rangeOf(1, 1, 1, 1).Statement()),
		"of two widths":        in(series(2, 1, 2).Statement(), series(2, 1, 9).Statement()),
		"of too many readings": in(series(513, 1, 2).Statement(), series(513, 1, 2).Statement()),
	} {
		if err := suite.Verify(nil, bad...); !errors.Is(err, claims.ErrStatement) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if _, err := suite.Prove(ligero.NewCoins(), w...); !errors.Is(err, claims.ErrStatement) {
		t.Errorf("65 witnesses: %v", err)
	}
}

func BenchmarkBatch(b *testing.B) {
	for _, n := range []int{1, 64} {
		w, s := batch(b, n)
		var proof []byte
		b.Run(fmt.Sprint("prove", n), func(b *testing.B) {
			for b.Loop() {
				var err error
				if proof, err = suite.Prove(ligero.NewCoins(), w...); err != nil {
					b.Fatal(err)
				}
			}
			b.ReportMetric(float64(len(proof)/n), "bytes/statement")
		})
		b.Run(fmt.Sprint("verify", n), func(b *testing.B) {
			for b.Loop() {
				if err := suite.Verify(proof, s...); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

// TestMembers: every member of lists of several sizes has a proof, and the same
// nullifier in every list; a stranger has none.
func TestMembers(t *testing.T) {
	var nullifier claims.Digest
	for _, n := range []int{1, 2, 3, 9} {
		w := member(t, n, n-1)
		if err := suite.Verify(prove(t, w), in(w.Statement())...); err != nil {
			t.Errorf("member %d of %d: %v", n-1, n, err)
		}
		l, secrets := list(t, n)
		if _, err := claims.NewMember(digest("cm"), digest("scope"), digest("stranger"), l); !errors.Is(err, claims.ErrStatement) {
			t.Errorf("a stranger in a list of %d: %v", n, err)
		}
		first, err := claims.NewMember(digest("cm"), digest("scope"), secrets[0], l)
		if err != nil {
			t.Fatal(err)
		}
		got := first.Statement().(claims.Member).Nullifier
		if n > 1 && got != nullifier {
			t.Errorf("another nullifier in a list of %d", n)
		}
		nullifier = got
	}
	if _, err := claims.NewTree(make([]claims.Digest, 1<<claims.MaxDepth+1)); !errors.Is(err, claims.ErrStatement) {
		t.Errorf("a list that is too long: %v", err)
	}
}

// TestStatistics: the numbers of circuits, their parameters and bits.
func TestStatistics(t *testing.T) {
	if testing.Short() {
		t.Skip("it compiles large circuits")
	}
	var text bytes.Buffer
	describe := func(name string, statements ...claims.Statement) {
		d := new(claims.Suite).Describe(statements...)
		p := d.Params
		fmt.Fprintf(&text, "%s: values %d rows %d publics %d products %d equations %d terms %d params %d,%d,%d,%d bits %.1f circuit %x\n", name, d.Values, d.Rows, d.Publics, d.Products, d.Equations, d.Terms,
			p.Slots, p.Length, p.Queries, p.Components, p.Bound().Bits, d.Circuit)
		if p.Bound().Bits < 132 {
			t.Errorf("%s has %.1f bits", name, p.Bound().Bits)
		}
	}
	all := witnesses(t)
	for _, name := range order {
		describe(name, all[name].Statement())
	}
	describe("member of 131072", claims.Member{Depth: claims.MaxDepth})
	for _, w := range []int{10, 30} {
		describe(fmt.Sprint("series of 64, width ", w), claims.Series{Count: 64, Hi: 1<<w - 1})
		describe(fmt.Sprint("series of 1024, width ", w), claims.Series{Count: 1024, Hi: 1<<w - 1})
	}
	var s []claims.Statement
	for range claims.MaxBatch {
		s = append(s, claims.Open{})
	}
	describe("64 of open", s...)
	compare(t, "testdata/claims.golden", text.Bytes())
}

// TestExpand has vectors of RFC 9380, appendix K.1.
func TestExpand(t *testing.T) {
	const dst = "QUUX-V01-CS02-with-expander-SHA256-128"
	for _, c := range []struct {
		message string
		length  int
		want    string
	}{
		{"", 32, "68a985b87eb6b46952128911f2a4412bbc302a9d759667f87f7a21d803f07235"},
		{"abc", 32, "d8ccab23b5985ccea865c6c97b6e5b8350e794e603b4b97902f53a8a0d605615"},
		{"abc", 128, "abba86a6129e366fc877aab32fc4ffc70120d8996c88aee2fe4b32d6c7b6437a647e6c3163d40b76a73cf6a5674ef1d890f95b664ee0afa5359a5c4e07985635bbecbac65d747d3d2da7ec2b8221b17b0ca9dc8a1ac1c07ea6a1e60583e2cb00058e77b7b72a298425cd1b941ad4ec65e8afc50303a22c0f99b0509b4c895f40"},
	} {
		if got := hex.EncodeToString(claims.Expand(dst, []byte(c.message), c.length)); got != c.want {
			t.Errorf("%q, %d bytes: %s, want %s", c.message, c.length, got, c.want)
		}
	}
}

// TestHashToDigest reduces as integers do, with math of its own.
func TestHashToDigest(t *testing.T) {
	uniform := claims.Expand("label-KOALABEAR-XMD:SHA-256", []byte("message"), 160)
	d := claims.HashToDigest("label", []byte("message"))
	for i := range d {
		rest := uint64(0)
		for _, b := range uniform[20*i : 20*i+20] {
			rest = (rest<<8 | uint64(b)) % field.Modulus
		}
		if uint64(d[i].Uint32()) != rest {
			t.Errorf("element %d is %d, want %d", i, d[i].Uint32(), rest)
		}
	}
	if d == claims.HashToDigest("other", []byte("message")) || d == claims.HashToDigest("label", []byte("massage")) {
		t.Error("another input has the same digest")
	}
}

func TestDigests(t *testing.T) {
	d := digest("d")
	b := claims.AppendDigest(nil, d)
	if got, err := claims.ParseDigest(b); err != nil || got != d {
		t.Errorf("%x is read as %v, %v", b, got, err)
	}
	for _, bad := range [][]byte{nil, b[1:], append(slices.Clone(b), 0), slices.Repeat([]byte{0xff}, 32)} {
		if _, err := claims.ParseDigest(bad); !errors.Is(err, claims.ErrDigest) {
			t.Errorf("%x: %v", bad, err)
		}
	}
	if a, b := claims.NewBlind(), claims.NewBlind(); a == b {
		t.Error("two blinds are equal")
	}
}

// TestCommitments: the formula, and that claims do not share commitments.
func TestCommitments(t *testing.T) {
	e, r := digest("e"), digest("r")
	open := claims.NewOpen(e, r).Statement().(claims.Open).Commitment
	if want := poseidon.Compress(poseidon.Compress(e, r), claims.HashToDigest("TD-V2-claim", []byte("open/1"))); open != want {
		t.Errorf("open/1: %v, want %v", open, want)
	}
	if got := rangeOf(0, 1, 1, 1).Statement().(claims.RecordRange).Commitment; got == open {
		t.Error("two claims have one commitment")
	}
}

// TestWitnessNeverPrints: no verb prints a secret; wiping leaves none.
func TestWitnessNeverPrints(t *testing.T) {
	e := claims.Digest{field.New(123456789)}
	w := claims.NewOpen(e, digest("r"))
	for _, verb := range []string{"%v", "%+v", "%#v", "%d"} {
		if text := fmt.Sprintf(verb, struct{ w claims.Witness }{*w}); strings.Contains(text, fmt.Sprint(e[0])) {
			t.Errorf("%s prints %s", verb, text)
		}
	}
	w.Wipe()
	for i, x := range w.Secrets() {
		if x != (field.Element{}) {
			t.Errorf("secret %d is left", i)
		}
	}
}

// BenchmarkClaims proves and verifies every claim, with circuits that are compiled.
func BenchmarkClaims(b *testing.B) {
	all := witnesses(b)
	for _, name := range order {
		w := all[name]
		proof := prove(b, w)
		b.Run("prove/"+name, func(b *testing.B) {
			for b.Loop() {
				prove(b, w)
			}
		})
		b.Run("verify/"+name, func(b *testing.B) {
			for b.Loop() {
				if err := suite.Verify(proof, in(w.Statement())...); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

func BenchmarkSeries(b *testing.B) {
	for _, c := range []struct{ n, hi int }{{64, 1000}, {1024, 1000}, {1024, claims.MaxReading}} {
		w := series(c.n, 0, uint32(c.hi))
		name := fmt.Sprint(c.n, "x", c.hi)
		b.Run(name+"/compile", func(b *testing.B) {
			for b.Loop() {
				new(claims.Suite).Describe(w.Statement())
			}
		})
		var proof []byte
		b.Run(name+"/prove", func(b *testing.B) {
			for b.Loop() {
				proof = prove(b, w)
			}
			b.ReportMetric(float64(len(proof)), "bytes")
		})
		b.Run(name+"/verify", func(b *testing.B) {
			for b.Loop() {
				if err := suite.Verify(proof, in(w.Statement())...); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

package claim_test

import (
	"math/big"
	"slices"
	"testing"

	"github.com/consensys/gnark-crypto/ecc/bls12-381/fr"

	"github.com/terradourada/td/claim"
	"github.com/terradourada/td/protocol"
)

// These tests use the circuits alone: they build public inputs and private
// values without the native rules of the package, and "holds" means that the
// constraints do.

// circuitOf compiles a circuit.
func circuitOf(t *testing.T, id claim.ID, members ...protocol.Member) *claim.Circuit {
	t.Helper()
	c, err := claim.NewCircuit(id, members)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// inputs is x with some a, c and t in front of the public values.
func inputs(public ...protocol.Element) []protocol.Element {
	return slices.Concat(numbers(101, 102, 103), public)
}

// commitTo is cm = C(h, f + T).
func commitTo(id claim.ID, h, f protocol.Element) protocol.Element {
	return claim.Compress(h, plus(f, protocol.ClaimElement(string(id))))
}

func check(t *testing.T, name string, c *claim.Circuit, x, w []protocol.Element, want bool) {
	t.Helper()
	if err := c.Solve(x, w); (err == nil) != want {
		t.Errorf("%s: holds = %v (%v), want %v", name, err == nil, err, want)
	}
}

// checkEach changes one value at a time: public ones from position 3 on by the
// given steps, private ones by one. It wants each change refused. A step of
// zero leaves the value alone.
func checkEach(t *testing.T, c *claim.Circuit, x, w []protocol.Element, steps []protocol.Element) {
	t.Helper()
	check(t, "unchanged", c, x, w, true)
	for i, step := range steps {
		if step == (protocol.Element{}) {
			continue
		}
		y := slices.Clone(x)
		y[3+i] = plus(y[3+i], step)
		if c.Solve(y, w) == nil {
			t.Errorf("public value %d may be changed", i)
		}
	}
	for i := range w {
		for _, step := range []protocol.Element{number(1), negative(1), power(32, 0), power(200, 0)} {
			y := slices.Clone(w)
			y[i] = plus(y[i], step)
			if c.Solve(x, y) == nil {
				t.Errorf("private value %d may be changed", i)
			}
		}
	}
}

// steps is n times the same step.
func steps(n int, step protocol.Element) []protocol.Element {
	return slices.Repeat([]protocol.Element{step}, n)
}

// TestEveryPublicInputIsConstrained looks at the gates: each public input is a
// factor of a product in at least one of them, and no circuit uses the
// commitment extension.
func TestEveryPublicInputIsConstrained(t *testing.T) {
	for _, id := range claim.IDs() {
		for i, n := range circuitOf(t, id, testMembers(3)...).Products() {
			if n == 0 {
				t.Errorf("%s: public input %d is in no product", id, i)
			}
		}
		if circuitOf(t, id, testMembers(3)...).Commits() {
			t.Errorf("%s uses the commitment extension", id)
		}
	}
}

// TestContextIsFree shows that a circuit accepts any a, c and t; the proof is
// then bound to them.
func TestContextIsFree(t *testing.T) {
	c := circuitOf(t, claim.Open)
	x, w := openInstance(number(7), number(8))
	for i := range 3 {
		for _, v := range []protocol.Element{{}, number(1), negative(1)} {
			y := slices.Clone(x)
			y[i] = v
			check(t, "other context", c, y, w, true)
		}
	}
}

func openInstance(e, r protocol.Element) (x, w []protocol.Element) {
	return inputs(commitTo(claim.Open, claim.Compress(e, r), number(0))), []protocol.Element{e, r}
}

func TestOpenCircuit(t *testing.T) {
	c := circuitOf(t, claim.Open)
	for _, e := range []protocol.Element{number(0), number(7), negative(1), protocol.EventElement([]byte("{}"))} {
		x, w := openInstance(e, claim.NewBlind())
		checkEach(t, c, x, w, steps(1, number(1)))
		check(t, "swapped", c, x, []protocol.Element{w[1], w[0]}, false)
	}
	x, w := openInstance(number(7), number(8))
	x[3] = claim.Compress(claim.Compress(number(7), number(8)), protocol.ClaimElement("open/2"))
	check(t, "commitment of another claim", c, x, w, false)
}

// rangeInstance commits to any seven values.
func rangeInstance(v, lo, hi []protocol.Element) (x, w []protocol.Element) {
	h := number(9)
	return inputs(slices.Concat([]protocol.Element{commitTo(claim.Range, h, packed(v))}, lo, hi)...),
		slices.Concat([]protocol.Element{h}, v)
}

func TestRangeCircuit(t *testing.T) {
	c := circuitOf(t, claim.Range)
	for _, v := range [][]protocol.Element{
		numbers(1, 2, 3, 4, 5, 6, 7),
		numbers(0, 0, 0, 0, 0, 0, 0),
		numbers(1<<32-1, 1<<32-1, 1<<32-1, 1<<32-1, 1<<32-1, 1<<32-1, 1<<32-1),
	} {
		x, w := rangeInstance(v, v, v)
		checkEach(t, c, x, w, slices.Concat(steps(1, number(1)), steps(7, number(1)), steps(7, negative(1))))
	}
}

// boundsCase is a value and its bounds.
type boundsCase struct {
	name      string
	v, lo, hi protocol.Element
	want      bool
}

// boundsCases are the edges of bounds of n bits; the native rule 0 <= lo <= hi <
// 2^n holds for all but the last rows.
func boundsCases(n uint) []boundsCase {
	top := power(n, -1)
	return []boundsCase{
		{"all zero", number(0), number(0), number(0), true},
		{"all greatest", top, top, top, true},
		{"lowest of all", number(0), number(0), top, true},
		{"greatest of all", top, number(0), top, true},
		{"lower bound", number(5), number(5), number(9), true},
		{"upper bound", number(9), number(5), number(9), true},
		{"inside", number(7), number(5), number(9), true},
		{"one too low", number(4), number(5), number(9), false},
		{"one too high", number(10), number(5), number(9), false},
		{"zero, below 1", number(0), number(1), top, false},
		{"2^n", power(n, 0), number(0), top, false},
		{"2^n above the greatest", power(n, 0), top, top, false},
		{"2^n + 7", power(n, 7), number(5), number(9), false},
		{"2^(n+1)", power(n+1, 0), number(0), top, false},
		{"-1", negative(1), number(0), top, false},
		{"-2^n", element(new(big.Int).Neg(integer(power(n, 0)))), number(0), top, false},
		{"half of the field", element(new(big.Int).Rsh(fr.Modulus(), 1)), number(0), top, false},
		{"bounds swapped, between", number(7), number(9), number(5), false},
		{"bounds swapped, lo", number(9), number(9), number(5), false},
		{"bounds swapped, hi", number(5), number(9), number(5), false},
	}
}

func TestRangeBounds(t *testing.T) {
	c := circuitOf(t, claim.Range)
	for _, test := range boundsCases(32) {
		for slot := range 7 {
			v, lo, hi := numbers(1, 2, 3, 4, 5, 6, 7), numbers(1, 2, 3, 4, 5, 6, 7), numbers(1, 2, 3, 4, 5, 6, 7)
			v[slot], lo[slot], hi[slot] = test.v, test.lo, test.hi
			x, w := rangeInstance(v, lo, hi)
			check(t, test.name, c, x, w, test.want)
		}
	}
}

// TestRangePacking tries to open a commitment to (0, 1) as (2^32, 0).
func TestRangePacking(t *testing.T) {
	c := circuitOf(t, claim.Range)
	lo, hi := numbers(0, 0, 0, 0, 0, 0, 0), steps(7, power(32, -1))
	x, w := rangeInstance(numbers(0, 1, 0, 0, 0, 0, 0), lo, hi)
	check(t, "as committed", c, x, w, true)
	w[1], w[2] = power(32, 0), number(0)
	check(t, "as 2^32", c, x, w, false)
	// The native rule hi < 2^32 prevents that.
	lo[0], hi[0] = number(1), power(33, -1)
	x, w = rangeInstance(numbers(1<<32, 0, 0, 0, 0, 0, 0), lo, hi)
	check(t, "as 2^32 under a bound that the native rule refuses", c, x, w, true)
}

// sumInstance commits to any fourteen values.
func sumInstance(v, present []protocol.Element, lo, hi protocol.Element) (x, w []protocol.Element) {
	h := number(9)
	cm := commitTo(claim.Sum, h, claim.Compress(packed(v[:7]), packed(v[7:])))
	return inputs(slices.Concat([]protocol.Element{cm}, present, []protocol.Element{lo, hi})...),
		slices.Concat([]protocol.Element{h}, v)
}

// presence is 1 n times, then 0.
func presence(n int) []protocol.Element {
	return slices.Concat(steps(n, number(1)), steps(14-n, number(0)))
}

func TestSumCircuit(t *testing.T) {
	c := circuitOf(t, claim.Sum)
	for _, value := range []uint64{1, 1<<32 - 1} {
		v := steps(14, number(value))
		x, w := sumInstance(v, presence(14), number(14*value), number(14*value))
		checkEach(t, c, x, w, slices.Concat(steps(1, number(1)), steps(14, negative(1)), []protocol.Element{number(1), negative(1)}))
		checkEach(t, c, x, w, slices.Concat(steps(1, number(1)), steps(14, number(1)), []protocol.Element{number(1), negative(1)}))
	}
}

func TestSumBounds(t *testing.T) {
	c := circuitOf(t, claim.Sum)
	all := func(value uint64) []protocol.Element { return steps(14, number(value)) }
	one := func(e protocol.Element) []protocol.Element {
		return slices.Concat([]protocol.Element{e}, steps(13, number(0)))
	}
	const top = 14 * (1<<32 - 1)
	tests := []struct {
		name   string
		v      []protocol.Element
		lo, hi protocol.Element
		want   bool
	}{
		{"nothing", all(0), number(0), number(0), true},
		{"nothing, widest bounds", all(0), number(0), power(36, -1), true},
		{"everything", all(1<<32 - 1), number(top), number(top), true},
		{"everything, widest bounds", all(1<<32 - 1), number(0), power(36, -1), true},
		{"everything, one too low", all(1<<32 - 1), number(top + 1), power(36, -1), false},
		{"everything, one too high", all(1<<32 - 1), number(0), number(top - 1), false},
		{"lower bound", all(1), number(14), number(20), true},
		{"upper bound", all(1), number(3), number(14), true},
		{"one too low", all(1), number(15), number(20), false},
		{"one too high", all(1), number(3), number(13), false},
		{"bounds swapped", all(1), number(15), number(13), false},
		{"2^36-1 as both bounds", all(1), power(36, -1), power(36, -1), false},
		{"a value of 2^32", one(power(32, 0)), number(0), power(36, -1), false},
		{"a value of 2^32-1", one(power(32, -1)), number(0), power(36, -1), true},
		{"a value of 2^36", one(power(36, 0)), number(0), power(36, -1), false},
		{"a negative value", one(negative(1)), number(0), power(36, -1), false},
		{"negative and positive", slices.Concat([]protocol.Element{negative(1), number(2)}, steps(12, number(0))), number(0), number(10), false},
	}
	for _, test := range tests {
		x, w := sumInstance(test.v, presence(14), test.lo, test.hi)
		check(t, test.name, c, x, w, test.want)
	}
}

// TestSumPresence: a slot that is not present is 0, and every n works.
func TestSumPresence(t *testing.T) {
	c := circuitOf(t, claim.Sum)
	for n := 1; n <= 14; n++ {
		v := slices.Concat(steps(n, number(3)), steps(14-n, number(0)))
		x, w := sumInstance(v, presence(n), number(uint64(3*n)), number(uint64(3*n)))
		check(t, "present", c, x, w, true)
		if n == 14 {
			continue
		}
		v[n] = number(1)
		x, w = sumInstance(v, presence(n), number(0), power(36, -1))
		check(t, "absent but not zero", c, x, w, false)
		x[3+1+n] = number(2)
		check(t, "absent by a presence of 2", c, x, w, false)
		x[3+1+n] = number(1)
		check(t, "present after all", c, x, w, true)
	}
}

// recordTree is a record of eight salted values.
type recordTree struct {
	values, salts [8]protocol.Element
}

func newRecordTree() *recordTree {
	var r recordTree
	for i := range r.values {
		r.values[i] = number(uint64(50 + i))
		r.salts[i] = protocol.SaltElement(number(77), uint8(i))
	}
	return &r
}

// node is the tree's node number i of a level; level 0 is the leaves.
func (r *recordTree) node(level, i int) protocol.Element {
	if level == 0 {
		return claim.Compress(r.values[i], r.salts[i])
	}
	return claim.Compress(r.node(level-1, 2*i), r.node(level-1, 2*i+1))
}

// instance is the statement about field i with the public values after the
// index.
func (r *recordTree) instance(id claim.ID, i int, rest ...protocol.Element) (x, w []protocol.Element) {
	h := number(9)
	public := slices.Concat([]protocol.Element{commitTo(id, h, r.node(3, 0))},
		numbers(uint64(i&1), uint64(i>>1&1), uint64(i>>2&1)), rest)
	return inputs(public...), []protocol.Element{h, r.values[i], r.salts[i], r.node(0, i^1), r.node(1, i>>1^1), r.node(2, i>>2^1)}
}

// bitSteps flip the index bits of field i.
func bitSteps(i int) []protocol.Element {
	var s []protocol.Element
	for k := range 3 {
		s = append(s, number(1))
		if i>>k&1 == 1 {
			s[k] = negative(1)
		}
	}
	return s
}

func TestRecordCircuits(t *testing.T) {
	r := newRecordTree()
	ranges, equals, oneOf := circuitOf(t, claim.RecordRange), circuitOf(t, claim.RecordEquals), circuitOf(t, claim.RecordOneOf)
	for i := range 8 {
		v := r.values[i]
		x, w := r.instance(claim.RecordRange, i, v, v)
		checkEach(t, ranges, x, w, slices.Concat(steps(1, number(1)), bitSteps(i), []protocol.Element{number(1), negative(1)}))

		x, w = r.instance(claim.RecordEquals, i, v)
		checkEach(t, equals, x, w, slices.Concat(steps(1, number(1)), bitSteps(i), steps(1, number(1))))

		choices := numbers(1, 2, 3, 4, 5, 6, 7, 8)
		choices[i] = v
		x, w = r.instance(claim.RecordOneOf, i, choices...)
		change := steps(8, number(0))
		change[i] = number(1)
		checkEach(t, oneOf, x, w, slices.Concat(steps(1, number(1)), bitSteps(i), change))
	}
}

func TestRecordValues(t *testing.T) {
	r := newRecordTree()
	text := protocol.TextElement([]byte("A"))
	r.values[4] = text
	equals, oneOf, ranges := circuitOf(t, claim.RecordEquals), circuitOf(t, claim.RecordOneOf), circuitOf(t, claim.RecordRange)
	x, w := r.instance(claim.RecordEquals, 4, text)
	check(t, "text equals", equals, x, w, true)
	x, w = r.instance(claim.RecordEquals, 4, protocol.TextElement([]byte("B")))
	check(t, "other text", equals, x, w, false)
	x, w = r.instance(claim.RecordOneOf, 4, steps(8, text)...)
	check(t, "eight times the text", oneOf, x, w, true)
	x, w = r.instance(claim.RecordOneOf, 4, numbers(1, 2, 3, 4, 5, 6, 7, 8)...)
	check(t, "none of them", oneOf, x, w, false)
	x, w = r.instance(claim.RecordRange, 4, number(0), power(64, -1))
	check(t, "text in a range", ranges, x, w, false)

	literal := protocol.H2F("TD-V1-literal", []byte("true"))
	r.values[4] = literal
	x, w = r.instance(claim.RecordEquals, 4, literal)
	check(t, "literal equals", equals, x, w, true)
	x, w = r.instance(claim.RecordOneOf, 4, append(numbers(0, 1, 2, 3, 4, 5, 6), literal)...)
	check(t, "literal is the last", oneOf, x, w, true)
	for name, v := range map[string]protocol.Element{
		"text true": protocol.TextElement([]byte("true")), "1": number(1), "0": number(0),
		"hidden true": protocol.ValueElement([]byte("true")), "false": protocol.H2F("TD-V1-literal", []byte("false")),
	} {
		x, w = r.instance(claim.RecordEquals, 4, v)
		check(t, "true equals "+name, equals, x, w, false)
		x, w = r.instance(claim.RecordOneOf, 4, steps(8, v)...)
		check(t, "true is one of "+name, oneOf, x, w, false)
	}
	x, w = r.instance(claim.RecordRange, 4, number(0), power(64, -1))
	check(t, "literal in a range", ranges, x, w, false)

	x, w = r.instance(claim.RecordEquals, 3, r.values[2])
	w[1] = r.values[2]
	check(t, "value of another field", equals, x, w, false)
	x, w = r.instance(claim.RecordEquals, 2, r.values[2])
	x[4], x[5] = number(1), number(1)
	check(t, "field under another index", equals, x, w, false)
	for k := range 3 {
		x, w = r.instance(claim.RecordEquals, 2, r.values[2])
		w[3+k] = number(1)
		check(t, "sibling", equals, x, w, false)
	}
}

func TestRecordBounds(t *testing.T) {
	c := circuitOf(t, claim.RecordRange)
	for _, test := range boundsCases(64) {
		r := newRecordTree()
		r.values[5] = test.v
		x, w := r.instance(claim.RecordRange, 5, test.lo, test.hi)
		check(t, test.name, c, x, w, test.want)
	}
}

// groupInstance is a vote of the member with secret sk.
func groupInstance(sk, scope protocol.Element) (x, w []protocol.Element) {
	return inputs(number(55), scope, claim.Compress(sk, scope)), []protocol.Element{sk}
}

func TestGroupCircuit(t *testing.T) {
	scope := protocol.ScopeElement("growers", "vote-1")
	for _, n := range []int{1, 2, 3, 4, 7, 64} {
		c := circuitOf(t, claim.Group, testMembers(n)...)
		for sk := range uint64(n) {
			x, w := groupInstance(number(sk+1), scope)
			checkEach(t, c, x, w, []protocol.Element{{}, number(1), number(1)})
		}
		for _, sk := range []protocol.Element{number(0), number(uint64(n + 1)), negative(1), claim.NewBlind()} {
			x, w := groupInstance(sk, scope)
			check(t, "not a member", c, x, w, false)
		}
		x, w := groupInstance(number(1), scope)
		x[3] = number(56)
		check(t, "other commitment, which is bound and not opened", c, x, w, true)
		x[5] = claim.Compress(number(2), scope)
		check(t, "nullifier of another secret", c, x, w, false)
		x[5] = claim.Compress(number(1), number(1))
		check(t, "nullifier of another scope", c, x, w, false)
	}
}

func TestGroupCircuitWithManyMembers(t *testing.T) {
	c := circuitOf(t, claim.Group, testMembers(claim.MaxMembers)...)
	for _, sk := range []uint64{1, 2, 777, claim.MaxMembers - 1, claim.MaxMembers} {
		x, w := groupInstance(number(sk), number(3))
		check(t, "member", c, x, w, true)
	}
	x, w := groupInstance(number(claim.MaxMembers+1), number(3))
	check(t, "not a member", c, x, w, false)
}

// TestDishonestBits solves with bits chosen by the prover, so that the
// constraints are tested and not the honest computation of bits.
func TestDishonestBits(t *testing.T) {
	c := circuitOf(t, claim.Sum)
	v := steps(14, number(1))
	v[0] = power(40, 0)
	x, w := sumInstance(v, presence(14), number(0), power(36, -1))
	for name, cheat := range map[string]func(in *big.Int, out []*big.Int){
		"all in the first bit": func(in *big.Int, out []*big.Int) { zero(out); out[0].Set(in) },
		"all in the last bit": func(in *big.Int, out []*big.Int) {
			zero(out)
			half := new(big.Int).Exp(big.NewInt(2), big.NewInt(int64(len(out)-1)), nil)
			out[len(out)-1].Mul(in, half.ModInverse(half, fr.Modulus())).Mod(out[len(out)-1], fr.Modulus())
		},
		"none": func(_ *big.Int, out []*big.Int) { zero(out) },
	} {
		if c.SolveWithBits(x, w, cheat) == nil {
			t.Errorf("%s: holds", name)
		}
	}
	// The same with a true statement shows that the solver uses these bits.
	x, w = sumInstance(steps(14, number(1)), presence(14), number(0), number(20))
	honest := func(in *big.Int, out []*big.Int) {
		for i := range out {
			out[i].SetUint64(uint64(in.Bit(i)))
		}
	}
	if err := c.SolveWithBits(x, w, honest); err != nil {
		t.Errorf("honest bits: %v", err)
	}
}

func zero(out []*big.Int) {
	for _, o := range out {
		o.SetUint64(0)
	}
}

package circuit_test

import (
	"errors"
	"flag"
	"fmt"
	"os"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/terradourada/td/proof/circuit"
	"github.com/terradourada/td/proof/field"
	"github.com/terradourada/td/proof/ligero"
	"github.com/terradourada/td/proof/poseidon"
)

var update = flag.Bool("update", false, "write the golden file")

// TestSamplesHold satisfies every sample, in rows of several lengths, and assigns
// every secret its own position.
func TestSamplesHold(t *testing.T) {
	shapes := samples()
	for gates := range 9 {
		for _, secrets := range []int{1, 3, 12} {
			shapes = append(shapes, many(gates, secrets))
		}
	}
	for _, s := range shapes {
		for _, l := range []int{2, 4, 64, 1024} {
			c := compile(s, l)
			if failed := violated(c.System, solve(t, c, s), s.public); failed != nil {
				t.Errorf("%s, l = %d: equations %v fail", s.name, l, failed)
			}
			places := map[int]bool{}
			for i := range c.Secrets() {
				places[c.SecretPlace(i)] = true
			}
			for i := range c.Gates() {
				left, right := c.GatePlaces(i)
				places[left], places[right] = true, true
			}
			if len(places) != c.Secrets()+2*c.Gates() {
				t.Errorf("%s, l = %d: %d secrets and %d gates have %d places", s.name, l, c.Secrets(), c.Gates(), len(places))
			}
			if rows := (len(places) + l - 1) / l; c.System.Rows > rows+1 {
				t.Errorf("%s, l = %d: %d rows for %d values", s.name, l, c.System.Rows, len(places))
			}
		}
	}
}

// TestEverySecretCounts: another value of any secret violates an equation, so
// none is free.
func TestEverySecretCounts(t *testing.T) {
	for _, s := range samples() {
		c := compile(s, 64)
		for i := range s.secrets {
			changed := s
			changed.secrets = slices.Clone(s.secrets)
			changed.secrets[i] = changed.secrets[i].Add(field.One)
			if violated(c.System, solve(t, c, changed), s.public) == nil {
				t.Errorf("%s: secret %d is free", s.name, i)
			}
		}
		for i := range s.public {
			public := slices.Clone(s.public)
			public[i] = public[i].Add(field.One)
			changed := s
			changed.public = public
			if violated(c.System, solve(t, c, changed), public) == nil {
				t.Errorf("%s: public value %d is free", s.name, i)
			}
		}
	}
}

// TestEveryEquationCounts: for every gate there are values that violate the
// equation of its left factor only, and values that violate that of its right
// factor only. The public outputs are what these values make of them, so that a
// circuit without this equation would prove them.
func TestEveryEquationCounts(t *testing.T) {
	for _, s := range samples() {
		c := compile(s, 64)
		outputs := outputEquations(c)
		for g := range c.Gates() {
			for _, factor := range []string{"left", "right"} {
				var left, right field.Element
				if factor == "left" {
					left = field.One
				} else {
					right = field.One
				}
				values, err := c.SolveFrom(s.secrets, s.public, g, left, right)
				if err != nil {
					t.Fatal(err)
				}
				failed := slices.DeleteFunc(violated(c.System, values, s.public), func(e int) bool { return outputs[e] })
				if len(failed) != 1 {
					t.Errorf("%s: with another %s factor of gate %d the equations %v fail", s.name, factor, g, failed)
				}
			}
		}
	}
}

// outputEquations are those without a factor of a gate. They compare results
// with public values, or are about secrets alone.
func outputEquations(c *circuit.Circuit) map[int]bool {
	factors := map[uint32]bool{}
	for i := range c.Gates() {
		left, right := c.GatePlaces(i)
		factors[uint32(left)], factors[uint32(right)] = true, true
	}
	outputs := map[int]bool{}
	for e := range c.System.Equations {
		outputs[e] = true
	}
	for _, t := range c.System.Linear {
		if factors[t.At] {
			delete(outputs, int(t.Equation))
		}
	}
	return outputs
}

// TestCompress compares the gadget with the native function.
func TestCompress(t *testing.T) {
	d := digests(2)
	b := new(circuit.Builder)
	b.EqualDigests(b.Compress(b.PublicDigest(), b.SecretDigest()), b.PublicDigest())
	c := b.Compile(64)
	public := flat(d[0], poseidon.Compress(d[0], d[1]))
	values, err := c.Solve(flat(d[1]), public)
	if err != nil {
		t.Fatal(err)
	}
	if failed := violated(c.System, values, public); failed != nil {
		t.Errorf("equations %v fail", failed)
	}
	if c.Gates() != 148 {
		t.Errorf("%d gates, want 148", c.Gates())
	}
}

// TestAtMost decides x <= y as integers do, at the edges of all limbs.
func TestAtMost(t *testing.T) {
	b := new(circuit.Builder)
	b.AtMost(b.PublicLimbs(64), b.PublicLimbs(64), 64)
	c := b.Compile(64)
	var edges []uint64
	for _, shift := range []int{0, 15, 16, 17, 31, 32, 48, 63} {
		edges = append(edges, 1<<shift-1, 1<<shift, 1<<shift+1)
	}
	edges = append(edges, 1<<64-1, 1<<64-2, 0xffff0000ffff0000, 0x0000ffff0000ffff)
	for _, x := range edges {
		for _, y := range edges {
			public := circuit.LimbPublics(circuit.LimbPublics(nil, x, 64), y, 64)
			values, err := c.Solve(circuit.AtMostSecrets(nil, x, y, 64), public)
			if err != nil {
				t.Fatal(err)
			}
			if holds := violated(c.System, values, public) == nil; holds != (x <= y) {
				t.Fatalf("%d <= %d is %v", x, y, holds)
			}
		}
	}
}

// TestAtMostEveryLimb: for y that is one limb's unit less than x, with difference
// 0, the equation of this limb fails and no other.
func TestAtMostEveryLimb(t *testing.T) {
	b := new(circuit.Builder)
	b.AtMost(b.PublicLimbs(64), b.PublicLimbs(64), 64)
	c := b.Compile(64)
	for limb := range 4 {
		public := circuit.LimbPublics(circuit.LimbPublics(nil, 1<<(16*limb), 64), 0, 64)
		values, err := c.Solve(make([]field.Element, c.Secrets()), public)
		if err != nil {
			t.Fatal(err)
		}
		if failed := violated(c.System, values, public); len(failed) != 1 {
			t.Errorf("limb %d: equations %v fail, want one", limb, failed)
		}
	}
}

// TestAtMostEveryCarry: for x > y no bits help. All 2^3 carries are tried with
// the differences that they would need.
func TestAtMostEveryCarry(t *testing.T) {
	b := new(circuit.Builder)
	b.AtMost(b.PublicLimbs(64), b.PublicLimbs(64), 64)
	c := b.Compile(64)
	limb := func(v uint64, i int) int { return int(v >> (16 * i) & 0xffff) }
	for _, pair := range [][2]uint64{{1, 0}, {1 << 16, 1<<16 - 1}, {1 << 63, 1<<63 - 1}, {1<<64 - 1, 0}, {0x0001000000000000, 0x0000ffffffffffff}} {
		x, y := pair[0], pair[1]
		public := circuit.LimbPublics(circuit.LimbPublics(nil, x, 64), y, 64)
		for carries := range 8 {
			d, in := uint64(0), 0
			for i := range 4 {
				out := 0
				if i < 3 {
					out = carries >> i & 1
				}
				d |= uint64(limb(y, i)-limb(x, i)-in+out<<16) & 0xffff << (16 * i)
				in = out
			}
			secrets := circuit.BitSecrets(nil, d, 64)
			for i := range 3 {
				secrets = append(secrets, field.New(uint64(carries>>i&1)))
			}
			values, err := c.Solve(secrets, public)
			if err != nil {
				t.Fatal(err)
			}
			if violated(c.System, values, public) == nil {
				t.Fatalf("%d <= %d is shown with carries %b", x, y, carries)
			}
		}
	}
}

// TestCarriesAreBits: with other carries 1 <= 0 could be shown, because 2^16
// times 32512 is -1 modulo p.
func TestCarriesAreBits(t *testing.T) {
	b := new(circuit.Builder)
	b.AtMost(b.PublicLimbs(64), b.PublicLimbs(64), 64)
	c := b.Compile(64)
	public := circuit.LimbPublics(circuit.LimbPublics(nil, 1, 64), 0, 64)
	secrets := circuit.BitSecrets(nil, 32512<<16, 64)
	secrets = append(secrets, field.New(32512).Neg(), field.Element{}, field.Element{})
	values, err := c.Solve(secrets, public)
	if err != nil {
		t.Fatal(err)
	}
	if failed := violated(c.System, values, public); len(failed) != 1 {
		t.Errorf("equations %v fail, want one", failed)
	}
}

// sumCircuit compares the sum of secret integers of 32 bits with a public one.
func sumCircuit(count, carryBits int) *circuit.Circuit {
	b := new(circuit.Builder)
	var values []circuit.Limbs
	for range count {
		values = append(values, b.SecretLimbs(32))
	}
	for i, limb := range b.Sum(values, carryBits) {
		b.Equal(limb, b.PublicLimbs(32 + carryBits)[i])
	}
	return b.Compile(64)
}

func sumSecrets(values []uint64, carryBits int) (secrets []field.Element, sum uint64) {
	for _, v := range values {
		secrets = circuit.BitSecrets(secrets, v, 32)
		sum += v
	}
	return circuit.SumSecrets(secrets, values, 2, carryBits), sum
}

// TestSum: the sum is that of integers, and none that differs in a limb.
func TestSum(t *testing.T) {
	for _, values := range [][]uint64{{0, 0, 0}, {1, 2, 3}, {1<<32 - 1, 1<<32 - 1, 1<<32 - 1}, {0xffff, 1, 0}, {1 << 31, 1 << 31, 0}, {0xffff0000, 0xffff, 0x10001}} {
		c := sumCircuit(3, 4)
		secrets, sum := sumSecrets(values, 4)
		for _, other := range []uint64{0, 1, 1 << 16, 1 << 32} {
			var public []field.Element
			for i := range 3 { // each limb has its public integer
				limbs := make([]field.Element, 3)
				limbs[i] = field.New((sum ^ other) >> (16 * i) & 0xffff)
				public = append(public, limbs...)
			}
			values, err := c.Solve(secrets, public)
			if err != nil {
				t.Fatal(err)
			}
			if holds := violated(c.System, values, public) == nil; holds != (other == 0) {
				t.Errorf("the sum %d is shown as %d: %v", sum, sum^other, holds)
			}
		}
	}
}

// TestSumOfMany: 1,024 greatest integers with carries of 10 bits.
func TestSumOfMany(t *testing.T) {
	const n = 1 << 10
	values := slices.Repeat([]uint64{1<<32 - 1}, n)
	secrets, sum := sumSecrets(values, 10)
	if sum != n*(1<<32-1) {
		t.Fatal("the sum is not that of integers")
	}
	c := sumCircuit(n, 10)
	var public []field.Element
	for i := range 3 {
		limbs := make([]field.Element, 3)
		limbs[i] = field.New(sum >> (16 * i) & 0xffff)
		public = append(public, limbs...)
	}
	all, err := c.Solve(secrets, public)
	if err != nil {
		t.Fatal(err)
	}
	if failed := violated(c.System, all, public); failed != nil {
		t.Errorf("equations %v fail", failed)
	}
}

// TestSumEveryLimb: a sum that is one limb's unit more, with carries that are right,
// violates the equation of this limb, and that of the comparison.
func TestSumEveryLimb(t *testing.T) {
	c := sumCircuit(3, 4)
	secrets, _ := sumSecrets([]uint64{2, 4, 8}, 4)
	for limb := range 3 {
		changed := slices.Clone(secrets)
		changed[96+16*limb] = changed[96+16*limb].Add(field.One)
		sum := uint64(14) | 1<<(16*limb)
		var public []field.Element
		for i := range 3 {
			limbs := make([]field.Element, 3)
			limbs[i] = field.New(sum >> (16 * i) & 0xffff)
			public = append(public, limbs...)
		}
		values, err := c.Solve(changed, public)
		if err != nil {
			t.Fatal(err)
		}
		if failed := violated(c.System, values, public); len(failed) != 1 {
			t.Errorf("limb %d: equations %v fail, want one", limb, failed)
		}
	}
}

// TestSelect: one of two digests, by the bit.
func TestSelect(t *testing.T) {
	d := digests(2)
	b := new(circuit.Builder)
	b.EqualDigests(b.Select(b.Bit(), b.PublicDigest(), b.PublicDigest()), b.PublicDigest())
	c := b.Compile(64)
	for bit := range 2 {
		for want := range 2 {
			public := flat(d[0], d[1], d[want])
			values, err := c.Solve([]field.Element{field.New(uint64(bit))}, public)
			if err != nil {
				t.Fatal(err)
			}
			if holds := violated(c.System, values, public) == nil; holds != (bit == want) {
				t.Errorf("bit %d selects digest %d: %v", bit, want, holds)
			}
		}
	}
}

// TestBits: only 0 and 1 are bits.
func TestBits(t *testing.T) {
	b := new(circuit.Builder)
	b.Bit()
	c := b.Compile(2)
	for _, v := range []uint64{0, 1, 2, 3, field.Modulus - 1, field.Modulus / 2} {
		values, _ := c.Solve([]field.Element{field.New(v)}, nil)
		if holds := violated(c.System, values, nil) == nil; holds != (v < 2) {
			t.Errorf("%d is a bit: %v", v, holds)
		}
	}
}

func TestValues(t *testing.T) {
	b := new(circuit.Builder)
	x, y := b.Public(), b.Public()
	zero := circuit.Value{}
	for name, v := range map[string]circuit.Value{
		"x - x":           x.Minus(x),
		"0 · x":           x.Times(field.Element{}),
		"(x + y) - y - x": x.Plus(y).Minus(y).Minus(x),
		"1 - 1":           circuit.Constant(field.One).Minus(circuit.Constant(field.One)),
		"0":               circuit.Constant(field.Element{}),
		"0 + 0":           zero.Plus(zero),
	} {
		b := new(circuit.Builder)
		b.Public()
		b.Public()
		b.Zero(v)
		if s := b.Compile(2).System; len(s.Constant) != 0 {
			t.Errorf("%s has %d terms", name, len(s.Constant))
		}
	}
}

func TestWrongNumbers(t *testing.T) {
	s := commitment()
	c := compile(s, 64)
	for _, in := range [][2][]field.Element{{s.secrets[1:], s.public}, {append(slices.Clone(s.secrets), field.One), s.public}, {s.secrets, s.public[1:]}, {s.secrets, nil}} {
		if _, err := c.Solve(in[0], in[1]); !errors.Is(err, circuit.ErrInputs) {
			t.Errorf("%d secrets, %d public values: %v", len(in[0]), len(in[1]), err)
		}
	}
}

// TestGolden: the numbers and digests of the samples are those of the file. A
// change of the layout, of an order or of the permutation shows here.
func TestGolden(t *testing.T) {
	var text strings.Builder
	for _, s := range samples() {
		c := compile(s, 64)
		y := c.System
		fmt.Fprintf(&text, "%s gates %d secrets %d publics %d rows %d products %d equations %d terms %d digest %x\n", s.name,
			c.Gates(), c.Secrets(), y.Publics, y.Rows, len(y.Products), y.Equations, len(y.Linear)+len(y.Quadratic)+len(y.Constant), y.Digest())
	}
	const file = "testdata/circuits.golden"
	if *update {
		if err := os.WriteFile(file, []byte(text.String()), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if text.String() != string(want) {
		t.Errorf("got\n%s\nwant\n%s", text.String(), want)
	}
}

// TestProofs proves and verifies the samples with the parameters of claims, and
// refuses a false value, and the proof for other public values.
func TestProofs(t *testing.T) {
	for _, s := range []sample{commitment(), record(77, 10, 100), record(10, 10, 10), record(1<<64-1, 0, 1<<64-1)} {
		c := compile(s, full.Slots)
		scheme, err := ligero.New(c.System, full)
		if err != nil {
			t.Fatal(err)
		}
		values := solve(t, c, s)
		proof, err := scheme.Prove(values, s.public, ligero.NewCoins())
		if err != nil {
			t.Fatal(err)
		}
		if err := scheme.Verify(proof, s.public); err != nil {
			t.Errorf("%s: %v", s.name, err)
		}
		t.Logf("%s: %d bytes, %d rows", s.name, len(proof), c.System.Rows)
		public := slices.Clone(s.public)
		public[9] = public[9].Add(field.One)
		if scheme.Verify(proof, public) == nil {
			t.Errorf("%s: accepted for another commitment", s.name)
		}
		values[0] = values[0].Add(field.One)
		if _, err := scheme.Prove(values, s.public, ligero.NewCoins()); !errors.Is(err, ligero.ErrUnsatisfied) {
			t.Errorf("%s: false value: %v", s.name, err)
		}
	}
	for _, s := range []sample{record(9, 10, 100), record(101, 10, 100)} {
		c := compile(s, full.Slots)
		if violated(c.System, solve(t, c, s), s.public) == nil {
			t.Errorf("%s: a value outside of its interval", s.name)
		}
	}
}

func BenchmarkClaims(b *testing.B) {
	for _, s := range []sample{commitment(), record(77, 10, 100)} {
		c := compile(s, full.Slots)
		scheme, err := ligero.New(c.System, full)
		if err != nil {
			b.Fatal(err)
		}
		proof, err := scheme.Prove(solve(b, c, s), s.public, ligero.NewCoins())
		if err != nil {
			b.Fatal(err)
		}
		cpu(b, s.name+"/compile", func() error { compile(s, full.Slots); return nil })
		cpu(b, s.name+"/prove", func() error {
			_, err := scheme.Prove(solve(b, c, s), s.public, ligero.NewCoins())
			return err
		})
		b.Logf("%s: %d bytes", s.name, len(proof))
		cpu(b, s.name+"/verify", func() error { return scheme.Verify(proof, s.public) })
	}
}

// cpu reports the processor time beside the time on the wall, which on a shared
// machine says little.
func cpu(b *testing.B, name string, f func() error) {
	b.Helper()
	b.Run(name, func(b *testing.B) {
		used := func() time.Duration {
			var u syscall.Rusage
			syscall.Getrusage(syscall.RUSAGE_SELF, &u)
			return time.Duration(u.Utime.Nano() + u.Stime.Nano())
		}
		before, n := used(), 0
		for b.Loop() {
			if err := f(); err != nil {
				b.Fatal(err)
			}
			n++
		}
		b.ReportMetric(float64((used()-before).Microseconds())/float64(n), "cpu-us/op")
	})
}

package circuit_test

import (
	"math/rand/v2"
	"testing"

	"github.com/terradourada/td/proof/circuit"
	"github.com/terradourada/td/proof/field"
	"github.com/terradourada/td/proof/ligero"
	"github.com/terradourada/td/proof/poseidon"
)

// sample is a circuit with secrets and public values that satisfy it.
type sample struct {
	name            string
	build           func(b *circuit.Builder)
	secrets, public []field.Element
}

// full are the parameters of single claims.
var full = ligero.Params{Slots: 64, Length: 2048, Queries: 147, Components: 5}

func digests(n int) (d []poseidon.Digest) {
	r := rand.New(rand.NewPCG(1, uint64(n)))
	d = make([]poseidon.Digest, n)
	for i := range d {
		for j := range d[i] {
			d[i][j] = field.New(r.Uint64())
		}
	}
	return d
}

func flat(d ...poseidon.Digest) (v []field.Element) {
	for _, x := range d {
		v = append(v, x[:]...)
	}
	return v
}

func sum(x, y poseidon.Digest) (s poseidon.Digest) {
	for i := range s {
		s[i] = x[i].Add(y[i])
	}
	return s
}

// commitment has the shape of open/1: cm = C(C(e, r), T) for public T and cm.
func commitment() sample {
	d := digests(3)
	e, r, claim := d[0], d[1], d[2]
	cm := poseidon.Compress(poseidon.Compress(e, r), claim)
	return sample{"commitment", func(b *circuit.Builder) {
		h := b.Compress(b.SecretDigest(), b.SecretDigest())
		b.EqualDigests(b.Compress(h, b.PublicDigest()), b.PublicDigest())
	}, flat(e, r), flat(claim, cm)}
}

// record has the shape of record-range/1: the leftmost leaf of a tree of depth 3
// is an integer in a public interval, and the root is committed to.
func record(v, lo, hi uint64) sample {
	d := digests(6)
	h, salt, siblings, claim := d[0], d[1], d[2:5], d[5]
	var leaf poseidon.Digest
	copy(leaf[:], circuit.LimbPublics(nil, v, 64))
	root := poseidon.Compress(leaf, salt)
	for _, s := range siblings {
		root = poseidon.Compress(root, s)
	}
	cm := poseidon.Compress(h, sum(root, claim))
	secrets := circuit.BitSecrets(nil, v, 64)
	secrets = circuit.AtMostSecrets(secrets, lo, v, 64)
	secrets = circuit.AtMostSecrets(secrets, v, hi, 64)
	secrets = append(secrets, flat(append([]poseidon.Digest{salt}, append(siblings, h)...)...)...)
	public := circuit.LimbPublics(circuit.LimbPublics(flat(claim, cm), lo, 64), hi, 64)
	return sample{"record", func(b *circuit.Builder) {
		claim, cm := b.PublicDigest(), b.PublicDigest()
		lo, hi := b.PublicLimbs(64), b.PublicLimbs(64)
		v := b.SecretLimbs(64)
		b.AtMost(lo, v, 64)
		b.AtMost(v, hi, 64)
		var leaf circuit.Digest
		copy(leaf[:], v[:])
		root := b.Compress(leaf, b.SecretDigest())
		for range siblings {
			root = b.Compress(root, b.SecretDigest())
		}
		b.EqualDigests(b.Compress(b.SecretDigest(), root.Plus(claim)), cm)
	}, secrets, public}
}

// arithmetic has a product of two expressions and a few gates, in rows that are
// not full: x·y + 3 = z and (x + y)^3 = w.
func arithmetic() sample {
	x, y := field.New(5), field.New(field.Modulus-7)
	s := x.Add(y)
	return sample{"arithmetic", func(b *circuit.Builder) {
		x, y := b.Secret(), b.Secret()
		z, w := b.Public(), b.Public()
		b.Equal(b.Multiply(x, y).Plus(circuit.Constant(field.New(3))), z)
		b.Equal(b.Cube(x.Plus(y)), w)
		b.Zero(b.Multiply(b.Bit(), b.Bit()))
	}, []field.Element{x, y, field.One, {}}, []field.Element{x.Mul(y).Add(field.New(3)), s.Square().Mul(s)}}
}

// many has n gates and more secrets than their rows have room for.
func many(gates, secrets int) sample {
	s := sample{name: "many", build: func(b *circuit.Builder) {
		var first circuit.Value
		for i := range secrets {
			v := b.Bit()
			if i == 0 {
				first = v
			}
		}
		for range gates {
			first = b.Cube(first)
		}
		b.Zero(first)
	}}
	s.secrets = make([]field.Element, secrets)
	return s
}

func samples() []sample {
	return []sample{commitment(), record(77, 10, 100), arithmetic()}
}

func compile(s sample, l int) *circuit.Circuit {
	b := new(circuit.Builder)
	s.build(b)
	return b.Compile(l)
}

func solve(t testing.TB, c *circuit.Circuit, s sample) []field.Element {
	t.Helper()
	values, err := c.Solve(s.secrets, s.public)
	if err != nil {
		t.Fatal(err)
	}
	return values
}

// violated returns the equations that fail, by the definition of a system.
func violated(s *ligero.System, values, public []field.Element) (failed []int) {
	sums := make([]field.Element, s.Equations)
	add := func(t ligero.Term, x field.Element) { sums[t.Equation] = sums[t.Equation].Add(t.Factor.Mul(x)) }
	for _, t := range s.Linear {
		add(t, values[t.At])
	}
	for _, t := range s.Quadratic {
		p, slot := s.Products[int(t.At)/s.Slots], int(t.At)%s.Slots
		add(t, values[p[0]*s.Slots+slot].Mul(values[p[1]*s.Slots+slot]))
	}
	for _, t := range s.Constant {
		x := field.One
		if t.At > 0 {
			x = public[t.At-1]
		}
		add(t, x)
	}
	for e, x := range sums {
		if x != (field.Element{}) {
			failed = append(failed, e)
		}
	}
	return failed
}

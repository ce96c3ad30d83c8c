package ligero_test

import (
	"bytes"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/terradourada/td/proof/field"
	"github.com/terradourada/td/proof/ligero"
	"github.com/terradourada/td/proof/transcript"
)

func modelOf(s *sample, p ligero.Params) *model {
	return &model{p: field.Modulus, l: p.Slots, n: p.Length, t: p.Queries, d: p.Components, generator: field.Generator, sys: s.system}
}

func integers(v []field.Element) (n []uint64) {
	for _, x := range v {
		n = append(n, uint64(x.Uint32()))
	}
	return n
}

// TestAgreement: engine and model make the same proofs of the same coins, and
// accept them. One of the shapes has t > l, one a single row.
func TestAgreement(t *testing.T) {
	for i, p := range []ligero.Params{
		small,
		{Slots: 2, Length: 32, Queries: 5, Components: 3},
		{Slots: 8, Length: 32, Queries: 1, Components: 1},
	} {
		for rows := 1; rows <= 4; rows += 3 {
			t.Run(fmt.Sprint(p, rows), func(t *testing.T) {
				s := newSample(uint64(i), p.Slots, rows, 1, 9)
				sch, m := scheme(t, s, p), modelOf(s, p)
				seed := transcript.Digest("agreement")
				proof, err := sch.Prove(s.values, s.public, ligero.FixedCoins(seed))
				if err != nil {
					t.Fatal(err)
				}
				if want := m.prove(integers(s.values), integers(s.public), seed[:]); !bytes.Equal(proof, want) {
					t.Fatal("the model makes another proof")
				}
				if err := sch.Verify(proof, s.public); err != nil {
					t.Error(err)
				}
				if !m.verify(proof, integers(s.public)) {
					t.Error("the model refuses the proof")
				}
			})
		}
	}
}

// TestEveryByte: a proof with a bit of any byte changed, or with a byte more or
// less anywhere, is refused. So no bit of a proof is free.
func TestEveryByte(t *testing.T) {
	s := newSample(5, small.Slots, 3, 2, 12)
	sch := scheme(t, s, small)
	proof := prove(t, sch, s)
	for i := range proof {
		for bit := range 8 {
			bad := slices.Clone(proof)
			bad[i] ^= 1 << bit
			if sch.Verify(bad, s.public) == nil {
				t.Fatalf("bit %d of byte %d is free", bit, i)
			}
		}
		if sch.Verify(slices.Delete(slices.Clone(proof), i, i+1), s.public) == nil {
			t.Fatalf("byte %d can be left out", i)
		}
		if sch.Verify(slices.Insert(slices.Clone(proof), i, 0), s.public) == nil {
			t.Fatalf("a byte can be added before %d", i)
		}
	}
	for _, add := range []int{1, 4, 31, 32, 64, 1 << 20} {
		if err := sch.Verify(append(slices.Clone(proof), make([]byte, add)...), s.public); !errors.Is(err, ligero.ErrForm) {
			t.Errorf("%d more bytes: %v", add, err)
		}
	}
	for n := range proof {
		if sch.Verify(proof[:n], s.public) == nil {
			t.Fatalf("the first %d bytes are accepted", n)
		}
	}
}

// TestSameElementTwice: an element plus the modulus is the same element, and is
// refused in every field that has room for it.
func TestSameElementTwice(t *testing.T) {
	s := newSample(6, small.Slots, 3, 2, 12)
	sch := scheme(t, s, small)
	proof := prove(t, sch, s)
	tried := 0
	for i := 32; i+4 <= sch.PathStart(); i += 4 {
		x, ok := field.Parse(proof[i:])
		if !ok || uint64(x.Uint32())+field.Modulus >= 1<<32 {
			continue
		}
		bad := slices.Clone(proof)
		copy(bad[i:], u32(nil, int(x.Uint32())+field.Modulus))
		if sch.Verify(bad, s.public) == nil {
			t.Fatalf("the element at %d is accepted plus the modulus", i)
		}
		tried++
	}
	if tried < 100 {
		t.Fatalf("%d elements were tried", tried)
	}
}

// TestVerdictsAgree: engine and model accept and refuse the same texts.
func TestVerdictsAgree(t *testing.T) {
	s := newSample(7, small.Slots, 3, 2, 12)
	sch, m := scheme(t, s, small), modelOf(s, small)
	r := rand.New(rand.NewPCG(8, 8))
	proof := prove(t, sch, s)
	for i := range 300 {
		text := slices.Clone(proof)
		switch i % 4 {
		case 1:
			text[r.IntN(len(text))] ^= byte(1 << r.IntN(8))
		case 2:
			text = text[:r.IntN(len(text))]
		case 3:
			text = append(text, make([]byte, 32*r.IntN(3))...)
		}
		public := slices.Clone(s.public)
		if i%20 == 0 && i > 0 {
			public[0] = field.New(r.Uint64())
		}
		engine, model := sch.Verify(text, public) == nil, m.verify(text, integers(public))
		if engine != model {
			t.Fatalf("text %d: engine %v, model %v", i, engine, model)
		}
	}
}

// FuzzVerify: no text makes the verifier panic, and none but the proof is
// accepted. What is found by chance would be a false proof of 2^-128.
func FuzzVerify(f *testing.F) {
	s := newSample(9, small.Slots, 3, 2, 12)
	sch := scheme(f, s, ligero.Params{Slots: 4, Length: 64, Queries: 6, Components: 5})
	proof, err := sch.Prove(s.values, s.public, coins("fuzz")) // the same in every worker
	if err != nil {
		f.Fatal(err)
	}
	f.Add(proof)
	f.Add(proof[:len(proof)-1])
	f.Add(append(slices.Clone(proof), make([]byte, 32)...))
	f.Add([]byte{})
	f.Add(make([]byte, len(proof)))
	f.Fuzz(func(t *testing.T, text []byte) {
		if err := sch.Verify(text, s.public); (err == nil) != bytes.Equal(text, proof) {
			t.Errorf("verdict: %v", err)
		}
	})
}

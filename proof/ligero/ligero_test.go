package ligero_test

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/terradourada/td/proof/field"
	"github.com/terradourada/td/proof/ligero"
	"github.com/terradourada/td/proof/transcript"
)

func scheme(t testing.TB, s *sample, p ligero.Params) *ligero.Scheme {
	t.Helper()
	sch, err := ligero.NewUnchecked(s.system, p)
	if err != nil {
		t.Fatal(err)
	}
	return sch
}

func prove(t testing.TB, sch *ligero.Scheme, s *sample) []byte {
	t.Helper()
	proof, err := sch.Prove(s.values, s.public, ligero.NewCoins())
	if err != nil {
		t.Fatal(err)
	}
	return proof
}

// TestComplete proves random systems of many shapes.
func TestComplete(t *testing.T) {
	seed := uint64(0)
	for _, p := range []ligero.Params{
		small,
		{Slots: 2, Length: 16, Queries: 1, Components: 1},
		{Slots: 2, Length: 64, Queries: 9, Components: 3},
		{Slots: 16, Length: 64, Queries: 1, Components: 5},
		{Slots: 64, Length: 2048, Queries: 147, Components: 5},
	} {
		for _, rows := range []int{1, 2, 7} {
			for _, products := range []int{0, 1} {
				for _, equations := range []int{1, 20} {
					seed++
					s := newSample(seed, p.Slots, rows, products, equations)
					sch := scheme(t, s, p)
					if err := sch.Verify(prove(t, sch, s), s.public); err != nil {
						t.Errorf("%+v, %d rows, %d products, %d equations: %v", p, rows, products, equations, err)
					}
				}
			}
		}
	}
}

// TestProveRefusesFalseValues: a prover notices values that satisfy not all
// equations, so that it never reveals anything about them.
func TestProveRefusesFalseValues(t *testing.T) {
	s := newSample(1, small.Slots, 3, 2, 12)
	sch := scheme(t, s, small)
	used := map[uint32]bool{}
	for _, term := range s.system.Linear {
		used[term.At] = true
	}
	for at := range used {
		bad := slices.Clone(s.values)
		bad[at] = bad[at].Add(field.One)
		if _, err := sch.Prove(bad, s.public, ligero.NewCoins()); !errors.Is(err, ligero.ErrUnsatisfied) {
			t.Errorf("value %d changed: %v", at, err)
		}
	}
	for i := range s.public {
		bad := slices.Clone(s.public)
		bad[i] = bad[i].Add(field.One)
		if _, err := sch.Prove(s.values, bad, ligero.NewCoins()); !errors.Is(err, ligero.ErrUnsatisfied) {
			t.Errorf("public value %d changed: %v", i, err)
		}
	}
}

func TestWrongNumbers(t *testing.T) {
	s := newSample(1, small.Slots, 3, 2, 12)
	sch := scheme(t, s, small)
	proof := prove(t, sch, s)
	for _, public := range [][]field.Element{nil, s.public[1:], append(slices.Clone(s.public), field.One)} {
		if _, err := sch.Prove(s.values, public, ligero.NewCoins()); !errors.Is(err, ligero.ErrPublics) {
			t.Errorf("Prove with %d public values: %v", len(public), err)
		}
		if err := sch.Verify(proof, public); !errors.Is(err, ligero.ErrPublics) {
			t.Errorf("Verify with %d public values: %v", len(public), err)
		}
	}
	for _, values := range [][]field.Element{nil, s.values[1:], append(slices.Clone(s.values), field.One)} {
		if _, err := sch.Prove(values, s.public, ligero.NewCoins()); !errors.Is(err, ligero.ErrValues) {
			t.Errorf("Prove with %d values: %v", len(values), err)
		}
	}
}

// TestCoinsAreSpent: the same coins under another challenge would reveal rows.
func TestCoinsAreSpent(t *testing.T) {
	s := newSample(1, small.Slots, 3, 2, 12)
	sch := scheme(t, s, small)
	c := ligero.NewCoins()
	if _, err := sch.Prove(s.values, s.public, c); err != nil {
		t.Fatal(err)
	}
	defer func() {
		if recover() == nil {
			t.Error("coins were used twice")
		}
	}()
	sch.Prove(s.values, s.public, c)
}

// TestCoinsNeverPrint: no verb prints a seed, and nothing of it is left in coins
// that are spent.
func TestCoinsNeverPrint(t *testing.T) {
	seed := transcript.State{0xab, 0xcd, 0xef}
	c := ligero.FixedCoins(seed)
	holder := struct{ coins ligero.Coins }{*c}
	for _, verb := range []string{"%v", "%+v", "%#v", "%x", "%d", "%s"} {
		for _, x := range []any{c, *c, holder} {
			if text := strings.ToLower(fmt.Sprintf(verb, x)); strings.Contains(text, "abcdef") || strings.Contains(text, "171 205") {
				t.Errorf("%s prints %s", verb, text)
			}
		}
	}
	if first, second := ligero.SeedOf(c), ligero.SeedOf(c); first != seed || second != (transcript.State{}) {
		t.Errorf("read %x, then %x", first, second)
	}
}

// TestFixedCoins: a proof is a function of values, public values and coins.
func TestFixedCoins(t *testing.T) {
	s := newSample(1, small.Slots, 3, 2, 12)
	sch := scheme(t, s, small)
	a, _ := sch.Prove(s.values, s.public, coins("a"))
	b, _ := sch.Prove(s.values, s.public, coins("a"))
	c, _ := sch.Prove(s.values, s.public, coins("c"))
	if !slices.Equal(a, b) {
		t.Error("the same coins make another proof")
	}
	if slices.Equal(a, c) {
		t.Error("other coins make the same proof")
	}
}

// TestWiped: after a proof, and after a refusal, nothing is left in the memory of
// the prover.
func TestWiped(t *testing.T) {
	s := newSample(1, small.Slots, 3, 2, 12)
	sch := scheme(t, s, small)
	calls := 0
	defer ligero.OnWiped(func(elements int, clean bool) {
		calls++
		if elements == 0 || !clean {
			t.Errorf("of %d elements something is left", elements)
		}
	})()
	prove(t, sch, s)
	s.values[s.system.Linear[0].At] = field.Element{}
	sch.Prove(s.values, s.public, ligero.NewCoins())
	if calls != 2 {
		t.Errorf("the memory was wiped %d times, want 2", calls)
	}
}

func BenchmarkScheme(b *testing.B) {
	s := newSample(1, 64, 26, 26, 1700)
	sch, err := ligero.New(s.system, ligero.Params{Slots: 64, Length: 2048, Queries: 147, Components: 5})
	if err != nil {
		b.Fatal(err)
	}
	proof := prove(b, sch, s)
	b.Run("prove", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			prove(b, sch, s)
		}
	})
	b.Run("verify", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			if err := sch.Verify(proof, s.public); err != nil {
				b.Fatal(err)
			}
		}
		b.ReportMetric(float64(len(proof)), "bytes")
	})
}

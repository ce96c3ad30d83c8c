package anomaly

import (
	"hash/maphash"
	"math"
	"math/rand/v2"
	"slices"
	"testing"
)

// TestHeavy: what Space-Saving promises holds on a skewed stream, also after a join.
func TestHeavy(t *testing.T) {
	t.Parallel()
	random := rand.New(rand.NewPCG(1, 1))
	zipf := rand.NewZipf(random, 1.2, 1, 5000)
	truth := make(map[uint64]uint32)
	parts := make([]heavy, 4)
	for i := range 40000 {
		key := zipf.Uint64() + 1
		truth[key]++
		parts[i%4].add(key, 1, 64)
	}
	parts[0].add(0, 7, 64) // no value is known
	var all heavy
	for i := range parts {
		all.join(&parts[i], 64)
	}
	if all.total != 40007 || len(all.keys) != 64 {
		t.Fatalf("total %d, %d keys", all.total, len(all.keys))
	}
	for key, n := range truth {
		least, most := all.of(key, 64)
		if n < least || n > most {
			t.Errorf("key %d occurred %d times, not %d to %d", key, n, least, most)
		}
		if n > 40000/16 && !slices.Contains(all.keys, key) {
			t.Errorf("key %d is missing, which occurred %d times", key, n)
		}
	}
	if key, _ := all.top(); key != 1 {
		t.Errorf("the most frequent key is %d", key)
	}
	all.scale(0.5)
	if least, most := all.of(1, 64); least > truth[1]/2+1 || most < truth[1]/2 {
		t.Errorf("half of %d is between %d and %d", truth[1], least, most)
	}
	if all.scale(0); len(all.keys) > 0 {
		t.Error("keys are left of nothing")
	}
}

// TestDistinct: few values are counted exactly, many within four standard errors.
func TestDistinct(t *testing.T) {
	t.Parallel()
	seed := maphash.MakeSeed()
	for _, n := range []int{0, 1, 100, 128, 129, 400, 2000, 5000, 10000, 100000, 1000000} {
		var parts [2]distinct
		for i := range n {
			h := maphash.Comparable(seed, uint64(i))
			parts[i%2].add(h)
			parts[0].add(h)
		}
		parts[1].join(&parts[0])
		got := parts[1].estimate()
		if off := math.Abs(got - float64(n)); n <= 128 && off > 0 || off > 0.092*float64(n) {
			t.Errorf("%d different values are estimated as %.0f", n, got)
		}
	}
}

func TestSurprise(t *testing.T) {
	t.Parallel()
	if surprise(10, 100, 0.1) != 0 || surprise(0, 0, 0.5) != 0 || chance(0, 1) != 0.5 {
		t.Error("what is expected is a surprise")
	}
	// 60 of 100 against a half: G is 4.03, and the one-sided probability 0.0223.
	if g := surprise(60, 100, 0.5); math.Abs(g-4.027) > 0.01 || math.Abs(chance(g, 1)-0.0224) > 0.0005 {
		t.Errorf("%v %v", g, chance(g, 1))
	}
	if z := excess(100, 100, 1); z != 0 {
		t.Error(z)
	}
	if z := excess(120, 100, 1); math.Abs(z-1.94) > 0.02 {
		t.Error(z)
	}
}

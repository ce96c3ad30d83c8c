package anomaly_test

import (
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/terradourada/td/internal/anomaly"
	"github.com/terradourada/td/internal/telemetry"
)

// proving is a prover whose response times are log-normal.
type proving struct {
	median, sigma float64 // seconds, and of the logarithm
	client        string  // "" for the prover of this server
	late, wrong   float64 // shares
}

// answer feeds one answer.
func (p *proving) answer(d *anomaly.Provers, r *rand.Rand, at time.Time) {
	took := p.median * math.Exp(p.sigma*r.NormFloat64())
	cause := telemetry.NoCause
	switch u := r.Float64(); {
	case u < p.wrong:
		cause = telemetry.FalseProof
	case u < p.wrong+p.late:
		cause = telemetry.Late
	}
	if p.client == "" {
		d.Change(telemetry.Change{At: at, Kind: telemetry.ProofReturned, Subject: "range/1", Value: took})
		d.Change(telemetry.Change{At: at, Kind: telemetry.PushDecided, Subject: "range/1", Value: float64(telemetry.NoCause)})
		return
	}
	a := answered(at, r.Uint64(), r.Uint64(), cause)
	a.Client, a.Answered = p.client, time.Duration(took*float64(time.Second))
	d.Observe(a)
}

// run feeds answers, one every ten seconds, until a verdict or their number. It returns the
// verdict and how many answers it took.
func (p *proving) run(d *anomaly.Provers, r *rand.Rand, at *time.Time, n int) (*anomaly.Verdict, int) {
	for i := range n {
		*at = at.Add(10 * time.Second)
		p.answer(d, r, *at)
		if found := d.Tick(*at, true); len(found) > 0 {
			return &found[0], i + 1
		}
	}
	return nil, n
}

// TestProverChange: a prover that becomes 3 times slower or faster is found within 30
// answers, for provers of this server and of clients, steady and unsteady ones.
func TestProverChange(t *testing.T) {
	t.Parallel()
	for _, client := range []string{"", "lab"} {
		for _, sigma := range []float64{0.05, 0.3, 0.5} {
			for _, factor := range []float64{3, 1.0 / 3} {
				var delays []int
				for seed := range uint64(200) {
					r, d, at := rand.New(rand.NewPCG(seed, 13)), anomaly.NewProvers(), noon
					p := &proving{median: 0.4, sigma: sigma, client: client}
					if v, _ := p.run(d, r, &at, 300); v != nil {
						t.Fatalf("seed %d: %s", seed, v.Sentence)
					}
					p.median *= factor
					v, n := p.run(d, r, &at, 300)
					want := map[bool]string{true: "slower", false: "faster"}[factor > 1]
					if v == nil || v.Kind != want || v.Score < 1 || !strings.Contains(v.Sentence, want) || math.Abs(math.Log(v.Observed/v.Expected)-math.Log(factor)) > 0.9 {
						t.Fatalf("seed %d, sigma %g, factor %g: %+v", seed, sigma, factor, v)
					}
					delays = append(delays, n)
				}
				slices.Sort(delays)
				if worst := delays[len(delays)-1]; worst > 30 {
					t.Errorf("%q, sigma %g, factor %.2g: median %d answers, worst %d", client, sigma, factor, delays[len(delays)/2], worst)
				}
			}
		}
	}
}

// TestProverOfTwo: of two provers with as many answers, the one that becomes 3 times slower or
// faster is found within 30 of its answers, and no verdict is about the other. What both
// share leads to none.
func TestProverOfTwo(t *testing.T) {
	t.Parallel()
	for _, sigma := range []float64{0.05, 0.2, 0.3} {
		for _, factor := range []float64{3, 1.0 / 3} {
			for seed := range uint64(100) {
				r, d, at := rand.New(rand.NewPCG(seed, 17)), anomaly.NewProvers(), noon
				one, other := &proving{median: 0.4, sigma: sigma, client: "lab"}, &proving{median: 0.4, sigma: sigma, client: []string{"", "field"}[seed%2]}
				both := func(n int) (found []anomaly.Verdict) {
					for range n {
						at = at.Add(5 * time.Second)
						one.answer(d, r, at)
						at = at.Add(5 * time.Second)
						other.answer(d, r, at)
						found = append(found, d.Tick(at, true)...)
					}
					return found
				}
				if found := both(300); len(found) > 0 {
					t.Fatalf("seed %d, before: %s", seed, found[0].Sentence)
				}
				one.median *= factor
				if found := both(30); len(found) != 1 || found[0].Scope != "client:lab" {
					t.Errorf("seed %d, sigma %g, factor %.2g: %+v", seed, sigma, factor, found)
				}
				if found := both(100); len(found) > 0 {
					t.Errorf("seed %d, after: %s", seed, found[0].Sentence)
				}
				one.median, other.median = one.median/factor, other.median/factor
				if found := both(100); len(found) > 0 {
					t.Errorf("seed %d, both: %s", seed, found[0].Sentence)
				}
			}
		}
	}
}

// TestProverOfSilentOthers: a change is found while the others of a claim are silent.
func TestProverOfSilentOthers(t *testing.T) {
	t.Parallel()
	for seed := range uint64(50) {
		r, d, at := rand.New(rand.NewPCG(seed, 19)), anomaly.NewProvers(), noon
		for _, p := range []*proving{{median: 1, sigma: 0.3, client: "field"}, {median: 1, sigma: 0.3, client: "lab"}} {
			if v, _ := p.run(d, r, &at, 300); v != nil {
				t.Fatalf("seed %d: %s", seed, v.Sentence)
			}
		}
		v, n := (&proving{median: 3, sigma: 0.3, client: "lab"}).run(d, r, &at, 30)
		if v == nil || v.Kind != "slower" || v.Scope != "client:lab" {
			t.Errorf("seed %d, after %d answers: %+v", seed, n, v)
		}
	}
}

// TestProverQuiet: provers that stay as they are lead to no verdict, in their warm-up and
// in a long life, with daily cycles and shares of errors that are usual for them.
func TestProverQuiet(t *testing.T) {
	t.Parallel()
	n := 20_000
	if testing.Short() {
		n = 4000
	}
	for seed := range uint64(6) {
		r, d, at := rand.New(rand.NewPCG(seed, 7)), anomaly.NewProvers(), noon
		for i := range n {
			at = at.Add(30 * time.Second)
			cycle := 1 + 0.15*math.Sin(2*math.Pi*float64(i)/2880)
			for _, p := range []proving{{median: 0.3 * cycle, sigma: 0.2}, {median: 2 * cycle, sigma: 0.4, client: "lab", late: 0.02, wrong: 0.004}, {median: 9, sigma: 0.6, client: "field", late: 0.05}} {
				p.answer(d, r, at)
			}
			for _, v := range d.Tick(at, true) {
				t.Errorf("seed %d, answer %d: %s", seed, i, v.Sentence)
			}
		}
	}
}

// TestProverKinds: shares, order, impossible speed, and what is unlike the others.
func TestProverKinds(t *testing.T) {
	t.Parallel()
	warm := func(t *testing.T, p *proving) (*anomaly.Provers, *rand.Rand, *time.Time) {
		t.Helper()
		d, r, at := anomaly.NewProvers(), rand.New(rand.NewPCG(1, 2)), noon
		if v, _ := p.run(d, r, &at, 400); v != nil {
			t.Fatal(v.Sentence)
		}
		return d, r, &at
	}
	t.Run("false proofs", func(t *testing.T) {
		t.Parallel()
		p := &proving{median: 1, sigma: 0.2, client: "lab"}
		d, r, at := warm(t, p)
		p.wrong = 0.3
		wantKind(t, "false_proofs")(p.run(d, r, at, 40))
	})
	t.Run("timeouts", func(t *testing.T) {
		t.Parallel()
		p := &proving{median: 1, sigma: 0.2, client: "lab"}
		d, r, at := warm(t, p)
		p.late = 0.5
		wantKind(t, "timeouts")(p.run(d, r, at, 40))
	})
	t.Run("too fast", func(t *testing.T) {
		t.Parallel()
		p := &proving{median: 0.003, sigma: 0.05, client: "lab"}
		d, r, at := warm(t, p)
		p.median = 0.0015
		wantKind(t, "too_fast")(p.run(d, r, at, 4))
	})
	t.Run("order", func(t *testing.T) {
		t.Parallel()
		d, at := anomaly.NewProvers(), noon
		one := func(i int, took time.Duration) []anomaly.Verdict {
			a := answered(at.Add(took), uint64(i), uint64(i), telemetry.NoCause)
			a.Answered = took
			d.Observe(a)
			return d.Tick(a.At, true)
		}
		for i := range 200 {
			at = at.Add(10 * time.Second)
			if found := one(i, time.Second); len(found) > 0 {
				t.Fatal(found[0].Sentence)
			}
		}
		for i := range 40 { // challenges are answered in the opposite order
			took := time.Second + time.Duration(i)*10*time.Millisecond
			d.Observe(telemetry.Request{})
			at = at.Add(-time.Second)
			for _, v := range one(1000+i, took) {
				wantKind(t, "order")(&v, i)
				return
			}
		}
		t.Error("not found")
	})
	t.Run("unlike the others", func(t *testing.T) {
		t.Parallel()
		d, r, at := anomaly.NewProvers(), rand.New(rand.NewPCG(1, 2)), noon
		for range 300 {
			for i := range 10 {
				p := proving{median: 1, sigma: 0.2, client: fmt.Sprint("c", i)}
				if i == 9 {
					p.median = 0.02
				}
				at = at.Add(time.Second)
				p.answer(d, r, at)
			}
		}
		found := d.Tick(at, true)
		if len(found) != 1 || found[0].Scope != "client:c9" {
			t.Fatalf("%+v", found)
		}
		wantKind(t, "unlike_others")(&found[0], 0)
	})
	t.Run("all slower", func(t *testing.T) {
		t.Parallel()
		d, r, at := anomaly.NewProvers(), rand.New(rand.NewPCG(1, 2)), noon
		var found []anomaly.Verdict
		for i := range 4000 {
			p := proving{median: 1, sigma: 0.2, client: fmt.Sprint("c", i%10)}
			if i >= 3000 {
				p.median = 3
			}
			at = at.Add(time.Second)
			p.answer(d, r, at)
			found = append(found, d.Tick(at, true)...)
		}
		if len(found) != 0 { // the measured series show it
			t.Errorf("%d verdicts: %+v", len(found), found)
		}
	})
}

func wantKind(t *testing.T, kind string) func(*anomaly.Verdict, int) {
	t.Helper()
	return func(v *anomaly.Verdict, n int) {
		t.Helper()
		if v == nil || v.Kind != kind {
			t.Fatalf("after %d answers: %+v, want %s", n, v, kind)
		}
		t.Log(n, v.Sentence)
	}
}

// TestProverBounds: the table is bounded, known provers stay in it, and its state survives.
func TestProverBounds(t *testing.T) {
	t.Parallel()
	d, r, at := anomaly.NewProvers(), rand.New(rand.NewPCG(1, 2)), noon
	p := &proving{median: 1, sigma: 0.2, client: "lab"}
	p.run(d, r, &at, 100)
	for i := range 20_000 {
		(&proving{median: 1, sigma: 0.2, client: fmt.Sprint("stranger", i)}).answer(d, r, at)
	}
	d.Tick(at, true)
	if all, warm := d.Known(); all > 10_000 || warm != 1 {
		t.Errorf("%d provers, %d warm", all, warm)
	}
	again := anomaly.NewProvers()
	if err := again.Restore(d.Save()); err != nil {
		t.Fatal(err)
	}
	p.median = 3
	wantKind(t, "slower")(p.run(again, r, &at, 30))
	state := d.Save()
	for i := range 40 {
		if err := again.Restore(state[:len(state)-1-i]); err == nil {
			t.Error("a damaged state was restored")
		}
	}
	at = at.Add(48 * time.Hour)
	d.Tick(at, true)
	if all, _ := d.Known(); all != 0 {
		t.Errorf("%d provers that were silent for days", all)
	}
}

// TestProverFrozen: while learning is off, a change does not become usual.
func TestProverFrozen(t *testing.T) {
	t.Parallel()
	d, r, at := anomaly.NewProvers(), rand.New(rand.NewPCG(1, 2)), noon
	p := &proving{median: 1, sigma: 0.2, client: "lab"}
	p.run(d, r, &at, 300)
	d.Tick(at, false)
	p.median = 1.3
	for range 2000 {
		at = at.Add(time.Second)
		p.answer(d, r, at)
		d.Tick(at, false)
	}
	p.median = 3
	v, _ := p.run(d, r, &at, 400)
	if v == nil || v.Expected > 1.2 {
		t.Errorf("%+v", v)
	}
}

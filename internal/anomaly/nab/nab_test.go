package nab_test

import (
	"encoding/json"
	"flag"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"testing"

	"github.com/terradourada/td/internal/anomaly"
)

var update = flag.Bool("update", false, "write the results into docs/")

// report is the result of the evaluation, as scripts print it.
type report struct {
	Standard   float64            `json:"standard"`
	LowFP      float64            `json:"low_fp"`
	LowFN      float64            `json:"low_fn"`
	Swept      [3]float64         `json:"swept"` // with the best threshold of each profile
	SplitHalf  []float64          `json:"split_half"`
	Families   map[string]float64 `json:"families"`
	Reproduced map[string]float64 `json:"reproduced"`
	OK         bool               `json:"ok"`

	chosen    []string // by the halves
	threshold []float64
	shipped   [3]result
	published map[string]map[string]float64
}

// TestNAB evaluates the shipped settings. TD_NAB is the folder of the benchmark. TD_NAB_OUT
// receives the report; TD_NAB_MODE short tunes the threshold alone on the halves.
func TestNAB(t *testing.T) {
	dir := os.Getenv("TD_NAB")
	if dir == "" {
		t.Skip("skipped: TD_NAB does not name the folder of the benchmark; make nab does")
	}
	files := load(t, dir)
	r := &report{Reproduced: map[string]float64{}, Families: map[string]float64{}}
	r.reproduce(t, dir, files)
	ours := run(files, anomaly.DefaultSeries())
	r.shippedScores(ours)
	r.halves(files, ours, os.Getenv("TD_NAB_MODE") == "short")
	r.families(files, ours)
	r.check(t)
	r.write(t)
	fmt.Printf("%+v\n%+v %+v\n", r, r.chosen, r.shipped)
}

// reproduce scores the published rows of three detectors at their published thresholds.
func (r *report) reproduce(t *testing.T, dir string, files []*file) {
	t.Helper()
	var thresholds map[string]map[string]struct{ Threshold float64 }
	readJSON(t, filepath.Join(dir, "config", "thresholds.json"), &thresholds)
	readJSON(t, filepath.Join(dir, "results", "final_results.json"), &r.published)
	for _, name := range []string{"numenta", "contextOSE", "windowedGaussian"} {
		rows := publishedRows(t, filepath.Join(dir, "results", name+".scores.csv.gz"))
		if name == "windowedGaussian" {
			addDigits(t, files, rows)
		}
		var outcomes []outcome
		for _, f := range files {
			outcomes = append(outcomes, judge(f, rows[f.name]))
		}
		all := join(outcomes)
		for i, p := range profiles {
			got, want := all.at(p, thresholds[name][p.name].Threshold).score, r.published[name][p.name]
			if math.Abs(got-want) > 0.2 {
				t.Errorf("%s, %s: scored %.2f, published are %.2f", name, p.name, got, want)
			}
			if i == 0 {
				r.Reproduced[name] = cents(got)
			}
		}
	}
}

// addDigits computes the rows of the windowed Gaussian again, to the twelve digits of their
// publication. The copy has ten, with which another thousand rows are at the threshold of 1.
func addDigits(t *testing.T, files []*file, rows map[string][]float64) {
	t.Helper()
	for _, f := range files {
		for i, score := range windowedGaussian(f.values) {
			if math.Abs(score-rows[f.name][i]) > 1e-9 {
				t.Fatalf("%s: row %d: computed %v, published %v", f.name, i, score, rows[f.name][i])
			}
			rows[f.name][i] = score
		}
	}
}

// windowedGaussian is that detector of the benchmark: one minus the tail of a Gaussian over
// the last 6,400 values, which is fitted after each value and then after every hundredth.
func windowedGaussian(values []float64) []float64 {
	const size, step = 6400, 100
	scores := make([]float64, len(values))
	mean, deviation := 0.0, 1.0
	for i, v := range values {
		if i > 0 {
			scores[i] = math.Round(1e12*(1-0.5*math.Erfc(math.Abs(v-mean)/deviation/math.Sqrt2))) / 1e12
		}
		if i < size || (i+1-size)%step == 0 {
			mean, deviation = fit(values[max(0, i+1-size) : i+1])
		}
	}
	return scores
}

func fit(values []float64) (mean, deviation float64) {
	n := float64(len(values))
	for _, v := range values {
		mean += v
	}
	mean /= n
	for _, v := range values {
		deviation += (v - mean) * (v - mean)
	}
	if deviation == 0 {
		return mean, 1e-6
	}
	return mean, math.Sqrt(deviation / n)
}

// run returns the outcomes of the detector on the files. A score is that of a verdict whose
// threshold is 1 before it is swept, and 0 without verdict.
func run(files []*file, set anomaly.SeriesSettings) []outcome {
	set.Threshold = 1
	var outcomes []outcome
	for _, f := range files {
		d := anomaly.NewSeries(set)
		scores := make([]float64, len(f.values))
		for i, v := range f.values {
			if r := d.Observe(f.times[i], v, true); r.Finding() {
				scores[i] = r.Score
			}
		}
		outcomes = append(outcomes, judge(f, scores))
	}
	return outcomes
}

func (r *report) shippedScores(ours []outcome) {
	all := join(ours)
	for i, p := range profiles {
		r.shipped[i] = all.at(p, anomaly.DefaultSeries().Threshold)
		r.Swept[i] = cents(all.best(p).score)
	}
	r.Standard, r.LowFP, r.LowFN = cents(r.shipped[0].score), cents(r.shipped[1].score), cents(r.shipped[2].score)
}

// grid returns the settings out of which a half of the files chooses: the shipped ones,
// and each of three parameters halved and doubled.
func grid() []anomaly.SeriesSettings {
	var all []anomaly.SeriesSettings
	for _, level := range []float64{0.5, 1, 2} {
		for _, record := range []float64{0.5, 1, 2} {
			for _, slack := range []float64{1, 1.5, 2} {
				s := anomaly.DefaultSeries()
				s.LevelHalfLife *= level
				s.ScaleHalfLife *= level
				s.RecordHalfLife *= record
				s.Slack = slack
				all = append(all, s)
			}
		}
	}
	return all
}

// halves chooses settings and threshold on one half of the files and scores them on the
// other.
func (r *report) halves(files []*file, shipped []outcome, short bool) {
	settings, outcomes := []anomaly.SeriesSettings{anomaly.DefaultSeries()}, [][]outcome{shipped}
	if !short {
		settings, outcomes = grid(), nil
		for _, s := range settings {
			outcomes = append(outcomes, run(files, s))
		}
	}
	for tuned := range 2 {
		var chosen, other outcome
		var best result
		var set anomaly.SeriesSettings
		for i, o := range outcomes {
			half := join(pick(o, tuned))
			if got := half.best(profiles[0]); got.score > best.score {
				best, set, chosen, other = got, settings[i], half, join(pick(o, 1-tuned))
			}
		}
		_ = chosen
		got := other.at(profiles[0], best.threshold)
		r.SplitHalf = append(r.SplitHalf, cents(got.score))
		r.chosen = append(r.chosen, fmt.Sprintf("level %.0f, scale %.0f, record %.0f, slack %.1f, threshold %.3f", set.LevelHalfLife, set.ScaleHalfLife, set.RecordHalfLife, set.Slack, best.threshold))
	}
}

// pick returns every second outcome.
func pick(outcomes []outcome, from int) []outcome {
	var half []outcome
	for i := from; i < len(outcomes); i += 2 {
		half = append(half, outcomes[i])
	}
	return half
}

// families scores each folder at the threshold that the others choose.
func (r *report) families(files []*file, ours []outcome) {
	within, without := map[string][]outcome{}, map[string][]outcome{}
	for _, f := range files {
		within[f.family()] = nil
	}
	for i, f := range files {
		for name := range within {
			if name == f.family() {
				within[name] = append(within[name], ours[i])
			} else {
				without[name] = append(without[name], ours[i])
			}
		}
	}
	for name := range within {
		own, others := join(within[name]), join(without[name])
		if own.windows == 0 {
			continue // nothing to find: no score
		}
		r.Families[name] = cents(own.at(profiles[0], others.best(profiles[0]).threshold).score)
	}
}

func (r *report) check(t *testing.T) {
	t.Helper()
	if r.Standard < 62 {
		t.Errorf("standard: %.2f, want 62 at least", r.Standard)
	}
	for _, score := range r.SplitHalf {
		if score < 55 {
			t.Errorf("split half: %.2f, want 55 at least", score)
		}
	}
	r.OK = !t.Failed()
}

func (r *report) write(t *testing.T) {
	t.Helper()
	b, err := json.Marshal(r)
	if err != nil {
		t.Fatal(err)
	}
	t.Logf("%s", b)
	if path := os.Getenv("TD_NAB_OUT"); path != "" {
		if err := os.WriteFile(path, append(b, '\n'), 0o600); err != nil {
			t.Fatal(err)
		}
	}
}

func cents(v float64) float64 { return math.Round(100*v) / 100 }

package nab_test

import (
	"encoding/json"
	"flag"
	"fmt"
	"maps"
	"math"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"github.com/terradourada/td/internal/anomaly"
)

var update = flag.Bool("update", false, "write the results into testdata/ and docs/")

// report is the result of the evaluation.
type report struct {
	Standard   float64            `json:"standard"` // of the shipped settings and threshold
	LowFP      float64            `json:"low_fp"`
	LowFN      float64            `json:"low_fn"`
	Swept      [3]float64         `json:"swept"` // the same with the best threshold of each profile
	SplitHalf  []float64          `json:"split_half"`
	Threshold  []float64          `json:"split_half_threshold_alone"`
	Families   map[string]float64 `json:"families"`
	Timeless   float64            `json:"without_week"` // standard, without the profile of the week
	Reproduced map[string]float64 `json:"reproduced"`
	OK         bool               `json:"ok"`
}

// results is what is frozen in testdata: the report and what the documentation says besides.
type results struct {
	Report    report                `json:"report"`
	Windows   int                   `json:"windows_hit"`
	FalseRows int                   `json:"false_rows"`
	Halves    [2]string             `json:"chosen_on_halves"`
	Published map[string][3]float64 `json:"published"`
}

const frozenFile = "testdata/results.json"

// TestNAB evaluates the shipped settings and compares the figures with the frozen ones.
// TD_NAB is the folder of the benchmark. TD_NAB_OUT receives the report.
func TestNAB(t *testing.T) {
	dir := os.Getenv("TD_NAB")
	if dir == "" {
		t.Skip("skipped: TD_NAB does not name the folder of the benchmark; make nab does")
	}
	files := load(t, dir)
	e := &results{Report: report{Reproduced: map[string]float64{}, Families: map[string]float64{}}, Published: map[string][3]float64{}}
	e.reproduce(t, dir, files)
	ours := run(files, anomaly.DefaultSeries())
	e.shipped(files, ours)
	e.halves(files, ours)
	e.families(files, ours)
	e.check(t)
	if *update {
		writeJSON(t, frozenFile, e)
		document(t, e)
	} else {
		e.compare(t)
	}
	plots(t, files)
	if path := os.Getenv("TD_NAB_OUT"); path != "" {
		writeJSON(t, path, e.Report)
	}
}

// reproduce scores the published rows of three detectors at their published thresholds.
func (e *results) reproduce(t *testing.T, dir string, files []*file) {
	t.Helper()
	var thresholds map[string]map[string]struct{ Threshold float64 }
	readJSON(t, filepath.Join(dir, "config", "thresholds.json"), &thresholds)
	var published map[string]map[string]float64
	readJSON(t, filepath.Join(dir, "results", "final_results.json"), &published)
	for name, scores := range published {
		if name != "null" {
			e.Published[name] = [3]float64{cents(scores[profiles[0].name]), cents(scores[profiles[1].name]), cents(scores[profiles[2].name])}
		}
	}
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
			got, want := all.at(p, thresholds[name][p.name].Threshold).score, published[name][p.name]
			if math.Abs(got-want) > 0.2 {
				t.Errorf("%s, %s: scored %.2f, published are %.2f", name, p.name, got, want)
			}
			if i == 0 {
				e.Report.Reproduced[name] = cents(got)
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

// shipped scores the shipped threshold, and the best one of each profile.
func (e *results) shipped(files []*file, ours []outcome) {
	all := join(ours)
	r, threshold := &e.Report, anomaly.DefaultSeries().Threshold
	for i, into := range []*float64{&r.Standard, &r.LowFP, &r.LowFN} {
		got := all.at(profiles[i], threshold)
		*into, r.Swept[i] = cents(got.score), cents(all.best(profiles[i]).score)
		e.Windows, e.FalseRows = got.hit, got.fp
	}
	set := anomaly.DefaultSeries()
	set.Profile = false
	timeless := join(run(files, set))
	r.Timeless = cents(timeless.at(profiles[0], threshold).score)
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
// other; and the threshold alone.
func (e *results) halves(files []*file, shipped []outcome) {
	settings := grid()
	var outcomes [][]outcome
	for _, s := range settings {
		outcomes = append(outcomes, run(files, s))
	}
	for tuned := range 2 {
		score, _, _ := tune([][]outcome{shipped}, tuned)
		e.Report.Threshold = append(e.Report.Threshold, cents(score))
		score, threshold, chosen := tune(outcomes, tuned)
		e.Report.SplitHalf = append(e.Report.SplitHalf, cents(score))
		s := settings[chosen]
		e.Halves[tuned] = fmt.Sprintf("level %.0f, scale %.0f, record %.0f, slack %.1f, threshold %.3f", s.LevelHalfLife, s.ScaleHalfLife, s.RecordHalfLife, s.Slack, threshold)
	}
}

// tune chooses the outcomes and the threshold that score best on one half, and returns what
// they score on the other.
func tune(outcomes [][]outcome, half int) (score, threshold float64, chosen int) {
	best := math.Inf(-1)
	for i, o := range outcomes {
		on := join(pick(o, half))
		if got := on.best(profiles[0]); got.score > best {
			other := join(pick(o, 1-half))
			best, threshold, chosen = got.score, got.threshold, i
			score = other.at(profiles[0], threshold).score
		}
	}
	return score, threshold, chosen
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
func (e *results) families(files []*file, ours []outcome) {
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
		e.Report.Families[name] = cents(own.at(profiles[0], others.best(profiles[0]).threshold).score)
	}
}

func (e *results) check(t *testing.T) {
	t.Helper()
	r := &e.Report
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

// compare wants the figures to be the frozen ones. Processors round differently.
func (e *results) compare(t *testing.T) {
	t.Helper()
	var frozen results
	readJSON(t, frozenFile, &frozen)
	got, want := e.Report.figures(), frozen.Report.figures()
	if len(got) != len(want) {
		t.Fatalf("%d figures, frozen are %d", len(got), len(want))
	}
	for i := range got {
		if math.Abs(got[i]-want[i]) > 0.3 {
			t.Errorf("figure %d: %.2f, frozen is %.2f; make nab UPDATE=1 freezes new ones", i, got[i], want[i])
		}
	}
}

func (r *report) figures() []float64 {
	all := slices.Concat([]float64{r.Standard, r.LowFP, r.LowFN, r.Timeless}, r.Swept[:], r.SplitHalf, r.Threshold)
	for _, m := range []map[string]float64{r.Families, r.Reproduced} {
		for _, name := range slices.Sorted(maps.Keys(m)) {
			all = append(all, m[name])
		}
	}
	return all
}

func writeJSON(t *testing.T, path string, v any) {
	t.Helper()
	b, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	write(t, path, append(b, '\n'))
}

func write(t *testing.T, path string, b []byte) {
	t.Helper()
	if err := os.WriteFile(path, b, 0o600); err != nil {
		t.Fatal(err)
	}
}

func cents(v float64) float64 { return math.Round(100*v) / 100 }

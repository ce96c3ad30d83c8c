package nab_test

import (
	"cmp"
	"math"
	"slices"
)

// profile is a row of the cost matrix of the benchmark. A true positive weighs 1.
type profile struct {
	name   string
	fp, fn float64
}

var profiles = []profile{
	{"standard", 0.11, 1},
	{"reward_low_FP_rate", 0.22, 1},
	{"reward_low_FN_rate", 0.11, 2},
}

// row is a row behind the probation, and what a verdict there is worth without weights.
type row struct {
	score  float64 // of the detector
	worth  float64 // 0 to 1 in a window, -1 to 0 outside
	window int     // -1 outside of windows
}

// outcome holds what a detector scored on files: rows with a score, highest first.
type outcome struct {
	rows    []row
	windows int
}

// judge returns the outcome of a detector on a file.
func judge(f *file, scores []float64) outcome {
	o := outcome{windows: len(f.windows)}
	probation := min(int(0.15*float64(len(f.values))), 750)
	next, in, last := 0, false, -1
	for i, score := range scores {
		in = in || next < len(f.windows) && i == f.windows[next].from
		r := row{score: score, window: -1, worth: -1}
		switch {
		case in:
			w := f.windows[next]
			r.window = next
			r.worth = sigmoid(-float64(w.to-i+1)/float64(w.to-w.from+1)) / sigmoid(-1)
		case last >= 0:
			w := f.windows[last]
			r.worth = sigmoid(float64(i-w.to) / float64(w.to-w.from))
		}
		if i >= probation && score > 0 {
			o.rows = append(o.rows, r)
		}
		if in && i == f.windows[next].to {
			in, last = false, next
			next++
		}
	}
	return o
}

// sigmoid is the benchmark's worth of a place relative to a window: -1 is its left edge,
// 0 its right edge.
func sigmoid(at float64) float64 {
	if at > 3 {
		return -1
	}
	return 2/(1+math.Exp(5*at)) - 1
}

// join returns the outcomes of several files as one.
func join(outcomes []outcome) outcome {
	var all outcome
	for _, o := range outcomes {
		for _, r := range o.rows {
			if r.window >= 0 {
				r.window += all.windows
			}
			all.rows = append(all.rows, r)
		}
		all.windows += o.windows
	}
	slices.SortStableFunc(all.rows, func(a, b row) int { return cmp.Compare(b.score, a.score) })
	return all
}

// result is a score of 0 to 100, with the counts behind it.
type result struct {
	score, threshold float64
	hit, fp          int // windows, rows outside of windows
}

// at returns the result at a threshold.
func (o *outcome) at(p profile, threshold float64) result {
	_, r := o.sweep(p, threshold)
	return r
}

// best returns the result at the best threshold.
func (o *outcome) best(p profile) result {
	r, _ := o.sweep(p, 0)
	return r
}

// sweep lowers the threshold from above all scores to the given one. It returns the best
// result on the way and the last one.
func (o *outcome) sweep(p profile, least float64) (best, last result) {
	worth := make([]float64, o.windows)
	for i := range worth {
		worth[i] = -p.fn
	}
	perfect := float64(o.windows)
	sum := -p.fn * perfect
	now := result{threshold: math.Inf(1)}
	best = now
	for i, r := range o.rows {
		if r.score < least {
			break
		}
		switch {
		case r.window < 0:
			sum += p.fp * r.worth
			now.fp++
		case worth[r.window] < r.worth:
			if worth[r.window] < 0 {
				now.hit++
			}
			sum += r.worth - worth[r.window]
			worth[r.window] = r.worth
		}
		if i+1 < len(o.rows) && o.rows[i+1].score == r.score {
			continue
		}
		now.threshold = r.score
		now.score = 100 * (sum + p.fn*perfect) / ((1 + p.fn) * perfect)
		if now.score > best.score {
			best = now
		}
	}
	return best, now
}

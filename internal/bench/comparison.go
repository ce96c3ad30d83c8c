package bench

// comparison is a cost against a baseline, both measured in short turns, so that
// other work on the machine falls on both.
type comparison struct {
	baseline, subject []float64 // processor time of one operation in one turn, in microseconds
	pace              []float64 // time of the turn for the baseline over that for the subject
	operations        int
}

// work is an operation, and the processes that execute it.
type work struct {
	by processes
	do func() error
}

// take measures n operations of each.
func (c *comparison) take(n int, base, subject work) error {
	baseUsed, baseWall, err := base.by.spent(base.do)
	if err != nil {
		return err
	}
	used, wall, err := subject.by.spent(subject.do)
	if err != nil {
		return err
	}
	c.baseline = append(c.baseline, micros(baseUsed, n))
	c.subject = append(c.subject, micros(used, n))
	c.pace = append(c.pace, baseWall.Seconds()/wall.Seconds())
	c.operations += n
	return nil
}

// ratio returns the subject's cost over the baseline's: the median of the turns,
// each against the mean of the baselines before and after it.
func (c *comparison) ratio() float64 {
	var r []float64
	for i := range c.subject {
		after := c.baseline[min(i+1, len(c.baseline)-1)]
		r = append(r, 2*c.subject[i]/(c.baseline[i]+after))
	}
	return median(r)
}

func (c *comparison) figures() map[string]float64 {
	return map[string]float64{
		"raw_cpu_us": median(c.baseline), "cpu_us": median(c.subject), "mean_ratio": sum(c.subject) / sum(c.baseline),
		"throughput_ratio": median(c.pace), "operations": float64(c.operations), "turns": float64(len(c.subject)),
	}
}

func sum(v []float64) (s float64) {
	for _, x := range v {
		s += x
	}
	return s
}

package seriesfile

import (
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/terradourada/td/internal/termui"
)

// tally counts rows of a kind.
type tally struct{ n, first int }

func (t *tally) add(line int) {
	if t.n == 0 {
		t.first = line
	}
	t.n++
}

// text returns the count in a sentence that has a place for it, and "" for none.
func (t *tally) text(format string) string {
	if t.n == 0 {
		return ""
	}
	return fmt.Sprintf(format, termui.Count(t.n, "row")) + fmt.Sprintf("; the first is row %d", t.first)
}

// clock compares the times of rows. The first steps decide what the usual one is.
type clock struct {
	last       time.Time
	begun      bool
	offset     int             // of the zone, in seconds
	first      []time.Duration // steps, until the usual one is known
	usual      time.Duration
	backwards  bool // no step went forward so far
	gaps       tally
	longest    time.Duration
	longestRow int

	repeated, disordered, zones, setBack, setForward tally
}

// steps is the number of steps that decide the usual one.
const steps = 20

var errNewestFirst = errors.New("the rows are in descending order; tac reverses them")

// add compares the time of a row with that of the row before.
func (c *clock) add(row *Row, zoneless bool) error {
	_, offset := row.At.Zone()
	step, begun := row.At.Sub(c.last), c.begun
	changed := offset != c.offset
	c.last, c.offset, c.begun = row.At, offset, true
	if !begun {
		c.backwards = true
		return nil
	}
	if changed {
		c.zones.add(row.Line)
	}
	c.backwards = c.backwards && step < 0
	if len(c.first) < steps {
		c.first = append(c.first, step)
		if len(c.first) == steps {
			if c.backwards {
				return errNewestFirst
			}
			c.usual = median(c.first)
		}
	}
	c.count(row.Line, step, zoneless)
	return nil
}

// count adds an unusual step to its tally.
func (c *clock) count(line int, step time.Duration, zoneless bool) {
	hour := zoneless && c.usual > 0 && c.usual <= time.Hour
	switch {
	case step == 0:
		c.repeated.add(line)
	case step < 0 && hour && step == c.usual-time.Hour:
		c.setBack.add(line)
	case step < 0:
		c.disordered.add(line)
	case c.usual <= 0:
	case hour && c.usual < time.Hour && step == c.usual+time.Hour:
		c.setForward.add(line)
	case step >= 2*c.usual:
		c.gaps.add(line)
		if step > c.longest {
			c.longest, c.longestRow = step, line
		}
	}
}

func median(steps []time.Duration) time.Duration {
	s := slices.Sorted(slices.Values(steps))
	return s[len(s)/2]
}

func (c *clock) warnings() []string {
	gaps := c.gaps.text("%s after a gap")
	if gaps != "" {
		gaps += fmt.Sprintf(", the longest gap is %s, before row %d; the usual step is %s", c.longest, c.longestRow, c.usual)
	}
	return []string{
		gaps,
		c.repeated.text("%s with the time of the row before"),
		c.setBack.text("%s an hour back in times without a zone, as when daylight saving ends"),
		c.setForward.text("%s an hour forward in times without a zone, as when daylight saving begins"),
		c.disordered.text("%s earlier than the row before; rows are scored in the order of the file"),
		c.zones.text("%s with another zone than the row before; times are compared in UTC"),
	}
}

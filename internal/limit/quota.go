package limit

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"
)

// Quota allows N units in each time Per, and Burst at once. The zero value allows
// everything.
type Quota struct {
	N     int
	Per   time.Duration
	Burst int
}

// Bounds of quotas. A bucket is full again within maxRefill; times a cost it fits in 63
// bits.
const (
	maxUnits  = 1 << 30
	maxRefill = 90 * 24 * time.Hour
)

// off is the text of the zero Quota.
const off = "off"

var errQuota = errors.New(`a quota is off or "N/TIME burst N", for example "5/s burst 20" or "1/30s burst 5"`)

// ParseQuota parses the text of a quota: off, or "5/s burst 20", where the time is s, m or
// h, or a duration such as 30s. Without a burst it is N.
func ParseQuota(text string) (Quota, error) {
	if text == off {
		return Quota{}, nil
	}
	rate, burst, hasBurst := strings.Cut(text, " burst ")
	n, per, ok := strings.Cut(rate, "/")
	if !ok {
		return Quota{}, errQuota
	}
	if per == "s" || per == "m" || per == "h" {
		per = "1" + per
	}
	if !hasBurst {
		burst = n
	}
	var q Quota
	var errs [3]error
	q.N, errs[0] = strconv.Atoi(n)
	q.Per, errs[1] = time.ParseDuration(per)
	q.Burst, errs[2] = strconv.Atoi(burst)
	if errors.Join(errs[:]...) != nil {
		return Quota{}, errQuota
	}
	return q, q.check()
}

// String returns the text that [ParseQuota] parses.
func (q Quota) String() string {
	if q.N == 0 {
		return off
	}
	per := strings.TrimPrefix(q.Per.String(), "1")
	if per != "s" {
		per = short(q.Per)
	}
	return fmt.Sprintf("%d/%s burst %d", q.N, per, q.Burst)
}

// short returns the text of a duration without zero minutes and seconds.
func short(d time.Duration) string {
	text := d.String()
	if strings.HasSuffix(text, "m0s") {
		text = strings.TrimSuffix(text, "0s")
	}
	if strings.HasSuffix(text, "h0m") {
		text = strings.TrimSuffix(text, "0m")
	}
	return text
}

func (q Quota) check() error {
	switch {
	case q == Quota{}:
		return nil
	case q.N < 1 || q.N > maxUnits || q.Burst < 1 || q.Burst > maxUnits || q.Per < time.Millisecond || q.Per > maxRefill:
		return errQuota
	case int64(q.Per)/int64(q.N) < 1:
		return errors.New("a quota allows at most one unit in a nanosecond")
	case float64(q.Per)/float64(q.N)*float64(q.Burst) > float64(maxRefill):
		return fmt.Errorf("the burst of %s is not available again within 90 days", q)
	}
	return nil
}

// times returns a quota that allows n times as much.
func (q Quota) times(n int) Quota {
	q.N, q.Burst = q.N*n, q.Burst*n
	return q
}

// rate is a quota in the form in which it is charged. The zero value refuses nothing.
type rate struct {
	unit int64 // nanoseconds until one more is available
	full int64 // that a full bucket holds
	part int64 // units of cost that count as one
}

// rate returns the quota as a rate.
func (q Quota) rate(part int) rate {
	if q.N == 0 {
		return rate{}
	}
	unit := int64(q.Per) / int64(q.N)
	return rate{unit: unit, full: unit * int64(q.Burst), part: int64(part)}
}

// price returns what a request costs. A request never costs more than a full bucket, so
// that every one can be admitted at some time.
func (r rate) price(cost int) int64 {
	if int64(cost)/r.part >= r.full/r.unit {
		return r.full
	}
	return (r.unit*int64(cost) + r.part - 1) / r.part
}

// spend is the generic cell rate algorithm. until is the time at which the bucket is full
// again. It returns the new time and 0, or the old one and the time to wait. A time beyond
// an empty bucket comes from a clock that was set back, or from a quota that was larger;
// it becomes that of an empty one.
func spend(until, now, price, full int64) (after, wait int64) {
	until = min(max(until, now), now+full)
	if wait = until + price - now - full; wait > 0 {
		return until, wait
	}
	return until + price, 0
}

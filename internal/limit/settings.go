package limit

import (
	"errors"
	"fmt"
	"net/netip"
	"time"
)

// Settings are the quotas. [Defaults] returns the usual ones; the zero Quota anywhere
// allows everything.
type Settings struct {
	// Buckets is the size of the table of addresses. The other tables follow from it;
	// together they have 1.7 times as many buckets, of 16 bytes. [Limits.Replace]
	// does not change it.
	Buckets int

	// Costs are the units that a request of a class usually costs.
	Costs [classes]int

	// Address has the quotas of one address for each class, in requests of the usual
	// cost. A subnet, network and provider has so many times as much; 0 is no quota.
	Address [classes]Quota
	Factors [3]int

	Client    Quota // of an API client, in units
	ClientDay Quota // the same, for a long time
	Claim     Quota // of all requests for one claim, in units
	Total     [classes]Quota
	Global    Quota // of everything, in units

	// Failures is the quota of failed validations of one source.
	Failures Quota

	Response Response
}

// Response is how the automatic response works. See [Limits.Punish].
type Response struct {
	DryRun  bool          // penalties are listed and counted, and change nothing
	First   time.Duration // the first block, and the time of the milder penalties; each further block is twice as long
	Longest time.Duration
	Most    int     // penalties at a time
	Share   float64 // of the requests may be refused by blocks
	Exempt  []netip.Prefix
}

// Defaults returns the usual settings.
func Defaults() Settings {
	few := Quota{N: 5, Per: time.Second, Burst: 20}
	return Settings{
		Buckets: 256 << 10,
		Costs:   [classes]int{Health: 0, Read: 1, Issue: 2, Submit: 6, Verify: 6},
		Address: [classes]Quota{Read: {N: 50, Per: time.Second, Burst: 100}, Issue: few, Submit: few, Verify: few},
		Factors: [3]int{8, 32, 128},
		// An event costs 8 units: 50 events a second, 100,000 a day.
		Client:    Quota{N: 400, Per: time.Second, Burst: 800},
		ClientDay: Quota{N: 800_000, Per: 24 * time.Hour, Burst: 800_000},
		Failures:  Quota{N: 1, Per: 30 * time.Second, Burst: 5},
		Response:  Response{DryRun: true, First: 5 * time.Minute, Longest: 24 * time.Hour, Most: 10_000, Share: 0.05},
	}
}

// Bounds of settings.
const (
	minBuckets = 1 << 10
	maxBuckets = 1 << 24
	maxCost    = 1000
	maxFactor  = 1 << 16
	maxBlocks  = 10_000
)

// Check returns an error that names the first setting which is wrong.
func (s *Settings) Check() error {
	if s.Buckets < minBuckets || s.Buckets > maxBuckets {
		return fmt.Errorf("the table has %d to %d buckets", minBuckets, maxBuckets)
	}
	for c := Class(0); c < classes; c++ {
		if s.Costs[c] < 0 || s.Costs[c] > maxCost || c != Health && s.Costs[c] == 0 {
			return fmt.Errorf("a request of class %s costs 1 to %d units", c, maxCost)
		}
		if err := errors.Join(s.Address[c].check(), s.Total[c].check()); err != nil {
			return fmt.Errorf("class %s: %w", c, err)
		}
	}
	least := 1
	for _, f := range s.Factors {
		if f == 0 {
			continue
		}
		if f < least || f > maxFactor {
			return fmt.Errorf("the factors of networks are 1 to %d in rising order, or 0", maxFactor)
		}
		least = f
		for c, q := range s.Address {
			if err := q.times(f).check(); err != nil {
				return fmt.Errorf("class %s, times %d: %w", Class(c), f, err)
			}
		}
		if err := s.Failures.times(f).check(); err != nil {
			return fmt.Errorf("failures, times %d: %w", f, err)
		}
	}
	for name, q := range map[string]Quota{"client": s.Client, "client and day": s.ClientDay, "claim": s.Claim, "everything": s.Global, "failures": s.Failures} {
		if err := q.check(); err != nil {
			return fmt.Errorf("%s: %w", name, err)
		}
	}
	return s.Response.check()
}

func (r *Response) check() error {
	switch {
	case r.First < time.Second || r.Longest < r.First || r.Longest > 7*24*time.Hour:
		return errors.New("a block lasts at least a second and at most a week")
	case r.Most < 0 || r.Most > maxBlocks:
		return fmt.Errorf("there are at most %d penalties at a time", maxBlocks)
	case r.Share < 0 || r.Share > 1:
		return errors.New("the share of the traffic that may be blocked is 0 to 1")
	}
	return nil
}

// rules are settings in the form in which they are applied.
type rules struct {
	Settings
	prefix   [classes][4]rate // address, subnet, network, provider
	client   [2]rate          // and of the day
	claim    rate
	total    [classes]rate
	global   rate
	failures [4]rate // as prefix
}

func (s *Settings) rules() *rules {
	r := &rules{Settings: *s, claim: s.Claim.rate(1), global: s.Global.rate(1)}
	r.client = [2]rate{s.Client.rate(1), s.ClientDay.rate(1)}
	for i, factor := range append([]int{1}, s.Factors[:]...) {
		for c := Read; c < classes; c++ {
			r.prefix[c][i] = s.Address[c].times(factor).rate(s.Costs[c])
			r.total[c] = s.Total[c].rate(s.Costs[c])
		}
		r.failures[i] = s.Failures.times(factor).rate(1)
	}
	return r
}

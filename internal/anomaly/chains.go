package anomaly

import (
	"fmt"
	"math"
	"slices"
	"time"

	"github.com/terradourada/td/internal/telemetry"
)

// chainWithin is the time within which one failure follows another.
const chainWithin = time.Hour

// known are the orders of causes that mean something together.
var known = [...]struct {
	name    string
	causes  [3]telemetry.Cause
	meaning string
}{
	{"retry_then_guess", [3]telemetry.Cause{telemetry.Late, telemetry.Replayed, telemetry.WrongTag}, "an answer is sent again after its deadline, and then its tag is guessed"},
	{"search_then_guess", [3]telemetry.Cause{telemetry.UnknownID, telemetry.WrongClient, telemetry.WrongTag}, "ids are searched, and then the tags of other clients are guessed"},
	{"probe_then_forge", [3]telemetry.Cause{telemetry.MalformedProof, telemetry.WrongTag, telemetry.FalseProof}, "formats are tried, then tags, then proofs"},
}

// fewestChains is how often one source completes a chain before there is a verdict, beside
// what it would complete by accident.
const fewestChains = 3

// chains follows the failures of each client, or of the network of a request without one,
// in a table of fixed size: a newcomer replaces the source of its set that has failed least
// recently.
type chains struct {
	hash    func(uint64) uint64
	table   [][ways]trail // allocated with the first failure
	follow  [causes][causes]float32
	decayed time.Time
}

const (
	trails = 1024
	ways   = 8
)

// trail is what one source has done.
type trail struct {
	source    uint64 // 0: free
	network   bool
	last      telemetry.Cause
	at        int64 // seconds, of the last failure
	began     int64 // of the hour that is counted
	successes uint32
	steps     [len(known)]uint8 // how far each chain has come
	stepped   [len(known)]int64
	done      [len(known)]uint16 // completed in this hour
	reported  [len(known)]bool
}

// find returns the trail of a source, or if it has none a free one or the oldest of its set.
func (c *chains) find(e *event, add bool) *trail {
	source, network := e[byClient], false
	if source == 0 {
		source, network = e[byNetwork], true
	}
	if source == 0 || c.table == nil && !add {
		return nil
	}
	if c.table == nil {
		c.table = make([][ways]trail, trails/ways)
	}
	set := &c.table[c.hash(source)%(trails/ways)]
	oldest := &set[0]
	for i := range set {
		t := &set[i]
		if t.source == source && t.network == network {
			return t
		}
		if t.source == 0 || oldest.source != 0 && t.at < oldest.at {
			oldest = t
		}
	}
	if !add {
		return nil
	}
	*oldest = trail{source: source, network: network}
	return oldest
}

// mark marks the keys of the clients that are followed.
func (c *chains) mark(used map[uint64]bool) {
	for i := range c.table {
		for j := range c.table[i] {
			if t := &c.table[i][j]; !t.network {
				used[t.source] = true
			}
		}
	}
}

func (c *chains) success(_ time.Time, e *event) {
	if t := c.find(e, false); t != nil {
		t.successes++
	}
}

func (c *chains) failure(at time.Time, cause telemetry.Cause, e *event) {
	t, now := c.find(e, true), at.Unix()
	if t == nil {
		return
	}
	within := int64(chainWithin / time.Second)
	if now-t.began > within {
		t.began, t.successes, t.done, t.reported = now, 0, [len(known)]uint16{}, [len(known)]bool{}
	}
	if t.last != telemetry.NoCause && t.last != cause && now-t.at <= within {
		c.follow[cause][t.last]++
	}
	for i := range known {
		if now-t.stepped[i] > within {
			t.steps[i] = 0
		}
		t.step(i, cause, now)
	}
	t.last, t.at = cause, now
}

// step moves one chain on. A cause of it that comes too early begins it again.
func (t *trail) step(i int, cause telemetry.Cause, now int64) {
	order, done := known[i].causes, t.steps[i]
	switch place := slices.Index(order[:], cause); {
	case place < 0 || place == int(done)-1: // of no matter, or once more
		return
	case place == int(done):
		t.steps[i]++
	case place == 0:
		t.steps[i] = 1
	default:
		t.steps[i] = 0
	}
	t.stepped[i] = now
	if int(t.steps[i]) == len(order) {
		t.steps[i], t.done[i] = 0, min(t.done[i], math.MaxUint16-1)+1
	}
}

// before returns the cause that preceded another one most often in the last hours, at the
// same source.
func (c *chains) before(cause telemetry.Cause) (best telemetry.Cause, n float64) {
	for i, k := range c.follow[cause] {
		if float64(k) > n {
			best, n = telemetry.Cause(i), float64(k)
		}
	}
	return best, n
}

// take returns verdicts about completed chains, and lets what was seen before count less.
func (c *chains) take(now time.Time, in *Correlation) (found []Verdict) {
	if hours := now.Sub(c.decayed).Hours(); hours >= 1 {
		left := float32(math.Exp2(-hours))
		for i := range c.follow {
			for j := range c.follow[i] {
				c.follow[i][j] *= left
			}
		}
		c.decayed = now
	}
	for i := range c.table {
		for j := range c.table[i] {
			t := &c.table[i][j]
			for k := range known {
				if t.done[k] >= fewestChains && !t.reported[k] {
					if v, ok := in.chainVerdict(now, t, k); ok {
						t.reported[k] = true
						found = append(found, v)
					}
				}
			}
		}
	}
	return found
}

// chainVerdict describes the completed chains of a source, if accident does not explain
// them: no more than the rarest of the causes is expected beside its successes.
func (c *Correlation) chainVerdict(now time.Time, t *trail, k int) (Verdict, bool) {
	expected := math.Inf(1)
	for _, cause := range known[k].causes {
		expected = min(expected, c.expected(cause, t.successes, 0))
	}
	done := float64(t.done[k])
	if done < fewestChains+3*expected {
		return Verdict{}, false
	}
	d := byClient
	if t.network {
		d = byNetwork
	}
	began := time.Unix(t.began, 0).UTC()
	steps := known[k].causes
	return Verdict{
		At: now, Since: began, Detector: Correlate, Kind: "chain", Scope: dimensionText[d] + ":" + c.text(d, t.source), Cause: steps[2],
		Observed: done, Expected: expected, Score: done / (fewestChains + 3*expected), Runbook: runbookTraffic,
		Sentence: fmt.Sprintf("%s %s had %s, then %s, then %s, %.0f times within %s (expected at most %s): %s",
			dimensionText[d], c.text(d, t.source), traits[steps[0]].plural, traits[steps[1]].plural, traits[steps[2]].plural,
			done, span(now.Sub(began)), number(expected), known[k].meaning),
		Evidence: []Fact{{"chain", known[k].name}, {"successes", fmt.Sprint(t.successes)}},
	}, true
}

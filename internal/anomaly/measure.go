package anomaly

import (
	"hash/maphash"
	"math"
	"time"

	"github.com/terradourada/td/internal/telemetry"
	"github.com/terradourada/td/protocol"
)

// measures turns events into the values of the measured series, one each minute.
type measures struct {
	seed    maphash.Seed
	classes [5]classMinute // as telemetry.Classes
	total   [countsEnd]float64
	times   [timesEnd]telemetry.Durations
	sources distinct
	clients distinct
}

// classMinute is what the requests of one class have come to in a minute.
type classMinute struct {
	requests, refused float64
	took              telemetry.Durations
}

// Counts of a minute.
const (
	countIssued = iota
	countAccepted
	countAnswers
	countRight
	countPushes
	countPushFailed
	countWrongTags
	countUnknown
	countFalse
	countMalformed
	countLimited
	countOverloaded
	countFaults
	countExpired
	countReceived
	countSent
	countRequests
	countsEnd
)

// Times of a minute.
const (
	timeVerify = iota
	timeAnswer
	timeProver
	timeWaited
	timesEnd
)

func newMeasures() measures { return measures{seed: maphash.MakeSeed()} }

// countOf holds the count of causes that have one.
var countOf = map[telemetry.Cause]int{
	telemetry.WrongTag: countWrongTags, telemetry.UnknownID: countUnknown, telemetry.WrongClient: countUnknown,
	telemetry.FalseProof: countFalse, telemetry.MalformedProof: countMalformed, telemetry.Malformed: countMalformed,
	telemetry.Limited: countLimited, telemetry.Overloaded: countOverloaded, telemetry.Fault: countFaults,
}

// classNumber returns the place of a class in telemetry.Classes.
func classNumber(class string) int {
	for i, c := range telemetry.Classes {
		if c == class {
			return i
		}
	}
	return 0
}

// request counts a request.
func (m *measures) request(r *telemetry.Request) {
	class := telemetry.ClassOf(r.Operation)
	if class == "health" {
		return
	}
	c := &m.classes[classNumber(class)]
	c.requests++
	m.total[countRequests]++
	if r.Cause != telemetry.NoCause {
		c.refused++
		if n, ok := countOf[r.Cause]; ok {
			m.total[n]++
		}
	}
	c.took.Add(r.Took)
	m.times[timeWaited].Add(r.Waited)
	m.total[countReceived] += float64(r.Received)
	m.total[countSent] += float64(r.Sent)
	if r.Source.IsValid() {
		m.sources.add(maphash.Comparable(m.seed, r.Source))
	}
	if r.Client != "" {
		m.clients.add(maphash.String(m.seed, r.Client))
	}
	ok := r.Code == protocol.CodeNone
	switch {
	case class == "issue" && ok:
		m.total[countIssued]++
	case class == "submit":
		m.total[countAnswers]++
		if ok {
			m.total[countRight]++
			m.total[countAccepted]++
		}
	}
	if r.Verified > 0 {
		m.times[timeVerify].Add(r.Verified)
	}
	if r.Answered > 0 && ok {
		m.times[timeAnswer].Add(r.Answered)
	}
}

// change counts a change.
func (m *measures) change(c *telemetry.Change) {
	switch c.Kind {
	case telemetry.ChallengeExpired:
		m.total[countExpired]++
	case telemetry.PushDecided:
		m.total[countPushes]++
		if c.Value == 0 {
			m.total[countAccepted]++
		} else {
			m.total[countPushFailed]++
		}
	case telemetry.ProofReturned:
		m.times[timeProver].Add(time.Duration(c.Value * float64(time.Second)))
	default: // not measured
	}
}

// measure is one measured series.
type measure struct {
	name  string // stable
	what  string // for people
	kind  measureKind
	about []telemetry.Cause // of the failures that it shows too, see agrees
	value func(*measures) (float64, bool)
}

// measureKind is a kind of values, with the least change that is worth a verdict.
type measureKind struct {
	unit   string
	factor float64 // times more or less than usual
	least  float64 // and so much more or less
}

// The kinds of measured series.
var (
	aRate   = measureKind{"a minute", 2, 10}
	aPart   = measureKind{"", 1, 0.05}
	aTime   = measureKind{"s", 1.5, 0.001}
	aCount  = measureKind{"a minute", 3, 3} // of what is rare
	aVolume = measureKind{"bytes a minute", 2, 10_000}
)

// worth reports whether the difference of two values is worth a verdict.
func (k *measureKind) worth(x, usual float64) bool {
	return math.Abs(x-usual) >= k.least && (x >= k.factor*usual || x <= usual/k.factor)
}

// leastOf is the number of events below which a share or a quantile has no value: the
// series has no tick then.
const leastOf = 20

func count(of int) func(*measures) (float64, bool) {
	return func(m *measures) (float64, bool) { return m.total[of], true }
}

func shareOf(of, all int) func(*measures) (float64, bool) {
	return func(m *measures) (float64, bool) { return m.total[of] / max(1, m.total[all]), m.total[all] >= leastOf }
}

func quantileOf(of int, q float64) func(*measures) (float64, bool) {
	return func(m *measures) (float64, bool) { return m.times[of].Quantile(q), m.times[of].Count() >= leastOf }
}

// acceptedPart is the series that falls when failures rise.
const acceptedPart = "accepted_part"

// measured is the table of the series.
var measured = buildMeasured()

// among returns the watched causes that occur among the requests of a group.
func among(group exposure) (all []telemetry.Cause) {
	for i := range traits {
		if cause := telemetry.Cause(i); watched(cause) && traits[i].among == group {
			all = append(all, cause)
		}
	}
	return all
}

// refusals returns the causes for which requests of a class are refused.
func refusals(class string) []telemetry.Cause {
	if class == "submit" {
		return among(answers)
	}
	return among(everything)
}

func buildMeasured() (all []measure) {
	add := func(name, what string, kind measureKind, value func(*measures) (float64, bool), about ...telemetry.Cause) {
		all = append(all, measure{name, what, kind, about, value})
	}
	for i, class := range telemetry.Classes {
		if class == "health" {
			continue
		}
		add("requests_"+class, "requests of class "+class, aRate, func(m *measures) (float64, bool) { return m.classes[i].requests, true })
		add("refused_"+class, "refused part of the requests of class "+class, aPart, func(m *measures) (float64, bool) {
			c := &m.classes[i]
			return c.refused / max(1, c.requests), c.requests >= leastOf
		}, refusals(class)...)
		for _, q := range []struct {
			name string
			q    float64
		}{{"p50", 0.5}, {"p95", 0.95}} {
			add("took_"+class+"_"+q.name, "time for requests of class "+class+", "+q.name, aTime, func(m *measures) (float64, bool) {
				c := &m.classes[i]
				return c.took.Quantile(q.q), c.took.Count() >= leastOf
			})
		}
	}
	add("issued", "challenges issued", aRate, count(countIssued))
	add("accepted", "events accepted", aRate, count(countAccepted))
	add("pushed", "events for the prover", aRate, count(countPushes))
	add(acceptedPart, "accepted part of the answers", aPart, shareOf(countRight, countAnswers), among(answers)...)
	add("expired_part", "challenges that expired for each that was issued", aPart, shareOf(countExpired, countIssued), telemetry.Late)
	add("push_failed_part", "part of the pushed events without a proof", aPart, shareOf(countPushFailed, countPushes), among(pushes)...)
	add("verify_p50", "time to verify a proof, p50", aTime, quantileOf(timeVerify, 0.5))
	add("verify_p95", "time to verify a proof, p95", aTime, quantileOf(timeVerify, 0.95))
	add("answer_p50", "time to answer a challenge, p50", aTime, quantileOf(timeAnswer, 0.5))
	add("answer_p95", "time to answer a challenge, p95", aTime, quantileOf(timeAnswer, 0.95))
	add("prover_p50", "time of the prover for a proof, p50", aTime, quantileOf(timeProver, 0.5), telemetry.ProverLate)
	add("prover_p95", "time of the prover for a proof, p95", aTime, quantileOf(timeProver, 0.95), telemetry.ProverLate)
	add("waited_p95", "wait of requests for a place, p95", aTime, quantileOf(timeWaited, 0.95), telemetry.Overloaded)
	add("wrong_tags", "wrong tags", aCount, count(countWrongTags), telemetry.WrongTag)
	add("unknown_requests", "answers that name no request of their client", aCount, count(countUnknown), telemetry.UnknownID, telemetry.WrongClient)
	add("false_proofs", "false proofs", aCount, count(countFalse), telemetry.FalseProof)
	add("malformed", "malformed requests and proofs", aCount, count(countMalformed), telemetry.Malformed, telemetry.MalformedProof)
	add("limited_part", "part of the requests that a quota refused", aPart, shareOf(countLimited, countRequests), telemetry.Limited)
	add("overloaded_part", "part of the requests without a place", aPart, shareOf(countOverloaded, countRequests), telemetry.Overloaded)
	add("faults", "failures of the server", aCount, count(countFaults), telemetry.Fault)
	add("received", "volume received", aVolume, count(countReceived))
	add("sent", "volume sent", aVolume, count(countSent))
	add("sources", "different addresses", aRate, func(m *measures) (float64, bool) { return m.sources.estimate(), true })
	add("clients", "different clients", aRate, func(m *measures) (float64, bool) { return m.clients.estimate(), true })
	return all
}

// reset begins the next minute.
func (m *measures) reset() { *m = measures{seed: m.seed} }

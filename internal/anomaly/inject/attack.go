package inject

import (
	"fmt"
	"math"
	"math/rand/v2"
	"net/netip"
	"slices"
	"strings"
	"time"

	"github.com/terradourada/td/internal/anomaly"
	"github.com/terradourada/td/internal/telemetry"
	"github.com/terradourada/td/protocol"
)

// Attack is one attack and the truth about it. It adds requests to the traffic, or changes
// honest ones.
type Attack struct {
	Name   string
	What   string // for people
	Length time.Duration
	Factor float64           // by which it multiplies its cause, 0 if it has none
	Causes []telemetry.Cause // that a verdict about it names; none: any
	Scopes []string          // that a verdict about it may have; none: any
	Finds  []anomaly.Detector

	add    func(a *added)
	change func(r *rand.Rand, q *telemetry.Request)
}

// Matches reports whether a verdict is about the attack.
func (a *Attack) Matches(v *anomaly.Verdict) bool {
	cause := len(a.Causes) == 0 || slices.Contains(a.Causes, v.Cause)
	scope := len(a.Scopes) == 0 || slices.ContainsFunc(a.Scopes, func(s string) bool { return strings.HasPrefix(v.Scope, s) })
	return cause && scope
}

// added is one minute to which an attack adds requests.
type added struct {
	random  *rand.Rand
	began   time.Time
	minute  int     // of the attack
	answers float64 // honest ones in the last minute
	each    func(telemetry.Request)
	change  func(telemetry.Change)
	next    *uint32 // number of the next network that was not seen before
}

// wrong reports an answer that is refused.
func (a *added) wrong(cause telemetry.Cause, client, claim string, from netip.Addr) {
	at := a.began.Add(time.Duration(a.random.Float64() * float64(time.Minute)))
	q := telemetry.Request{At: at, Operation: "sendProof", Claim: claim, Client: client, Source: from, Took: time.Millisecond, Received: 700, Answered: time.Second}
	fail(&q, cause, codes[cause])
	a.each(q)
}

// stranger returns an address of a network that was not seen before.
func (a *added) stranger() netip.Addr {
	*a.next++
	n := *a.next
	return netip.AddrFrom4([4]byte{100 + byte(n>>16), byte(n >> 8), byte(n), byte(a.random.Uint32())})
}

var codes = map[telemetry.Cause]protocol.Code{
	telemetry.WrongTag: protocol.CodeSubmissionRejected, telemetry.UnknownID: protocol.CodeSubmissionRejected, telemetry.Late: protocol.CodeExpired,
	telemetry.Replayed: protocol.CodeAlreadyConsumed, telemetry.FalseProof: protocol.CodeProofRejected,
}

// Honest ratios that attacks multiply.
const (
	wrongTags   = 0.0005
	lateAnswers = 0.01
)

// Distributed returns an attack that multiplies wrong tags, with one attempt for each source.
func Distributed(factor float64) Attack {
	return Attack{
		Name: fmt.Sprintf("distributed x%g", factor), What: "wrong tags on one claim, each from a network of its own", Length: 48 * time.Hour, Factor: factor,
		Causes: []telemetry.Cause{telemetry.WrongTag}, Finds: []anomaly.Detector{anomaly.Rate, anomaly.Correlate},
		add: func(a *added) {
			for range Poisson(a.random, (factor-1)*wrongTags*a.answers) {
				a.wrong(telemetry.WrongTag, "", "range/1", a.stranger())
			}
		},
	}
}

// Attacks returns all attacks but the slow ones.
func Attacks() []Attack {
	all := []Attack{
		{
			Name: "burst", What: "300 wrong tags in two minutes from one address", Length: time.Hour, Causes: []telemetry.Cause{telemetry.WrongTag},
			Finds: []anomaly.Detector{anomaly.Rate, anomaly.Correlate},
			add: func(a *added) {
				from := netip.AddrFrom4([4]byte{99, 1, 1, 1})
				for range 150 {
					if a.minute < 2 {
						a.wrong(telemetry.WrongTag, "", "open/1", from)
					}
				}
			},
		},
		{
			Name: "10,000 sources", What: "10,000 wrong tags in 24 hours, each from a network of its own", Length: 24 * time.Hour, Causes: []telemetry.Cause{telemetry.WrongTag},
			Finds: []anomaly.Detector{anomaly.Correlate},
			add: func(a *added) {
				for range Poisson(a.random, 10000.0/(24*60)) {
					a.wrong(telemetry.WrongTag, "", "range/1", a.stranger())
				}
			},
		},
		{
			Name: "one tenant", What: "wrong tags for one small client, one in ten minutes", Length: 48 * time.Hour, Causes: []telemetry.Cause{telemetry.WrongTag}, Scopes: []string{"client:tenant-43"},
			Finds: []anomaly.Detector{anomaly.Rate, anomaly.Correlate},
			add: func(a *added) {
				for range Poisson(a.random, 0.1) {
					a.wrong(telemetry.WrongTag, "tenant-43", "open/1", address(43, 7))
				}
			},
		},
		{
			Name: "replay storm", What: "answers sent again, 40 a minute by three clients", Length: time.Hour, Causes: []telemetry.Cause{telemetry.Replayed},
			Finds: []anomaly.Detector{anomaly.Rate, anomaly.Correlate},
			add: func(a *added) {
				for i := range Poisson(a.random, 40) {
					a.wrong(telemetry.Replayed, fmt.Sprintf("tenant-%02d", 20+i%3), "open/1", address(uint32(20+i%3), 7))
				}
			},
		},
		{
			Name: "retry and guess", What: "one client repeats late answers and then guesses tags, six times an hour", Length: 6 * time.Hour, Scopes: []string{"client:tenant-30"},
			Causes: []telemetry.Cause{telemetry.WrongTag, telemetry.Replayed, telemetry.Late}, Finds: []anomaly.Detector{anomaly.Correlate},
			add: func(a *added) {
				steps := []telemetry.Cause{telemetry.Late, telemetry.Replayed, telemetry.WrongTag}
				if a.minute%10 < len(steps) {
					a.wrong(steps[a.minute%10], "tenant-30", "open/1", address(30, 7))
				}
			},
		},
		{
			Name: "clock skew", What: "the clock of the server is 45 s late: one answer of ten is late", Length: time.Hour, Causes: []telemetry.Cause{telemetry.Late},
			Finds: []anomaly.Detector{anomaly.Rate, anomaly.Correlate},
			add: func(a *added) {
				if a.minute == 0 {
					a.change(telemetry.Change{At: a.began, Kind: telemetry.ClockStepped, Value: -45})
				}
			},
			change: func(r *rand.Rand, q *telemetry.Request) {
				if q.Operation == "sendProof" && q.Cause == telemetry.NoCause && r.Float64() < 0.1 {
					fail(q, telemetry.Late, codes[telemetry.Late])
				}
			},
		},
		{
			Name: "mimicry", What: "five sources, each just below the limit of failed validations, two a minute", Length: 6 * time.Hour, Causes: []telemetry.Cause{telemetry.WrongTag},
			Finds: []anomaly.Detector{anomaly.Rate, anomaly.Correlate},
			add: func(a *added) {
				for i := range 9 {
					a.wrong(telemetry.WrongTag, "", "open/1", netip.AddrFrom4([4]byte{99, byte(i % 5), 1, 1}))
				}
			},
		},
		{
			Name: "stolen key", What: "the key of a client is used for another claim, faster and with other sizes", Length: 6 * time.Hour, Scopes: []string{"client:tenant-04"},
			Finds: []anomaly.Detector{anomaly.Behaviour},
			change: func(r *rand.Rand, q *telemetry.Request) {
				if q.Client == "tenant-04" && r.Float64() < 0.7 {
					q.Claim, q.Received, q.Answered = "range/1", q.Received*2, q.Answered/5
				}
			},
		},
		proverSpeed("prover 3x slower", 3), proverSpeed("prover 3x faster", 1.0/3),
	}
	for _, factor := range Factors {
		all = append(all, Distributed(factor))
	}
	return all
}

// Factors are those of the distributed attacks.
var Factors = []float64{1.3, 1.5, 2, 3, 5, 10, 20}

// proverSpeed returns an attack that multiplies the time in which one client answers.
func proverSpeed(name string, factor float64) Attack {
	return Attack{
		Name: name, What: "the prover of one client answers at another speed", Length: 6 * time.Hour, Factor: factor, Scopes: []string{"client:tenant-02", "prover:tenant-02"},
		Finds: []anomaly.Detector{anomaly.Behaviour, anomaly.Prover},
		change: func(_ *rand.Rand, q *telemetry.Request) {
			if q.Client == "tenant-02" {
				q.Answered = time.Duration(float64(q.Answered) * factor)
			}
		},
	}
}

// Teacher returns an attack that multiplies late answers by a factor each day, so slowly that
// a detector might learn it.
func Teacher(perDay float64, days int) Attack {
	return Attack{
		Name: fmt.Sprintf("slow teacher %+.1f %% a day", 100*(perDay-1)), What: "late answers rise by this much each day", Length: time.Duration(days) * 24 * time.Hour, Factor: perDay,
		Causes: []telemetry.Cause{telemetry.Late}, Finds: []anomaly.Detector{anomaly.Rate},
		add: func(a *added) {
			for range Poisson(a.random, (math.Pow(perDay, float64(a.minute)/(24*60))-1)*lateAnswers*a.answers) {
				a.wrong(telemetry.Late, "", "open/1", address(200+uint32(a.random.IntN(300)), 1))
			}
		},
	}
}

// Mixer passes traffic on and adds an attack to it from a time on. It is an observer, so it
// mixes synthetic and recorded traffic alike.
type Mixer struct {
	attack  *Attack // nil: none
	random  *rand.Rand
	to      telemetry.Observer
	began   time.Time
	started bool
	minute  int // that begins next, from the begin of the attack
	answers [2]float64
	next    uint32
}

// NewMixer returns a mixer. The attack may be nil.
func NewMixer(attack *Attack, seed uint64, began time.Time, to telemetry.Observer) *Mixer {
	return &Mixer{attack: attack, random: repeatable(seed, 2), to: to, began: began}
}

// Request passes a request on.
func (m *Mixer) Request(q telemetry.Request) {
	m.advance(q.At)
	if q.Operation == "sendProof" {
		m.answers[1]++
	}
	if m.active(q.At) && m.attack.change != nil {
		m.attack.change(m.random, &q)
	}
	m.to.Request(q)
}

// Change passes a change on.
func (m *Mixer) Change(c telemetry.Change) {
	m.advance(c.At)
	m.to.Change(c)
}

func (m *Mixer) active(at time.Time) bool {
	return m.attack != nil && !at.Before(m.began) && at.Before(m.began.Add(m.attack.Length))
}

// advance adds the attack's requests of the minutes that have begun.
func (m *Mixer) advance(now time.Time) {
	minute := int(math.Floor(now.Sub(m.began).Minutes()))
	if !m.started {
		m.started, m.minute = true, minute
	}
	for ; m.minute <= minute; m.minute++ {
		m.answers = [2]float64{m.answers[1], 0}
		at := m.began.Add(time.Duration(m.minute) * time.Minute)
		if m.active(at) && m.attack.add != nil {
			m.attack.add(&added{m.random, at, m.minute, m.answers[0], m.to.Request, m.to.Change, &m.next})
		}
	}
}

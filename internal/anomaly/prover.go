package anomaly

import (
	"fmt"
	"math"
	"strings"
	"time"

	"github.com/terradourada/td/internal/telemetry"
	"github.com/terradourada/td/protocol"
)

// Provers compares each prover with its own past and with the others of its claim (D5): the
// prover of this server, and each client, or network without a key, that proves for itself.
// It reads response times both ways, the shares of false and of late answers, and the order
// of answers. What all provers of a claim share is explained by their machine or network, and
// is left to the measured series. It is not safe for concurrent use.
//
// At most 10,000 pairs of a prover and a claim are known. A newcomer that finds no place is
// not watched until one that was silent for a day is forgotten.
type Provers struct {
	all    map[proverKey]*prover
	claims map[string]*together
	frozen bool
	turned uint64 // newcomers that found no place
	ready  []Verdict
}

type proverKey struct{ scope, claim string }

// LocalProver is the scope of the prover of this server.
const LocalProver = "prover:local"

// Settings of Provers. Response times are compared by their logarithm.
const (
	maxProvers  = 10_000
	maxClaims   = 64
	maxWaiting  = 256 // verdicts between two ticks
	silentFor   = 24 * time.Hour
	proverQuiet = 15 * time.Minute // between two verdicts of a kind about one prover and claim

	warmAnswers  = 50   // answers before a prover is judged
	levelAnswers = 300  // half-life of what is expected, in answers
	pastAnswers  = 5000 // half-life of the long past, which bounds slow teaching
	freshAnswers = 4    // half-life of what is seen
	anewAnswers  = 30   // from which a new level is learned after a change that was reported
	leastSpread  = 0.2
	clipTimes    = 4.0 // spreads that one answer can move a sum by
	slackTimes   = 1.0 // spreads that count as usual
	alarmTimes   = 10.0
	aloneTimes   = 2 * alarmTimes // for one of several, while no other has answered
	leastFactor  = 2.0            // times slower or faster that is worth a verdict
	pastFactor   = 3.0            // times that the level may leave the long past
	otherFactor  = 10.0
	otherProvers = 8  // provers that make a population
	maxLatest    = 16 // provers of a claim that one is compared with when it has changed

	// leastProving is less than any machine needs for a proof of a claim of this program,
	// which has up to 2,048 gates. A valid answer within it was not made for its challenge.
	leastProving = 2 * time.Millisecond
	tooQuick     = 3.0 // such answers, if others are rare
)

// The kinds of verdicts of Provers.
const (
	proverSlower = iota
	proverFaster
	proverTooFast
	proverFalse
	proverLate
	proverOrder
	proverUnlike
	proverKinds
)

var proverKind = [proverKinds]string{"slower", "faster", "too_fast", "false_proofs", "timeouts", "order", "unlike_others"}

// prover is what is known of one prover and claim.
type prover struct {
	level, spread, fresh, past float32 // of the logarithm of the response time in seconds
	slow, fast                 float32 // sums of what is beyond the usual
	quick                      float32 // answers that were too quick
	n                          uint32  // response times
	shares                     [3]tally
	since                      [2]uint32 // when slow and fast left 0, seconds since 1970
	told                       [proverKinds]uint32
	seen                       uint32
	issued                     int64   // when the challenge of the last answer was issued, Unix ms
	anew                       uint8   // answers until a changed level is learned
	moved                      float32 // the last change that others explained
	movedAt                    uint32
}

// together is what is known of all provers of a claim: as of one that made all answers, and
// which of them answered last.
type together struct {
	prover
	provers uint32             // past their warm-up
	latest  [maxLatest]*prover // past their warm-up; nil: free
	next    int
}

// Shares that are watched.
const (
	shareFalse = iota
	shareLate
	shareOrder
)

// bound are the limits within which the usual share of something is learned, the factor
// that is looked for, and the least share that is.
var bounds = [3]struct{ least, most, factor, to float64 }{
	shareFalse: {0.005, 0.1, 10, 0.2},
	shareLate:  {0.02, 0.3, 5, 0.3},
	shareOrder: {0.05, 0.5, 5, 0.6},
}

// tally is how often something happens.
type tally struct {
	usual    float32
	sum      float32
	n        uint32
	bad, all uint16 // since the sum left 0
	since    uint32
}

// shareAlarm is the evidence at which a share is reported: without a change it is reached
// once in e^12 answers, 160,000, at the most.
const shareAlarm = 12

// add adds one answer and reports whether the share has grown.
func (s *tally) add(which int, at uint32, is, learn bool) bool {
	b := bounds[which]
	usual := math.Min(math.Max(float64(s.usual), b.least), b.most)
	y, looked := 0.0, math.Min(math.Max(b.factor*usual, b.to), 0.95)
	evidence := math.Log((1 - looked) / (1 - usual))
	if is {
		y, evidence = 1, math.Log(looked/usual)
	}
	if s.n++; s.n <= warmAnswers {
		s.usual += (float32(y) - s.usual) / float32(s.n)
		return false
	}
	if learn && s.sum < shareAlarm/2 {
		s.usual += float32(levelWeight) * (float32(y) - s.usual)
	}
	if s.sum = max(0, s.sum+float32(evidence)); s.sum == 0 {
		s.bad, s.all, s.since = 0, 0, 0
		return false
	}
	if s.since == 0 {
		s.since = at
	}
	if s.all++; is {
		s.bad++
	}
	if s.all == math.MaxUint16 {
		s.all, s.bad = s.all/2, s.bad/2
	}
	return s.sum >= shareAlarm
}

// NewProvers returns a detector that has learned nothing.
func NewProvers() *Provers {
	return &Provers{all: make(map[proverKey]*prover), claims: make(map[string]*together)}
}

// ofAnswers are the causes of answers that tell something about the prover of a client.
var ofAnswers = map[telemetry.Cause]bool{telemetry.NoCause: true, telemetry.FalseProof: true, telemetry.MalformedProof: true, telemetry.Late: true}

// Observe reads an answer to a challenge.
func (p *Provers) Observe(r telemetry.Request) {
	if r.Operation != "sendProof" || r.Claim == "" || !ofAnswers[r.Cause] || r.Cause == telemetry.NoCause && r.Code != protocol.CodeNone {
		return
	}
	scope := senderOf(&r).scope()
	if scope == ScopeServer {
		return
	}
	key := proverKey{scope, r.Claim}
	one := p.of(key, r.At)
	if one == nil {
		return
	}
	p.share(one, key, shareFalse, r.At, r.Cause == telemetry.FalseProof || r.Cause == telemetry.MalformedProof)
	p.share(one, key, shareLate, r.At, r.Cause == telemetry.Late)
	if r.Cause == telemetry.NoCause && r.Answered > 0 { // a clock that stepped is not the fault of the client
		p.order(one, key, r.At, r.At.Add(-r.Answered))
		p.took(one, key, r.At, r.Answered)
	}
}

// Change reads what the prover of this server has done.
func (p *Provers) Change(c telemetry.Change) {
	if c.Kind != telemetry.ProofReturned && c.Kind != telemetry.PushDecided {
		return
	}
	key := proverKey{LocalProver, c.Subject}
	one := p.of(key, c.At)
	switch {
	case one == nil:
	case c.Kind == telemetry.ProofReturned:
		p.took(one, key, c.At, time.Duration(c.Value*float64(time.Second)))
	default:
		switch cause := telemetry.Cause(c.Value); cause {
		case telemetry.NoCause, telemetry.ProverWrong, telemetry.ProverWrongTag, telemetry.ProverLate:
			p.share(one, key, shareFalse, c.At, cause == telemetry.ProverWrong || cause == telemetry.ProverWrongTag)
			p.share(one, key, shareLate, c.At, cause == telemetry.ProverLate)
		default: // says nothing about the prover
		}
	}
}

// Rebase forgets what is usual for the prover of this server: another version began.
func (p *Provers) Rebase() { p.Relearn(LocalProver) }

// Relearn forgets what is usual for a prover, or for a claim.
func (p *Provers) Relearn(scope string) {
	for key := range p.all {
		if key.scope == scope {
			delete(p.all, key)
		}
	}
	if id, ok := strings.CutPrefix(scope, "claim:"); ok {
		delete(p.claims, id)
	}
	p.recount()
}

// of returns a prover, nil if it has no place.
func (p *Provers) of(key proverKey, at time.Time) *prover {
	one := p.all[key]
	if one == nil {
		if len(p.all) >= maxProvers {
			p.turned++
			return nil
		}
		one = new(prover)
		p.all[proverKey{strings.Clone(key.scope), strings.Clone(key.claim)}] = one
	}
	one.seen = uint32(at.Unix())
	return one
}

// share counts one answer for a share.
func (p *Provers) share(one *prover, key proverKey, which int, at time.Time, is bool) {
	s := &one.shares[which]
	if !s.add(which, uint32(at.Unix()), is, !p.frozen) {
		return
	}
	kind := [3]int{proverFalse, proverLate, proverOrder}[which]
	what := [3]string{"false proofs", "late answers", "answers out of order"}[which]
	usual := math.Max(float64(s.usual), bounds[which].least)
	v := Verdict{
		Kind: proverKind[kind], Observed: float64(s.bad) / float64(s.all), Expected: usual, Score: float64(s.sum) / shareAlarm, Since: time.Unix(int64(s.since), 0),
		Evidence: []Fact{{"answers", fmt.Sprint(s.all)}, {"of_them", fmt.Sprint(s.bad)}, {"usual", percent(usual)}},
	}
	v.Sentence = fmt.Sprintf("%s of %s: %d %s of %d since %s (%s), expected %s. By accident less than once in 160,000 answers.",
		upper(named(key.scope)), key.claim, s.bad, what, s.all, clock(v.Since), percent(v.Observed), percent(usual))
	s.sum, s.bad, s.all, s.since = 0, 0, 0, 0
	p.say(one, kind, key, at, v)
}

// order compares the order of answers with that of their challenges. A difference within
// 50 ms is none.
func (p *Provers) order(one *prover, key proverKey, at, issued time.Time) {
	was := one.issued
	one.issued = issued.UnixMilli()
	if was != 0 {
		p.share(one, key, shareOrder, at, one.issued < was-50)
	}
}

// took judges a response time.
func (p *Provers) took(one *prover, key proverKey, at time.Time, took time.Duration) {
	p.tooQuick(one, key, at, took)
	x := math.Log(math.Max(took.Seconds(), 1e-6))
	all := p.claim(key.claim)
	if one.n == warmAnswers && all != nil {
		all.provers++
	}
	if all != nil {
		all.read(x, at, !p.frozen)
	}
	kind := one.read(x, at, !p.frozen)
	if all != nil && one.n > warmAnswers {
		all.note(one)
	}
	if kind < 0 {
		p.compare(one, all, key, at)
		return
	}
	if all != nil {
		switch explained, compared := all.explain(one, kind, at); {
		case explained:
			if !p.frozen {
				one.moved, one.movedAt = one.shift(one.slowly()), uint32(at.Unix())
				one.begin()
			}
			return
		case !compared && all.provers > 1 && !one.slowly() && one.sum(kind) < aloneTimes:
			return
		}
	}
	p.drift(one, kind, key, at, all)
}

// note keeps a prover as one that answered lately.
func (a *together) note(o *prover) {
	for _, other := range a.latest {
		if other == o {
			return
		}
	}
	a.latest[a.next] = o
	a.next = (a.next + 1) % maxLatest
}

// explain reports whether the others of a claim have changed as a prover has, in the mean at
// least half as much: a machine or a network that they share explains it. Those count that
// answered since the change began; compared reports whether there is one.
func (a *together) explain(o *prover, kind int, at time.Time) (explained, compared bool) {
	slowly, since := o.slowly(), int64(o.since[kind-proverSlower])
	moved := since - int64(proverQuiet/time.Second) // others may have changed a little earlier
	if slowly {
		since = at.Add(-silentFor).Unix()
		moved = since
	}
	own := float64(o.shift(slowly))
	sum, n := 0.0, 0.0
	for _, other := range a.latest {
		if other == nil || other == o || int64(other.seen) < since {
			continue
		}
		part := float64(other.shift(slowly)) / own
		if int64(other.movedAt) >= moved {
			part += float64(other.moved) / own
		}
		if other.sum(kind) >= alarmTimes/2 { // it has begun to change
			part = 1
		}
		sum, n = sum+math.Max(-1, math.Min(part, 1)), n+1
	}
	return n > 0 && sum >= n/2, n > 0
}

// sum returns the sum of what is beyond the usual, in the direction of a kind of change.
func (o *prover) sum(kind int) float64 {
	return float64([2]float32{o.slow, o.fast}[kind-proverSlower])
}

// slowly reports whether the level has followed a change, so that only the long past shows it.
func (o *prover) slowly() bool {
	return math.Abs(float64(o.fresh-o.level)) < math.Log(leastFactor)
}

// shift returns how far the present response times are from the level, or from the long past.
func (o *prover) shift(slowly bool) float32 {
	if slowly {
		return o.fresh - o.past
	}
	return o.fresh - o.level
}

// begin makes the present response times the level of the next answers.
func (o *prover) begin() {
	o.slow, o.fast, o.since = 0, 0, [2]uint32{}
	o.level, o.past, o.anew = o.fresh, o.fresh, anewAnswers
}

// claim returns the provers of a claim together, nil if it has no place.
func (p *Provers) claim(id string) *together {
	all := p.claims[id]
	if all == nil && len(p.claims) < maxClaims {
		all = new(together)
		p.claims[strings.Clone(id)] = all
	}
	return all
}

// read compares a response time with the past and learns it. It returns the kind of the
// change that it completes, or -1.
func (o *prover) read(x float64, at time.Time, learn bool) int {
	if o.n++; o.n == 1 {
		o.level, o.fresh, o.past, o.spread = float32(x), float32(x), float32(x), leastSpread
	}
	level, spread := float64(o.level), math.Max(float64(o.spread), leastSpread)
	r := math.Max(-clipTimes*spread, math.Min(x-level, clipTimes*spread))
	o.fresh += float32(weight(freshWeight, o.n)) * float32(x-float64(o.fresh))
	kind := -1
	if o.n > warmAnswers && o.anew == 0 {
		kind = o.drifted(r/spread, at)
	}
	if learn && !o.waits(at) || o.n <= warmAnswers {
		if o.n <= warmAnswers {
			r = x - level // nothing is usual yet
		}
		o.level += float32(weight(levelWeight, o.newly()) * r)
		o.spread += float32(weight(levelWeight, o.n) * (1.25*math.Abs(r) - float64(o.spread)))
		o.past += float32(weight(pastWeight, o.n) * math.Max(-spread, math.Min(x-float64(o.past), spread)))
	}
	return kind
}

// newly returns the number of answers from which the level is learned.
func (o *prover) newly() uint32 {
	if o.anew == 0 {
		return o.n
	}
	if o.anew--; o.anew == 0 {
		o.past = o.level
	}
	return anewAnswers - uint32(o.anew) + freshAnswers
}

// waits reports whether a change waits for the end of the quiet time after another one.
// It is not learned until then.
func (o *prover) waits(at time.Time) bool {
	return o.slow >= alarmTimes && recently(o.told[proverSlower], at, proverQuiet) || o.fast >= alarmTimes && recently(o.told[proverFaster], at, proverQuiet)
}

// The weights of one answer, by half-life.
var levelWeight, pastWeight, freshWeight = 1 - math.Exp2(-1.0/levelAnswers), 1 - math.Exp2(-1.0/pastAnswers), 1 - math.Exp2(-1.0/freshAnswers)

// weight returns the weight of one value, or that in a plain mean if it is more.
func weight(usual float64, n uint32) float64 { return max(usual, 1/float64(n)) }

// drifted adds what is beyond the usual to the sums, and returns the kind of a change.
func (o *prover) drifted(z float64, at time.Time) int {
	for i, sum := range [2]*float32{&o.slow, &o.fast} {
		sign := 1 - 2*float64(i)
		was := *sum
		if *sum = max(0, *sum+float32(sign*z-slackTimes)); *sum > 0 && was == 0 {
			o.since[i] = uint32(at.Unix())
		}
		*sum = min(*sum, 2*alarmTimes)
		level := o.level
		beyond := *sum >= alarmTimes && sign*float64(o.fresh-level) >= math.Log(leastFactor)
		if taught := sign * float64(o.fresh-o.past); !beyond && taught >= math.Log(pastFactor) {
			beyond = *sum == 0 // the level has followed, slowly
		}
		if beyond {
			return proverSlower + i
		}
	}
	return -1
}

// drift makes the verdict about a prover whose response times have changed, and begins
// again from the present ones.
func (p *Provers) drift(o *prover, kind int, key proverKey, at time.Time, all *together) {
	if recently(o.told[kind], at, proverQuiet) {
		return
	}
	i := kind - proverSlower
	seen, usual := math.Exp(float64(o.fresh)), math.Exp(float64(o.level))
	sum := math.Max(o.sum(kind), alarmTimes)
	if o.slowly() {
		usual = math.Exp(float64(o.past))
	}
	factor := seen / usual
	if kind == proverFaster {
		factor = usual / seen
	}
	since := at
	if o.since[i] != 0 {
		since = time.Unix(int64(o.since[i]), 0)
	}
	v := Verdict{
		Kind: proverKind[kind], Observed: seen, Expected: usual, Score: sum / alarmTimes, Since: since,
		Evidence: []Fact{
			{"spread_of_logarithm", number(math.Max(float64(o.spread), leastSpread))},
			{"sum", number(sum)},
			{"alarm_at", number(alarmTimes)},
			{"answers_known", fmt.Sprint(o.n)},
			{"long_past_seconds", number(math.Exp(float64(o.past)))},
		},
	}
	others := ""
	if all != nil && all.provers > 1 {
		others = fmt.Sprintf("; all provers of the claim together: %s s", number(math.Exp(float64(all.fresh))))
	}
	v.Sentence = fmt.Sprintf("%s of %s answers %s times %s: in %s s, expected %s s, since %s%s. By accident less than once in a million answers.",
		upper(named(key.scope)), key.claim, number(factor), proverKind[kind], number(seen), number(usual), clock(since), others)
	o.slow, o.fast, o.since = 0, 0, [2]uint32{}
	if !p.frozen { // the present is the new past, which was reported
		o.begin()
	}
	p.say(o, kind, key, at, v)
}

// tooQuick counts valid answers that no machine can make in their time.
func (p *Provers) tooQuick(o *prover, key proverKey, at time.Time, took time.Duration) {
	if took >= leastProving {
		o.quick = max(0, o.quick-0.1)
		return
	}
	if o.quick++; o.quick < tooQuick {
		return
	}
	v := Verdict{
		Kind: proverKind[proverTooFast], Observed: took.Seconds(), Expected: leastProving.Seconds(), Score: float64(o.quick) / tooQuick, Since: at,
		Evidence: []Fact{{"answers", number(float64(o.quick))}},
	}
	v.Sentence = fmt.Sprintf("%s of %s answers faster than a proof can be made: %s valid answers in less than %s, the last in %s. Not by accident.",
		upper(named(key.scope)), key.claim, number(float64(o.quick)), leastProving, took)
	o.quick = 0
	p.say(o, proverTooFast, key, at, v)
}

// compare compares a prover with the others of its claim.
func (p *Provers) compare(o *prover, all *together, key proverKey, at time.Time) {
	if all == nil || o.n <= warmAnswers || all.n <= warmAnswers || all.provers < otherProvers {
		return
	}
	far := math.Abs(float64(o.level - all.level))
	spread := math.Max(float64(all.spread), leastSpread)
	if far < math.Log(otherFactor) || far < 4*spread || recently(o.told[proverUnlike], at, silentFor) {
		return
	}
	seen, usual := math.Exp(float64(o.level)), math.Exp(float64(all.level))
	v := Verdict{
		Kind: proverKind[proverUnlike], Observed: seen, Expected: usual, Score: far / math.Log(otherFactor), Since: at,
		Evidence: []Fact{{"spread_of_logarithm", number(spread)}, {"provers", fmt.Sprint(all.provers)}},
	}
	v.Sentence = fmt.Sprintf("%s of %s answers unlike the others: in %s s, and %d provers of the claim together in %s s, which is %s of their spreads.",
		upper(named(key.scope)), key.claim, number(seen), all.provers, number(usual), number(far/spread))
	p.say(o, proverUnlike, key, at, v)
}

// recently reports whether something was reported within a time.
func recently(told uint32, at time.Time, within time.Duration) bool {
	return told != 0 && at.Unix()-int64(told) < int64(within/time.Second)
}

// say keeps a verdict for the next tick, unless the same was said lately.
func (p *Provers) say(o *prover, kind int, key proverKey, at time.Time, v Verdict) {
	if recently(o.told[kind], at, proverQuiet) {
		return
	}
	o.told[kind] = uint32(at.Unix())
	v.At, v.Detector, v.Scope, v.Runbook = at, Prover, key.scope, runbookProver
	v.Since = v.Since.UTC()
	v.Evidence = append(v.Evidence, Fact{"claim", key.claim})
	if len(p.ready) < maxWaiting {
		p.ready = append(p.ready, v)
	}
}

// Tick returns what was found since the last call. Without learn, what is usual stays as it
// is until the next call.
func (p *Provers) Tick(now time.Time, learn bool) []Verdict {
	p.frozen = !learn
	if len(p.all) > maxProvers*9/10 {
		p.forget(now)
	}
	found := p.ready
	p.ready = nil
	return found
}

// forget removes those that were silent for long.
func (p *Provers) forget(now time.Time) {
	for key, o := range p.all {
		if !recently(o.seen, now, silentFor) {
			delete(p.all, key)
		}
	}
	p.recount()
}

// recount counts the provers of each claim that are past their warm-up.
func (p *Provers) recount() {
	for _, all := range p.claims {
		all.provers = 0
	}
	for key, o := range p.all {
		if all := p.claims[key.claim]; all != nil && o.n > warmAnswers {
			all.provers++
		}
	}
}

// Known returns how many pairs of a prover and a claim are watched, and how many of them
// are past their warm-up.
func (p *Provers) Known() (all, warm int) {
	for _, o := range p.all {
		if o.n > warmAnswers {
			warm++
		}
	}
	return len(p.all), warm
}

// proverState is the name of a saved state.
const proverState = "prover/2"

// Save returns what is usual for each prover that is past its warm-up. Sums begin again.
func (p *Provers) Save() []byte {
	var s saver
	s.text(proverState)
	warm := make(map[proverKey]*prover)
	for key, o := range p.all {
		if o.n > warmAnswers {
			warm[key] = o
		}
	}
	for id, o := range p.claims {
		warm[proverKey{"", id}] = &o.prover
	}
	s.count(len(warm))
	for key, o := range warm {
		s.text(key.scope)
		s.text(key.claim)
		o.save(&s)
	}
	return s.b
}

// logOffset makes logarithms of response times positive.
const logOffset = 100

func (o *prover) save(s *saver) {
	s.count(int(o.n))
	s.count(int(o.seen))
	for _, v := range []float32{o.level + logOffset, o.past + logOffset, o.spread} {
		s.number(float64(v))
	}
	for i := range o.shares {
		s.number(float64(o.shares[i].usual))
		s.count(int(o.shares[i].n))
	}
}

// Restore replaces the state by a saved one. After an error the state is unchanged.
func (p *Provers) Restore(b []byte) error {
	r := restore(b, proverState)
	all, claims := make(map[proverKey]*prover), make(map[string]*together)
	for n := r.count(maxProvers + maxClaims); n > 0 && !r.failed; n-- {
		key := proverKey{r.text(mostText), r.text(mostText)}
		if o := restoredProver(r); key.scope == "" {
			claims[key.claim] = &together{prover: *o}
		} else {
			all[key] = o
		}
	}
	if err := r.end(); err != nil {
		return err
	}
	if len(all) > maxProvers || len(claims) > maxClaims {
		return errState
	}
	p.all, p.claims = all, claims
	p.recount()
	return nil
}

func restoredProver(r *restorer) *prover {
	o := new(prover)
	o.n, o.seen = uint32(r.count(math.MaxUint32)), uint32(r.count(math.MaxUint32))
	o.level, o.past, o.spread = float32(r.number(2*logOffset))-logOffset, float32(r.number(2*logOffset))-logOffset, float32(r.number(logOffset))
	o.fresh = o.level // and sums are 0
	for i := range o.shares {
		o.shares[i].usual, o.shares[i].n = float32(r.number(1)), uint32(r.count(math.MaxUint32))
	}
	return o
}

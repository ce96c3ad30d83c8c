package anomaly

import (
	"encoding/binary"
	"fmt"
	"net/netip"
	"sync"
	"time"

	"github.com/terradourada/td/internal/telemetry"
	"github.com/terradourada/td/protocol"
)

// Exact reports what no honest history contains (D4). It learns nothing and has no
// threshold. It is an observer in the path of requests: what it must compare is reported
// there, and an event that the ring drops would be missed. Its methods may be called from
// any goroutine.
//
// Because it is in the path, its time is a part of the time of the answer. A client must not
// learn from that time whether a tag is the right one of another client. So only the first
// event of a minute is described, and further ones are only counted.
//
// Proofs are compared with the last 65,536 that clients of this process have answered with
// in 24 hours, challenges with the last 16,384. The marks that it compares are keyed by
// the process, so a restart forgets them; the journal refuses an anchor that was accepted
// before for good.
type Exact struct {
	mu     sync.Mutex // guards what follows
	proofs hotSet
	issued hotSet
	told   map[findingKey]*told
	ready  []Verdict
}

// findingKey identifies findings that share one verdict a minute.
type findingKey struct {
	kind string
	from sender
}

// sender is the client of a request, or else its network. The zero sender is the server.
type sender struct {
	client  string
	network netip.Prefix
}

func senderOf(r *telemetry.Request) sender {
	if r.Client != "" {
		return sender{client: r.Client}
	}
	return sender{network: networkOf(r.Source)}
}

// scope returns the scope of verdicts about the sender.
func (s sender) scope() string {
	switch {
	case s.client != "":
		return "client:" + s.client
	case s.network.IsValid():
		return "network:" + s.network.String()
	}
	return ScopeServer
}

// told counts events of one kind and scope.
type told struct {
	scope   string
	first   Verdict   // of the events that no verdict has counted
	n       int       // of them
	spoken  time.Time // when the last verdict was made
	last    time.Time // event
	overall int
}

// Bounds of Exact.
const (
	hotProofs  = 1 << 16
	hotIssued  = 1 << 15 // two for each challenge
	hotFor     = 24 * time.Hour
	maxTold    = 1024
	maxReady   = 256
	tellEvery  = time.Minute
	forgetTold = time.Hour
)

// NewExact returns a detector that has seen nothing.
func NewExact() *Exact {
	return &Exact{proofs: newHotSet(hotProofs), issued: newHotSet(hotIssued), told: make(map[findingKey]*told)}
}

// The kinds of verdicts of Exact.
const (
	kindRepeatedProof    = "repeated_proof"
	kindVerdictDiffers   = "verdict_differs"
	kindForeignTag       = "foreign_tag"
	kindRepeatedAnchor   = "repeated_anchor"
	kindRepeatedPosition = "repeated_position"
	kindRootsDiffer      = "roots_differ"
	kindClockBack        = "clock_back"
	kindKeyholderBreach  = "keyholder_breach"
)

// impossible says what each kind means: what was seen, with one verb for its value, why it
// cannot happen, and where to begin.
var impossible = map[string]struct{ seen, why, runbook string }{
	kindRepeatedProof:    {"a proof of %s came again under another request", "a proof is made for one anchor and blinded, so honest provers never repeat one", runbookTraffic},
	kindVerdictDiffers:   {"the verifier has decided differently about the same answer of %s", "its verdict depends on the answer alone", runbookMachine},
	kindForeignTag:       {"%s answered a request of another client with its right tag", "a tag is sent to the client of its request alone; a program that opens with one key and answers with another causes this, too", runbookTraffic},
	kindRepeatedAnchor:   {"a signer returned an anchor for the second time, for %s", "each anchor covers a number that was drawn for it; a repeated commitment, which clients can cause, is not counted", runbookKeys},
	kindRepeatedPosition: {"a signer returned a position in the issued tree for the second time, for %s", "positions of an epoch are counted", runbookKeys},
	kindRootsDiffer:      {"what is signed or published differs from the journal (%s)", "the log is computed from the journal", "ledger-inconsistency.md"},
	kindClockBack:        {"the clock of the system ran back by %s", "clocks are slewed, not stepped, while a server runs", runbookMachine},
	kindKeyholderBreach:  {"the %s answered what was not asked, or not as it must", "each answer belongs to one call", runbookKeys},
}

// leastBack is the step of the clock backwards that is reported.
const leastBack = 2.0 // seconds

// Request examines a request.
func (x *Exact) Request(r telemetry.Request) {
	x.mu.Lock()
	defer x.mu.Unlock()
	switch r.Cause {
	case telemetry.ForeignTag:
		x.request(kindForeignTag, &r)
	case telemetry.RepeatedAnchor:
		x.request(kindRepeatedAnchor, &r)
	default: // judged below
	}
	if r.Operation != "sendProof" {
		x.challenge(&r)
	} else if r.Mark != (telemetry.Mark{}) && r.Cause != telemetry.MalformedProof { // what does not decode is no proof
		x.answer(&r)
	}
}

// challenge compares what was issued.
func (x *Exact) challenge(r *telemetry.Request) {
	if r.Mark != (telemetry.Mark{}) && x.issued.put(r.At, r.Mark, r.ID) != nil {
		x.request(kindRepeatedAnchor, r)
	}
	if r.Place != (telemetry.Mark{}) && x.issued.put(r.At, r.Place, r.ID) != nil {
		x.request(kindRepeatedPosition, r)
	}
}

// What the verifier has decided about a proof.
const (
	notJudged = iota
	judgedTrue
	judgedFalse
)

// answer compares the proof of an answer whose tag was right.
func (x *Exact) answer(r *telemetry.Request) {
	verdict := notJudged
	switch {
	case r.Code == protocol.CodeNone:
		verdict = judgedTrue
	case r.Cause == telemetry.FalseProof:
		verdict = judgedFalse
	}
	was := x.proofs.put(r.At, r.Mark, r.ID)
	switch {
	case was == nil:
		x.proofs.last().verdict = uint8(verdict)
	case was.id != r.ID:
		x.request(kindRepeatedProof, r, Fact{"first_request", was.id.String()})
	case was.verdict != notJudged && verdict != notJudged && int(was.verdict) != verdict:
		x.request(kindVerdictDiffers, r)
	case was.verdict == notJudged:
		was.verdict = uint8(verdict)
	}
}

// Change examines a change.
func (x *Exact) Change(c telemetry.Change) {
	x.mu.Lock()
	defer x.mu.Unlock()
	switch {
	case c.Kind == telemetry.RootsDiffer, c.Kind == telemetry.LedgerFailing && c.Subject == "diverged" && c.Value > 0:
		x.change(kindRootsDiffer, c.At, Fact{"what", c.Subject})
	case c.Kind == telemetry.ClockStepped && c.Value < -leastBack:
		x.change(kindClockBack, c.At, Fact{"seconds", number(-c.Value)})
	case c.Kind == telemetry.KeyholderBreached:
		x.change(kindKeyholderBreach, c.At, Fact{"keyholder", c.Subject})
	}
}

// requestFacts returns what evidence names of a request.
func requestFacts(r *telemetry.Request) []Fact {
	facts := []Fact{{"operation", r.Operation}, {"cause", r.Cause.String()}}
	if r.ID != (protocol.RequestID{}) {
		facts = append(facts, Fact{"request", r.ID.String()})
	}
	if r.Claim != "" {
		facts = append(facts, Fact{"claim", r.Claim})
	}
	return facts
}

// request counts a request that no honest history contains. The lock is held.
func (x *Exact) request(kind string, r *telemetry.Request, more ...Fact) {
	t := x.count(findingKey{kind, senderOf(r)}, r.At)
	if t.n == 1 {
		t.first = Verdict{At: r.At, Since: r.At, Detector: Impossible, Kind: kind, Scope: t.scope, Cause: r.Cause, Evidence: append(requestFacts(r), more...)}
	}
	x.tell(t)
}

// change counts a change of the server that no honest history contains. The lock is held.
func (x *Exact) change(kind string, at time.Time, fact Fact) {
	t := x.count(findingKey{kind: kind}, at)
	if t.n == 1 {
		t.first = Verdict{At: at, Since: at, Detector: Impossible, Kind: kind, Scope: t.scope, Evidence: []Fact{fact}}
	}
	x.tell(t)
}

// count counts an event. When the table is full, an event of a client or network that is not
// in it counts as one of the server, so that no event is lost. The lock is held.
func (x *Exact) count(key findingKey, at time.Time) *told {
	t := x.told[key]
	if t == nil && len(x.told) >= maxTold {
		key.from = sender{}
		t = x.told[key]
	}
	if t == nil {
		t = &told{scope: key.from.scope()}
		x.told[key] = t
	}
	t.n, t.overall, t.last = t.n+1, t.overall+1, at
	return t
}

// tell makes a verdict, unless the last one of this kind and scope was made within a minute.
// The event then counts in the next one. The lock is held.
func (x *Exact) tell(t *told) {
	if t.last.Sub(t.spoken) >= tellEvery {
		x.speak(t)
	}
}

// speak makes the verdict about what was counted. If too many wait, a later call of Take
// makes it, except for the one about the server. The lock is held.
func (x *Exact) speak(t *told) {
	if len(x.ready) >= maxReady && t.scope != ScopeServer {
		return
	}
	v := t.first
	v.At, v.Observed, v.Score, v.Runbook = t.last, float64(t.n), float64(t.n), impossible[v.Kind].runbook
	v.Sentence = impossibleSentence(&v)
	v.Evidence = append(v.Evidence, Fact{"events", fmt.Sprint(t.n)}, Fact{"events_in_all", fmt.Sprint(t.overall)})
	t.n, t.spoken = 0, t.last
	x.ready = append(x.ready, v)
}

// impossibleSentence returns the sentence of a verdict about as many events as it has seen.
func impossibleSentence(v *Verdict) string {
	means := impossible[v.Kind]
	return fmt.Sprintf("%s: %s since %s, expected none. %s.", upper(fmt.Sprintf(means.seen, aboutWhom(v))), times(int(v.Observed)), clock(v.Since), upper(means.why))
}

// aboutWhom returns what the sentence of a kind names.
func aboutWhom(v *Verdict) string {
	switch {
	case v.Scope != ScopeServer:
		return named(v.Scope)
	case v.Kind == kindClockBack:
		return v.Evidence[0].Value + " s"
	case v.Kind == kindRootsDiffer, v.Kind == kindKeyholderBreach:
		return v.Evidence[0].Value
	}
	return "an unlisted client"
}

// flush makes the verdicts about everything counted, also where the last one was lately.
func (x *Exact) flush() {
	x.mu.Lock()
	defer x.mu.Unlock()
	for _, t := range x.told {
		if t.n > 0 {
			x.speak(t)
		}
	}
}

// Take returns the verdicts since the last call, those that are due by now included.
func (x *Exact) Take(now time.Time) []Verdict {
	x.mu.Lock()
	defer x.mu.Unlock()
	for key, t := range x.told {
		if t.n > 0 && now.Sub(t.spoken) >= tellEvery {
			x.speak(t)
		}
		if t.n == 0 && now.Sub(t.last) >= forgetTold {
			delete(x.told, key)
		}
	}
	all := x.ready
	x.ready = nil
	return all
}

// hotSet holds the last marks, and with which request each came first. An entry that is
// older than hotFor counts as none. The oldest makes room.
type hotSet struct {
	ring  []hot
	next  int      // place of the ring that is written next
	index []uint32 // hash table of places of the ring plus one, 0 is free; twice as many as places
}

// hot is one mark.
type hot struct {
	mark    telemetry.Mark
	id      protocol.RequestID
	at      uint32 // seconds since 1970
	verdict uint8
}

func newHotSet(places int) hotSet {
	return hotSet{ring: make([]hot, places), index: make([]uint32, 2*places)}
}

// slot returns the slot of the hash table in which the search for a mark begins. Marks are
// keyed digests, so no client chooses them.
func (s *hotSet) slot(m *telemetry.Mark) int {
	return int(binary.LittleEndian.Uint64(m[:8]) & uint64(len(s.index)-1))
}

// put returns the entry of a mark, if it is there and not too old. Otherwise it adds one and
// returns nil.
func (s *hotSet) put(at time.Time, m telemetry.Mark, id protocol.RequestID) *hot {
	now := uint32(at.Unix())
	i := s.slot(&m)
	for ; s.index[i] != 0; i = (i + 1) & (len(s.index) - 1) {
		if h := &s.ring[s.index[i]-1]; h.mark == m {
			if now-h.at < uint32(hotFor/time.Second) || now < h.at {
				return h
			}
			*h = hot{mark: m} // it is found, and of no one
			s.remove(i)
			break
		}
	}
	if old := &s.ring[s.next]; old.at != 0 {
		s.forget(s.next)
	}
	for i = s.slot(&m); s.index[i] != 0; i = (i + 1) & (len(s.index) - 1) {
	}
	s.index[i] = uint32(s.next) + 1
	s.ring[s.next] = hot{mark: m, id: id, at: now}
	s.next = (s.next + 1) & (len(s.ring) - 1)
	return nil
}

// last returns the entry that was added last.
func (s *hotSet) last() *hot { return &s.ring[(s.next-1)&(len(s.ring)-1)] }

// forget removes the entry at a place of the ring from the hash table, if it is there.
func (s *hotSet) forget(place int) {
	for i := s.slot(&s.ring[place].mark); s.index[i] != 0; i = (i + 1) & (len(s.index) - 1) {
		if int(s.index[i]) == place+1 {
			s.remove(i)
			return
		}
	}
}

// remove frees a slot of the hash table, and moves the entries behind it that would not be
// found any more.
func (s *hotSet) remove(i int) {
	mask := len(s.index) - 1
	for j := i; ; {
		j = (j + 1) & mask
		if s.index[j] == 0 {
			break
		}
		home := s.slot(&s.ring[s.index[j]-1].mark)
		if (j-home)&mask >= (j-i)&mask {
			s.index[i] = s.index[j]
			i = j
		}
	}
	s.index[i] = 0
}

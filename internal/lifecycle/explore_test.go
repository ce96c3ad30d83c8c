package lifecycle_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/terradourada/td/internal/lifecycle"
	"github.com/terradourada/td/protocol"
)

type property struct {
	name  string
	holds func(from *world, e *edge) bool
}

// properties are the promises of section 11, each checked on every edge.
var properties = []property{
	{"accepted implies issued", func(from *world, e *edge) bool {
		return added(from, e) == nil || from.req[added(from, e).request-1].issued
	}},
	{"same payload", func(from *world, e *edge) bool {
		a := added(from, e)
		return a == nil || a.payload == a.request
	}},
	{"at most one entry", func(_ *world, e *edge) bool {
		return rows(&e.to, 0) <= 1 && rows(&e.to, 1) <= 1
	}},
	{"never while frozen", func(from *world, e *edge) bool {
		return added(from, e) == nil || !from.frozen
	}},
	{"never under a dead epoch", func(from *world, e *edge) bool {
		a := added(from, e)
		return a == nil || !from.ep[from.req[a.request-1].epoch-1].closed
	}},
	{"one proof never serves two requests", func(from *world, e *edge) bool {
		a := added(from, e)
		return a == nil || a.proof != foreignProof
	}},
	{"accepted implies proved", func(from *world, e *edge) bool {
		a := added(from, e)
		return a == nil || a.proof != falseProof
	}},
	{"accepted implies redeemed in time", func(from *world, e *edge) bool {
		a := added(from, e)
		return a == nil || from.req[a.request-1].redeem == protocol.RedeemOK
	}},
	{"accepted only from the committed client", func(from *world, e *edge) bool {
		a := added(from, e)
		return a == nil || a.proof != wrongClient
	}},
	{"accepted entries never change", func(from *world, e *edge) bool {
		n := from.entries
		return e.to.entries >= n && slices.Equal(from.log[:n], e.to.log[:n])
	}},
	{"a terminal state is final", func(from *world, e *edge) bool {
		for r := range requests {
			if from.req[r].state.Terminal() && from.req[r].state != e.to.req[r].state && e.name != "crash" {
				return false
			}
		}
		return true
	}},
	{"state and journal agree", func(_ *world, e *edge) bool {
		for r := range requests {
			if !agrees(&e.to, r) {
				return false
			}
		}
		return true
	}},
	{"one winner", func(_ *world, e *edge) bool {
		return e.to.req[0].redeems <= 1 && e.to.req[1].redeems <= 1
	}},
	{"a claimed request has its winner", func(_ *world, e *edge) bool {
		for r := range requests {
			if e.to.req[r].state.Phase == lifecycle.PhaseClaimed && !worked(&e.to, r) {
				return false
			}
		}
		return true
	}},
	{"a receipt only for the accepted proof", func(_ *world, e *edge) bool {
		if e.hand < 0 || e.effect != lifecycle.EffectReply {
			return true
		}
		s := e.to.req[e.req].state
		return e.to.entries > uint8(s.Index) && e.to.log[s.Index].proof == e.kind
	}},
	{"a hold consumes nothing", func(from *world, e *edge) bool {
		return e.name != "answer" || !from.frozen || from.req == e.to.req
	}},
	{"no request is opened under a hold", func(from *world, e *edge) bool {
		return e.name != "open" || !from.frozen || !e.to.req[e.req].opening
	}},
	{"no request is issued under a dead epoch", func(_ *world, e *edge) bool {
		q := &e.to.req[e.req]
		return e.name != "issued" || q.state.Phase != lifecycle.PhaseIssued || live(&e.to, q.epoch)
	}},
	{"disagreement destroys the epoch", func(_ *world, e *edge) bool {
		redeemed, ok := e.event.(lifecycle.EventRedeemed)
		if !ok || redeemed.Verdict == protocol.RedeemOK || redeemed.Verdict == protocol.RedeemExpired {
			return true
		}
		return !live(&e.to, e.to.req[e.req].epoch)
	}},
	{"no client destroys an epoch", func(from *world, e *edge) bool {
		return e.effect != lifecycle.EffectDestroyEpoch || from.req[e.req].forgot
	}},
	{"an ended request has a dead tag", func(_ *world, e *edge) bool {
		for r := range requests {
			q := &e.to.req[r]
			if q.state.Terminal() && q.tag == tagIssued && live(&e.to, q.epoch) && !aborted(q) {
				return false
			}
		}
		return true
	}},
	{"an end never has a retryable code", func(_ *world, e *edge) bool {
		return e.hand < 0 || e.name == "answer" || !e.to.req[e.req].state.Terminal() || !retryable(e.code)
	}},
	{"no event out of place", func(_ *world, e *edge) bool { return e.code != protocol.CodeInternal }},
}

// added returns the entry that an edge has added to the journal, nil if none.
func added(from *world, e *edge) *entry {
	if e.to.entries == from.entries {
		return nil
	}
	return &e.to.log[from.entries]
}

// agrees reports whether the state of a request in memory agrees with the journal.
func agrees(w *world, r int) bool {
	s := w.req[r].state
	switch {
	case s.Phase == lifecycle.PhaseAccepted:
		return uint8(s.Index) < w.entries && int(w.log[s.Index].request) == r+1
	case s.Terminal():
		return rows(w, r) == 0
	default:
		return true
	}
}

// worked reports whether a handler works on a request.
func worked(w *world, r int) bool {
	for h := range handlers {
		if w.hand[h].step != idle && int(w.hand[h].req) == r {
			return true
		}
	}
	return false
}

// aborted reports whether a request ended without an answer of the tagger. No
// client can answer it any more, so the core's state alone makes the tag useless.
func aborted(q *request) bool { return q.state.Reason == protocol.CodeInternal }

func retryable(c protocol.Code) bool {
	switch c {
	case protocol.CodeFrozen, protocol.CodeDraining, protocol.CodeLedgerUnavailable,
		protocol.CodeRateLimited, protocol.CodeOverloaded:
		return true
	default:
		return false
	}
}

// explore visits every reachable world, breadth first. It returns the first watched
// property that fails, with the edges that lead there.
func explore(start world, f faults, watched []property) (failed, trace string, visited int) {
	type visit struct {
		w      world
		parent int
		name   string
	}
	x := explorer{faults: f, step: stepWithout(f)}
	queue := []visit{{w: start, parent: -1}}
	seen := map[world]bool{start: true}
	for i := 0; i < len(queue); i++ {
		from := queue[i].w
		for _, e := range x.next(from) {
			for _, p := range watched {
				if !p.holds(&from, &e) {
					names := []string{fmt.Sprintf("%s(request %d, handler %d, kind %d)", e.name, e.req, e.hand, e.kind)}
					for j := i; j > 0; j = queue[j].parent {
						names = append(names, queue[j].name)
					}
					slices.Reverse(names)
					return p.name, strings.Join(names, " > "), len(seen)
				}
			}
			to := settle(e.to)
			if !seen[to] {
				seen[to] = true
				queue = append(queue, visit{to, i, e.name})
			}
		}
	}
	return "", "", len(seen)
}

// settle merges worlds that behave alike: it drops the history of ended requests and
// epochs, and orders the handlers.
func settle(w world) world {
	for r := range requests {
		q := &w.req[r]
		if !q.state.Terminal() {
			continue
		}
		kept := request{state: q.state, epoch: q.epoch, issued: true}
		if q.state.Phase == lifecycle.PhaseAccepted {
			kept.proof = q.proof
		} else {
			kept.state.Reason = 0
		}
		*q = kept
	}
	for i := range epochs {
		if w.ep[i].state.Phase == lifecycle.EpochDestroyed {
			w.ep[i].state.Reason = 0
		}
	}
	if a, b := w.hand[0], w.hand[1]; a.step < b.step || a.step == b.step && (a.req < b.req || a.req == b.req && a.kind < b.kind) {
		w.hand[0], w.hand[1] = b, a
	}
	return w
}

func TestStepHoldsItsProperties(t *testing.T) {
	start, least := world{freezes: 1, crashes: 1, forgets: 1}, 500_000
	if testing.Short() {
		start, least = world{}, 50_000
	}
	failed, trace, n := explore(start, nil, properties)
	if failed != "" {
		t.Fatalf("property %q fails after\n%s", failed, trace)
	}
	if n < least {
		t.Errorf("explored only %d worlds; the model has lost most of its edges", n)
	}
	t.Logf("%d worlds", n)
}

// fault is a set of removed guards and the one property to check.
type fault struct {
	guards   faults
	property string
}

// plantedFaults must make their property fail; a property that cannot fail checks
// nothing.
var plantedFaults = []fault{
	{faults{"known request", "redeem verdict"}, "accepted implies issued"},
	{faults{ownPayload}, "same payload"},
	{faults{"claim once", taggerOnce, journalOnce}, "at most one entry"},
	{faults{journalHold}, "never while frozen"},
	{faults{journalEpoch}, "never under a dead epoch"},
	{faults{ownX}, "one proof never serves two requests"},
	{faults{"proof verdict"}, "accepted implies proved"},
	{faults{"redeem verdict"}, "accepted implies redeemed in time"},
	{faults{"client and tag"}, "accepted only from the committed client"},
	{faults{journalFinal}, "accepted entries never change"},
	{faults{"claim once"}, "a terminal state is final"},
	{faults{"expire issued only"}, "state and journal agree"},
	{faults{"invalidate issued only"}, "state and journal agree"},
	{faults{"journal refusal"}, "state and journal agree"},
	{faults{"unknown commit"}, "state and journal agree"},
	{faults{"claim once"}, "one winner"},
	{faults{winnerStays}, "a claimed request has its winner"},
	{faults{"same proof"}, "a receipt only for the accepted proof"},
	{faults{"hold at answer"}, "a hold consumes nothing"},
	{faults{"hold at open"}, "no request is opened under a hold"},
	{faults{"epoch at issue"}, "no request is issued under a dead epoch"},
	{faults{"disagreement"}, "disagreement destroys the epoch"},
	{faults{"client and tag"}, "no client destroys an epoch"},
	{faults{"cancel"}, "an ended request has a dead tag"},
	{faults{"outcome code"}, "an end never has a retryable code"},
	{faults{"known request"}, "no event out of place"},
	{faults{"invalidate issued only"}, "no event out of place"},
}

func TestStepPlantedFaults(t *testing.T) {
	needSwitches(t)
	for _, f := range plantedFaults {
		t.Run(f.property+"/"+strings.Join(f.guards, "+"), func(t *testing.T) {
			failed, trace, n := explore(world{freezes: 1, forgets: 1}, f.guards, []property{named(t, f.property)})
			if failed == "" {
				t.Fatalf("property holds in all %d worlds without the guards", n)
			}
			t.Log(trace)
		})
	}
}

// secondLines are guards without which the property still holds, because another
// guard covers them.
var secondLines = []struct {
	start world
	fault
}{
	{world{}, fault{faults{taggerOnce, journalOnce}, "at most one entry"}},
	{world{}, fault{faults{"known request"}, "accepted implies issued"}},
	{world{}, fault{faults{"epoch at issue"}, "never under a dead epoch"}},
	{world{freezes: 1}, fault{faults{"hold at answer", "hold at open"}, "never while frozen"}},
}

func TestStepSecondLines(t *testing.T) {
	needSwitches(t)
	if testing.Short() {
		t.Skip("left out of the short run: each row explores everything")
	}
	for _, f := range secondLines {
		t.Run(f.property+"/"+strings.Join(f.guards, "+"), func(t *testing.T) {
			if failed, trace, _ := explore(f.start, f.guards, []property{named(t, f.property)}); failed != "" {
				t.Errorf("property fails after\n%s", trace)
			}
		})
	}
}

func named(t *testing.T, name string) property {
	t.Helper()
	i := slices.IndexFunc(properties, func(p property) bool { return p.name == name })
	if i < 0 {
		t.Fatalf("no property is called %q", name)
	}
	return properties[i]
}

// Every guard of Step is needed by itself, and every property can fail.
func TestStepFaultsAreComplete(t *testing.T) {
	for _, g := range guards {
		if !slices.ContainsFunc(plantedFaults, func(f fault) bool { return slices.Equal(f.guards, faults{g.name}) }) {
			t.Errorf("no planted fault removes %q alone", g.name)
		}
	}
	for _, p := range properties {
		if !slices.ContainsFunc(plantedFaults, func(f fault) bool { return f.property == p.name }) {
			t.Errorf("no planted fault makes %q fail", p.name)
		}
	}
}

package lifecycle_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/terradourada/td/internal/lifecycle"
	"github.com/terradourada/td/protocol"
)

// The instance that this explorer visits opens epochs, rotates them and ends them. Each
// step of an opening may succeed, fail, fail with its effect done, or meet the death of
// a keyholder. Requests are issued, accepted and ended meanwhile. The phases change by
// lifecycle.StepEpoch and the opening by lifecycle.StepOpening alone.

const keySets = 3 // that are started at most

// keySet is one epoch or one attempt at it.
type keySet struct {
	state          lifecycle.EpochState
	used           bool
	signer, tagger bool // alive
	wiped, rooted  bool
	gave           [keySets]bool // hand-overs that its key has signed, by successor
	early          bool          // one of them before the wipe and the root
	leaf, closed   bool          // leaves 2 and 3 are in the journal
	handed         int8          // the key set that signed the hand-over in its leaf, or -1
	issuing        bool
	pending        bool
}

type instance struct {
	set         [keySets]keySet
	opening     lifecycle.Opening
	next, giver int8 // of the opening, -1 if none
	last        int8 // the newest with a leaf, or -1
}

// move is one transition between two instances.
type move struct {
	name string
	to   instance
	code protocol.Code
	set  int8 // the key set that issued or accepted
}

type instanceExplorer struct {
	step  func(lifecycle.Opening, lifecycle.OpeningLearnt) lifecycle.Opening
	loose bool // the journal accepts for epochs that are closed
	moves []move
}

func (x *instanceExplorer) add(name string, to instance, set int8, code protocol.Code) {
	x.moves = append(x.moves, move{name, to, code, set})
}

// next lists the moves that leave an instance.
func (x *instanceExplorer) next(w instance) []move {
	x.moves = x.moves[:0]
	if w.opening.Step == lifecycle.OpeningIdle {
		x.begin(w)
	} else {
		x.carryOut(w)
	}
	for i := range w.set {
		if s := w.set[i]; s.used {
			x.requests(w, int8(i))
			x.kill(w, int8(i))
			x.keep(w, int8(i))
		}
	}
	return x.moves
}

func (x *instanceExplorer) begin(w instance) {
	w.next, w.giver = -1, w.active()
	o, code := lifecycle.BeginOpening(w.giver >= 0, w.draining())
	w.opening = o
	x.add("begin", w, -1, code)
}

func (w *instance) active() int8 {
	return int8(slices.IndexFunc(w.set[:], func(s keySet) bool { return s.state.Phase == lifecycle.EpochActive }))
}

func (w *instance) draining() (n int) {
	for _, s := range w.set {
		if s.state.Phase == lifecycle.EpochDraining {
			n++
		}
	}
	return n
}

// carryOut carries out the step under way in every way that it can go.
func (x *instanceExplorer) carryOut(w instance) {
	if g := w.giver; w.opening.Step == lifecycle.OpeningDrain && w.set[g].state.Phase == lifecycle.EpochActive {
		var code protocol.Code
		w.set[g].state, _, code = lifecycle.StepEpoch(w.set[g].state, lifecycle.EpochDrain{Reason: protocol.CloseRotated, Draining: w.draining()})
		x.add("hold", w, -1, code)
		return
	}
	done := w
	ok, code := done.effect()
	if ok {
		x.learn("done", done, lifecycle.OutcomeDone, code)
		x.learn("fails, but is done", done, lifecycle.OutcomeFailed, code)
		x.learn("unknown, but is done", done, lifecycle.OutcomeUnknown, code)
	}
	x.learn("fails", w, lifecycle.OutcomeFailed, protocol.CodeNone)
	x.learn("unknown", w, lifecycle.OutcomeUnknown, protocol.CodeNone)
}

func (x *instanceExplorer) learn(how string, w instance, o lifecycle.Outcome, code protocol.Code) {
	switch step := w.opening.Step; {
	case step == lifecycle.OpeningActivate || step == lifecycle.OpeningDestroy:
		if o != lifecycle.OutcomeDone {
			return // both are done in memory
		}
	case step == lifecycle.OpeningFind && o == lifecycle.OutcomeFailed && w.next >= 0 && w.set[w.next].leaf:
		return // what is found is true
	case step == lifecycle.OpeningStart && o == lifecycle.OutcomeUnknown:
		return
	}
	if w.opening.Step == lifecycle.OpeningStart && o != lifecycle.OutcomeDone && w.next >= 0 {
		w.set[w.next].signer, w.set[w.next].tagger = false, false // a failed start leaves none behind
	}
	l := lifecycle.OpeningLearnt{
		Outcome: o,
		Giver:   w.giver >= 0 && w.set[w.giver].signer,
		Next:    w.next >= 0 && w.set[w.next].signer && w.set[w.next].tagger,
	}
	name := fmt.Sprintf("%v %s", w.opening.Step, how)
	w.opening = x.step(w.opening, l)
	if w.opening.Step == lifecycle.OpeningIdle || w.opening.Step == lifecycle.OpeningStart {
		if n := w.next; n >= 0 && w.set[n].state.Phase == lifecycle.EpochStarting {
			w.set[n].signer, w.set[n].tagger = false, false
			w.next = -1
		}
	}
	x.add(name, w, -1, code)
}

// effect does what the step asks for. It reports false if that cannot be done.
func (w *instance) effect() (ok bool, code protocol.Code) {
	var g, n *keySet
	if w.giver >= 0 {
		g = &w.set[w.giver]
	}
	if w.next >= 0 {
		n = &w.set[w.next]
	}
	switch w.opening.Step {
	case lifecycle.OpeningStart:
		i := slices.IndexFunc(w.set[:], func(s keySet) bool { return !s.used })
		if i < 0 {
			return false, protocol.CodeNone
		}
		w.next = int8(i)
		w.set[i] = keySet{used: true, signer: true, tagger: true, handed: -1}
	case lifecycle.OpeningDrain:
		g.wiped = g.wiped || g.signer
		return g.signer, protocol.CodeNone
	case lifecycle.OpeningRoot:
		g.rooted = g.rooted || g.signer
		return g.signer, protocol.CodeNone
	case lifecycle.OpeningCheckpoint:
		return g.signer, protocol.CodeNone
	case lifecycle.OpeningHandover:
		if g.signer {
			g.gave[w.next], g.early = true, g.early || !g.wiped || !g.rooted
			n.handed = w.giver
		}
		return g.signer, protocol.CodeNone
	case lifecycle.OpeningWrite:
		if !w.opening.Handed {
			n.handed = -1
		}
		n.leaf, w.last = true, w.next
	case lifecycle.OpeningFind:
		return n.leaf, protocol.CodeNone
	case lifecycle.OpeningActivate:
		n.state, _, code = lifecycle.StepEpoch(n.state, lifecycle.EpochOpened{OtherActive: w.active() >= 0})
	case lifecycle.OpeningDestroy:
		w.fail(w.giver)
	default:
		return false, protocol.CodeInternal
	}
	return true, code
}

func (w *instance) fail(i int8) {
	s := &w.set[i]
	state, effects, _ := lifecycle.StepEpoch(s.state, lifecycle.EpochFailed{Reason: protocol.CloseDied})
	s.state = state
	if effects != nil {
		s.signer, s.tagger, s.pending, s.closed = false, false, false, s.leaf
	}
}

func (x *instanceExplorer) requests(w instance, i int8) {
	s := &w.set[i]
	at := w
	q := &at.set[i]
	switch {
	case s.issuing:
		q.issuing = false
		q.pending = s.signer && s.tagger && !s.wiped && s.state.Phase.Live()
		x.add("anchored", at, -1, protocol.CodeNone)
	case s.state.Phase == lifecycle.EpochActive && !s.pending:
		q.issuing = true
		x.add("issue", at, i, protocol.CodeNone)
	case s.pending:
		q.pending = false
		x.add("ended", at, -1, protocol.CodeNone)
		if s.leaf && (!s.closed || x.loose) {
			x.add("accept", at, i, protocol.CodeNone)
		}
	case x.loose && s.closed:
		x.add("accept", at, i, protocol.CodeNone)
	}
}

func (x *instanceExplorer) kill(w instance, i int8) {
	if w.set[i].signer {
		at := w
		at.set[i].signer = false
		x.add("signer exits", at, -1, protocol.CodeNone)
	}
	if w.set[i].tagger {
		at := w
		at.set[i].tagger = false
		x.add("tagger exits", at, -1, protocol.CodeNone)
	}
}

// keep ends an epoch whose keyholder has died, or that has drained. A signer that has
// signed the last root has no duty left.
func (x *instanceExplorer) keep(w instance, i int8) {
	s := &w.set[i]
	switch {
	case !s.state.Phase.Live():
	case !s.tagger || !s.signer && !s.rooted:
		w.fail(i)
		x.add("fails", w, -1, protocol.CodeNone)
	case s.state.Phase == lifecycle.EpochDraining && !s.pending && !s.issuing && (w.opening.Step == lifecycle.OpeningIdle || w.giver != i):
		s.state, _, _ = lifecycle.StepEpoch(s.state, lifecycle.EpochIdle{})
		s.signer, s.tagger, s.closed = false, false, true
		x.add("drained", w, -1, protocol.CodeNone)
	}
}

var instanceProperties = []struct {
	name  string
	holds func(from *instance, m *move) bool
}{
	{"at most one epoch is ACTIVE", func(_ *instance, m *move) bool {
		n := 0
		for _, s := range m.to.set {
			if s.state.Phase == lifecycle.EpochActive {
				n++
			}
		}
		return n <= 1 && (n == 0 || !m.to.opening.Held)
	}},
	{"nothing is issued while issue is held", func(from *instance, m *move) bool {
		return m.name != "issue" || !from.opening.Held && !from.set[m.set].wiped
	}},
	{"issue is held until an epoch is ACTIVE", func(from *instance, m *move) bool {
		return !from.opening.Held || m.to.opening.Held || m.to.active() >= 0
	}},
	{"a key hands over once, and last", func(_ *instance, m *move) bool {
		for _, s := range m.to.set {
			n := 0
			for _, gave := range s.gave {
				if gave {
					n++
				}
			}
			if n > 1 || s.early {
				return false
			}
		}
		return true
	}},
	{"a leaf shows the hand-over of the epoch before it", func(from *instance, m *move) bool {
		n := m.to.last
		if n < 0 || n == from.last {
			return true
		}
		by := m.to.set[n].handed
		return by < 0 || by == from.last && m.to.set[by].gave[n]
	}},
	{"nothing is accepted after the close leaf", func(from *instance, m *move) bool {
		return m.name != "accept" || !from.set[m.set].closed
	}},
	{"an open leaf has an epoch", func(_ *instance, m *move) bool {
		for i, s := range m.to.set {
			if s.leaf && s.state.Phase == lifecycle.EpochStarting && int(m.to.next) != i {
				return false
			}
		}
		return true
	}},
	{"an epoch that drained has signed its last root", func(_ *instance, m *move) bool {
		for _, s := range m.to.set {
			if s.state.Phase == lifecycle.EpochDestroyed && s.state.Reason == protocol.CloseRotated && (!s.rooted || s.pending) {
				return false
			}
		}
		return true
	}},
	{"a close leaf follows an open leaf", func(_ *instance, m *move) bool {
		return !slices.ContainsFunc(m.to.set[:], func(s keySet) bool { return s.closed && !s.leaf })
	}},
	{"no event out of place", func(_ *instance, m *move) bool { return m.code == protocol.CodeNone }},
}

// settle merges instances that behave alike: it drops what an ended epoch has left.
func (w instance) settle() instance {
	for i := range w.set {
		if s := &w.set[i]; s.state.Phase == lifecycle.EpochDestroyed {
			*s = keySet{used: true, state: lifecycle.EpochState{Phase: s.state.Phase}, gave: s.gave, leaf: s.leaf, closed: s.closed, handed: -1}
			s.rooted = true
		}
	}
	return w
}

// exploreInstances visits every reachable instance, breadth first, and returns the first
// property that fails with the moves that lead there.
func exploreInstances(x *instanceExplorer) (failed, trace string, visited int) {
	type visit struct {
		w      instance
		parent int
		name   string
	}
	start := instance{next: -1, giver: -1, last: -1}
	queue, seen := []visit{{w: start, parent: -1}}, map[instance]bool{start: true}
	for i := 0; i < len(queue); i++ {
		from := queue[i].w
		for _, m := range x.next(from) {
			for _, p := range instanceProperties {
				if !p.holds(&from, &m) {
					names := []string{m.name}
					for j := i; j > 0; j = queue[j].parent {
						names = append(names, queue[j].name)
					}
					slices.Reverse(names)
					return p.name, strings.Join(names, " > "), len(seen)
				}
			}
			if to := m.to.settle(); !seen[to] {
				seen[to] = true
				queue = append(queue, visit{to, i, m.name})
			}
		}
	}
	return "", "", len(seen)
}

func TestOpeningHoldsItsProperties(t *testing.T) {
	failed, trace, n := exploreInstances(&instanceExplorer{step: lifecycle.StepOpening})
	if failed != "" {
		t.Fatalf("property %q fails after\n%s", failed, trace)
	}
	if n < 50_000 {
		t.Errorf("explored only %d instances; the model has lost most of its moves", n)
	}
	t.Logf("%d instances", n)
}

// TestOpeningPlantedFaults: without one of its rules an opening breaks a property.
func TestOpeningPlantedFaults(t *testing.T) {
	type opening = lifecycle.Opening
	faults := map[string]struct {
		change   func(from opening, l lifecycle.OpeningLearnt, to *opening)
		property string
	}{
		"hand-over is asked for again": {func(from opening, l lifecycle.OpeningLearnt, to *opening) {
			if from.Step == lifecycle.OpeningHandover && l.Giver {
				to.Giver = lifecycle.GiverChecked
			}
		}, "a key hands over once, and last"},
		"hand-over before the root": {func(from opening, _ lifecycle.OpeningLearnt, to *opening) {
			if to.Step == lifecycle.OpeningRoot {
				to.Giver, to.Step = lifecycle.GiverChecked, lifecycle.OpeningHandover
			}
		}, "a key hands over once, and last"},
		"the epoch before is not drained": {func(from opening, _ lifecycle.OpeningLearnt, to *opening) {
			if to.Step == lifecycle.OpeningDrain {
				to.Step = lifecycle.OpeningWrite
			}
		}, "an open leaf has an epoch"},
		"the hold ends when the next epoch exits": {func(from opening, _ lifecycle.OpeningLearnt, to *opening) {
			if from.Held && to.Step == lifecycle.OpeningStart {
				*to = opening{}
			}
		}, "issue is held until an epoch is ACTIVE"},
		"a leaf of unknown outcome is forgotten": {func(from opening, _ lifecycle.OpeningLearnt, to *opening) {
			if from.Step == lifecycle.OpeningWrite && to.Step == lifecycle.OpeningFind {
				to.Step = lifecycle.OpeningStart
			}
		}, "an open leaf has an epoch"},
		"a failed root does not end the epoch": {func(from opening, l lifecycle.OpeningLearnt, to *opening) {
			if from.Step == lifecycle.OpeningRoot && to.Step == lifecycle.OpeningDestroy {
				to.Step = lifecycle.OpeningWrite
			}
		}, "an epoch that drained has signed its last root"},
	}
	for name, f := range faults {
		t.Run(name, func(t *testing.T) {
			failed, trace, n := exploreInstances(&instanceExplorer{step: func(from opening, l lifecycle.OpeningLearnt) opening {
				to := lifecycle.StepOpening(from, l)
				f.change(from, l, &to)
				return to
			}})
			if failed != f.property {
				t.Errorf("%q fails after\n%s\nwant %q; %d instances", failed, trace, f.property, n)
			}
		})
	}
	t.Run("journal accepts for closed epochs", func(t *testing.T) {
		failed, _, _ := exploreInstances(&instanceExplorer{step: lifecycle.StepOpening, loose: true})
		if failed != "nothing is accepted after the close leaf" {
			t.Errorf("%q fails", failed)
		}
	})
}

func TestBeginOpening(t *testing.T) {
	for _, row := range []struct {
		active   bool
		draining int
		giver    lifecycle.Giver
		code     protocol.Code
	}{
		{false, 0, lifecycle.GiverNone, 0},
		{false, lifecycle.MaxDraining, lifecycle.GiverNone, 0},
		{true, lifecycle.MaxDraining - 1, lifecycle.GiverActive, 0},
		{true, lifecycle.MaxDraining, lifecycle.GiverNone, protocol.CodeConflict},
	} {
		o, code := lifecycle.BeginOpening(row.active, row.draining)
		if o.Giver != row.giver || code != row.code || (o.Step == lifecycle.OpeningStart) != (code == protocol.CodeNone) {
			t.Errorf("active %t, %d draining: %+v, %v", row.active, row.draining, o, code)
		}
	}
}

// TestOpeningIsOver: without an opening under way, and after the last step of one, there
// is nothing to do, whatever is learnt.
func TestOpeningIsOver(t *testing.T) {
	for _, step := range []lifecycle.OpeningStep{lifecycle.OpeningIdle, lifecycle.OpeningActivate} {
		for o := lifecycle.OutcomeDone; o <= lifecycle.OutcomeUnknown; o++ {
			l := lifecycle.OpeningLearnt{Outcome: o, Giver: true, Next: true}
			if got := lifecycle.StepOpening(lifecycle.Opening{Step: step, Giver: lifecycle.GiverActive, Held: true}, l); got != (lifecycle.Opening{}) {
				t.Errorf("%q, outcome %d: %+v", step, o, got)
			}
		}
	}
}

const openingHead = `
# The opening of an epoch

Generated from ` + "`lifecycle.StepOpening`" + ` by its tests. *Held*: issue waits. *Handed*: the open leaf carries a hand-over.
What the epoch before can still do follows the step. What is known of a step is its outcome and which keyholders live.

| state | what was learnt | next state |
|---|---|---|
`

func openingTable() string {
	var b strings.Builder
	b.WriteString(openingHead)
	first, _ := lifecycle.BeginOpening(false, 0)
	rotation, _ := lifecycle.BeginOpening(true, 0)
	states := []lifecycle.Opening{first, rotation}
	for i := 0; i < len(states); i++ {
		var results []lifecycle.Opening
		learnt := map[lifecycle.Opening][]string{}
		for _, l := range everythingLearnt() {
			if l.Outcome == lifecycle.OutcomeUnknown && states[i].Step != lifecycle.OpeningFind {
				continue // like failed
			}
			to := lifecycle.StepOpening(states[i], l.OpeningLearnt)
			if !slices.Contains(results, to) {
				results = append(results, to)
			}
			learnt[to] = append(learnt[to], l.name)
			if to.Step != lifecycle.OpeningIdle && !slices.Contains(states, to) {
				states = append(states, to)
			}
		}
		for _, to := range results {
			text := strings.Join(learnt[to], "; ")
			if len(results) == 1 {
				text = "anything"
			}
			fmt.Fprintf(&b, "| %s | %s | %s |\n", openingName(states[i]), text, openingName(to))
		}
	}
	return b.String()
}

func openingName(o lifecycle.Opening) string {
	if o.Step == lifecycle.OpeningIdle {
		return "idle"
	}
	name := fmt.Sprintf("%v, %v", o.Step, o.Giver)
	if o.Held {
		name += ", held"
	}
	if o.Handed {
		name += ", handed"
	}
	return name
}

type namedLearnt struct {
	lifecycle.OpeningLearnt
	name string
}

func everythingLearnt() (all []namedLearnt) {
	for i, outcome := range []string{"done", "failed", "unknown"} {
		for _, lives := range []struct {
			giver, next bool
			name        string
		}{{true, true, ""}, {false, true, ", the one before is dead"}, {true, false, ", the next one is dead"}, {false, false, ", both are dead"}} {
			all = append(all, namedLearnt{lifecycle.OpeningLearnt{Outcome: lifecycle.Outcome(i + 1), Giver: lives.giver, Next: lives.next}, outcome + lives.name})
		}
	}
	return all
}

// TestOpeningNames: every step and giver has a name.
func TestOpeningNames(t *testing.T) {
	for _, row := range []struct{ got, want string }{
		{upTo[lifecycle.OpeningStep](11), " start drain root checkpoint handover write find activate destroy invalid"},
		{upTo[lifecycle.Giver](6), "none ACTIVE wiped rooted checked invalid"},
	} {
		if row.got != row.want {
			t.Errorf("names = %q, want %q", row.got, row.want)
		}
	}
}

package lifecycle_test

import (
	"slices"

	"github.com/terradourada/td/internal/lifecycle"
	"github.com/terradourada/td/protocol"
)

// The world that the explorer visits has two requests, two handlers, two epochs one
// after another, a tagger, a journal, an operator that freezes and thaws, a clock, a
// process that can be killed, and clients that send every kind of answer. Its states
// change by lifecycle.Step and lifecycle.StepEpoch alone; the journal and the tagger
// are modelled here by the rules of sections 2 and 10.

const (
	requests = 2
	handlers = 2
	epochs   = 2
)

// kind is the content of an answer.
type kind uint8

const (
	trueProof    kind = iota
	otherProof        // another true proof of the same statement
	falseProof        // a proof that does not verify
	foreignProof      // a true proof of the other request's statement
	wrongTag
	wrongClient
	wrongPayload // a true proof that comes with the other request's payload
	kinds
)

// stepOf is what a handler does next.
type stepOf uint8

const (
	idle stepOf = iota
	redeeming
	verifying
	committing
	resolving
)

// tagState is the state of one request in the tagger.
type tagState uint8

const (
	tagNone tagState = iota
	tagIssued
	tagUsed
	tagCancelled
)

type request struct {
	state   lifecycle.State
	epoch   uint8 // 1-based; 0 before it is opened
	opening bool  // tagger and signer work on it
	issued  bool  // a session was kept, once
	tag     tagState
	forgot  bool  // the tagger has lost the request: a fault that no client can cause
	late    bool  // the deadline has passed
	redeems uint8 // winners that got EffectRedeem, counted up to 2
	redeem  protocol.Redemption
	proof   kind // of the answer that was claimed
}

type handler struct {
	step stepOf
	req  uint8
	kind kind
}

// entry is one accepted leaf.
type entry struct {
	request uint8 // 1-based
	payload uint8 // the request whose payload the leaf holds, 1-based
	proof   kind
}

type epoch struct {
	state  lifecycle.EpochState
	used   bool // it has been started
	closed bool // leaf 3 is in the journal
}

// world is comparable: it is the key of the set of visited worlds.
type world struct {
	req     [requests]request
	hand    [handlers]handler
	ep      [epochs]epoch
	log     [3]entry
	entries uint8
	frozen  bool
	// How often each may still happen; this bounds the world.
	freezes, crashes, forgets uint8
}

// faults names the guards that are removed, of Step and of the world.
type faults []string

func (f faults) has(name string) bool { return slices.Contains(f, name) }

// Guards of the world, outside Step.
const (
	taggerOnce   = "tagger: one-shot table"
	journalOnce  = "journal: UNIQUE request id"
	journalHold  = "journal: control not frozen"
	journalEpoch = "journal: epoch live"
	journalFinal = "journal: rows are never updated"
	ownX         = "core: x from its own state"
	ownPayload   = "core: payload from its own state"
	winnerStays  = "core: a winner goes on without its client"
)

// edge is one transition between two worlds.
type edge struct {
	name   string
	to     world
	event  lifecycle.Event // applied by Step, nil if none
	effect lifecycle.Effect
	code   protocol.Code
	req    int
	hand   int // -1 if no handler took part
	kind   kind
}

type explorer struct {
	faults faults
	step   func(lifecycle.State, lifecycle.Event) (lifecycle.State, lifecycle.Effect, protocol.Code)
	edges  []edge
}

// next lists the edges that leave a world.
func (x *explorer) next(w world) []edge {
	x.edges = x.edges[:0]
	for r := range requests {
		x.open(w, r)
		x.issued(w, r)
		x.clock(w, r)
		x.invalidate(w, r)
		x.forget(w, r)
	}
	for h := range handlers {
		x.handle(w, h)
	}
	x.operate(w)
	for e := range epochs {
		x.epochs(w, e)
	}
	x.crash(w)
	return x.edges
}

func (x *explorer) add(e edge) { x.edges = append(x.edges, e) }

// put applies an event by Step and carries out the effect.
func (x *explorer) put(name string, w world, r, h int, event lifecycle.Event) edge {
	q := &w.req[r]
	state, effect, code := x.step(q.state, event)
	q.state = state
	e := edge{name: name, event: event, effect: effect, code: code, req: r, hand: h}
	if h >= 0 {
		e.kind = w.hand[h].kind
		w.hand[h].step = idle
	}
	x.carryOut(&w, r, h, effect)
	if h >= 0 && w.hand[h].step == idle {
		w.hand[h] = handler{}
	}
	e.to = w
	return e
}

func (x *explorer) carryOut(w *world, r, h int, effect lifecycle.Effect) {
	q := &w.req[r]
	switch effect {
	case lifecycle.EffectIssue:
		q.opening, q.epoch = true, activeEpoch(w)
	case lifecycle.EffectRedeem:
		w.hand[h].step = redeeming
		q.redeems = min(q.redeems+1, 2)
		q.proof = w.hand[h].kind
	case lifecycle.EffectVerify:
		w.hand[h].step = verifying
	case lifecycle.EffectCommit:
		w.hand[h].step = committing
	case lifecycle.EffectResolve:
		w.hand[h].step = resolving
	case lifecycle.EffectCancel:
		if q.tag == tagIssued && live(w, q.epoch) {
			q.tag = tagCancelled
		}
	case lifecycle.EffectDestroyEpoch:
		fail(w, int(q.epoch)-1)
	case lifecycle.EffectReply, lifecycle.EffectAwait, lifecycle.EffectNone:
	}
}

func activeEpoch(w *world) uint8 {
	for i := range w.ep {
		if w.ep[i].used && w.ep[i].state.Phase == lifecycle.EpochActive {
			return uint8(i + 1)
		}
	}
	return 0
}

// live reports whether the keyholders of an epoch are running.
func live(w *world, number uint8) bool {
	return number > 0 && w.ep[number-1].used && w.ep[number-1].state.Phase.Live()
}

func fail(w *world, e int) {
	w.ep[e].state, _, _ = lifecycle.StepEpoch(w.ep[e].state, lifecycle.EpochFailed{Reason: protocol.CloseSuspect})
}

func (x *explorer) open(w world, r int) {
	if q := w.req[r]; q.opening || q.issued || q.state.Phase != lifecycle.PhaseNone || q.epoch != 0 {
		return
	}
	x.add(x.put("open", w, r, -1, lifecycle.EventOpen{Frozen: w.frozen, NoEpoch: activeEpoch(&w) == 0}))
}

func (x *explorer) issued(w world, r int) {
	q := &w.req[r]
	if !q.opening {
		return
	}
	alive := live(&w, q.epoch)
	q.opening, q.issued = false, true
	if alive {
		q.tag = tagIssued
	}
	x.add(x.put("issued", w, r, -1, lifecycle.EventIssued{EpochLive: alive}))
}

// clock lets the deadline pass, and then the sweeper run.
func (x *explorer) clock(w world, r int) {
	q := &w.req[r]
	if q.tag == tagNone && !q.forgot {
		return
	}
	if !q.late {
		late := w
		late.req[r].late = true
		x.add(edge{name: "deadline", to: late, req: r, hand: -1})
		return
	}
	x.add(x.put("sweep", w, r, -1, lifecycle.EventExpire{}))
}

// invalidate ends a request from outside: by an operator, or because the provers of
// a push failed.
func (x *explorer) invalidate(w world, r int) {
	if w.req[r].state.Phase != lifecycle.PhaseNone {
		x.add(x.put("invalidate", w, r, -1, lifecycle.EventInvalidate{Reason: protocol.CodeInvalidated}))
		x.add(x.put("prover fails", w, r, -1, lifecycle.EventProverFailed{Code: protocol.CodeProverTimeout}))
	}
}

func (x *explorer) forget(w world, r int) {
	if w.forgets == 0 || w.req[r].tag != tagIssued {
		return
	}
	w.forgets--
	w.req[r].tag, w.req[r].forgot = tagNone, true
	x.add(edge{name: "tagger forgets", to: w, req: r, hand: -1})
}

func (x *explorer) handle(w world, h int) {
	if w.hand[h].step != idle && x.faults.has(winnerStays) {
		gone := w
		gone.hand[h] = handler{}
		x.add(edge{name: "client leaves", to: gone, hand: -1})
	}
	switch w.hand[h].step {
	case idle:
		for k := range kinds {
			x.answer(w, 0, h, k)
		}
		// The requests are alike, so the second one gets fewer kinds.
		x.answer(w, 1, h, trueProof)
		x.answer(w, 1, h, foreignProof)
	case redeeming:
		x.redeem(w, h)
	case verifying:
		x.verify(w, h)
	case committing:
		x.commit(w, h)
	case resolving:
		x.resolve(w, h)
	}
}

func (x *explorer) answer(w world, r, h int, k kind) {
	w.hand[h] = handler{req: uint8(r), kind: k}
	x.add(x.put("answer", w, r, h, lifecycle.EventAnswer{
		ClientMatches: k != wrongClient,
		TagMatches:    k != wrongTag,
		SameProof:     w.req[r].proof == k,
		Frozen:        w.frozen,
	}))
}

func (x *explorer) redeem(w world, h int) {
	r := int(w.hand[h].req)
	q := &w.req[r]
	if !live(&w, q.epoch) {
		x.add(x.put("tagger is gone", w, r, h, lifecycle.EventAborted{}))
		return
	}
	verdict := protocol.RedeemOK
	switch {
	case q.tag == tagNone:
		verdict = protocol.RedeemUnknown
	case w.hand[h].kind == wrongTag:
		verdict = protocol.RedeemMismatch
	case q.tag != tagIssued && !x.faults.has(taggerOnce):
		verdict = protocol.RedeemUsed
	case q.late:
		verdict = protocol.RedeemExpired
	}
	if verdict == protocol.RedeemOK || verdict == protocol.RedeemExpired {
		q.tag = tagUsed
	}
	q.redeem = verdict
	x.add(x.put("redeem", w, r, h, lifecycle.EventRedeemed{Verdict: verdict}))
	x.add(x.put("redeem aborts", w, r, h, lifecycle.EventAborted{}))
}

func (x *explorer) verify(w world, h int) {
	k := w.hand[h].kind
	ok := k != falseProof && (k != foreignProof || x.faults.has(ownX))
	x.add(x.put("verify", w, int(w.hand[h].req), h, lifecycle.EventVerified{OK: ok}))
}

// commit is the transaction of step 10. It may be refused by its rules or by a
// failure, and in each case its outcome may get lost.
func (x *explorer) commit(w world, h int) {
	r := int(w.hand[h].req)
	unknown := lifecycle.EventCommitted{Outcome: lifecycle.CommitUnknown}
	x.add(x.put("commit lost", w, r, h, unknown))
	x.add(x.put("journal down", w, r, h, refusal(protocol.CodeLedgerUnavailable)))
	if code := x.journalRefuses(&w, r); code != protocol.CodeNone {
		x.add(x.put("journal refuses", w, r, h, refusal(code)))
		return
	}
	index := w.entries
	if x.faults.has(journalFinal) && index > 0 {
		index-- // an update that overwrites another row
	} else {
		w.entries++
	}
	w.log[index] = x.leaf(&w, h)
	x.add(x.put("commit done, answer lost", w, r, h, unknown))
	x.add(x.put("commit", w, r, h, lifecycle.EventCommitted{Outcome: lifecycle.CommitDone, Index: uint64(index)}))
}

func refusal(c protocol.Code) lifecycle.EventCommitted {
	return lifecycle.EventCommitted{Outcome: lifecycle.CommitRefused, Code: c}
}

func (x *explorer) journalRefuses(w *world, r int) protocol.Code {
	switch {
	case w.frozen && !x.faults.has(journalHold):
		return protocol.CodeFrozen
	case w.ep[w.req[r].epoch-1].closed && !x.faults.has(journalEpoch):
		return protocol.CodeInvalidated
	case rows(w, r) > 0 && !x.faults.has(journalOnce), int(w.entries) == len(w.log):
		return protocol.CodeConflict
	default:
		return protocol.CodeNone
	}
}

func (x *explorer) leaf(w *world, h int) entry {
	r := w.hand[h].req
	e := entry{request: r + 1, payload: r + 1, proof: w.hand[h].kind}
	if e.proof == wrongPayload && x.faults.has(ownPayload) {
		e.payload = 2 - r
	}
	return e
}

func (x *explorer) resolve(w world, h int) {
	r := int(w.hand[h].req)
	x.add(x.put("still unknown", w, r, h, lifecycle.EventCommitted{Outcome: lifecycle.CommitUnknown}))
	for i := range w.entries {
		if int(w.log[i].request) == r+1 {
			x.add(x.put("row found", w, r, h, lifecycle.EventCommitted{Outcome: lifecycle.CommitDone, Index: uint64(i)}))
			return
		}
	}
	x.add(x.put("no row", w, r, h, refusal(protocol.CodeLedgerUnavailable)))
}

// rows counts the entries of one request.
func rows(w *world, r int) (n int) {
	for i := range w.entries {
		if int(w.log[i].request) == r+1 {
			n++
		}
	}
	return n
}

func (x *explorer) operate(w world) {
	if w.frozen {
		w.frozen = false
		x.add(edge{name: "thaw", to: w, hand: -1})
		return
	}
	if w.freezes > 0 {
		w.freezes--
		w.frozen = true
		x.add(edge{name: "freeze", to: w, hand: -1})
	}
}

func (x *explorer) epochs(w world, i int) {
	e := &w.ep[i]
	if !e.used {
		x.startEpoch(w, i)
		return
	}
	if e.state.Phase == lifecycle.EpochDestroyed {
		if !e.closed {
			e.closed = true
			x.add(edge{name: "epoch close leaf", to: w, hand: -1})
		}
		return
	}
	failed := w
	fail(&failed, i)
	x.add(edge{name: "epoch ends", to: failed, hand: -1})
	x.drain(w, i)
}

// startEpoch begins an epoch once the one before it issues no more requests.
func (x *explorer) startEpoch(w world, i int) {
	if i > 0 && (!w.ep[i-1].used || w.ep[i-1].state.Phase == lifecycle.EpochActive) {
		return
	}
	w.ep[i].used = true
	w.ep[i].state, _, _ = lifecycle.StepEpoch(w.ep[i].state, lifecycle.EpochOpened{})
	x.add(edge{name: "epoch opens", to: w, hand: -1})
}

func (x *explorer) drain(w world, i int) {
	e := &w.ep[i]
	var event lifecycle.EpochEvent = lifecycle.EpochDrain{Reason: protocol.CloseRotated}
	if e.state.Phase == lifecycle.EpochDraining {
		for r := range requests {
			if q := &w.req[r]; int(q.epoch) == i+1 && (q.opening || !q.state.Terminal()) {
				return
			}
		}
		event = lifecycle.EpochIdle{}
	}
	e.state, _, _ = lifecycle.StepEpoch(e.state, event)
	x.add(edge{name: "epoch drains", to: w, hand: -1})
}

// crash ends the process: memory and keyholders are lost, the journal stays.
func (x *explorer) crash(w world) {
	if w.crashes == 0 {
		return
	}
	w.crashes--
	w.hand = [handlers]handler{}
	for r := range requests {
		q := &w.req[r]
		*q = request{epoch: q.epoch, issued: q.issued || q.opening}
	}
	for i := range epochs {
		if w.ep[i].used {
			fail(&w, i)
			w.ep[i].closed = true // the next start appends it before anything else
		}
	}
	x.add(edge{name: "crash", to: w, hand: -1})
}

package model_test

import (
	"fmt"
	"strings"
	"testing"
)

// guard is one line of defence, and how a copy of the model loses it: old occurs once in
// the file and becomes new, in which REMOVED is true if the guard is removed.
type guard struct {
	model, name, old, new string
}

var guards = []guard{
	{"request", "known request", "#define known(r) (st[r])", "#define known(r) (REMOVED && r == FAKE && e == E_ANSWER && st[r] == S_NONE -> S_ISSUED : st[r])"},
	{"request", "claim once", "#define claimed_once(r) (known(r))", "#define claimed_once(r) (REMOVED && e == E_ANSWER && st[r] > S_ISSUED -> S_ISSUED : known(r))"},
	{"request", "client binding", ":: by && !owns(r) -> e", ":: by && !owns(r) && !REMOVED -> e"},
	{"request", "tag compared", ":: !tag_known(r) -> e = E_ANSWER_WRONG_TAG", ":: !tag_known(r) && !REMOVED -> e = E_ANSWER_WRONG_TAG"},
	{"request", "redeem verdict", "-> tagger(r)", "-> tagger(r); e = (REMOVED && e != E_ABORTED -> E_REDEEMED_OK : e)"},
	{"request", "tagger recomputes", ":: !tag_known(r) -> e = E_REDEEMED_MISMATCH", ":: !tag_known(r) && !REMOVED -> e = E_REDEEMED_MISMATCH"},
	{"request", "tagger's table", "			:: tag[r] == T_UNKNOWN -> e = E_REDEEMED_UNKNOWN\n			:: tag[r] == T_GONE -> e", "			:: tag[r] == T_UNKNOWN && !REMOVED -> e = E_REDEEMED_UNKNOWN\n			:: tag[r] == T_GONE && !REMOVED -> e"},
	{"request", "tagger's deadline", ":: late[r] -> tag[r]", ":: late[r] && !REMOVED -> tag[r]"},
	{"request", "proof verdict", "-> prove(r)", "-> prove(r); e = (REMOVED && e == E_VERIFIED_FALSE -> E_VERIFIED_TRUE : e)"},
	{"request", "anchor in the proof", "#define anchor_fits    (anchors_equal)", "#define anchor_fits    (anchors_equal || REMOVED)"},
	{"request", "context in the proof", "#define context_fits   false", "#define context_fits   REMOVED"},
	{"request", "tag in the proof", "#define tag_fits       false", "#define tag_fits       REMOVED"},
	{"request", "commitment in the proof", "#define statement_fits (BOTH)", "#define statement_fits (BOTH || REMOVED)"},
	{"request", "issued tree at the core", "(anchored[r] || forgeable)", "(anchored[r] || forgeable || REMOVED)"},
	{"request", "issued tree at the verifier", "!(bad[r] & NOT_ISSUED) || CKPT", "!(bad[r] & NOT_ISSUED) || CKPT || REMOVED"},
	{"request", "proof at the verifier", "(!(bad[r] & FALSE_PROOF) &&", "((!(bad[r] & FALSE_PROOF) || REMOVED) &&"},
	{"request", "hold at the commit", ":: hold -> e = E_COMMIT", ":: hold && !REMOVED -> e = E_COMMIT"},
	{"request", "epoch at the commit", ":: closed[ep[r]] -> e", ":: closed[ep[r]] && !REMOVED -> e"},
	{"request", "unique request", ":: rows[r] > 0 -> e = E_COMMIT", ":: rows[r] > 0 && !REMOVED -> e = E_COMMIT"},
	{"request", "unique anchor", ":: anchors_equal && r != FAKE", ":: anchors_equal && !REMOVED && r != FAKE"},
	{"request", "unique commitment", ":: BOTH && r != FAKE", ":: BOTH && !REMOVED && r != FAKE"},
	{"request", "log compared with memory", "write(q, q, true); foreign = true", "write(q, q, true); foreign = !REMOVED"},
	{"request", "journal checked at start", "#define starts(r) (rows[r] <= 1 &&", "#define starts(r) ((rows[r] <= 1 || REMOVED) &&"},
	{"request", "sessions in memory only", "		:: DB && rows[q] > 0 -> rows[q]--", "		:: DB && REMOVED && q == FAKE && st[q] == S_NONE && live(0) -> st[q] = S_ISSUED; ep[q] = 0\n		:: DB && rows[q] > 0 -> rows[q]--"},
	{"request", "winner goes on", ":: todo == F_COMMIT && life == lives ->", ":: todo == F_COMMIT && life == lives && !REMOVED ->"},
	{"request", "projection goes on", "!foreign && rows[1] > projected[1] ->", "!foreign && !REMOVED && rows[1] > projected[1] ->"},
	{"request", "anchor not recomputed", "#define forgeable      false", "#define forgeable      (REMOVED && MLDSA)"},

	{"handover", "consistency pins nothing", "#define by_consistency false", "#define by_consistency REMOVED"},
	{"handover", "live from the bound server", "#define by_live        false", "#define by_live        REMOVED"},
	{"handover", "numbers grow along hand-overs", "#define leads_back(k)  false", "#define leads_back(k)  (REMOVED && k < 3 && k > 0 && (has_key(0) && handed(0, k) || has_key(1) && handed(1, k)))"},
	{"handover", "consistency proof", "#define extends        (!restored)", "#define extends        (!restored || REMOVED)"},
	{"handover", "cosigner's memory", "cosigned <= vsize", "(cosigned <= vsize || REMOVED)"},
	{"handover", "root before the hand-over", "		o = nx;\n", "		o = (REMOVED && nx == O_ROOT_WIPED_HELD -> O_HANDOVER_CHECKED_HELD : nx);\n"},
	{"handover", "drain before the next", "		step_opening(o, l);\n", "		step_opening(o, l);\n		nx = (REMOVED && nx == O_DRAIN_ACTIVE -> O_WRITE_NONE : nx);\n"},
	{"handover", "no way back", "		ok = HOLDS_ISSUE(o);\n", "		ok = HOLDS_ISSUE(o);\n		o = (REMOVED && o == O_START_NONE_HELD -> O_START_ACTIVE : o);\n"},
	{"handover", "failures end", "n++; effect(ok); l = L_UNKNOWN", "n = (REMOVED -> n : n + 1); effect(ok); l = L_UNKNOWN"},

	{"control", "second commander", "waits != 0 && waits != p", "waits != 0 && (waits != p || REMOVED)"},
	{"control", "a freeze forgets requests", "#define forgotten   0", "#define forgotten   (REMOVED -> waits : 0)"},
	{"control", "latest end", "(hold -> max(ends_at, a) : a)", "(hold && !REMOVED -> max(ends_at, a) : a)"},
	{"control", "hold at the commit", "#define commits     (!hold)", "#define commits     (!hold || REMOVED)"},
	{"control", "nothing thawed after a divergence", "#define can_thaw    (!diverged)", "#define can_thaw    (!diverged || REMOVED)"},
	{"control", "ends are watched", "hold && ends_at == SOON && can_thaw ->", "hold && ends_at == SOON && can_thaw && !REMOVED ->"},
	{"control", "the writer tries again", ":: atomic { !writable -> writable = true }", ":: atomic { !writable && !REMOVED -> writable = true }"},
}

// number returns the guard's bit in its model.
func number(t *testing.T, model, name string) int {
	t.Helper()
	n := 0
	for _, g := range guards {
		if g.model != model {
			continue
		}
		if g.name == name {
			return 1 << n
		}
		n++
	}
	t.Fatalf("%s has no guard %q", model, name)
	return 0
}

// mutated returns the model with a switch for every guard.
func mutated(t *testing.T, model, text string) string {
	t.Helper()
	replace := func(name, old, new string) {
		if n := strings.Count(text, old); n != 1 {
			t.Fatalf("%s, %s: %q occurs %d times", model, name, old, n)
		}
		text = strings.Replace(text, old, new, 1)
	}
	replace("switches", "int caps, watch;", "int caps, watch, removed;")
	replace("switches", "now.caps =", `now.removed = atoi(getenv("REMOVED")); now.caps =`)
	if model != "control" {
		replace("switches", "#define may_misuse false", "#define may_misuse (removed != 0)")
	}
	for _, g := range guards {
		if g.model == model {
			replace(g.name, g.old, strings.ReplaceAll(g.new, "REMOVED", fmt.Sprintf("(removed & %d)", number(t, model, g.name))))
		}
	}
	return text
}

/* The life of requests: issue, submit, redeem, verify, commit, publish. Two requests,
   two handlers that serve answers at a time, two epochs one after another, a freeze, a
   crash. The attacker decides when anything happens, and chooses what it sends at the
   moment at which it is compared. What is sent is not built: a check asks whether the
   attacker can have something that passes it. States change by step and step_epoch. */

#define may_misuse false /* the caller of a state machine breaks an invariant */
#include "step.pml"

/* Set by the runner: what the attacker holds, what is asserted, and how often answers,
   deeds and crashes happen. */
int caps, watch;
byte answers, deeds, crashes;

/* What the attacker holds. Of a key, it holds all that the key can be used for. The
   holder of the ML-DSA key counts as one who chooses anchors, although signing is hedged. */
#define HMAC  (caps & 1)
#define MLDSA (caps & 2)
#define CKPT  (caps & 4)
#define DB    (caps & 8)
#define CORE  (caps & 16)
#define TAG   (caps & 32) /* the tag of the victim's request */
#define BOTH  (caps & 64) /* the victim's request too is the attacker's, of the same commitment */

/* Requests, and the proofs made for them. FAKE is a payload that was never issued. */
#define VICTIM 0
#define OWN    1
#define FAKE   2
#define JUNK   3 /* a proof that verifies nothing */

/* What is wrong with a row. */
#define NOT_ISSUED   1   /* no signer made the anchor for this payload */
#define NOT_REDEEMED 2   /* no tagger redeemed the tag in time */
#define TWICE        4   /* its request has had a row before */
#define WHILE_HELD   8
#define AFTER_CLOSE  16  /* of its epoch */
#define USED_PROOF   32  /* its proof is that of another row */
#define NOT_BY_OWNER 64  /* another client answered */
#define FALSE_PROOF  128
/* What else is asserted. */
#define NO_DESTROY   256 /* no client destroys an epoch */

#define T_UNKNOWN 0
#define T_ISSUED  1
#define T_GONE    2 /* used or cancelled */

byte st[3];               /* in the core's memory */
byte ep[3];               /* the epoch of the payload */
byte tag[3];              /* in the tagger's table */
bool opened[3], issuing[3], anchored[3], redeemed[3], late[3], ever[3];
byte rows[3], bad[3], projected[3];
byte phase[2];            /* of the epochs */
bool closed[2];           /* leaf 3 */
byte seen, used;          /* sets of proofs: that were sent, that stand in rows */
bool hold, foreign;       /* foreign: a row that this process of the core did not write */
bool frozen, thawed;      /* each happens once */
bool begun;               /* a request was claimed */
byte lives;
hidden byte nx, fx;

#define live(e)   (phase[e] == P_ACTIVE || phase[e] == P_DRAINING)
#define owns(r)   (r != VICTIM || BOTH)
#define pending(r) (st[r] != S_NONE && st[r] < S_ACCEPTED)
#define tag_known(r) (r == FAKE -> HMAC : !by || owns(r) || HMAC || TAG)
/* The victim makes its own proof; the attacker may catch it on its way. */
#define has(q, by) (q == VICTIM -> !by || owns(q) || (seen & (1 << VICTIM)) : by)

/* Whether a proof of q shows the statement of r: q's public values are r's. */
#define anchors_equal  (MLDSA && BOTH)
#define anchor_fits    (anchors_equal)
#define context_fits   false
#define tag_fits       false
#define statement_fits (BOTH)
#define fits(q, r) (q == r || (q != JUNK && r != FAKE && q != FAKE && anchor_fits && context_fits && tag_fits && statement_fits))

/* Whether a signed root of the issued tree covers r, for the core and for a verifier. */
#define forgeable      false
#define root_for_core(r)     (anchored[r] || forgeable)
#define root_for_verifier(r) (!(bad[r] & NOT_ISSUED) || CKPT)

inline write(row, proof, other) {
	bad[row] = bad[row] | (NOT_ISSUED * !anchored[row]) | (NOT_REDEEMED * !redeemed[row]) |
		(TWICE * ever[row]) | (WHILE_HELD * hold) | (AFTER_CLOSE * closed[ep[row]]) |
		(USED_PROOF * ((used & (1 << proof)) && !ever[row])) |
		(NOT_BY_OWNER * (other && !owns(row))) | (FALSE_PROOF * (proof == JUNK));
	used = used | (1 << proof);
	rows[row]++;
	ever[row] = true
}

inline fail_epoch(e) {
	step_epoch(phase[e], V_FAILED);
	phase[e] = nx
}

inline carry_out(r) { /* what a step asks for at once */
	st[r] = nx;
	if
	:: fx == F_CANCEL -> tag[r] = (live(ep[r]) && tag[r] == T_ISSUED -> T_GONE : tag[r])
	:: fx == F_DESTROY_EPOCH -> assert(!(watch & NO_DESTROY)); fail_epoch(ep[r])
	:: else
	fi
}

inline journal(r) { /* the transaction, with the event that it leads to */
	if
	:: hold -> e = E_COMMIT_REFUSED_FROZEN
	:: closed[ep[r]] -> e = E_COMMIT_REFUSED_FROZEN
	:: rows[r] > 0 -> e = E_COMMIT_REFUSED_CONFLICT
	:: anchors_equal && r != FAKE && rows[OWN - r] > 0 -> e = E_COMMIT_REFUSED_CONFLICT /* the same anchor */
	:: BOTH && r != FAKE && rows[OWN - r] > 0 -> e = E_COMMIT_REFUSED_CONFLICT /* the same commitment */
	:: else ->
		if
		:: write(r, q, by); e = E_COMMITTED
		:: write(r, q, by); e = E_COMMIT_UNKNOWN
		:: e = E_COMMIT_UNKNOWN
		fi
	fi
}

inline tagger(r) {
	if
	:: !live(ep[r]) -> e = E_ABORTED
	:: else ->
		if
		:: !tag_known(r) -> e = E_REDEEMED_MISMATCH
		:: else ->
			if
			:: tag[r] == T_UNKNOWN -> e = E_REDEEMED_UNKNOWN
			:: tag[r] == T_GONE -> e = E_REDEEMED_USED
			:: else ->
				if
				:: late[r] -> tag[r] = T_GONE; e = E_REDEEMED_EXPIRED
				:: else -> tag[r] = T_GONE; redeemed[r] = !late[r]; e = E_REDEEMED_OK
				fi
			fi
		fi
	fi
}

#define open(r) (!opened[r] && !hold && (phase[0] == P_ACTIVE || phase[1] == P_ACTIVE))
#define busy(r, n) (ep[r] == n && (issuing[r] || pending(r)))
inline issue(r) { /* tagger and signer have answered; the core does not know yet */
	ep[r] = (phase[0] == P_ACTIVE -> 0 : 1);
	opened[r] = true; issuing[r] = true; tag[r] = T_ISSUED; anchored[r] = true
}

/* A start refuses a journal with two rows of a request, or that is behind the log. */
#define starts(r) (rows[r] <= 1 && rows[r] >= projected[r])
inline crash() { /* memory and keyholders are lost; the next start closes the epochs */
	lives++;
	forget(VICTIM); forget(OWN); forget(FAKE);
	phase[0] = P_DESTROYED; closed[0] = true;
	closed[1] = (phase[1] != P_STARTING);
	phase[1] = (phase[1] != P_STARTING -> P_DESTROYED : P_STARTING);
	foreign = false
}
inline forget(r) {
	st[r] = S_NONE;
	tag[r] = T_UNKNOWN;
	issuing[r] = false
}

inline answer(r) { /* steps 3 to 7 */
	if
	:: by && !owns(r) -> e = E_ANSWER_WRONG_CLIENT
	:: else ->
		if
		:: !tag_known(r) -> e = E_ANSWER_WRONG_TAG
		:: else -> e = (hold -> E_ANSWER_ACCEPTANCE_ON_HOLD : E_ANSWER)
		fi
	fi;
	seen = seen | (!by && opened[r] -> 1 << r : 0)
}

inline prove(r) { /* which proof, is chosen now */
	if
	:: q = VICTIM
	:: q = OWN
	:: q = FAKE
	:: q = JUNK
	fi;
	if
	:: !root_for_core(r) -> e = E_ABORTED
	:: root_for_core(r) && has(q, by) && fits(q, r) -> e = E_VERIFIED_TRUE
	:: root_for_core(r) && !(has(q, by) && fits(q, r)) -> e = E_VERIFIED_FALSE
	fi
}

#define known(r) (st[r])
#define claimed_once(r) (known(r))

/* A handler serves one answer after another; what counts are those that claim a request.
   The client of the answer may be the attacker (by). What the handler finds out and the
   step that follows are one action. Handlers are alike, so one claims first. */
proctype handler(bool first) {
	byte r, q, e, n, todo, life;
	bool by;

	do
	:: atomic {
		if
		:: n < answers && todo == F_NONE && (first || begun) ->
			life = lives;
			if
			:: r = VICTIM; by = (BOTH != 0)
			:: r = VICTIM; by = true
			:: r = OWN; by = true
			:: r = FAKE; by = true
			fi;
			answer(r)
		:: todo == F_REDEEM && life == lives -> tagger(r)
		:: todo == F_VERIFY && life == lives -> prove(r)
		:: todo == F_COMMIT && life == lives -> journal(r)
		:: todo == F_RESOLVE && life == lives ->
			e = (rows[r] > 0 -> E_COMMITTED : E_COMMIT_REFUSED_LEDGER_UNAVAILABLE)
		fi;
		step(claimed_once(r), e);
		carry_out(r);
		e = 0;
		if
		:: fx == F_REDEEM -> todo = fx; n++; begun = true
		:: fx == F_VERIFY || fx == F_COMMIT || fx == F_RESOLVE -> todo = fx
		:: else -> todo = F_NONE; r = 0; q = 0; by = false; life = 0
		fi
	}
	:: atomic { todo != F_NONE && life != lives -> /* its process has ended */
		todo = F_NONE; r = 0; q = 0; by = false; life = 0
	}
	od
}

/* Issue, the clock, rotation, the operator, a crash. */
proctype server() {
	byte r, e;

	do
	:: atomic {
		if
		:: issuing[VICTIM] -> r = VICTIM; e = (live(ep[r]) -> E_ISSUED : E_ISSUED_EPOCH_HAS_DIED)
		:: issuing[OWN] -> r = OWN; e = (live(ep[r]) -> E_ISSUED : E_ISSUED_EPOCH_HAS_DIED)
		:: st[VICTIM] == S_ISSUED && late[VICTIM] -> r = VICTIM; e = E_EXPIRE
		:: st[OWN] == S_ISSUED && late[OWN] -> r = OWN; e = E_EXPIRE
		:: st[VICTIM] == S_ISSUED && !live(ep[VICTIM]) -> r = VICTIM; e = E_INVALIDATE_INVALIDATED
		:: st[OWN] == S_ISSUED && !live(ep[OWN]) -> r = OWN; e = E_INVALIDATE_INVALIDATED
		:: open(VICTIM) -> r = VICTIM; e = E_OPEN
		:: open(OWN) -> r = OWN; e = E_OPEN
		fi;
		step(st[r], e);
		issuing[r] = false;
		if
		:: fx == F_ISSUE -> issue(r)
		:: else -> carry_out(r)
		fi;
		r = 0; e = 0
	}
	:: atomic { tag[VICTIM] + tag[OWN] > 0 && !late[VICTIM] && !late[OWN] -> /* the deadline */
		late[VICTIM] = opened[VICTIM]; late[OWN] = opened[OWN]
	}
	:: atomic {
		if
		:: phase[0] == P_ACTIVE -> r = 0; e = V_DRAIN
		:: phase[1] == P_STARTING && phase[0] != P_ACTIVE -> r = 1; e = V_OPENED
		:: phase[0] == P_DRAINING && !busy(VICTIM, 0) && !busy(OWN, 0) -> r = 0; e = V_IDLE
		:: live(0) -> r = 0; e = V_FAILED
		:: live(1) -> r = 1; e = V_FAILED
		fi;
		step_epoch(phase[r], e);
		phase[r] = nx;
		closed[r] = (e == V_IDLE); /* with the close leaf; after a failure it follows */
		r = 0; e = 0
	}
	:: atomic { phase[0] == P_DESTROYED && !closed[0] -> closed[0] = true }
	:: atomic { phase[1] == P_DESTROYED && !closed[1] -> closed[1] = true }
	:: atomic { !frozen -> frozen = true; hold = true }
	:: atomic { hold && frozen && !thawed && !foreign -> thawed = true; hold = false }
	:: atomic { lives < crashes && starts(0) && starts(1) && starts(2) -> crash() }
	od
}

/* Publishes rows as leaves. What a verifier does not believe, asserts nothing. */
#define believed(r) (!(bad[r] & FALSE_PROOF) && root_for_verifier(r))
proctype projection() {
	do
	:: atomic { foreign && !hold -> hold = true }
	:: atomic { !foreign && rows[0] > projected[0] -> projected[0]++; assert(!(watch & bad[0]) || !believed(0)) }
	:: atomic { !foreign && rows[1] > projected[1] -> projected[1]++; assert(!(watch & bad[1]) || !believed(1)) }
	:: atomic { !foreign && rows[2] > projected[2] -> projected[2]++; assert(!(watch & bad[2]) || !believed(2)) }
	od
}

/* What files and core allow beyond answers. A written row is that of a request with the
   attacker's proof for it, or with the victim's if that was sent. */
proctype attacker() {
	byte q, n;

	do
	:: atomic { n < deeds ->
		n++;
		if
		:: opened[OWN] -> q = OWN
		:: q = FAKE
		:: (seen & (1 << VICTIM)) -> q = VICTIM
		fi;
		if
		:: DB && rows[q] < 2 -> write(q, q, true); foreign = true
		:: DB && rows[q] > 0 -> rows[q]-- /* an older copy */
		:: CORE && rows[q] < 2 -> write(q, q, true)
		:: CORE && live(0) -> anchored[q] = true
		fi;
		q = 0
	}
	od
}

#ifdef LIVENESS
/* What is claimed is decided, and what is accepted is projected, some time. */
#define claimed   (st[OWN] > S_ISSUED && st[OWN] < S_ACCEPTED)
#define unwritten (rows[OWN] > projected[OWN] && !foreign)
ltl decided { [] (claimed -> <> !claimed) }
ltl published { [] (unwritten -> <> !unwritten) }
#endif

init {
	atomic {
		c_code {
			now.caps = atoi(getenv("CAPS")); now.watch = atoi(getenv("WATCH"));
			now.answers = atoi(getenv("BOUND1")); now.deeds = atoi(getenv("BOUND2")); now.crashes = atoi(getenv("BOUND3"));
		};
		phase[0] = P_ACTIVE;
		run handler(true); run handler(false); run server(); run projection();
		if
		:: DB || CORE -> run attacker()
		:: else
		fi
	}
}

/* The life of checkpoint keys: opening, rotation, hand-over, the end of keyholders, a
   crash, an older copy of the data. A verifier keeps the newest checkpoint it had reason
   to believe. The attacker presents a log that has the verifier's leaves and then others.
   States change by step_opening and step_epoch. */

#define may_misuse false /* the caller of a state machine breaks an invariant */
#include "step.pml"

/* Set by the runner: what the attacker holds, what is asserted, and how often a step
   fails, a keyholder ends, and the server crashes. */
int caps, watch;
byte failures, deaths, crashes;

#define CKPT   (caps & 4)  /* one checkpoint key, stolen while it lives */
#define DB     (caps & 8)  /* the data directory: older copies */
#define CORE   (caps & 16)
#define POLICY (caps & 32) /* verifiers require an honest cosigner */

/* What is asserted. */
#define ONE_HISTORY 1  /* no log but the server's is believed */
#define PREFIX      2  /* what is believed has what was believed before */
#define LATER       4  /* nor after the key was stolen, by who has a checkpoint of a later key */
#define HANDS_OVER  8  /* a key hands over once, after its root, and then is gone */
#define HELD        16 /* issue is held until an epoch is ACTIVE */
#define ONE_ACTIVE  32

#define KEYS 3
#define OURS 3 /* a key of the attacker */
#define NONE 4

byte o, next = NONE, giver = NONE;  /* the opening */
byte phase[3], gave[3];             /* gave: the set of keys that it handed over to */
bool used[3], alive[3], wiped[3], rooted[3], gone[3], leaf[3];
byte stolen, thief = NONE;          /* keys that the attacker has, the epoch of the theft */
byte size, vsize, vkey = NONE;      /* of the log, of the verifier's checkpoint */
byte cosigned, forked_at = NONE;    /* by the cosigner: the size, the fork it has signed */
bool restored;                      /* the log lacks leaves that the verifier has seen */
hidden byte nx, fx;

#define key_lives(k) (alive[k] && !gone[k])
#define is_active(k) (phase[k] == P_ACTIVE)
#define is_live(k)   (phase[k] == P_ACTIVE || phase[k] == P_DRAINING)
#define active_key() (is_active(0) -> 0 : (is_active(1) -> 1 : (is_active(2) -> 2 : NONE)))

/* The trust rules: the key of the verifier's checkpoint, or one that hand-overs lead to. */
#define has_key(k)     (stolen & (1 << (k)))
#define handed(a, b)   (gave[a] & (1 << (b)))
#define from(k)        (has_key(k) || (k < 3 && handed(k, OURS)))
#define leads_1(k)     ((k < 1 && handed(k, 1) && from(1)) || (k < 2 && handed(k, 2) && from(2)))
#define leads_2(k)     (k < 1 && handed(k, 1) && handed(1, 2) && from(2))
#define leads_back(k)  false
#define by_key(k)      (from(k) || leads_1(k) || leads_2(k) || leads_back(k))
#define by_consistency false
#define by_live        false
#define believed(k)    (by_key(k) || by_consistency || by_live)
#define extends        (!restored)

inline effect(ok) { /* does what the step asks for */
	if
	:: DOES_START(o) -> next = (!used[0] -> 0 : (!used[1] -> 1 : 2)); used[next] = true; alive[next] = true
	:: DOES_DRAIN(o) -> wiped[giver] = wiped[giver] || alive[giver]; ok = alive[giver]
	:: DOES_ROOT(o) -> rooted[giver] = rooted[giver] || alive[giver]; ok = alive[giver]
	:: DOES_CHECKPOINT(o) -> ok = alive[giver]
	:: DOES_HANDOVER(o) ->
		if
		:: key_lives(giver) ->
			assert(!(watch & HANDS_OVER) || (gave[giver] == 0 && wiped[giver] && rooted[giver]));
			gave[giver] = gave[giver] | (1 << next);
			gone[giver] = true
		:: else -> ok = false
		fi
	:: DOES_WRITE(o) -> leaf[next] = true; size++
	:: DOES_FIND(o) -> ok = leaf[next]
	:: DOES_ACTIVATE(o) ->
		assert(!(watch & ONE_ACTIVE) || active_key() == NONE);
		step_epoch(phase[next], (active_key() == NONE -> V_OPENED : V_OPENED_OTHER_ACTIVE));
		phase[next] = nx
	:: DOES_DESTROY(o) -> end_epoch(giver)
	fi
}

inline end_epoch(k) {
	step_epoch(phase[k], V_FAILED);
	phase[k] = nx;
	alive[k] = false
}

inline forget_next() { /* an attempt that failed leaves no keyholders */
	if
	:: (o == O_IDLE || DOES_START(o)) && next != NONE ->
		alive[next] = alive[next] && phase[next] != P_STARTING;
		next = NONE
	:: else
	fi
}

proctype opener() {
	byte n, l;
	bool ok;

	do
	:: atomic { o == O_IDLE && !used[KEYS - 1] ->
		giver = active_key();
		o = (giver == NONE -> O_START_NONE : O_START_ACTIVE)
	}
	:: atomic { DOES_DRAIN(o) && giver != NONE && is_active(giver) ->
		step_epoch(phase[giver], V_DRAIN); phase[giver] = nx
	}
	:: atomic { o != O_IDLE && !(DOES_START(o) && used[KEYS - 1]) && !(DOES_DRAIN(o) && is_active(giver)) ->
		ok = true;
		if
		:: effect(ok); l = (ok -> L_DONE : L_FAILED)
		:: n < failures && !DOES_ACTIVATE(o) && !DOES_DESTROY(o) -> n++; effect(ok); l = L_UNKNOWN
		:: n < failures && !DOES_ACTIVATE(o) && !DOES_DESTROY(o) && !DOES_FIND(o) -> n++; l = L_FAILED
		fi;
		l = l + (giver == NONE || !alive[giver]) + 2 * (next == NONE || !alive[next]);
		ok = HOLDS_ISSUE(o);
		step_opening(o, l);
		o = nx;
		assert(!(watch & HELD) || !ok || HOLDS_ISSUE(o) || active_key() != NONE);
		forget_next();
		ok = false; l = 0
	}
	od
}

/* Keyholders end, and the epochs with them that still need them. */
proctype world() {
	byte k, n, lives;

	do
	:: atomic { n < deaths ->
		if
		:: alive[0] -> alive[0] = false
		:: alive[1] -> alive[1] = false
		:: alive[2] -> alive[2] = false
		fi;
		n++
	}
	:: atomic {
		if
		:: is_live(0) && !alive[0] && !rooted[0] -> k = 0
		:: is_live(1) && !alive[1] && !rooted[1] -> k = 1
		:: is_live(2) && !alive[2] && !rooted[2] -> k = 2
		fi;
		end_epoch(k); k = 0
	}
	:: atomic { lives < crashes && o != O_IDLE -> /* between openings it is the end of keyholders */
		lives++;
		alive[0] = false; alive[1] = false; alive[2] = false;
		phase[0] = (used[0] -> P_DESTROYED : P_STARTING);
		phase[1] = (used[1] -> P_DESTROYED : P_STARTING);
		phase[2] = (used[2] -> P_DESTROYED : P_STARTING);
		o = O_IDLE; next = NONE; giver = NONE;
		if
		:: DB && size > 0 -> size--; restored = restored || vsize > size
		:: true
		fi
	}
	od
}

/* The verifier reads the server's checkpoint; the cosigner follows the log. */
proctype reader() {
	do
	:: atomic { active_key() != NONE && extends && size > 0 && (size > vsize || active_key() != vkey) ->
		assert(!(watch & PREFIX) || !restored);
		vkey = active_key(); vsize = size
	}
	:: atomic { POLICY && forked_at == NONE && cosigned < size -> cosigned = size }
	od
}

proctype attacker() {
	do
	:: atomic { CKPT && thief == NONE ->
		if
		:: key_lives(0) -> thief = 0
		:: key_lives(1) -> thief = 1
		:: key_lives(2) -> thief = 2
		fi;
		stolen = stolen | (1 << thief)
	}
	:: atomic { CORE -> /* the signer signs one hand-over, to the key that it is given */
		if
		:: key_lives(0) && gave[0] == 0 -> gave[0] = 1 << OURS; gone[0] = true
		:: key_lives(1) && gave[1] == 0 -> gave[1] = 1 << OURS; gone[1] = true
		:: key_lives(2) && gave[2] == 0 -> gave[2] = 1 << OURS; gone[2] = true
		fi
	}
	:: atomic { vkey != NONE && believed(vkey) && !POLICY ->
		assert(!(watch & ONE_HISTORY));
		assert(!(watch & LATER) || thief == NONE || vkey <= thief)
	}
	:: atomic { vkey != NONE && believed(vkey) && POLICY && forked_at == NONE && cosigned <= vsize -> forked_at = vsize }
	:: atomic { forked_at != NONE && cosigned > forked_at -> assert(!(watch & ONE_HISTORY)) }
	od
}

#ifdef LIVENESS
ltl reopens { [] (HOLDS_ISSUE(o) -> <> (!(HOLDS_ISSUE(o)) || used[KEYS - 1])) }
#endif

init {
	atomic {
		c_code {
			now.caps = atoi(getenv("CAPS")); now.watch = atoi(getenv("WATCH"));
			now.failures = atoi(getenv("BOUND1")); now.deaths = atoi(getenv("BOUND2")); now.crashes = atoi(getenv("BOUND3"));
		};
		run opener(); run world(); run reader(); run attacker()
	}
}

/* Freeze and thaw: two commanders, freezes with and without an end, a journal that cannot
   be written for a while, a crash, a divergence of journal and log, and acceptances that
   were under way. Time is a tick that lets the end of a freeze pass. */

/* Set by the runner. */
int caps, watch;
byte freezes, answers, crashes;

#define DB   (caps & 8)  /* changes the control state while the server is stopped */
#define CORE (caps & 16) /* accepts by itself */

/* What is asserted. */
#define TWO      1  /* a thaw has two commanders who asked since the freeze, or its end */
#define LATEST   2  /* a freeze ends no other one that ends later, or never */
#define FROZEN   4  /* nothing is accepted while frozen */
#define DIVERGED 8 /* nothing is thawed once journal and log disagree */

#define NEVER 2 /* a freeze without an end */
#define SOON  1

bool hold, saved;         /* in memory, in the journal */
byte ends_at, saved_end;
byte waits;               /* the commander who asked for a thaw, 1 or 2 */
byte asked;               /* ghost: the set of those who asked since the last freeze */
byte latest;              /* ghost: the latest end of the freezes in force */
bool promised;            /* ghost: a freeze was reported as durable */
bool writable = true, diverged;
bool pending;             /* an acceptance has passed the check of step 7 */

#define max(a, b)   (a > b -> a : b)
#define second(p)   (waits != 0 && waits != p)
#define can_thaw    (!diverged)
#define forgotten   0
#define end_of(a)   (hold -> max(ends_at, a) : a)
#define commits     (!hold)

inline thaw() {
	assert(!(watch & DIVERGED) || !diverged);
	hold = false; ends_at = 0; waits = 0; asked = 0; latest = 0; promised = false;
	saved = (writable -> false : saved); saved_end = (writable -> 0 : saved_end)
}

inline freeze(end) {
	ends_at = end_of(end);
	latest = (hold -> max(latest, end) : end);
	hold = true;
	waits = forgotten; asked = 0
}

inline ask(p) {
	asked = asked | p;
	if
	:: second(p) ->
		assert(!(watch & TWO) || asked == 3);
		thaw()
	:: else -> waits = p
	fi
}

proctype operators() {
	byte n;

	do
	:: atomic { n < freezes -> n++; freeze(NEVER) }
	:: atomic { n < freezes -> n++; freeze(SOON) }
	:: atomic { hold && can_thaw -> ask(1) }
	:: atomic { hold && can_thaw -> ask(2) }
	:: atomic { hold && !diverged && n == freezes -> diverged = true }
	od
}

proctype clock() {
	do
	:: atomic { hold && ends_at == SOON && can_thaw ->
		assert(!(watch & LATEST) || latest == SOON);
		thaw()
	}
	od
}

/* Writes what is in memory, and may fail to for a while. */
proctype journal() {
	byte n;

	do
	:: atomic { writable && (saved != hold || saved_end != ends_at) -> saved = hold; saved_end = ends_at; promised = hold }
	:: atomic { writable && n == 0 -> n++; writable = false }
	:: atomic { !writable -> writable = true }
	od
}

proctype clients() {
	byte n;

	do
	:: atomic { !pending && n < answers && !hold -> n++; pending = true }
	:: atomic { pending && writable ->
		pending = false;
		if
		:: commits -> assert(!(watch & FROZEN) || !hold)
		:: else
		fi
	}
	:: atomic { CORE && hold -> assert(!(watch & FROZEN)) }
	od
}

proctype machine() {
	byte n;

	do
	:: atomic { n < crashes && !diverged -> /* a start needs journal and log to agree */
		n++;
		if
		:: true
		:: DB -> saved = false; saved_end = 0
		fi;
		assert(!(watch & TWO) || !promised || saved);
		hold = saved; ends_at = saved_end;
		waits = 0; asked = 0; pending = false; writable = true;
		latest = ends_at; promised = hold
	}
	od
}

#ifdef LIVENESS
/* A freeze with an end is over some time, unless another has none or the log diverged. */
ltl ends { [] ((hold && ends_at == SOON) -> <> (!hold || ends_at == NEVER || diverged)) }
/* What is in memory is written some time. */
ltl durable { [] (hold -> <> (saved || !hold)) }
#endif

init {
	atomic {
		c_code {
			now.caps = atoi(getenv("CAPS")); now.watch = atoi(getenv("WATCH"));
			now.freezes = atoi(getenv("BOUND1")); now.answers = atoi(getenv("BOUND2")); now.crashes = atoi(getenv("BOUND3"));
		};
		run operators(); run clock(); run journal(); run clients(); run machine()
	}
}

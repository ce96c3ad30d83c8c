package sandbox

// State says how a measure stands. The zero value is StateUnknown, which never
// counts as ok.
type State uint8

// The states of a measure.
const (
	StateUnknown State = iota // could not be found out
	StateMissing              // not in force
	StateWeak                 // in force in part, or by something weaker
	StateOK
)

var stateNames = [...]string{StateUnknown: "unknown", StateMissing: "missing", StateWeak: "weak", StateOK: "ok"}

// String is the word for a state.
func (s State) String() string {
	if int(s) < len(stateNames) {
		return stateNames[s]
	}
	return "unknown"
}

// MarshalText is String.
func (s State) MarshalText() ([]byte, error) { return []byte(s.String()), nil }

func parseState(word string) (State, bool) {
	for s, name := range stateNames {
		if word == name {
			return State(s), true
		}
	}
	return StateUnknown, false
}

// Probe is one measure as it was found.
type Probe struct {
	ID     string `json:"id"`
	State  State  `json:"state"`
	Value  string `json:"value"`            // what was found, for people
	Source string `json:"source"`           // where it was read
	Remedy string `json:"remedy,omitempty"` // what to do when it is not ok
	Effect string `json:"effect,omitempty"` // on the grade when it is not ok
}

// The measures of a child, in the order of a posture. The first two are not
// taken here: the process that draws the keys reports them.
const (
	KeyMemory   = "key_memory"   // ok: memfd_secret; weak: locked pages; missing: pages that may be swapped
	KeyCompute  = "key_compute"  // ok: runtime/secret; weak: the stack is overwritten
	Descriptors = "descriptors"  // none but the standard streams, the socket and the poller
	Swap        = "swap"         // ok: the machine has none
	Limits      = "limits"       // no core file, no file growth, few descriptors
	NoNewPrivs  = "no_new_privs" // on every thread
	User        = "user"         // another user than root and than the core
	Dumpable    = "dumpable"     // 0: no dump, no debugger of the same user
	Tracer      = "tracer"       // no debugger of any thread
	ParentDeath = "parent_death" // killed with the core
	HugePages   = "huge_pages"   // none that copy memory about
	Landlock    = "landlock"     // no files
	Seccomp     = "seccomp"      // only the system calls on the list
	SelfTest    = "self_test"    // what was tried and refused
	BuildID     = "build"        // what the program was made from
	Core        = "core"         // the core cannot open its keyholders; measured by the core, the last one
)

// about is what is the same for every probe of one id.
type about struct{ source, remedy, effect string }

var measures = map[string]about{
	KeyMemory: {
		"memfd_secret, mlock, getrlimit", "allow memfd_secret (kernel 5.14 or later, secretmem.enable=1), or raise RLIMIT_MEMLOCK to 1 MiB (ulimit -l 1024, LimitMEMLOCK=1M)",
		"weak: at most B, root can read the key; missing: C, the key may be swapped",
	},
	KeyCompute:  {"the build", "use a build with GOEXPERIMENT=runtimesecret (make build)", "at most B"},
	Descriptors: {"/proc/self/fd", "report this as a fault", "none"},
	Swap:        {"/proc/swaps", "turn swap off (swapoff -a)", "none while the key's memory is locked"},
	Limits:      {"setrlimit", "allow the process to lower its own limits", "none"},
	NoNewPrivs:  {"prctl(PR_SET_NO_NEW_PRIVS) on every thread", "use a build with CGO_ENABLED=0 on Linux", "D"},
	User:        {"setresuid", "start the server as root, so that its children become users of their own, or give it a user of its own", "at most B"},
	Dumpable:    {"prctl(PR_GET_DUMPABLE)", "allow prctl(PR_SET_DUMPABLE)", "C"},
	Tracer:      {"TracerPid of every thread in /proc/self/task", "let the server see /proc, and itself in it", "C"},
	ParentDeath: {"prctl(PR_SET_PDEATHSIG), getppid", "allow prctl(PR_SET_PDEATHSIG)", "none"},
	HugePages:   {"prctl(PR_SET_THP_DISABLE)", "allow prctl(PR_SET_THP_DISABLE)", "none"},
	Landlock:    {"landlock_create_ruleset", "use a kernel with Landlock (5.13 or later, and landlock in the lsm= list), and a container profile that allows it", "at most B"},
	Seccomp:     {"seccomp(SECCOMP_SET_MODE_FILTER)", "use a kernel with CONFIG_SECCOMP_FILTER, and a container profile that allows seccomp", "D"},
	BuildID:     {"debug.ReadBuildInfo", "make build", "none by itself: its parts count"},
	Core: {
		"/proc/self/task/*/status of the core", "use a build with CGO_ENABLED=0, start the server as root with a child_uid or as a user of its own, and not in a user namespace that this user has made",
		"at most B",
	},
	SelfTest: {"calls that the filter must refuse, and one that it must not, tried", "report this as a fault: the sandbox was entered and does not hold", "D"},
}

// Measure is a probe of a child, with what is known about its id.
func Measure(id string, s State, value string) Probe {
	m := measures[id]
	p := Probe{ID: id, State: s, Value: value, Source: m.source}
	if s != StateOK {
		p.Remedy, p.Effect = m.remedy, m.effect
	}
	return p
}

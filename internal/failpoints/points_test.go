package failpoints_test

import (
	"errors"
	"fmt"
	"sync"

	"github.com/terradourada/td/internal/journal"
	"github.com/terradourada/td/protocol"
)

// fault is what happens at one call of a flow.
type fault string

// The faults.
const (
	failed     fault = "error"                   // the call is not made
	failedDone fault = "error but done"          // the call is made, and its result replaced
	unknown    fault = "outcome unknown, undone" // the call is not made, and its caller does not learn that
	panicked   fault = "panic"                   // in place of the call; outside of the gate that ends the process
	killed     fault = "kill"                    // after the call: everything in memory is lost
	frozen     fault = "freeze in between"       // acceptance and issue are frozen before the call
	cancelled  fault = "cancelled"               // the caller of the flow gives up before the call
	stopped    fault = "stop"                    // the core begins to stop before the call
)

var allFaults = []fault{failed, failedDone, unknown, panicked, killed, frozen, cancelled, stopped}

// call is one call that gate, epochs or ledger make.
type call struct {
	fails   error // how it fails; nil if it cannot
	unknown error // how it fails if its outcome is unknown; nil if it reads, or the outcome does not matter
	gate    bool  // the gate makes it, and recovers a panic
	memory  bool  // it reads memory, which does not panic
}

var (
	errPlanted = errors.New("planted")
	errDead    = errors.New("the process was killed")

	unwritten = protocol.Wrap(protocol.CodeLedgerUnavailable, "planted", errPlanted)
	unsettled = protocol.Wrap(protocol.CodeLedgerUnavailable, "planted", errors.Join(journal.ErrUnknown, errPlanted))
	gone      = protocol.Wrap(protocol.CodeInvalidated, "planted", errPlanted)
	frozenErr = protocol.Fail(protocol.CodeFrozen, "planted")
)

// calls are all calls that can be met.
var calls = map[string]call{
	"holds.Check":    {fails: frozenErr, gate: true},
	"holds.Writable": {fails: errPlanted, gate: true},
	"ledger.Admit":   {fails: unwritten, gate: true},
	"epochs.Begin":   {gate: true}, // a request that was let in must go on
	"epochs.Find":    {gate: true, memory: true},
	"epoch.Ended":    {gate: true},
	"epoch.Destroy":  {gate: true},
	"tagger.Issue":   {fails: gone, gate: true},
	"tagger.Redeem":  {fails: gone, gate: true},
	"tagger.Cancel":  {fails: gone, gate: true},
	"signer.Anchor":  {fails: gone, gate: true},
	"signer.Issued":  {fails: gone, gate: true},
	"prover.Prove":   {fails: protocol.Wrap(protocol.CodeProverBadResponse, "planted", errPlanted), gate: true},

	"journal.Accept":   {fails: unwritten, unknown: unsettled, gate: true},
	"journal.Accepted": {fails: unsettled, gate: true},

	"journal.OpenEpochs":         {fails: unwritten},
	"journal.LastEpoch":          {fails: unwritten},
	"journal.EpochCloseLeaf":     {fails: unwritten}, // after an unknown close
	"journal.Append epoch-open":  {fails: unwritten, unknown: unsettled},
	"journal.Append epoch-close": {fails: unwritten, unknown: unsettled},
	"StartSigner":                {fails: errPlanted},
	"StartTagger":                {fails: errPlanted},
	"signer.Wipe":                {fails: gone},
	"signer.IssuedRoot":          {fails: gone},
	"signer.Begin":               {fails: gone},
	"signer.Extend":              {fails: gone},
	"signer.Checkpoint":          {fails: gone},
	"signer.Handover":            {fails: gone},
	"signer.Close":               {fails: errPlanted},
	"tagger.Close":               {fails: errPlanted},
	"ledger.SetSigner":           {},
	"ledger.UnsetSigner":         {},
	"ledger.Await":               {fails: unwritten},
	"sessions of an epoch end":   {},

	"source.Size":   {fails: errPlanted},
	"source.Leaves": {fails: errPlanted},
}

// can reports whether a fault is one that the call can have.
func (c *call) can(f fault) bool {
	switch f {
	case failed, failedDone:
		return c.fails != nil
	case unknown:
		return c.unknown != nil
	case panicked:
		return !c.memory
	case cancelled:
		return c.gate // other calls do not end with the caller of a flow
	case stopped:
		return !c.gate // the gate has no call under way when the epochs stop
	default:
		return true
	}
}

// step is the n-th call of a name in a flow, from 1.
type step struct {
	call string
	n    int
}

func (s step) String() string { return fmt.Sprintf("%s.%d", s.call, s.n) }

// points are what all calls of a core pass. They record the calls of a flow, and plant
// one fault in it.
type points struct {
	mu     sync.Mutex
	armed  bool
	count  map[string]int
	steps  []step // of the flow, in order
	at     step   // where the fault is
	fault  fault
	also   map[string]fault // one of the flow itself
	struck bool
	dead   bool // the process was killed

	act map[fault]func() // what a fault does beside the call
}

// arm begins a flow.
func (p *points) arm(at step, f fault) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.armed, p.at, p.fault, p.count = true, at, f, map[string]int{}
}

// plant plants one more fault, in the next call of a name.
func (p *points) plant(name string, f fault) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.also = map[string]fault{name: f}
}

// disarm ends the flow and reports whether the fault was met.
func (p *points) disarm() (struck bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.armed = false
	return p.struck
}

func (p *points) isDead() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.dead
}

// meet counts a call and returns the fault to plant in it, if any.
func (p *points) meet(name string) (f fault, dead bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.dead || !p.armed {
		return "", p.dead
	}
	p.count[name]++
	s := step{name, p.count[name]}
	p.steps = append(p.steps, s)
	if s == p.at {
		p.struck = true
		return p.fault, false
	}
	f = p.also[name]
	delete(p.also, name)
	return f, false
}

// kill makes every call of the core fail from now on.
func (p *points) kill() {
	p.mu.Lock()
	p.dead = true
	p.mu.Unlock()
	p.act[killed]()
}

// pass makes a call, with the fault that is planted in it.
func (p *points) pass(name string, do func() error) error {
	c, known := calls[name]
	if !known {
		panic("a call that the table does not list: " + name)
	}
	f, dead := p.meet(name)
	if dead {
		return errDead
	}
	switch f {
	case failed:
		return c.fails
	case unknown:
		return c.unknown
	case failedDone:
		if err := do(); err != nil {
			return err
		}
		if c.unknown != nil {
			return c.unknown
		}
		return c.fails
	case panicked:
		if c.gate {
			panic("planted")
		}
		p.kill()
		return errDead
	case killed:
		_ = do() // the answer is lost
		p.kill()
		return errDead
	case frozen, cancelled, stopped:
		p.act[f]()
	}
	return do()
}

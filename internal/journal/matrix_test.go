package journal_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/terradourada/td/internal/journal"
	"github.com/terradourada/td/protocol"
)

// The gate tries every eighth cell, others in each run; make matrix tries them all.
var (
	whole = os.Getenv("TD_MATRIX") != ""
	turn  = rand.IntN(8)
)

// matrixFault is what happens at one operation of the writer.
type matrixFault string

// A panic of the writer ends the process, as a kill does.
const (
	opFails     matrixFault = "error"
	opFailsDone matrixFault = "error but done"
	opKilled    matrixFault = "kill before"
	opKilledEnd matrixFault = "kill after"
	opFrozen    matrixFault = "freeze in between"
	opCancelled matrixFault = "cancelled"
)

var matrixFaults = []matrixFault{opFails, opFailsDone, opKilled, opKilledEnd, opFrozen, opCancelled}

// canBe reports whether a fault at an operation differs from one at another operation.
func (f matrixFault) canBe(op string) bool {
	op, _, _ = strings.Cut(op, ".")
	switch f {
	case opKilledEnd:
		return op == "commit" // else it is a kill before the next operation
	case opCancelled:
		return op == "begin" || op == "commit" // the writer has taken it, and goes on
	default:
		return true
	}
}

// matrixCell is a flow with a fault at one operation of the writer.
type matrixCell struct {
	*log
	dir   string
	abort context.CancelFunc // of the caller of the flow

	mu     sync.Mutex
	armed  bool
	count  map[string]int
	ops    []string // of the flow: name.n
	at     string
	fault  matrixFault
	plant  string // an operation that fails in the flow itself
	struck bool
	over   bool // the process is killed at the next operation
	dead   bool // it was killed
	copied string

	frozen    []error // what the stops of the flow returned
	accepted  []matrixAnswer
	inBetween sync.WaitGroup
}

// matrixAnswer is an acceptance and what its caller learnt.
type matrixAnswer struct {
	a   *journal.Acceptance
	err error
}

// hook is the fault function of the journal.
func (c *matrixCell) hook(op string) (apply bool, err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.over && !c.dead {
		c.kill()
	}
	if c.dead {
		return false, errDisk
	}
	if !c.armed {
		return true, nil
	}
	c.count[op]++
	name := fmt.Sprintf("%s.%d", op, c.count[op])
	c.ops = append(c.ops, name)
	if name == c.plant {
		c.plant = ""
		return false, errDisk
	}
	if name != c.at || c.struck {
		return true, nil
	}
	c.struck = true
	switch c.fault {
	case opFails:
		return false, errDisk
	case opFailsDone:
		return true, errDisk
	case opKilled:
		c.kill()
		return false, errDisk
	case opKilledEnd:
		c.over = true
		return true, errDisk
	case opFrozen:
		c.inBetween.Go(func() { c.freeze(protocol.ActionFreezeAccept) })
		time.Sleep(time.Millisecond) // until it waits
	case opCancelled:
		c.abort()
	}
	return true, nil
}

// kill copies the files as a killed process leaves them.
func (c *matrixCell) kill() {
	c.dead = true
	files, err := filepath.Glob(filepath.Join(c.dir, "journal.db*"))
	if err != nil {
		c.Error(err)
	}
	for _, name := range files {
		suffix := strings.TrimPrefix(filepath.Base(name), "journal.db")
		if suffix == ".lock" || suffix == "-shm" {
			continue
		}
		b, err := os.ReadFile(name)
		if err == nil {
			err = os.WriteFile(c.copied+suffix, b, 0o600)
		}
		if err != nil {
			c.Error(err)
		}
	}
}

func (c *matrixCell) isDead() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.dead || c.over
}

// freeze stops acceptance or issue. From the answer on the hold is in force.
func (c *matrixCell) freeze(action protocol.ControlAction) {
	_, err := c.Stop(context.Background(), c.now, asked("freeze"), protocol.Control{Action: action})
	op := journal.Accept
	if action == protocol.ActionFreezeIssue {
		op = journal.Issue
	}
	if (err == nil || errors.Is(err, journal.ErrNotDurable)) && c.Check(op, c.vk) == nil {
		c.Error("a stop has returned and is not in force")
	}
	if !c.isDead() {
		c.mu.Lock()
		c.frozen = append(c.frozen, err)
		c.mu.Unlock()
	}
}

// submit accepts a fresh acceptance.
func (c *matrixCell) submit(ctx context.Context) {
	a := c.acceptance()
	_, err := c.Accept(ctx, c.now, a)
	if !c.isDead() {
		c.accepted = append(c.accepted, matrixAnswer{a, err})
	}
}

// TestMatrix plants each fault at each operation of the writer, while it commits an
// acceptance, a freeze of everything and a thaw, and while it replaces its files after a
// COMMIT that failed. Whatever fails: what was acknowledged is
// in the log, what was refused is not, a freeze that has returned is in force at once,
// and no acceptance follows it before the thaw.
func TestMatrix(t *testing.T) {
	if testing.Short() {
		t.Skip("one flow at a time, which the race detector learns nothing from")
	}
	for name, flow := range map[string]func(ctx context.Context, c *matrixCell){
		"accept": func(ctx context.Context, c *matrixCell) { c.submit(ctx) },
		"freeze": func(ctx context.Context, c *matrixCell) {
			c.freeze(protocol.ActionFreezeAccept)
			c.freeze(protocol.ActionFreezeIssue)
			c.submit(ctx)
		},
		"thaw": func(ctx context.Context, c *matrixCell) {
			c.thaw(ctx)
			c.submit(ctx)
		},
		"recovery": func(ctx context.Context, c *matrixCell) {
			c.submit(ctx)
			c.freeze(protocol.ActionFreezeAccept)
			time.Sleep(5 * time.Second)
		},
	} {
		t.Run(name, func(t *testing.T) {
			var ops []string
			runCell(t, name, "", "", flow, func(c *matrixCell) { ops = slices.Clone(c.ops) })
			cells := 0
			for _, op := range ops {
				if name == "recovery" && op == "commit.1" {
					continue // fails anyway
				}
				for _, fault := range matrixFaults {
					if !fault.canBe(op) {
						continue
					}
					if cells++; !whole && cells%8 != turn {
						continue
					}
					t.Run(op+" "+string(fault), func(t *testing.T) {
						runCell(t, name, op, fault, flow, func(c *matrixCell) {
							if !c.struck {
								t.Error("the fault was not met")
							}
						})
					})
				}
			}
			t.Logf("%d cells over %s", cells, strings.Join(ops, " "))
		})
	}
}

func runCell(t *testing.T, name, op string, fault matrixFault, flow func(context.Context, *matrixCell), look func(*matrixCell)) {
	t.Helper()
	dir, err := os.MkdirTemp(inMemory(), "td-journal-") //nolint:usetesting // the directory of a test is on a disk
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = os.RemoveAll(dir) }()
	synctest.Test(t, func(t *testing.T) {
		c := &matrixCell{dir: dir, at: op, fault: fault, count: map[string]int{}, copied: filepath.Join(dir, "killed.db")}
		c.log = newLog(t, sqliteAt(filepath.Join(dir, "journal.db")), journal.WithFault(journal.Config{}, c.hook))
		c.submit(t.Context())
		if name == "thaw" {
			c.freeze(protocol.ActionFreezeAccept)
		}
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		c.mu.Lock()
		c.abort, c.armed = cancel, true
		if name == "recovery" {
			c.plant = "commit.1"
		}
		c.mu.Unlock()
		flow(ctx, c)
		c.mu.Lock()
		c.armed = false
		c.mu.Unlock()
		c.inBetween.Wait()
		look(c)
		c.settle()
		c.checkCell()
	})
}

// inMemory returns a directory in memory if there is one, else "".
func inMemory() string {
	if info, err := os.Stat("/dev/shm"); err == nil && info.IsDir() {
		return "/dev/shm"
	}
	return ""
}

// settle waits until the writer has recovered, or opens what a killed process has left.
func (c *matrixCell) settle() {
	c.Helper()
	time.Sleep(time.Minute)
	if c.over && !c.dead {
		c.mu.Lock()
		c.kill()
		c.mu.Unlock()
	}
	if !c.dead {
		return
	}
	c.stop()
	c.open, c.cfg = sqliteAt(c.copied), journal.Config{}
	c.told = nil
	c.start()
}

// thaw ends the freezes.
func (c *matrixCell) thaw(ctx context.Context) {
	for _, action := range []protocol.ControlAction{protocol.ActionThawAccept, protocol.ActionThawIssue} {
		_, _ = c.Control(ctx, c.now, asked("thaw"), protocol.Control{Action: action}) // checkCell finds out
	}
}

func (c *matrixCell) checkCell() {
	c.Helper()
	for i, one := range c.accepted {
		_, found, err := c.Accepted(c.Context(), request(one.a))
		switch {
		case err != nil:
			c.Errorf("acceptance %d: %v", i, err)
		case one.err == nil && !found:
			c.Errorf("acceptance %d was acknowledged and is lost", i)
		case one.err != nil && !errors.Is(one.err, journal.ErrUnknown) && found:
			c.Errorf("acceptance %d was refused with %v and is in the log", i, one.err)
		}
	}
	state, err := c.State(c.Context())
	if err != nil || state.NotDurable != 0 {
		c.Errorf("%d stops are not durable (%v)", state.NotDurable, err)
	}
	freezes := 0
	for _, e := range checkLog(c, c.Journal) {
		if leaf, _ := protocol.ParseLeaf(e.Leaf); leaf.Body.LeafType() == protocol.LeafControl {
			if b := leaf.Body.(*protocol.Control); b.Action == protocol.ActionFreezeAccept || b.Action == protocol.ActionFreezeIssue {
				freezes++
			}
		}
	}
	least, most := 0, len(c.frozen)
	for _, err := range c.frozen {
		if err == nil || !c.dead && errors.Is(err, journal.ErrNotDurable) {
			least++
		}
	}
	if freezes < least || !c.dead && freezes > most {
		c.Errorf("the log has %d freezes, %v were answered", freezes, c.frozen)
	}
	c.thaw(c.Context())
	want(c, "when the fault is over", c.accept(c.acceptance()), protocol.CodeNone)
	checkLog(c, c.Journal)
}

package datadir_test

import (
	"context"
	"errors"
	"math/rand/v2"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/terradourada/td/audit"
	"github.com/terradourada/td/internal/datadir"
	"github.com/terradourada/td/internal/journal"
	"github.com/terradourada/td/internal/ledger"
	"github.com/terradourada/td/internal/principal"
	"github.com/terradourada/td/internal/testdata/logtest"
	"github.com/terradourada/td/protocol"
)

// The gate tries every eighth cell, others in each run; make matrix tries them all.
var (
	whole = os.Getenv("TD_MATRIX") != ""
	turn  = rand.IntN(8)
)

// points is a context that is asked again and again on the way of a backup. Each question
// is a step, named by the function that asks, and a test acts at one of them.
type points struct {
	context.Context

	mu    sync.Mutex
	steps []string // the names, in order
	at    string   // where do is called
	last  bool     // at the last question of that name, of so many
	times int
	seen  int
	do    func()
}

// Err is the point: code that copies asks it between two files.
func (p *points) Err() error {
	p.pass()
	return p.Context.Err()
}

// Done is the point of code that waits.
func (p *points) Done() <-chan struct{} {
	p.pass()
	return p.Context.Done()
}

func (p *points) pass() {
	name := asking()
	if name == "" {
		return
	}
	p.mu.Lock()
	p.steps = append(p.steps, name)
	act := false
	if name == p.at && p.do != nil {
		p.seen++
		act = !p.last && p.seen == 1 || p.last && p.seen == p.times
	}
	do := p.do
	if act {
		p.do = nil
	}
	p.mu.Unlock()
	if act {
		do()
	}
}

// asking returns the function of this module that asks, without its package's path; "" if
// there is none, because a goroutine of a library asks.
func asking() string {
	pcs := make([]uintptr, 24)
	frames := runtime.CallersFrames(pcs[:runtime.Callers(4, pcs)])
	for {
		f, more := frames.Next()
		if name, own := strings.CutPrefix(f.Function, "github.com/terradourada/td/"); own {
			if strings.Contains(name, "_test.") {
				return ""
			}
			name, _, _ = strings.Cut(name[strings.LastIndex(name, "/")+1:], ".func")
			return name
		}
		if !more {
			return ""
		}
	}
}

// killedBackup is the panic that stands for the end of the process.
type killedBackup struct{}

// running is a server on a copy of the template, as far as a backup meets it.
type running struct {
	*scene
	*testing.T
	ledger *ledger.Ledger
	end    func()
}

func startRunning(t *testing.T) *running {
	t.Helper()
	r := &running{T: t}
	dir := newDir(t)
	r.scene = openWith(dir, func(e []journal.Entry) { r.ledger.Committed(e[0].Seq, journal.LeavesOf(e)) })
	var err error
	r.ledger, err = ledger.Open(t.Context(), ledger.Config{Dir: filepath.Join(dir, datadir.LedgerDir), Origin: logtest.Origin, Source: source{r.Journal}})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- r.ledger.Run(ctx) }()
	r.ledger.SetSigner(key{signer}, signer.Index)
	r.end = func() {
		cancel()
		if err := <-ended; err != nil {
			t.Error(err)
		}
		if err := r.ledger.Close(); err != nil {
			t.Error(err)
		}
		r.stop()
	}
	return r
}

// freeze stops acceptance, and waits until the leaf is published.
func (r *running) freeze() {
	by := journal.Request{Actor: principal.Principal{Kind: principal.Core}, Role: principal.RoleCore, Action: "freeze", Reason: "test"}
	entries, err := r.Stop(context.Background(), now, by, protocol.Control{Action: protocol.ActionFreezeAccept})
	if err == nil {
		ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
		defer cancel()
		_, err = r.ledger.Await(ctx, entries[0].Seq)
	}
	if err != nil {
		r.Error(err)
	}
}

// stepsOfBackup are the functions that ask on the way of a backup, in order: the recorded
// checkpoints, the log, the journal, the audit of the copy, its name. A function with a
// package name other than datadir may hold a lock while it asks.
var stepsOfBackup = []string{
	"datadir.copyFiles", "datadir.copyTiles", "journal.(*View).CopyTo", "audit.(*audit).checkEntries", "datadir.place",
}

// TestBackupMatrix plants each fault at the first and at the last question of each step
// of a backup. A backup that fails leaves nothing but what RemovePartial removes, one that
// succeeds passes its audit and has all that was acknowledged before it, and the directory
// of the server stays as it is.
func TestBackupMatrix(t *testing.T) {
	if testing.Short() {
		t.Skip("one flow at a time, which the race detector learns nothing from")
	}
	p := &points{Context: t.Context()}
	r := startRunning(t)
	if _, _, err := datadir.BackupAs(p, r.dir, "copy", audit.Options{}); err != nil {
		t.Fatal(err)
	}
	r.end()
	times := map[string]int{}
	var order []string
	for _, s := range p.steps {
		if times[s]++; times[s] == 1 && (strings.HasPrefix(s, "datadir.") || slices.Contains(stepsOfBackup, s)) {
			order = append(order, s)
		}
	}
	if !slices.Equal(order, stepsOfBackup) {
		t.Errorf("the steps are %v, want %v", order, stepsOfBackup)
	}
	cells := 0
	for _, step := range order {
		for _, last := range []bool{false, true} {
			if last && times[step] == 1 {
				continue
			}
			faults := []string{"error", "kill", "freeze", "cancelled"}
			if !strings.HasPrefix(step, "datadir.") {
				faults = faults[2:] // a panic would leave the locks of a library
			}
			for _, fault := range faults {
				if cells++; !whole && cells%8 != turn {
					continue
				}
				t.Run(step+" "+map[bool]string{false: "first ", true: "last "}[last]+fault, func(t *testing.T) {
					backupCell(t, &points{at: step, last: last, times: times[step]}, fault)
				})
			}
		}
	}
	t.Logf("%d cells over %v", cells, order)
}

func backupCell(t *testing.T, p *points, what string) {
	t.Helper()
	r := startRunning(t)
	defer r.end()
	rows, err := r.Rows(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	backups := filepath.Join(r.dir, datadir.BackupsDir)
	struck := false
	p.Context = ctx
	p.do = func() {
		struck = true
		switch what {
		case "error": // as if the disk had lost the copy
			partial, _ := filepath.Glob(filepath.Join(backups, ".*"))
			for _, name := range partial {
				_ = os.RemoveAll(name)
			}
		case "kill":
			panic(killedBackup{})
		case "freeze":
			r.freeze()
		case "cancelled":
			cancel()
		}
	}
	path, report, killed, err := tryBackup(p, r.dir)
	switch {
	case !struck:
		t.Log("the step was not met")
	case what == "freeze" && err != nil:
		t.Errorf("with a freeze in between: %v", err)
	case what == "kill" && !killed:
		t.Error("it was not killed")
	case what == "cancelled" && err != nil && !errors.Is(err, context.Canceled):
		t.Errorf("cancelled: %v", err)
	}
	if killed {
		if err := datadir.RemovePartial(r.dir); err != nil {
			t.Error(err)
		}
	}
	copies := 0
	if err == nil && !killed {
		copies = 1
		if again := mustAudit(t, path); !report.OK || !again.OK || report.Rows < rows || again.Rows != report.Rows {
			t.Errorf("%d rows before; report %+v, then %+v", rows, report, again)
		}
	}
	leaveNothing(t, backups, copies)
	if own := mustAudit(t, r.dir); !own.OK {
		t.Errorf("the directory of the server: %+v", own)
	}
	if copies > 0 {
		return
	}
	if _, report, _, err := tryBackup(t.Context(), r.dir); err != nil || !report.OK {
		t.Errorf("a backup when the fault is over: %+v %v", report, err)
	}
}

// tryBackup makes a backup, unless it is killed.
func tryBackup(ctx context.Context, dir string) (path string, report *audit.Report, killed bool, err error) {
	defer func() {
		if p := recover(); p != nil {
			if _, killed = p.(killedBackup); !killed {
				panic(p)
			}
		}
	}()
	path, report, err = datadir.BackupAs(ctx, dir, "copy", audit.Options{})
	return path, report, false, err
}

package node

import (
	"cmp"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"runtime"
	"sync"

	"github.com/terradourada/td/claim"
	"github.com/terradourada/td/internal/attest"
	"github.com/terradourada/td/internal/config"
	"github.com/terradourada/td/internal/control"
	"github.com/terradourada/td/internal/fault"
	"github.com/terradourada/td/internal/gate"
	"github.com/terradourada/td/internal/memberlist"
	"github.com/terradourada/td/internal/process"
	"github.com/terradourada/td/internal/sandbox"
	"github.com/terradourada/td/internal/server"
	"github.com/terradourada/td/internal/systemd"
	"github.com/terradourada/td/internal/watch"
	"github.com/terradourada/td/protocol"
	"github.com/terradourada/td/receipt"
)

// Config says what [Run] runs; every field is required unless it says otherwise.
type Config struct {
	Settings *config.Config
	Version  string            // of this program, as the status shows it
	Log      *slog.Logger      // its writes should not block
	Ready    func(Ready)       // is called once, when requests are answered
	Notify   *systemd.Notifier // nil without a service manager
	Reread   func() error      // reads the settings again and applies what it can; may be nil

	LinesLost func() uint64 // returns how many lines of the log were dropped; may be nil

	// BreakGlass thaws everything before the first epoch opens, for this reason.
	// "" thaws nothing.
	BreakGlass string
}

// Ready describes a server that answers requests.
type Ready struct {
	URL       string
	Origin    string // of its log
	Published uint64 // leaves that the published checkpoint covers
	Ops       string // base of /healthz and /readyz, "" if there are none
	Sealed    bool   // nothing is issued or accepted any more

	// Reload reads settings and certificate again, until the server ends.
	Reload func() error
}

// node is a server. Each step of start sets a group of fields.
type node struct {
	Config
	services *services

	bounds   server.Config // of the listener
	lists    []*claim.List
	cert     *certificate // nil without TLS
	limits   *limits
	listener net.Listener
	ops      net.Listener    // nil if there is none
	admin    *administration // nil in a server that only reads
	claims   []gate.Claim

	attestor   attest.Attestor     // nil before confine
	children   *process.Launcher   // nil if this build has none
	store      *NotifierFiles      // while this process has them; nil for a launcher
	notifies   bool                // whether there is to be a notifier
	policy     *receipt.Policy     // that names cosigners; nil without one
	build      protocol.Digest     // of this executable
	calculator *process.Background // verifies proofs; nil before confine
	confined   sandbox.Probe       // what this process has given up

	records *records
	machine *machine         // wired by openRecords
	control *control.Control // of the machine that was started
	watch   *watcher         // the same
	tally   *watch.Tally     // counts events for it

	http   *http.Server
	load   load
	reader *reader
	health health

	reporting reporting

	reloading sync.Mutex // one reload at a time
}

// Run runs a server until ctx ends or a part of it fails. If ctx ends before the
// server is ready, the start is called off, which is no error.
func Run(ctx context.Context, cfg Config) error {
	defer weigh()()
	n := &node{Config: cfg, services: newServices()}
	err := n.start(ctx)
	switch {
	case err == nil:
		err = n.serve(ctx)
	case ctx.Err() != nil: // what else was wrong is found at the next start
		n.Log.Info("stopped before it was ready", "at", err.Error())
		err = nil
	}
	return ownFailure(errors.Join(err, n.close()))
}

// start opens a server step by step.
func (n *node) start(ctx context.Context) error {
	steps := []func(context.Context) error{n.prepare, n.confine, n.openRecords, n.startMachine, n.openHTTP}
	if n.Settings.ReadOnly {
		steps = []func(context.Context) error{n.prepare, n.confineReader, n.openRecords, n.openHTTP}
	}
	for _, step := range steps {
		if err := step(ctx); err != nil {
			return err
		}
	}
	return nil
}

// prepare checks the system and opens the listener.
func (n *node) prepare(ctx context.Context) (err error) {
	cfg := n.Settings
	preflight := Preflight
	if cfg.ReadOnly {
		preflight = preflightReader
	}
	if err := cmp.Or(preflight(cfg.Data), fitToDescriptors(cfg, &n.bounds)); err != nil {
		return err
	}
	if err := n.openReporting(); err != nil {
		return err
	}
	if n.lists, err = memberlist.ReadAll(cfg.Group); err != nil {
		return err
	}
	if n.cert, err = openCertificate(cfg, n.Log); err != nil {
		return err
	}
	if n.limits, err = newLimits(cfg); err != nil {
		return err
	}
	n.reporting.metrics.OnScrape(func() {
		n.limits.measure(n.reporting.metrics, now())
		if n.health.serving.Load() != nil { // what it serves with was set before
			n.load.measure(n.reporting.metrics, n.machine.gate)
		}
	})
	if n.policy, err = readCosigners(cfg); err != nil {
		return err
	}
	if n.listener, err = listen(ctx, cfg, n.cert, n.limits.conns); err != nil {
		return err
	}
	if n.ops, err = listenOps(ctx, cfg); err != nil {
		return err
	}
	if err := makeData(cfg); err != nil {
		return fault.New(fault.Config, fmt.Sprintf("the data directory cannot be made: %v", err), "--data names another one")
	}
	if n.admin, err = openAdmin(ctx, cfg, n.cert); err != nil {
		return err
	}
	if n.claims, err = loadClaims(n.lists); err != nil {
		return fmt.Errorf("self-test: %w", err)
	}
	return nil
}

// confine opens everything else that needs privileges and drops them.
func (n *node) confine(ctx context.Context) (err error) {
	if n.attestor, err = openAttestor(ctx, n.Settings, n.Log); err != nil {
		return err
	}
	if n.store, err = openNotifyStore(n.Settings); err != nil {
		return err
	}
	// Turns first: they are set with the niceness that each thread had, so a thread that lowers
	// its own meanwhile would get the usual one back.
	if err := process.ShortTurns(); err != nil {
		n.Log.Debug("turns on the processor stay long", "err", err)
	}
	if n.calculator, err = process.StartBackground(runtime.GOMAXPROCS(0)); err != nil {
		n.Log.Debug("verifications keep the usual priority", "err", err)
	}
	if n.children, err = StartLauncher(ctx, n.Settings, n.store); err != nil {
		return err
	}
	if n.notifies = n.store != nil; n.children != nil && n.notifies {
		_ = n.store.Close() // the launcher has it; nothing was written
		n.store = nil
	}
	if n.build, err = buildDigest(); err == nil {
		n.confined, err = Confine(n.Settings, n.attestor.Kind(), n.children, n.Log)
	}
	if err == nil && n.cert != nil {
		n.cert.checkAccess()
	}
	switch {
	case err == nil:
		n.services.start("telemetry", n.reportEvents)
	case n.children != nil:
		return errors.Join(err, n.children.Close())
	default:
		return err
	}
	if n.children != nil {
		n.services.start("launcher", n.children.Run)
	}
	n.serveOps()
	return nil
}

// openRecords opens the records, starts their services and wires the machine.
func (n *node) openRecords(ctx context.Context) (err error) {
	if n.records, err = newRecords(ctx, n.Settings, n.Log); err != nil {
		return err
	}
	n.records.observe = n.reporting.committed
	if err := n.checkKeys(); err != nil {
		return err
	}
	if !n.Settings.ReadOnly {
		n.services.start("journal", n.records.journal.Run)
		n.services.start("ledger", n.records.ledger.Run)
		n.services.start("comparison", n.records.compareJournal)
		n.services.start("audit", n.records.auditRecords)
		n.services.start("record", n.records.recordEpochs)
	}
	n.machine, err = n.newMachine(ctx)
	return err
}

// close stops the services and closes what is open.
func (n *node) close() error {
	err := n.services.stop()
	if n.records != nil {
		err = errors.Join(err, n.records.close())
	}
	if n.calculator != nil {
		n.calculator.Close()
	}
	if n.attestor != nil {
		_ = n.attestor.Close() // nothing is lost with it
	}
	if n.listener != nil {
		_ = n.listener.Close() // the HTTP server has closed it before
	}
	if n.ops != nil {
		_ = n.ops.Close() // the same
	}
	if n.store != nil {
		_ = n.store.Close() // what it holds is on the disk
	}
	n.admin.close()
	return errors.Join(err, n.reporting.close())
}

// ownFailure returns the error of a server that could not do something itself. A
// code of the protocol is for clients: its exit code would mean that a request was
// refused.
func ownFailure(err error) error {
	var refusal *protocol.Error
	if told := new(fault.Fault); errors.As(err, &told) || !errors.As(err, &refusal) {
		return err
	}
	return fault.New(fault.Unexpected, refusal.Detail, "docs/operate.md explains what the server says under a fault")
}

// buildDigest returns the SHA-256 of the running executable. Where the system has a
// name for it, that is the one in use even if its file was replaced.
func buildDigest() (protocol.Digest, error) {
	f, err := os.Open("/proc/self/exe")
	if errors.Is(err, os.ErrNotExist) {
		var path string
		if path, err = os.Executable(); err == nil {
			f, err = os.Open(path)
		}
	}
	if err != nil {
		return protocol.Digest{}, fmt.Errorf("read own executable: %w", err)
	}
	defer f.Close()
	h := sha256.New()
	if _, err := io.Copy(h, f); err != nil {
		return protocol.Digest{}, fmt.Errorf("read own executable: %w", err)
	}
	return protocol.Digest(h.Sum(nil)), nil
}

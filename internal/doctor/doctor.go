// Package doctor is the engine of "td doctor": it checks what a server needs on
// this machine, starts the server's children once, and reports what it found.
// It changes nothing, and takes no lock of a running server.
package doctor

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"github.com/terradourada/td/claim"
	"github.com/terradourada/td/internal/config"
	"github.com/terradourada/td/internal/fsutil"
	"github.com/terradourada/td/internal/journal"
	"github.com/terradourada/td/internal/memberlist"
	"github.com/terradourada/td/internal/node"
	"github.com/terradourada/td/internal/sandbox"
	"github.com/terradourada/td/internal/termui"
	"github.com/terradourada/td/receipt"
)

// Options say which server is checked.
type Options struct {
	Config *config.Config // what "td serve" would run with
}

// Run runs every probe once. A probe that fails is a finding of the report, not an error.
func Run(ctx context.Context, o Options) (*Report, error) {
	d := &doctor{cfg: o.Config}
	d.examine(ctx)
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	return d.report(), nil
}

// doctor collects findings.
type doctor struct {
	cfg      *config.Config
	lock     node.Lock     // of the data directory
	view     *journal.View // nil if there is no journal that opens
	findings []Finding
}

func (d *doctor) examine(ctx context.Context) {
	d.surroundings(ctx)
	d.verifier()
	postures := d.keyholders(ctx)
	d.prover(ctx)
	for _, section := range []string{sectionSigner, sectionTagger} {
		for _, p := range postures[section].Probes {
			d.add(section, p)
		}
	}
	d.running()
	d.limits()
	d.attestation(ctx)
	for _, p := range append(sandbox.Machine(), sandbox.Host(os.DirFS("/"))...) {
		d.add(sectionMachine, p)
	}
}

// surroundings checks what a server finds when it starts.
func (d *doctor) surroundings(ctx context.Context) {
	d.configuration()
	d.server()
	d.directory()
	d.coreUser()
	d.disk()
	d.journal(ctx)
	d.ledger(ctx)
	d.port(ctx)
	d.trustStore()
	d.wallClock(ctx)
	d.entropy()
	if d.view != nil {
		_ = d.view.Close() // nothing was written
	}
}

func (d *doctor) add(section string, p sandbox.Probe) {
	d.findings = append(d.findings, Finding{section, p})
}

func (d *doctor) ok(section, id, value string) {
	d.add(section, sandbox.Probe{ID: id, State: sandbox.StateOK, Value: value, Source: sourceOf(id)})
}

func (d *doctor) bad(state sandbox.State, section, id, value, remedy string) {
	d.add(section, sandbox.Probe{ID: id, State: state, Value: value, Source: sourceOf(id), Remedy: remedy})
}

// sourceOf returns where a probe of this package looks.
func sourceOf(id string) string {
	return map[string]string{
		"configuration":  "flags, environment, file",
		"member_lists":   "--group",
		"tls":            "--tls-cert, --tls-key",
		"running":        "/proc/locks",
		"data_directory": "stat, and a file made and removed",
		"core_user":      "--child-uid, --attestation, and whether that user reaches the data directory",
		"disk":           "a file written, synced and removed; statfs",
		"disk_space":     "statfs",
		"journal":        "journal.db, opened for reading; quick_check, and its tables against the leaves",
		"ledger":         "ledger/, compared with the journal",
		"listen":         "bind",
		"trust_store":    "the user's state directory",
		"wall_clock":     "the clock, twice; the last leaf",
		"entropy":        "getrandom",
		"verifier":       "the checks of td serve at its start",
		"keyholders":     "a signer and a tagger, started and stopped",
		"prover":         "a prover, started and stopped",
		"core_limit":     "getrlimit(RLIMIT_CORE)",
		"attestation":    "a quote, asked for and thrown away",
	}[id]
}

// verifier runs the self-test of the verifier.
func (d *doctor) verifier() {
	const id = "verifier"
	begun := time.Now()
	if err := claim.SelfTest(); err != nil {
		d.bad(sandbox.StateMissing, sectionSelfTest, id, err.Error(), "this program or this machine is damaged: build it again, and test the memory")
		return
	}
	d.ok(sectionSelfTest, id, fmt.Sprintf("reference string %s holds, one stored proof of each claim verifies, in %d ms", claim.SRSDigest(), time.Since(begun).Milliseconds()))
}

func (d *doctor) configuration() {
	for _, note := range d.cfg.Notes() {
		d.bad(sandbox.StateWeak, sectionServer, "configuration", note, "correct or remove it")
	}
	value := "no file; td config print --origins shows what is in force"
	if d.cfg.File() != "" {
		value = d.cfg.File()
	}
	d.ok(sectionServer, "configuration", value)
	if _, err := memberlist.ReadAll(d.cfg.Group); err != nil {
		d.bad(sandbox.StateMissing, sectionServer, "member_lists", err.Error(), "td claims list-file writes one")
	}
	if err := checkTLS(d.cfg); err != nil {
		d.bad(sandbox.StateMissing, sectionServer, "tls", err.Error(), "--tls-cert and --tls-key name PEM files that belong together")
	}
}

// trustStore checks that the trust store of this user can be read.
func (d *doctor) trustStore() {
	const id = "trust_store"
	dir, err := receipt.DefaultTrustDir()
	if err != nil {
		d.bad(sandbox.StateWeak, sectionServer, id, err.Error(), "set HOME, or name a directory with --trust where it is used")
		return
	}
	if _, err := os.Stat(dir); errors.Is(err, os.ErrNotExist) {
		d.ok(sectionServer, id, "none yet")
		return
	}
	t, err := receipt.OpenTrust(dir)
	if err == nil {
		_, err = t.Lists()
	}
	var files []string
	if err == nil {
		files, err = filepath.Glob(filepath.Join(dir, "*.trust"))
	}
	for _, f := range files {
		if _, readErr := fsutil.ReadFile(f, 1<<28); readErr != nil {
			err = readErr
		}
	}
	if err != nil {
		d.bad(sandbox.StateMissing, sectionServer, id, err.Error(), "make "+dir+" readable for its owner")
		return
	}
	d.ok(sectionServer, id, fmt.Sprintf("%s recorded in %s", termui.Count(len(files), "log"), dir))
}

package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"github.com/terradourada/td/claim"
	"github.com/terradourada/td/internal/config"
	"github.com/terradourada/td/internal/fault"
	"github.com/terradourada/td/internal/journal"
	"github.com/terradourada/td/internal/memberlist"
	"github.com/terradourada/td/internal/node"
	"github.com/terradourada/td/internal/sandbox"
	"github.com/terradourada/td/internal/termui"
	"github.com/terradourada/td/receipt"
)

// doctorReport is what "td doctor -o json" prints.
type doctorReport struct {
	OK      bool      `json:"ok"`      // td serve would run, as far as could be found out
	Running bool      `json:"running"` // a server has the data directory
	Probes  []finding `json:"probes"`
}

// finding is one probe and where it belongs.
type finding struct {
	Section string `json:"section"`
	sandbox.Probe
}

// Sections of a report. What is found in the first two decides; the others are
// facts about the machine and the children, judged by the grade of the keys.
const (
	sectionServer   = "server"
	sectionSelfTest = "self_test"
	sectionMachine  = "machine"
	sectionSigner   = "signer"
	sectionTagger   = "tagger"
	sectionRunning  = "running_" // and the child's kind, of the server that runs
)

func doctorCommand(a *app) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "doctor",
		Short: "Look whether a server would run well here, and how well its keys would be kept",
		Long: `Looks at what td serve needs under the same flags: data directory, journal, log,
port, trust store, clock; proves and verifies; starts a signer and a tagger and
takes a request through them; and lists what the machine offers to protect keys.

Nothing is changed, and a running server is not disturbed: its locks are left
alone. A probe is ok, weak, missing or unknown; exit code 1 if something is
missing or unknown that a server needs.`,
		Example: "  td doctor\n  td doctor --data /srv/td\n  td doctor -o json",
		Args:    noArgs,
	}
	configFlags(cmd)
	output := outputFlag(cmd)
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		cfg, err := loadConfig(cmd)
		if err != nil {
			return err
		}
		d := &doctor{cfg: cfg}
		d.examine(cmd.Context())
		if err := cmd.Context().Err(); err != nil {
			return err
		}
		report := d.report()
		if output.value == "json" {
			err = a.printJSON(report)
		} else {
			err = printDoctor(a.stdout, report)
		}
		if err == nil && !report.OK {
			err = fault.New(fault.Unexpected, "a server would not run well here", "the remedies stand under what is missing or unknown")
		}
		return err
	}
	return cmd
}

// doctor collects findings.
type doctor struct {
	cfg      *config.Config
	lock     node.Lock     // of the data directory
	view     *journal.View // nil if there is no journal that opens
	findings []finding
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

// surroundings looks at what a server finds when it starts.
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
		_ = d.view.Close() // it was only read
	}
}

func (d *doctor) report() *doctorReport {
	r := &doctorReport{OK: true, Running: d.lock.Held, Probes: d.findings}
	for _, f := range d.findings {
		if f.decides() && (f.State == sandbox.StateMissing || f.State == sandbox.StateUnknown) {
			r.OK = false
		}
	}
	return r
}

// decides says whether a server needs what was probed.
func (f *finding) decides() bool {
	return f.Section == sectionServer || f.Section == sectionSelfTest
}

func (d *doctor) add(section string, p sandbox.Probe) {
	d.findings = append(d.findings, finding{section, p})
}

func (d *doctor) ok(section, id, value string) {
	d.add(section, sandbox.Probe{ID: id, State: sandbox.StateOK, Value: value, Source: sourceOf(id)})
}

func (d *doctor) bad(state sandbox.State, section, id, value, remedy string) {
	d.add(section, sandbox.Probe{ID: id, State: state, Value: value, Source: sourceOf(id), Remedy: remedy})
}

// sourceOf says where a probe of this file's looks.
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

// trustStore looks at what this user has recorded of logs.
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
		if _, readErr := readFile(f, 1<<28); readErr != nil {
			err = readErr
		}
	}
	if err != nil {
		d.bad(sandbox.StateMissing, sectionServer, id, err.Error(), "make "+dir+" readable for its owner")
		return
	}
	d.ok(sectionServer, id, fmt.Sprintf("%s recorded in %s", termui.Count(len(files), "log"), dir))
}

// printDoctor prints the findings for people: those that decide, then whatever
// else is not ok.
func printDoctor(w io.Writer, r *doctorReport) error {
	table := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintln(table, "STATE\tPROBE\tFOUND")
	for _, f := range r.Probes {
		if f.decides() {
			f.print(table, f.ID)
		}
	}
	fmt.Fprintln(table, "\nKEYS\tPROBE\tFOUND")
	hidden := 0
	for _, f := range r.Probes {
		switch {
		case f.decides():
		case f.State == sandbox.StateOK:
			hidden++
		case f.Section == sectionMachine:
			f.print(table, f.ID)
		default:
			f.print(table, f.Section+" "+f.ID)
		}
	}
	if err := table.Flush(); err != nil {
		return err
	}
	_, err := fmt.Fprintf(w, "and %d more probes that are ok; -o json lists all\n", hidden)
	return err
}

func (f *finding) print(w io.Writer, name string) {
	fmt.Fprintf(w, "%s\t%s\t%s\n", f.State, name, f.Value)
	if f.Remedy != "" && f.State != sandbox.StateOK {
		fmt.Fprintf(w, "\t\t  remedy: %s\n", f.Remedy)
	}
}

package doctor

import (
	"fmt"
	"io"
	"text/tabwriter"

	"github.com/terradourada/td/internal/sandbox"
)

// Report is what was found. Its JSON is what "td doctor -o json" prints.
type Report struct {
	OK      bool      `json:"ok"`      // td serve would run, as far as the probes show
	Running bool      `json:"running"` // a server has the data directory
	Probes  []Finding `json:"probes"`
}

// Finding is one probe and the section of the report that it belongs to.
type Finding struct {
	Section string `json:"section"`
	sandbox.Probe
}

// Sections of a report. The findings of the first two decide whether a server would run.
// The others are facts about the machine and the children, which the grade of the keys
// sums up.
const (
	sectionServer   = "server"
	sectionSelfTest = "self_test"
	sectionMachine  = "machine"
	sectionSigner   = "signer"
	sectionTagger   = "tagger"
	sectionRunning  = "running_" // and the child's kind, of the server that runs
)

func (d *doctor) report() *Report {
	r := &Report{OK: true, Running: d.lock.Held, Probes: d.findings}
	for _, f := range d.findings {
		if f.decides() && (f.State == sandbox.StateMissing || f.State == sandbox.StateUnknown) {
			r.OK = false
		}
	}
	return r
}

// decides reports whether a server needs what was probed.
func (f *Finding) decides() bool {
	return f.Section == sectionServer || f.Section == sectionSelfTest
}

// Table writes the report for people: what a server needs, then what else is not
// ok.
func (r *Report) Table(w io.Writer) error {
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

func (f *Finding) print(w io.Writer, name string) {
	fmt.Fprintf(w, "%s\t%s\t%s\n", f.State, name, f.Value)
	if f.Remedy != "" && f.State != sandbox.StateOK {
		fmt.Fprintf(w, "\t\t  remedy: %s\n", f.Remedy)
	}
}

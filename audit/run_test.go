package audit_test

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/terradourada/td/audit"
	"github.com/terradourada/td/client"
	"github.com/terradourada/td/internal/testdata/logtest"
	"github.com/terradourada/td/protocol"
	"github.com/terradourada/td/receipt"
)

// run audits a log from a directory, under the checkpoint of its first epoch.
func run(t *testing.T, log *logtest.Log, o audit.Options) *audit.Report {
	t.Helper()
	dir := t.TempDir()
	log.Write(dir, log.Epochs[0])
	report, err := audit.Run(t.Context(), client.NewLogDir(dir), o)
	if err != nil {
		t.Fatal(err)
	}
	return report
}

// recorded returns a trust store that has recorded the present checkpoint of a log.
func recorded(t *testing.T, log *logtest.Log) *receipt.TrustStore {
	t.Helper()
	dir := t.TempDir()
	log.Write(dir, log.Epochs[0])
	source := client.NewLogDir(dir)
	cp, err := source.SignedCheckpoint(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	trust, err := receipt.OpenTrust(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	if _, err := trust.Trust(t.Context(), cp, source, receipt.Source{}, receipt.VouchOperator, time.Now()); err != nil {
		t.Fatal(err)
	}
	return trust
}

// TestVerdicts: the verdict joins the rules and whose log it is.
func TestVerdicts(t *testing.T) {
	log := logtest.New()
	log.Add(&protocol.Incident{})
	trust := recorded(t, log)
	older := log.Fork(2)
	fork := log.Fork(2)
	fork.Add(&protocol.Incident{Kind: 1})
	forkBroken := fork.Fork(3)
	forkBroken.Add(fork.Epochs[0].Open)
	grown := log.Fork(3)
	grown.Add(&protocol.Incident{})
	broken := log.Fork(3)
	broken.AddRaw([]byte("x"))
	empty, err := receipt.OpenTrust(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct {
		name    string
		log     *logtest.Log
		trust   *receipt.TrustStore
		verdict string
		allowed string // the verdict with AllowSelfAsserted
		faults  int
	}{
		{"recorded", log, trust, receipt.Valid, receipt.Valid, 0},
		{"grown", grown, trust, receipt.Valid, receipt.Valid, 0},
		{"no store", log, nil, receipt.Unvouched, receipt.Valid, 0},
		{"empty store", log, empty, receipt.Unvouched, receipt.Valid, 0},
		{"older", older, trust, receipt.Unavailable, receipt.Valid, 0},
		{"another history", fork, trust, receipt.Contradicted, receipt.Contradicted, 0},
		{"another history with a fault", forkBroken, trust, receipt.Contradicted, receipt.Contradicted, 1},
		{"a fault", broken, trust, receipt.Invalid, receipt.Invalid, 1},
		{"a fault, no store", broken, nil, receipt.Invalid, receipt.Invalid, 1},
	} {
		for _, allow := range []bool{false, true} {
			want := tt.verdict
			if allow {
				want = tt.allowed
			}
			r := run(t, tt.log, audit.Options{Trust: tt.trust, AllowSelfAsserted: allow})
			pinned := tt.trust == trust && (tt.verdict == receipt.Valid || tt.verdict == receipt.Invalid)
			if r.Verdict != want || r.OK != (want == receipt.Valid) || len(r.Faults) != tt.faults || (r.Vouched != nil) != pinned || (r.Refusal == nil) != (r.Reason == "") {
				t.Errorf("%s, allowed %v: %+v, want %s", tt.name, allow, r, want)
			}
		}
	}
}

// TestProofs: a proof that does not verify is a fault, if proofs are asked for.
func TestProofs(t *testing.T) {
	h := newHistory(t)
	h.Add(h.acceptance(nil)) // its proof is zeroes
	if r := run(t, h.Log, audit.Options{AllowSelfAsserted: true}); !r.OK || r.Proofs != 0 {
		t.Errorf("without proofs: %+v", r)
	}
	r := run(t, h.Log, audit.Options{AllowSelfAsserted: true, Proofs: true})
	if want := []string{"entry 2: its proof does not verify"}; r.OK || r.Proofs != 0 || !slices.Equal(r.Faults, want) {
		t.Errorf("with proofs: %+v, want %q", r, want)
	}
}

// TestFaultsAreBounded: the report of a damaged log stays small.
func TestFaultsAreBounded(t *testing.T) {
	log := logtest.New()
	for range 1000 {
		log.AddRaw([]byte("x"))
	}
	r := run(t, log, audit.Options{})
	if len(r.Faults) != audit.MaxFaults || r.Others != 1000-audit.MaxFaults {
		t.Errorf("%d faults and %d others", len(r.Faults), r.Others)
	}
}

func TestProgress(t *testing.T) {
	log := logtest.New()
	for log.Size() < 600 {
		log.Add(&protocol.Incident{})
	}
	var got [][2]int
	r := run(t, log, audit.Options{AllowSelfAsserted: true, Progress: func(done, total int) { got = append(got, [2]int{done, total}) }})
	if want := [][2]int{{1, 3}, {2, 3}, {3, 3}}; !r.OK || !slices.Equal(got, want) {
		t.Errorf("%v and %+v, want %v", got, r, want)
	}
}

// TestDamage: a file that is malformed is a fault of the log; one that is missing is
// an error.
func TestDamage(t *testing.T) {
	log := logtest.New()
	foreign := log.Fork(2).Open(nil)
	dir := t.TempDir()
	for name, tt := range map[string]struct {
		file    string
		content string
		fault   string
	}{
		"checkpoint":        {"checkpoint", "x", "the checkpoint is malformed"},
		"size":              {"checkpoint", "a\n-1\nb\n", "the checkpoint is malformed"},
		"signature":         {"checkpoint", log.Note(2, foreign), "the checkpoint is not signed by the key of any epoch in the log"},
		"before its epoch":  {"checkpoint", log.Note(1, log.Epochs[0]), "the checkpoint is not signed by the key of any epoch in the log"},
		"bundle":            {"tile/entries/000.p/2", "xx", "tile/entries/000 does not hold 2 entries"},
		"length of a tile":  {"tile/0/000.p/2", "xx", "tile/0/000 does not hold 2 hashes"},
		"hashes of a tile":  {"tile/0/000.p/2", strings.Repeat("x", 64), "tile 0 of level 0 does not hold the hashes of its entries"},
		"a tile is missing": {"tile/0/000.p/2", "", ""},
	} {
		log.Write(dir, log.Epochs[0])
		file := filepath.Join(dir, filepath.FromSlash(tt.file))
		if tt.content == "" {
			if err := os.Remove(file); err != nil {
				t.Fatal(err)
			}
		} else if err := os.WriteFile(file, []byte(tt.content), 0o600); err != nil {
			t.Fatal(err)
		}
		r, err := audit.Run(t.Context(), client.NewLogDir(dir), audit.Options{AllowSelfAsserted: true})
		switch {
		case tt.fault == "":
			if !errors.Is(err, protocol.CodeNotFound) {
				t.Errorf("%s: error %v and %+v, want not_found", name, err, r)
			}
		case err != nil || r.OK || r.Verdict != receipt.Invalid || !strings.Contains(r.Faults[0], tt.fault):
			t.Errorf("%s: %+v, %v, want %q", name, r, err, tt.fault)
		}
	}
}

// TestUnreadable: an error of the source ends the audit.
func TestUnreadable(t *testing.T) {
	dir := t.TempDir()
	log := logtest.New()
	log.Write(dir, log.Epochs[0])
	if r, err := audit.Run(t.Context(), unreadable{client.NewLogDir(dir)}, audit.Options{}); !errors.Is(err, errNetwork) {
		t.Errorf("%+v, %v", r, err)
	}
}

var errNetwork = errors.New("network down")

type unreadable struct{ *client.Log }

func (unreadable) Leaves(context.Context, uint64, func(uint64, []byte) error) error {
	return errNetwork
}

// TestIndexed: without a memory of what was accepted, all but what the journal's indexes
// show is checked, in the pace that is asked for.
func TestIndexed(t *testing.T) {
	h := newHistory(t)
	h.Add(h.acceptance(nil))
	h.Add(h.acceptance(func(p *protocol.Payload, _ *protocol.Accepted) { p.Seq = 1 }))
	h.Add(h.acceptance(func(p *protocol.Payload, _ *protocol.Accepted) { p.RequestID = protocol.RequestID{1} }))
	paced := 0
	r := run(t, h.Log, audit.Options{AllowSelfAsserted: true, Indexed: true, Proofs: true, Pace: func() { paced++ }})
	want := []string{
		"entry 2: its proof does not verify", "entry 3 has the number in its epoch of an earlier entry",
		"entry 3: its proof does not verify", "entry 4: its proof does not verify",
	}
	if !slices.Equal(r.Faults, want) || paced != 5 {
		t.Errorf("%q after %d entries, want %q", r.Faults, paced, want)
	}
}

package main

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"runtime"
	"slices"
	"strings"
	"sync"

	"github.com/spf13/cobra"

	"github.com/terradourada/td/claim"
	"github.com/terradourada/td/internal/fault"
	"github.com/terradourada/td/internal/fsutil"
	"github.com/terradourada/td/internal/memberlist"
	"github.com/terradourada/td/internal/remote"
	"github.com/terradourada/td/internal/submit"
	"github.com/terradourada/td/receipt"
)

// verifyFlags are the flags of "td verify".
type verifyFlags struct {
	policy, trust          *string
	log, serverUser        *string
	opening, field, client *string
	lists                  *[]string
	evidence, roots        *string
	measurements           *[]string
	selfAsserted, strict   *bool
	scan                   *bool
	output                 *choice

	read *remote.Server // the server of --log, nil if it is a directory
}

func verifyCommand(a *app) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "verify FILE...",
		Short: "Check receipts, offline",
		Long: `Checks each receipt by itself: no server and no network, unless --log names a
URL. Prints a line for each step and a verdict for each file; - is standard
input.

The last step asks whose log it is. It passes if the trust store holds the
checkpoint as believed, as td submit and td trust add record it; if --log proves
that it belongs to one that is believed, under the same key or one that was handed
over to, or as the server bound to the log gives it now; or if the signatures that
--policy asks for are on it. td verify records nothing. A log that nothing but the
receipt speaks for could be made up by anybody; accepting one is
--allow-self-asserted.

A receipt is flagged if its epoch or its claim was withdrawn. A receipt may
leave withdrawals out; the line about them says whether it shows all that the log
counts up to the receipt's checkpoint. --scan reads every leaf of the log of --log
instead, as far as the log is believed, and finds later withdrawals too. --strict
refuses flagged receipts, and those that may leave some out.

--attestation adds a step: what hardware said about the keys of the receipt's
epoch, from a file or from the server at a URL. It passes if the evidence is
attested: about this epoch, and signed by a key that AMD's or Intel's root or
--attestation-roots vouches for. Evidence that is usable or detected is less.

The exit code is 0 if every verdict is positive; else the first of 10
contradicted, 3 invalid, 12 flagged with --strict, 11 unvouched and 7 unavailable
that some file has.`,
		Example: `  td verify --attestation epoch.evidence --attestation-roots ak.pem r.receipt.json
  td verify receipts/*.receipt.json
  td verify --opening r.opening r.receipt.json
  td verify --log https://td.example --scan --strict r.receipt.json
  td verify --policy cosigners.txt -o json r.receipt.json`,
		Args: someArgs("FILE"),
	}
	fl := cmd.Flags()
	f := verifyFlags{
		policy:       fl.String("policy", "", "policy file: whose signatures the checkpoint must carry"),
		trust:        trustFlag(cmd),
		log:          fl.String("log", "", "URL or directory of the log, for proofs that a checkpoint belongs to recorded ones"),
		serverUser:   serverUserFlag(cmd),
		scan:         fl.Bool("scan", false, "read every leaf of the log of --log, for withdrawals that a receipt leaves out"),
		lists:        fl.StringArray("list", nil, "member list file, for receipts of group/1; may be given several times"),
		opening:      fl.String("opening", "", "opening file: shows the event behind the one receipt given"),
		field:        fl.String("field", "", "file that opens a single field of the record behind the one receipt given"),
		evidence:     fl.String("attestation", "", "file of evidence, or URL of the server that has it, about the epoch's keys"),
		roots:        fl.String("attestation-roots", "", "PEM file of keys, certificates and authorities that vouch for evidence beside AMD's and Intel's roots"),
		measurements: fl.StringArray("measurement", nil, "NAME=HEX that the evidence must show; may be given several times"),
		client:       fl.String("client", "", "client id that the opening must show"),
		selfAsserted: fl.Bool("allow-self-asserted", false, "accept a log that nothing but the receipt speaks for"),
		strict:       fl.Bool("strict", false, "refuse flagged receipts, and those that may leave withdrawals out"),
		output:       outputFlag(cmd),
	}
	cmd.RunE = func(cmd *cobra.Command, args []string) error { return a.verify(cmd.Context(), &f, args) }
	return cmd
}

// verify judges the files in order; several are in work at a time.
func (a *app) verify(ctx context.Context, f *verifyFlags, files []string) error {
	if err := checkFiles(files); err != nil {
		return err
	}
	if len(files) > 1 && (*f.opening != "" || *f.field != "") {
		return fault.New(fault.Usage, "an opening belongs to one receipt, and several were given", "")
	}
	a.noteAbsent(*f.trust)
	o, err := f.options(ctx)
	if err != nil {
		return err
	}
	hardware, err := f.attestation()
	if err != nil {
		return err
	}
	out := bufio.NewWriter(a.stdout)
	negative, worstOf := 0, map[int]*verdict{} // by exit code, the first
	err = inOrder(ctx, len(files), func(i int) (*verdict, error) { return a.verifyOne(ctx, files[i], o, hardware) }, func(v *verdict) error {
		if !v.OK {
			negative++
			if worstOf[v.exit()] == nil {
				worstOf[v.exit()] = v
			}
		}
		return errors.Join(v.print(out, f.output.value == "json"), out.Flush())
	})
	if err != nil || negative == 0 {
		return err
	}
	exit := worst[slices.IndexFunc(worst, func(code int) bool { return worstOf[code] != nil })]
	what := fmt.Sprintf("%d of %d receipts have a negative verdict", negative, len(files))
	return fault.New(exit, what, remote.Advice(worstOf[exit].negative(), worstOf[exit].Reason, f.read))
}

// exit is the exit code of a negative verdict.
func (v *verdict) exit() int {
	return remote.ExitOf(v.negative())
}

// negative is the verdict that makes a file count as negative.
func (v *verdict) negative() string {
	if v.Verdict == receipt.Valid {
		return receipt.Invalid // the evidence is not what was asked for
	}
	return v.Verdict
}

// checkFiles refuses names that are no files before anything is printed.
func checkFiles(files []string) error {
	for i, name := range files {
		if name == "-" {
			for _, other := range files[:i] {
				if other == name {
					return fault.New(fault.Usage, "standard input was named twice", "")
				}
			}
			continue
		}
		info, err := os.Stat(name)
		if errors.Is(err, os.ErrNotExist) {
			return fault.New(fault.NotFound, fmt.Sprintf("%s does not exist", name), "")
		}
		if err == nil && info.IsDir() {
			return fault.New(fault.Usage, fmt.Sprintf("%s is a directory", name), fmt.Sprintf("td verify %s/*.receipt.json", strings.TrimSuffix(name, "/")))
		}
	}
	return nil
}

// options reads what the flags name.
func (f *verifyFlags) options(ctx context.Context) (o receipt.Options, err error) {
	o = receipt.Options{AllowSelfAsserted: *f.selfAsserted, Strict: *f.strict, Client: *f.client}
	if o.Trust, err = remote.OpenTrust(*f.trust); err != nil {
		return o, err
	}
	lists, err := knownLists(o.Trust, *f.lists)
	if err != nil {
		return o, err
	}
	o.Lists = receipt.NewLists(lists...)
	if err := f.useLog(ctx, &o); err != nil {
		return o, err
	}
	if *f.policy != "" {
		if o.Policy, err = readPolicy(*f.policy); err != nil {
			return o, err
		}
	}
	if *f.opening != "" {
		if o.Opening, err = submit.ReadOpening(*f.opening); err != nil {
			return o, err
		}
	}
	if *f.field != "" {
		o.Field, err = readField(*f.field)
	}
	return o, err
}

// knownLists returns the lists in the trust store and those named.
func knownLists(trust *receipt.TrustStore, paths []string) ([]*claim.List, error) {
	kept, err := trust.Lists()
	if receipt.VerdictOf(err) == receipt.Unavailable {
		return nil, remote.VouchFailure(err, nil)
	}
	if err != nil {
		return nil, fault.New(fault.Config, err.Error(), "put the list back, or remove the file and name the list with --list")
	}
	named, err := memberlist.ReadAll(paths)
	return append(kept, named...), err
}

// useLog adds what --log supplies.
func (f *verifyFlags) useLog(ctx context.Context, o *receipt.Options) error {
	if *f.log == "" {
		if *f.scan {
			return fault.New(fault.Usage, "--scan reads a log, and none was named", "--log URL|DIR names it")
		}
		return nil
	}
	opened, err := openLog(*f.log, *f.serverUser)
	if err != nil {
		return err
	}
	files := toldLog{opened}
	f.read = files.server
	o.Log = files
	if *f.scan {
		o.Scan = files
	}
	if files.server != nil {
		newest := sync.OnceValues(func() (*receipt.Checkpoint, error) { return files.SignedCheckpoint(ctx) }) // for all receipts
		o.Live = func(context.Context) (*receipt.Checkpoint, receipt.Source, error) {
			cp, err := newest()
			return cp, files.Source(), err
		}
	}
	return nil
}

func readPolicy(path string) (*receipt.Policy, error) {
	b, err := fsutil.ReadFile(path, 1<<20)
	if err != nil {
		return nil, err
	}
	p, err := receipt.ParsePolicy(b)
	if err != nil {
		return nil, fault.New(fault.Config, fmt.Sprintf("%s: %v", path, err), "")
	}
	return p, nil
}

func readField(path string) (*receipt.FieldOpening, error) {
	b, err := fsutil.ReadFile(path, 64<<10)
	if err != nil {
		return nil, err
	}
	o, err := receipt.ParseFieldOpening(b)
	if err != nil {
		return nil, fault.New(fault.Usage, fmt.Sprintf("%s does not open a field: %s", path, remote.Detail(err)), "")
	}
	return o, nil
}

// verdict is a report about one file.
type verdict struct {
	File string `json:"file"`
	*receipt.Report
	Attestation *attested `json:"attestation,omitempty"`
}

func (a *app) verifyOne(ctx context.Context, name string, o receipt.Options, hardware *attestation) (*verdict, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	raw, err := a.readReceipt(name)
	if err != nil {
		return nil, err
	}
	r, err := receipt.Parse(raw)
	if err != nil {
		return &verdict{File: name, Report: notAReceipt(ctx, err)}, nil
	}
	v := &verdict{File: name, Report: receipt.Verify(ctx, r, o)}
	if hardware != nil {
		err = hardware.check(ctx, v, r)
	}
	return v, err
}

// readReceipt reads what a receipt may hold, and a byte more.
func (a *app) readReceipt(name string) ([]byte, error) {
	in := a.stdin
	if name != "-" {
		f, err := os.Open(name)
		if err != nil {
			return nil, fault.New(fault.Unexpected, fmt.Sprintf("%s cannot be read: %v", name, err), "")
		}
		defer f.Close()
		in = f
	}
	b, err := io.ReadAll(io.LimitReader(in, receipt.MaxSize+1))
	if err != nil {
		return nil, fault.New(fault.Unexpected, fmt.Sprintf("%s cannot be read: %v", name, err), "")
	}
	return b, nil
}

// notAReceipt is the report about something else: the first step fails, and all
// others rest on it.
func notAReceipt(ctx context.Context, err error) *receipt.Report {
	report := receipt.Verify(ctx, &receipt.Receipt{}, receipt.Options{})
	for i := range report.Steps {
		if report.Steps[i].Step == receipt.StepLeaf {
			report.Steps[i].Detail = "this is no receipt: " + remote.Detail(err)
		}
	}
	return report
}

// print writes a verdict as one JSON object, or as a line for each step.
func (v *verdict) print(w io.Writer, asJSON bool) error {
	if asJSON {
		return json.NewEncoder(w).Encode(v)
	}
	fmt.Fprintln(w, v.File)
	for _, s := range v.Steps {
		fmt.Fprintf(w, "  %-4s %-10s  %s\n", mark(s), s.Step, s.Detail)
	}
	if v.Attestation != nil {
		s := receipt.Step{Step: stepAttestation, OK: v.Attestation.OK, Detail: v.Attestation.Detail}
		fmt.Fprintf(w, "  %-4s %-10s  %s\n", mark(s), s.Step, s.Detail)
	}
	if s := withdrawalsIn[v.Withdrawals]; s != "" {
		fmt.Fprintf(w, "  withdrawals: %s\n", s)
	}
	for _, s := range v.Warnings {
		fmt.Fprintf(w, "  warning: %s\n", s)
	}
	_, err := fmt.Fprintf(w, "  %s\n", v.sentence())
	return err
}

func mark(s receipt.Step) string {
	switch {
	case s.OK:
		return "ok"
	case strings.HasPrefix(s.Detail, "not checked"):
		return "-"
	}
	return "FAIL"
}

// withdrawalsIn says what a report knows of withdrawals.
var withdrawalsIn = map[string]string{
	receipt.AsPresented:     "as presented; the receipt may leave some out",
	receipt.CompleteByCount: "complete by the log's count, up to the receipt's checkpoint; --scan finds later ones",
	receipt.CompleteByScan:  "complete by scan; every leaf of the log was read",
}

// sentence is the last line about a file.
func (v *verdict) sentence() string {
	negative := strings.ToUpper(v.Verdict)
	switch {
	case v.Verdict != receipt.Valid && v.Verdict != receipt.Flagged && v.FailedStep == "":
		return negative + ": what was asked for could not be had"
	case v.Verdict != receipt.Valid && v.Verdict != receipt.Flagged:
		return fmt.Sprintf("%s: step %s failed", negative, v.FailedStep)
	case v.Attestation != nil && !v.Attestation.OK:
		return negative + ", but the epoch is not attested, as was asked for"
	case !v.OK:
		return negative + ", and --strict counts that as negative"
	case v.Vouched == nil:
		return v.Verdict + ", if this is the right log: nothing but the receipt says so"
	case v.Vouched.Server == "":
		return v.Verdict + ", in a log that is bound to no server here"
	}
	return fmt.Sprintf("%s, in the log of %s", v.Verdict, v.Vouched.Server)
}

// inOrder does work for 0..n-1, several at a time, and hands the results on in
// order; it stops at the first error.
func inOrder[T any](ctx context.Context, n int, work func(int) (T, error), emit func(T) error) error {
	type result struct {
		value T
		err   error
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	// Each result has its channel; the queue of them bounds what is in work.
	queue := make(chan chan result, 2*runtime.GOMAXPROCS(0))
	hands := make(chan struct{}, runtime.GOMAXPROCS(0))
	go func() {
		defer close(queue)
		for i := range n {
			slot := make(chan result, 1)
			select {
			case queue <- slot:
			case <-ctx.Done():
				return
			}
			hands <- struct{}{}
			go func() {
				defer func() { <-hands }()
				v, err := work(i)
				slot <- result{v, err}
			}()
		}
	}()
	for slot := range queue {
		r := <-slot
		if r.err != nil {
			return r.err
		}
		if err := emit(r.value); err != nil {
			return err
		}
	}
	return ctx.Err()
}

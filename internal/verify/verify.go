// Package verify is the engine of "td verify": it reads receipts and what they are judged
// by from files, and verifies them with package receipt. It adds one step, which checks
// what hardware said about the keys of an epoch.
package verify

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"runtime"
	"slices"
	"strings"
	"sync"

	"github.com/terradourada/td/internal/draft"
	"github.com/terradourada/td/internal/fault"
	"github.com/terradourada/td/internal/fsutil"
	"github.com/terradourada/td/internal/remote"
	"github.com/terradourada/td/receipt"
)

// Options say by what receipts are judged. They are the flags of "td verify", which
// describes them.
type Options struct {
	Trust, Policy      string
	Log, ServerUser    string
	Scan               bool
	Lists              []string
	Opening            string
	Client             string
	Attestation, Roots string
	Measurements       []string
	AllowSelfAsserted  bool
	Strict             bool
}

// Verdict is the outcome for one file.
type Verdict struct {
	File string `json:"file"`
	*receipt.Report
	Attestation *Attested `json:"attestation,omitempty"`
}

// negative returns the verdict that makes a file count as negative.
func (v *Verdict) negative() string {
	if v.Verdict == receipt.Valid {
		return receipt.Invalid // the evidence is not what was asked for
	}
	return v.Verdict
}

// Verifier verifies receipts.
type Verifier struct {
	files    []string
	stdin    io.Reader
	options  receipt.Options
	server   *remote.Server // of the log, nil if none is read
	evidence *evidence
}

// New checks the names of the files, and reads what the options name.
func New(ctx context.Context, files []string, stdin io.Reader, o *Options) (*Verifier, error) {
	if err := checkFiles(files); err != nil {
		return nil, err
	}
	if len(files) > 1 && o.Opening != "" {
		return nil, fault.New(fault.Usage, "an opening belongs to one receipt, and several were given", "")
	}
	v := &Verifier{files: files, stdin: stdin}
	err := v.read(ctx, o)
	if err != nil {
		return nil, err
	}
	v.evidence, err = o.evidence()
	return v, err
}

// checkFiles refuses names that are no files before anything is verified.
func checkFiles(files []string) error {
	for i, name := range files {
		if name == "-" {
			if slices.Contains(files[:i], name) {
				return fault.New(fault.Usage, "standard input was named twice", "")
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

// read reads what the options name.
func (v *Verifier) read(ctx context.Context, o *Options) (err error) {
	v.options = receipt.Options{AllowSelfAsserted: o.AllowSelfAsserted, Strict: o.Strict, Client: o.Client}
	if v.options.Trust, err = remote.OpenTrust(o.Trust); err != nil {
		return err
	}
	lists, err := remote.KnownLists(v.options.Trust, o.Lists)
	if err != nil {
		return err
	}
	v.options.Lists = receipt.NewLists(lists...)
	if err := v.openLog(ctx, o); err != nil {
		return err
	}
	if o.Policy != "" {
		if v.options.Policy, err = remote.ReadPolicy(o.Policy); err != nil {
			return err
		}
	}
	if o.Opening != "" {
		if v.options.Opening, err = draft.ReadOpening(o.Opening); err != nil {
			return err
		}
	}
	return err
}

// openLog opens the log, which supplies proofs and the newest checkpoint.
func (v *Verifier) openLog(ctx context.Context, o *Options) error {
	if o.Log == "" {
		if o.Scan {
			return fault.New(fault.Usage, "--scan reads a log, and none was named", "--log URL|DIR names it")
		}
		return nil
	}
	opened, err := remote.OpenLog(o.Log, o.ServerUser)
	if err != nil {
		return err
	}
	log := remote.ExplainedLog{Log: opened}
	v.options.Log, v.server = log, opened.Server
	if o.Scan {
		v.options.Scan = log
	}
	if opened.Server != nil {
		newest := sync.OnceValues(func() (*receipt.Checkpoint, error) { return log.SignedCheckpoint(ctx) }) // for all receipts
		v.options.Live = func(context.Context) (*receipt.Checkpoint, receipt.Source, error) {
			cp, err := newest()
			return cp, log.Source(), err
		}
	}
	return nil
}

// Run verifies the files, several at a time, and calls each with the verdicts in order. The error
// after negative verdicts is a [fault.Fault] about the one that counts most.
func (v *Verifier) Run(ctx context.Context, each func(*Verdict) error) error {
	var negative []*Verdict
	err := inOrder(ctx, len(v.files), func(i int) (*Verdict, error) { return v.one(ctx, v.files[i]) }, func(one *Verdict) error {
		if !one.OK {
			negative = append(negative, one)
		}
		return each(one)
	})
	if err != nil || len(negative) == 0 {
		return err
	}
	worst := slices.MinFunc(negative, func(a, b *Verdict) int { return fault.Rank(a.negative()) - fault.Rank(b.negative()) })
	what := fmt.Sprintf("%d of %d receipts have a negative verdict", len(negative), len(v.files))
	return fault.New(fault.ExitOfVerdict(worst.negative()), what, remote.Advice(worst.negative(), worst.Reason, v.server))
}

func (v *Verifier) one(ctx context.Context, name string) (*Verdict, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	raw, err := v.readReceipt(name)
	if err != nil {
		return nil, err
	}
	r, err := receipt.Parse(raw)
	if err != nil {
		return &Verdict{File: name, Report: notAReceipt(ctx, err)}, nil
	}
	one := &Verdict{File: name, Report: receipt.Verify(ctx, r, v.options)}
	if v.evidence != nil {
		err = v.evidence.check(ctx, one, r)
	}
	return one, err
}

// readReceipt reads at most one byte more than a receipt may have, so that a longer file
// has a verdict too.
func (v *Verifier) readReceipt(name string) ([]byte, error) {
	in := v.stdin
	if name != "-" {
		f, err := fsutil.Open(name)
		if err != nil {
			return nil, err
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

// notAReceipt returns the report about anything else: the first step fails, and all
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

// inOrder calls work for 0 to n-1, several at a time, and emit for the results in order.
// It stops at the first error.
func inOrder[T any](ctx context.Context, n int, work func(int) (T, error), emit func(T) error) error {
	type result struct {
		value T
		err   error
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	// Each result has its channel; the queue of them bounds what is in work.
	queue := make(chan chan result, 2*runtime.GOMAXPROCS(0))
	slots := make(chan struct{}, runtime.GOMAXPROCS(0))
	go func() {
		defer close(queue)
		for i := range n {
			done := make(chan result, 1)
			select {
			case queue <- done:
			case <-ctx.Done():
				return
			}
			slots <- struct{}{}
			go func() {
				defer func() { <-slots }()
				v, err := work(i)
				done <- result{v, err}
			}()
		}
	}()
	for done := range queue {
		r := <-done
		if r.err != nil {
			return r.err
		}
		if err := emit(r.value); err != nil {
			return err
		}
	}
	return ctx.Err()
}

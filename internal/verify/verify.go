// Package verify is the engine of "td verify": it reads receipts and what they are judged
// by from files, and verifies them with package receipt. It adds one step, which checks
// what hardware said about the keys of an epoch. Of any number of files it keeps no more
// than those that are being verified.
package verify

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"math"
	"runtime"
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
	Cosigned           string // file with a cosigned checkpoint, "" for none
	Log, ServerUser    string
	Scan               bool
	Lists              []string
	Opening            string
	Client             string
	Attestation, Roots string
	Measurements       []string
	AllowSelfAsserted  bool
	Strict             bool
	FilesFrom          string // file with further names, "-" for standard input, "" for none
	Null               bool   // its names end with NUL
}

// Unreadable is the verdict about a file that could not be read. Nothing of it was
// verified.
const Unreadable = "unreadable"

// Verdict is the outcome for one file.
type Verdict struct {
	File string `json:"file"`
	*receipt.Report
	Attestation *Attested `json:"attestation,omitempty"`
	Error       string    `json:"error,omitempty"` // why the file is unreadable

	unread error
}

// negative returns the verdict that makes a file count as negative.
func (v *Verdict) negative() string {
	if v.Verdict == receipt.Valid {
		return receipt.Invalid // the evidence is not what was asked for
	}
	return v.Verdict
}

// rank returns the rank of a negative verdict: of several the least one counts.
func (v *Verdict) rank() int {
	if v.Verdict == Unreadable {
		return math.MaxInt // whatever was found out about another file counts more
	}
	return fault.Rank(v.negative())
}

// Verifier verifies receipts.
type Verifier struct {
	names    *names
	close    func() error // the list of names
	stdin    io.Reader
	options  receipt.Options
	server   *remote.Server // of the log, nil if none is read
	evidence *evidence
}

// New reads what the options name. The files, and a list of them, are read by
// [Verifier.Run].
func New(ctx context.Context, files []string, stdin io.Reader, o *Options) (*Verifier, error) {
	if (len(files) > 1 || o.FilesFrom != "") && o.Opening != "" {
		return nil, fault.New(fault.Usage, "an opening belongs to one receipt, and several were given", "")
	}
	v := &Verifier{stdin: stdin}
	err := v.read(ctx, o)
	if err != nil {
		return nil, err
	}
	if v.evidence, err = o.evidence(); err != nil {
		return nil, err
	}
	v.names, v.close, err = openNames(files, stdin, o)
	return v, err
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
	if err := v.readPolicy(o); err != nil {
		return err
	}
	if o.Opening != "" {
		if v.options.Opening, err = draft.ReadOpening(o.Opening); err != nil {
			return err
		}
	}
	return err
}

// readPolicy reads the policy file and the checkpoint that should satisfy it.
func (v *Verifier) readPolicy(o *Options) (err error) {
	if o.Policy == "" {
		if o.Cosigned != "" {
			return fault.New(fault.Usage, "--cosigned names a checkpoint, and nothing says whose signatures count", "--policy FILE names the keys of cosigners")
		}
		return nil
	}
	if v.options.Policy, err = remote.ReadPolicy(o.Policy); err != nil || o.Cosigned == "" {
		return err
	}
	v.options.Cosigned, err = fsutil.ParseFile(o.Cosigned, receipt.MaxLogSize, func(b []byte) (*receipt.Checkpoint, error) {
		return receipt.ReadCheckpoint(string(b))
	}, fault.Usage, "", "td cosign submit writes such a file")
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

// Run verifies the files, several at a time, and calls each with the verdicts in order. A
// file that cannot be read does not stop the others. The error after negative verdicts is a
// [fault.Fault] about the one that counts most.
func (v *Verifier) Run(ctx context.Context, each func(*Verdict) error) (Summary, error) {
	var s Summary
	err := inOrder(ctx, v.names.next, func(f file) (*Verdict, error) { return v.one(ctx, f) }, func(one *Verdict) error {
		s.add(one)
		return each(one)
	})
	s.Complete = err == nil
	return s, errors.Join(cmp.Or(err, s.err(v.server)), v.close())
}

func (v *Verifier) one(ctx context.Context, f file) (*Verdict, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	raw, err := v.readReceipt(f)
	if err != nil {
		return unreadable(f.name, err), nil
	}
	r, err := receipt.Parse(raw)
	if err != nil {
		return &Verdict{File: f.name, Report: notAReceipt(ctx, err)}, nil
	}
	one := &Verdict{File: f.name, Report: receipt.Verify(ctx, r, v.options)}
	if v.evidence != nil {
		err = v.evidence.check(ctx, one, r)
	}
	return one, err
}

// unreadable returns the verdict about a file that cannot be read.
func unreadable(name string, err error) *Verdict {
	return &Verdict{File: name, Error: fault.Of(err).What, unread: err, Report: &receipt.Report{
		Verdict: Unreadable, Identity: receipt.SelfAsserted, Warnings: []string{}, Steps: []receipt.Step{},
	}}
}

// readReceipt reads at most one byte more than a receipt may have, so that a longer file
// has a verdict too.
func (v *Verifier) readReceipt(of file) ([]byte, error) {
	in, name := v.stdin, of.name
	if !of.stdin {
		f, err := fsutil.Open(name)
		if err != nil {
			return nil, err
		}
		defer f.Close()
		if info, err := f.Stat(); err == nil && info.IsDir() {
			return nil, fault.New(fault.Usage, fmt.Sprintf("%s is a directory", name), fmt.Sprintf("td verify %s/*.receipt.json", strings.TrimSuffix(name, "/")))
		}
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

// inOrder calls work for everything that next returns before io.EOF, several at a time,
// and emit for the results in order. It stops at the first error. A read inside of next
// cannot be interrupted; it continues alone.
func inOrder[A, B any](ctx context.Context, next func() (A, error), work func(A) (B, error), emit func(B) error) error {
	type result struct {
		value B
		err   error
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	// Each result has its channel; the queue of them bounds what is in work.
	queue := make(chan chan result, 2*runtime.GOMAXPROCS(0))
	slots := make(chan struct{}, runtime.GOMAXPROCS(0))
	go func() {
		defer close(queue)
		for {
			what, err := next()
			if errors.Is(err, io.EOF) {
				return
			}
			done := make(chan result, 1)
			select {
			case queue <- done:
			case <-ctx.Done():
				return
			}
			if err != nil {
				done <- result{err: err}
				return
			}
			slots <- struct{}{}
			go func() {
				defer func() { <-slots }()
				v, err := work(what)
				done <- result{v, err}
			}()
		}
	}()
	for {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case done, ok := <-queue:
			if !ok {
				return ctx.Err()
			}
			r := <-done
			if r.err != nil {
				return r.err
			}
			if err := emit(r.value); err != nil {
				return err
			}
		}
	}
}

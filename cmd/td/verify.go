package main

import (
	"bufio"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/spf13/cobra"

	"github.com/terradourada/td/internal/verify"
	"github.com/terradourada/td/protocol"
	"github.com/terradourada/td/receipt"
)

func verifyCommand(a *app) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "verify [--files-from LIST] FILE...",
		Short: "Check receipts, offline",
		Long: `Checks each receipt by itself: no server and no network, unless --log names a
URL. Prints a line for each step and a verdict for each file; - is standard
input.

The last step asks whose log it is. It passes if the trust store holds the
checkpoint as believed, as td submit and td trust add record it; if --log proves
that it belongs to one that is believed, under the same key or one that was handed
over to, or as the server bound to the log shows it now; or if the signatures that
--policy asks for are on it, or on a later one of --cosigned, which --log proves to
contain it; then no memory is needed. td verify records nothing. A log that only the
receipt speaks for can be forged by anyone; --allow-self-asserted accepts it.

A receipt is flagged if its epoch or its claim was withdrawn. A receipt may
leave withdrawals out; the line about them says whether it shows all that the log
counts up to the receipt's checkpoint. --scan reads every leaf of the log of --log
instead, as far as the log is believed, and finds later withdrawals too. --strict
refuses flagged receipts, and those that may leave some out.

--attestation adds a step: what hardware said about the keys of the receipt's
epoch, from a file or from the server at a URL. It passes if the evidence is
attested: about this epoch, and signed by a key that AMD's or Intel's root or
--attestation-roots vouches for. Evidence that is usable or detected is less.

Of several files each has its verdict, also after one that is missing or cannot be
read, and the last line counts them. --files-from reads further names from a file, or
from standard input for -, one on each line; with --null they end with NUL, as find
-print0 writes them. --quiet prints only files whose verdict is not valid, and the
last line. With -o json each file is an object on a line, and the last line of
several is {"summary": {...}}; docs/reference/verify.md describes the members.

The exit code is 0 if every verdict is positive; else the first of 10
contradicted, 3 invalid, 12 flagged with --strict, 11 unvouched and 7 unavailable
that some file has; else 4, 2 or 1 because a file does not exist, is a directory, or
cannot be read.`,
		Example: `  td verify --attestation epoch.evidence --attestation-roots ak.pem r.receipt.json
  td verify receipts/*.receipt.json
  td verify --opening r.opening r.receipt.json
  td verify --log https://td.example --scan --strict r.receipt.json
  td verify --policy cosigners.txt --cosigned checkpoint --log ./mirror r.receipt.json
  td verify --policy cosigners.txt -o json r.receipt.json
  find archive -name '*.receipt.json' -print0 | td verify --quiet --files-from - -0`,
	}
	var o verify.Options
	fl := cmd.Flags()
	trustFlag(cmd, &o.Trust)
	serverUserFlag(cmd, &o.ServerUser)
	fl.StringVar(&o.Policy, "policy", "", "policy file: whose signatures the checkpoint must carry")
	fl.StringVar(&o.Cosigned, "cosigned", "", "file with a later checkpoint that carries the signatures of --policy; --log proves that a receipt's checkpoint is a prefix of it")
	fl.StringVar(&o.Log, "log", "", "URL or directory of the log, for proofs that a checkpoint belongs to recorded ones")
	fl.BoolVar(&o.Scan, "scan", false, "read every leaf of the log of --log, for withdrawals that a receipt leaves out")
	fl.StringArrayVar(&o.Lists, "list", nil, "member list file, for receipts of group/1; may be given several times")
	fl.StringVar(&o.Opening, "opening", "", "opening file: shows the event behind the one receipt given")
	fl.StringVar(&o.Attestation, "attestation", "", "file of evidence, or URL of the server that has it, about the epoch's keys")
	fl.StringVar(&o.Roots, "attestation-roots", "", "PEM file of keys, certificates and authorities that vouch for evidence beside AMD's and Intel's roots")
	fl.StringArrayVar(&o.Measurements, "measurement", nil, "NAME=HEX that the evidence must show; may be given several times")
	fl.StringVar(&o.Client, "client", "", "client id that the opening must show")
	fl.BoolVar(&o.AllowSelfAsserted, "allow-self-asserted", false, "accept a log that nothing but the receipt speaks for")
	fl.BoolVar(&o.Strict, "strict", false, "refuse flagged receipts, and those that may leave withdrawals out")
	fl.StringVar(&o.FilesFrom, "files-from", "", "file with further names of receipts, one on each line, - for standard input")
	fl.BoolVarP(&o.Null, "null", "0", false, "the names of --files-from end with NUL")
	p := verdictPrinter{out: bufio.NewWriter(a.stdout)}
	fl.BoolVarP(&p.quiet, "quiet", "q", false, "print only files whose verdict is not valid, and the count")
	output := outputFlag(cmd)
	cmd.Args = func(cmd *cobra.Command, args []string) error {
		if o.FilesFrom != "" {
			return nil
		}
		return someArgs("FILE")(cmd, args)
	}
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		p.asJSON, p.count = output.value == "json", o.FilesFrom != "" || len(args) > 1
		return a.verify(cmd.Context(), &o, args, &p)
	}
	return cmd
}

func (a *app) verify(ctx context.Context, o *verify.Options, files []string, p *verdictPrinter) error {
	verifier, err := verify.New(ctx, files, a.stdin, o)
	if err != nil {
		return err
	}
	a.noteAbsent(o.Trust)
	summary, err := verifier.Run(ctx, p.verdict)
	printed := p.summary(&summary)
	return cmp.Or(err, printed)
}

// verdictPrinter prints verdicts, and how many there are of each kind.
type verdictPrinter struct {
	out                  *bufio.Writer
	asJSON, quiet, count bool
}

func (p *verdictPrinter) verdict(v *verify.Verdict) error {
	if p.quiet && v.OK && v.Verdict == receipt.Valid {
		return nil
	}
	return errors.Join(printVerdict(p.out, v, p.asJSON), p.out.Flush())
}

// summary prints the last line about several files, also of a run that did not look at
// all of them.
func (p *verdictPrinter) summary(s *verify.Summary) error {
	switch {
	case !p.count:
		return nil
	case p.asJSON:
		return errors.Join(json.NewEncoder(p.out).Encode(map[string]any{"summary": s}), p.out.Flush())
	}
	_, err := fmt.Fprintln(p.out, s)
	return errors.Join(err, p.out.Flush())
}

// printVerdict writes a verdict as one JSON object, or as a line for each step.
func printVerdict(w io.Writer, v *verify.Verdict, asJSON bool) error {
	if asJSON {
		return json.NewEncoder(w).Encode(v)
	}
	fmt.Fprintln(w, protocol.Escaped(v.File))
	if v.Verdict == verify.Unreadable {
		_, err := fmt.Fprintf(w, "  %s\n", protocol.Escaped(sentence(v)))
		return err
	}
	for _, s := range v.Steps {
		printStep(w, s.Step, s.OK, s.Skipped, s.Detail)
	}
	if v.Attestation != nil {
		printStep(w, verify.StepAttestation, v.Attestation.OK, v.Attestation.Skipped, v.Attestation.Detail)
	}
	if s := withdrawalsIn[v.Withdrawals]; s != "" {
		fmt.Fprintf(w, "  withdrawals: %s\n", s)
	}
	for _, s := range v.Warnings {
		fmt.Fprintf(w, "  warning: %s\n", protocol.Escaped(s))
	}
	_, err := fmt.Fprintf(w, "  %s\n", protocol.Escaped(sentence(v)))
	return err
}

func printStep(w io.Writer, step string, ok, skipped bool, detail string) {
	mark := "FAIL"
	switch {
	case ok:
		mark = "ok"
	case skipped:
		mark = "-"
	}
	fmt.Fprintf(w, "  %-4s %-10s  %s\n", mark, step, protocol.Escaped(detail))
}

// withdrawalsIn holds what a report knows of withdrawals, in words.
var withdrawalsIn = map[string]string{
	receipt.AsPresented:     "as presented; the receipt may leave some out",
	receipt.CompleteByCount: "complete by the log's count, up to the receipt's checkpoint; --scan finds later ones",
	receipt.CompleteByScan:  "complete by scan; every leaf of the log was read",
}

// sentence returns the last line about a file.
func sentence(v *verify.Verdict) string {
	negative := strings.ToUpper(v.Verdict)
	switch {
	case v.Verdict == verify.Unreadable:
		return negative + ": " + v.Error
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
	case v.Vouched.Rule == receipt.RulePolicy:
		return v.Verdict + ", under the keys of the policy file"
	case v.Vouched.Server == "":
		return v.Verdict + ", in a log that is bound to no server here"
	}
	return fmt.Sprintf("%s, in the log of %s", v.Verdict, v.Vouched.Server)
}

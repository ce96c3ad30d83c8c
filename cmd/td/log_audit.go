package main

import (
	"cmp"
	"context"
	"fmt"
	"io"
	"time"

	"github.com/spf13/cobra"

	"github.com/terradourada/td/audit"
	"github.com/terradourada/td/internal/datadir"
	"github.com/terradourada/td/internal/fault"
	"github.com/terradourada/td/internal/remote"
	"github.com/terradourada/td/internal/termui"
	"github.com/terradourada/td/protocol"
	"github.com/terradourada/td/receipt"
)

// auditFlags are the flags of "td log audit".
type auditFlags struct {
	logFlags
	data                 string
	trust                string
	lists                []string
	proofs, selfAsserted bool
	progress, output     *choice
}

func logAuditCommand(a *app) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "audit",
		Short: "Check a whole log",
		Long: `Walks all entries and all tiles of a log, recomputes the root, and checks that the
checkpoint is signed by one of its epochs, that every leaf is well-formed and in
its place, and the rules of the log: what is accepted belongs to an open epoch and
to a claim that the log has before it, under no freeze, and nothing is accepted twice.
Each accepted anchor has its place in the issued tree of its epoch, under a root
that the epoch signed; closed epochs issued no less than what was accepted. Every
hand-over is signed over a tree of this log, and every leaf counts the withdrawals
before it. With --proofs every accepted proof is verified too.

With --data the directory of a server is audited as a whole, or a copy of it: each
entry is the row of the journal with its number, the journal's tables are those of
its rows, the rows that the log does not hold yet keep the rules, and the log holds
every checkpoint that the server has recorded. Proofs are verified unless
--proofs=false is given, and the record of the server is the trust store unless
--trust is. The server may be running: nothing is locked or written.

The trust store decides whose log it is, as with td verify, because a forged log can
keep all rules as well. --allow-self-asserted skips this. A server's own record is in
the folder published of its data directory.

The exit code is 10 if the log contradicts what is believed, 3 if it breaks its
rules, 11 if nothing shows whose log it is, and 7 if it cannot be read or is older
than what is recorded. The first faults are shown.`,
		Example: "  td log audit\n  td log audit --data ./data\n  td log audit --proofs --dir ./data/ledger --trust ./data/published",
		Args:    noArgs,
	}
	var f auditFlags
	fl := cmd.Flags()
	addLogFlags(cmd, &f.logFlags)
	trustFlag(cmd, &f.trust)
	fl.StringVar(&f.data, "data", "", "data directory of a server, or a copy of one, in place of a log")
	cmd.MarkFlagsMutuallyExclusive("data", "server", "dir")
	fl.BoolVar(&f.proofs, "proofs", false, "verify every accepted proof")
	fl.BoolVar(&f.selfAsserted, "allow-self-asserted", false, "do not ask whose log it is")
	fl.StringArrayVar(&f.lists, "list", nil, "member list file, for claims of group/1; may be given several times")
	f.progress, f.output = progressFlag(cmd), outputFlag(cmd)
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		if f.data != "" && !fl.Changed("proofs") {
			f.proofs = true
		}
		return a.audit(cmd.Context(), &f)
	}
	return cmd
}

func (a *app) audit(ctx context.Context, f *auditFlags) error {
	trust, err := remote.OpenTrust(f.trust)
	if err != nil {
		return err
	}
	lists, err := remote.KnownLists(trust, f.lists)
	if err != nil {
		return err
	}
	progress := termui.NewProgress(a.stderr, f.progress.value, "audit", time.Now())
	report, server, err := f.run(ctx, audit.Options{
		Proofs: f.proofs, Lists: lists, Trust: trust, AllowSelfAsserted: f.selfAsserted, Progress: stepwise(progress),
	})
	progress.Finish()
	if err != nil {
		return err
	}
	return a.printAudit(report, server, f.output)
}

// run audits what the flags name. The server is nil if it is a directory.
func (f *auditFlags) run(ctx context.Context, o audit.Options) (*audit.Report, *remote.Server, error) {
	if f.data != "" {
		if f.trust == "" {
			o.Trust = nil // the directory's own record
		}
		report, err := datadir.Audit(ctx, f.data, o)
		return report, nil, (*remote.Server)(nil).Failure(ctx, err)
	}
	log, err := f.open()
	if err != nil {
		return nil, nil, err
	}
	report, err := audit.Run(ctx, log, o)
	return report, log.Server, log.Failure(ctx, err)
}

// stepwise shows the progress of an audit.
func stepwise(p *termui.Progress) func(done, total int) {
	return func(_, total int) {
		p.Expect(total)
		p.Step(time.Now())
	}
}

func (a *app) printAudit(r *audit.Report, server *remote.Server, output *choice) error {
	if err := a.show(output, r, func(w io.Writer) error { return auditTable(w, r) }); err != nil {
		return err
	}
	switch {
	case r.OK:
		return nil
	case r.Verdict == receipt.Invalid:
		return fault.New(fault.Negative, fmt.Sprintf("the log breaks its rules: %d faults", len(r.Faults)+r.Others), "keep a copy of it, and ask the operator")
	}
	return fault.New(fault.ExitOfVerdict(r.Verdict), fmt.Sprintf("the log is %s: %s", r.Verdict, r.Reason), remote.Advice(r.Verdict, r.Refusal, server))
}

func auditTable(w io.Writer, r *audit.Report) error {
	for _, fault := range r.Faults {
		fmt.Fprintf(w, "FAULT  %s\n", fault)
	}
	if r.Others > 0 {
		fmt.Fprintf(w, "FAULT  and %d more\n", r.Others)
	}
	for _, warning := range r.Warnings {
		fmt.Fprintf(w, "warning: %s\n", warning)
	}
	fmt.Fprintf(w, "log %s, size %d, root %s\nidentity %s\n", r.Origin, r.Size, r.Root, r.Identity)
	if r.Rows > 0 {
		fmt.Fprintf(w, "journal %d rows, %s compared\n", r.Rows, termui.Count(r.Known, "recorded checkpoint"))
	}
	if r.Vouched != nil {
		fmt.Fprintf(w, "server %s\n", cmp.Or(r.Vouched.Server, "-"))
	}
	for t := protocol.LeafAccepted; t <= protocol.LeafIncident; t++ {
		fmt.Fprintf(w, "%-12s %d\n", t, r.Leaves[t.String()])
	}
	if r.Unknown > 0 {
		fmt.Fprintf(w, "%d are accepted under keys of member lists that are not here; --list names a list\n", r.Unknown)
	}
	_, err := fmt.Fprintf(w, "%s verified\n%s\n", termui.Count(r.Proofs, "proof"), r.Verdict)
	return err
}

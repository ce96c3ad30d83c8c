package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"syscall"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"github.com/terradourada/td/api"
	"github.com/terradourada/td/internal/admin"
	"github.com/terradourada/td/internal/config"
	"github.com/terradourada/td/internal/fault"
	"github.com/terradourada/td/internal/termui"
	"github.com/terradourada/td/protocol"
)

func adminCommand(a *app) *cobra.Command {
	cmd := adminGroup("admin", "Operate a running server", `Asks the server on this machine through its admin socket, which is found by the same
settings as the server finds it: --data, or --socket. The server learns from the kernel
which user you are. The roles are viewer, operator and commander. Stopping is easy: an
operator freezes alone. Starting again is hard: only a commander thaws.

Everything that changes something needs --reason and is a row of the audit, also when
it is refused. Freezes, thaws, withdrawals, rotations and incidents are also leaves of
the log, and the indexes of the leaves are printed.

An action that is "held in memory, not durable" is in force: exit code 0, and a warning.
It is lost if the server ends before it can write. A thaw that waits for a second
commander is not in force: exit code 6.`,
		"  td admin status\n  td admin freeze --reason \"signer died twice, looking\"\n  td admin thaw --reason \"cause found and mended\"")
	cmd.AddCommand(
		adminStatusCommand(a),
		adminFreezeCommand(a), adminThawCommand(a), adminSealCommand(a), adminRotateCommand(a),
		adminSessionsCommand(a), adminEpochsCommand(a), adminClaimsCommand(a),
		adminClientsCommand(a), adminIncidentCommand(a), adminAuditCommand(a),
		adminReloadCommand(a), adminBackupCommand(a), adminAlertsCommand(a), adminAnomaliesCommand(a), adminResponsesCommand(a),
	)
	return cmd
}

// adminGroup returns a command that only has commands below it.
func adminGroup(name, short, long, example string) *cobra.Command {
	return &cobra.Command{
		Use: name, Short: short, Long: long, Example: example, Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
}

// place says which server is meant.
type place struct{ data, socket string }

func (p *place) flags(cmd *cobra.Command) {
	cmd.Flags().StringVar(&p.data, "data", "", "data directory of the server (default as td serve)")
	cmd.Flags().StringVar(&p.socket, "socket", "", "admin socket of the server (default as its settings name it)")
}

// settings returns the settings that the server would have on this data directory.
func (p *place) settings() (*config.Config, error) {
	flags := map[string]string{}
	for name, value := range map[string]string{"data": p.data, "socket": p.socket} {
		if value != "" {
			flags[name] = value
		}
	}
	return config.Load(os.Environ(), flags)
}

// dial returns a connection to the server, which is made when it is used.
func (p *place) dial() (*admin.Conn, error) {
	cfg, err := p.settings()
	if err != nil {
		return nil, err
	}
	return admin.Dial(cfg.Socket, ownerOf(cfg.Data)...)
}

// ownerOf returns the owner of a directory, if that is known.
func ownerOf(dir string) (uids []uint32) {
	if info, err := os.Stat(dir); err == nil {
		if st, ok := info.Sys().(*syscall.Stat_t); ok {
			uids = append(uids, st.Uid)
		}
	}
	return uids
}

// readFunc reads from a server and prints.
type readFunc = func(context.Context, *admin.Conn, *choice) error

// adminRead adds to a command the flags of one that reads, and what it does.
func adminRead(cmd *cobra.Command, read readFunc) *cobra.Command {
	var p place
	p.flags(cmd)
	output := outputFlag(cmd)
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		c, err := p.dial()
		if err != nil {
			return err
		}
		defer c.Close()
		return refusal(read(cmd.Context(), c, output))
	}
	return cmd
}

// adminList makes a command that lists, and below it "list", which does the same. The
// first line of the command's example is the command itself.
func adminList(group *cobra.Command, build func(*cobra.Command) readFunc) {
	group.Args = noArgs
	itself, _, _ := strings.Cut(group.Example, "\n")
	list := &cobra.Command{Use: "list", Short: group.Short, Long: group.Long, Args: noArgs, Example: itself + " list"}
	adminRead(group, build(group))
	group.AddCommand(adminRead(list, build(list)))
}

// change is a command that changes something.
type change struct {
	*cobra.Command
	place
	check func(args []string) error                                                    // for wrong use, before the server is asked; may be nil
	risk  func() string                                                                // what is to be confirmed, "" for nothing; may be nil
	word  func(context.Context, *admin.Conn) (string, error)                           // that confirms it; nil for the name of the command
	do    func(context.Context, *admin.Conn, admin.Reason, []string) (*outcome, error) // asks the server
}

// adminChange adds to a command the flags of one that changes something.
func (a *app) adminChange(ch *change) *cobra.Command {
	ch.flags(ch.Command)
	reason := ch.Flags().String("reason", "", "why, in your words, for the audit; on a terminal it is asked for if it is missing")
	yes := new(bool)
	if ch.risk != nil {
		ch.Flags().BoolVar(yes, "yes", false, "do not ask for confirmation")
	}
	output := outputFlag(ch.Command)
	ch.RunE = func(cmd *cobra.Command, args []string) error {
		o, err := a.runChange(cmd.Context(), ch, *reason, *yes, args)
		if err != nil {
			return refusal(err)
		}
		return a.showOutcome(cmd, output, o)
	}
	return ch.Command
}

func (a *app) runChange(ctx context.Context, ch *change, given string, yes bool, args []string) (*outcome, error) {
	if ch.check != nil {
		if err := ch.check(args); err != nil {
			return nil, err
		}
	}
	q := newQuestions(a, ch.Command)
	reason, err := q.reason(ctx, given)
	if err != nil {
		return nil, err
	}
	c, err := ch.dial()
	if err != nil {
		return nil, err
	}
	defer c.Close()
	if ch.risk != nil && !yes {
		word := func(ctx context.Context) (string, error) { return ch.Name(), nil }
		if ch.word != nil {
			word = func(ctx context.Context) (string, error) { return ch.word(ctx, c) }
		}
		if err := q.confirm(ctx, ch.risk(), word); err != nil {
			return nil, err
		}
	}
	return ch.do(ctx, c, admin.Reason{Reason: reason}, args)
}

// refusal returns a refusal of the server as a fault.
func refusal(err error) error {
	var p *api.Problem
	if !errors.As(err, &p) {
		return err
	}
	f := &fault.Fault{Exit: fault.ExitOf(p.Code), What: cmp.Or(protocol.Escaped(p.Detail), "the server refused: "+p.Title), Code: p.Code}
	switch {
	case p.Code == protocol.CodeForbidden:
		f.Hint = "the settings admin_viewers, admin_operators and admin_commanders name who may; td admin status shows your role"
	case p.Retryable && f.Exit == fault.Negative:
		f.Exit = fault.Unavailable
	}
	return f
}

// outcome is what a change has answered.
type outcome struct {
	admin.Done
	json   any             // for -o json, nil for Done
	more   func(io.Writer) // prints further lines; may be nil
	failed error           // what did not succeed beside it
}

func outcomeOf(d *admin.Done, err error) (*outcome, error) {
	if err != nil {
		return nil, err
	}
	return &outcome{Done: *d}, nil
}

// showOutcome prints what was done. What is not done yet, or not durable, is an error or
// a warning.
func (a *app) showOutcome(cmd *cobra.Command, output *choice, o *outcome) error {
	var v any = o.Done
	if o.json != nil {
		v = o.json
	}
	if err := a.show(output, v, o.table); err != nil {
		return err
	}
	switch o.Outcome {
	case admin.OutcomeNotDurable:
		a.warn([]string{"it is in force, but only in memory: if the server ends before it can write, it is lost; td admin status shows when it is durable"})
	case admin.OutcomeUnderWay:
		fmt.Fprintln(a.stderr, "note: it goes on; td admin status shows how far it is")
	case admin.OutcomeApproval:
		return fault.New(fault.Frozen, "nothing has changed yet: it waits for a second commander",
			"another commander runs the same command: "+cmd.CommandPath()+" --reason …")
	}
	return o.failed
}

func (o *outcome) table(w io.Writer) error {
	t := columns(w)
	fmt.Fprintf(t, "outcome\t%s\n", o.Outcome)
	for _, leaf := range o.Leaves {
		fmt.Fprintf(t, "leaf\t%d, %s\n", leaf.Index, leaf.Action)
	}
	if o.Row > 0 {
		fmt.Fprintf(t, "audit row\t%d\n", o.Row)
	}
	if o.Until != nil {
		fmt.Fprintf(t, "until\t%s\n", stamp(*o.Until))
	}
	if o.Epoch != nil {
		fmt.Fprintf(t, "epoch\t%d, %s\n", o.Epoch.Number, o.Epoch.ID)
	}
	if o.Ended > 0 {
		fmt.Fprintf(t, "ended\t%s\n", termui.Count(int(o.Ended), "pending request"))
	}
	if o.Detail != "" {
		fmt.Fprintf(t, "detail\t%s\n", protocol.Escaped(o.Detail))
	}
	if o.more != nil {
		o.more(t)
	}
	return t.Flush()
}

func columns(w io.Writer) *tabwriter.Writer { return tabwriter.NewWriter(w, 0, 0, 2, ' ', 0) }

// stamp returns a time as tables show it, "-" for none.
func stamp(t time.Time) string {
	if t.IsZero() {
		return "-"
	}
	return t.UTC().Format(time.RFC3339)
}

// stampOf is [stamp] of a time that may be missing.
func stampOf(t *time.Time) string {
	if t == nil {
		return "-"
	}
	return stamp(*t)
}

// printRows prints a table, or one JSON object a line.
func printRows[T any](a *app, output *choice, rows []T, header string, row func(io.Writer, *T)) error {
	t := columns(a.stdout)
	if output.value != "json" && len(rows) > 0 {
		fmt.Fprintln(t, header)
	}
	for i := range rows {
		if output.value != "json" {
			row(t, &rows[i])
		} else if err := a.printJSON(&rows[i]); err != nil {
			return err
		}
	}
	if len(rows) == 0 {
		fmt.Fprintln(a.stderr, "there are none")
	}
	return t.Flush()
}

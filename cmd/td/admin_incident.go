package main

import (
	"context"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"

	"github.com/spf13/cobra"

	"github.com/terradourada/td/internal/admin"
	"github.com/terradourada/td/internal/fault"
	"github.com/terradourada/td/internal/termui"
	"github.com/terradourada/td/protocol"
)

func adminIncidentCommand(a *app) *cobra.Command {
	cmd := adminGroup("incident", "Open, list and close incidents", `Opening an incident takes the first steps of its runbook in the right order, acceptance
first, collects evidence, and prints what is left for people. docs/runbooks has a page
for each kind.`,
		"  td admin incident open --kind key-compromise --reason \"core dump of the signer found\"\n  td admin incident list")
	cmd.AddCommand(adminIncidentOpenCommand(a), adminIncidentListCommand(a), adminIncidentCloseCommand(a))
	return cmd
}

func adminIncidentOpenCommand(a *app) *cobra.Command {
	cmd := &cobra.Command{
		Use:     "open --kind KIND",
		Short:   "Open an incident and take its first steps",
		Example: "  td admin incident open --kind key-compromise --reason \"core dump of the signer found\"",
		Args:    noArgs,
	}
	kind := &choice{options: []string{"key-compromise", "prover-compromise", "abnormal-traffic", "ledger-inconsistency", "operator-error"}}
	cmd.Flags().Var(kind, "kind", "what kind of incident it is")
	_ = cmd.RegisterFlagCompletionFunc("kind", cobra.FixedCompletions(kind.options, cobra.ShellCompDirectiveNoFileComp))
	_ = cmd.MarkFlagRequired("kind")
	epoch := epochFlag(cmd, "the epoch that is suspected (default the active one)")
	return a.adminChange(&change{Command: cmd, do: func(ctx context.Context, c *admin.Conn, why admin.Reason, _ []string) (*outcome, error) {
		o, err := c.OpenIncident(ctx, admin.IncidentRequest{Reason: why, Kind: kind.value, Epoch: epoch.value})
		if err != nil {
			return nil, err
		}
		short := o.Done
		short.Leaves = nil // each step shows its own
		return &outcome{Done: short, json: o, more: func(w io.Writer) { incidentTable(w, o) }, failed: failedSteps(o)}, nil
	}})
}

// failedSteps returns an error that names the steps that failed.
func failedSteps(o *admin.IncidentOpened) error {
	var names []string
	for _, s := range o.Steps {
		if s.Code != "" {
			names = append(names, s.Step)
		}
	}
	if len(names) == 0 {
		return nil
	}
	return fault.New(fault.Unexpected, "failed: "+strings.Join(names, "; "), "docs/runbooks/"+o.Kind+".md has the command for each step")
}

func incidentTable(w io.Writer, o *admin.IncidentOpened) {
	if o.Incident > 0 {
		fmt.Fprintf(w, "incident\t%d, %s\n", o.Incident, o.Kind)
	}
	for _, s := range o.Steps {
		state := "done"
		if s.Code != "" {
			state = "FAILED: " + s.Code
		}
		fmt.Fprintf(w, "step\t%s: %s\n", s.Step, state)
		if s.Detail != "" {
			fmt.Fprintf(w, "\t%s\n", protocol.Escaped(s.Detail))
		}
		for _, leaf := range s.Leaves {
			fmt.Fprintf(w, "\tleaf %d, %s\n", leaf.Index, leaf.Action)
		}
	}
	if o.Bundle != "" {
		fmt.Fprintf(w, "evidence\t%s\n", protocol.Escaped(o.Bundle))
	}
	for _, l := range o.Left {
		fmt.Fprintf(w, "left\t%s: %s\n", l.ID, protocol.Escaped(l.Text))
	}
	if o.Incident > 0 {
		fmt.Fprintf(w, "then\t%s\n", closeLine(o.Incident, o.Left))
	}
}

// closeLine returns the command that closes an incident.
func closeLine(index uint64, left []admin.Check) string {
	ids := make([]string, len(left))
	for i, l := range left {
		ids[i] = " --confirmed " + l.ID
	}
	return fmt.Sprintf("td admin incident close %d%s --reason …", index, strings.Join(ids, ""))
}

func adminIncidentListCommand(a *app) *cobra.Command {
	cmd := &cobra.Command{
		Use:     "list",
		Short:   "List the incidents, the newest first",
		Example: "  td admin incident list",
		Args:    noArgs,
	}
	return adminRead(cmd, func(ctx context.Context, c *admin.Conn, output *choice) error {
		list, err := c.Incidents(ctx)
		if err != nil {
			return err
		}
		return printRows(a, output, list.Incidents, "INCIDENT\tKIND\tOPENED\tBY\tCLOSED\tREASON", func(w io.Writer, i *admin.Incident) {
			closed := "-"
			if i.Closed != nil {
				closed = fmt.Sprintf("leaf %d", *i.Closed)
			}
			fmt.Fprintf(w, "%d\t%s\t%s\t%s\t%s\t%s\n", i.Index, i.Kind, stamp(i.Opened), protocol.Escaped(i.Actor), closed, protocol.Escaped(i.Reason))
		})
	})
}

func adminIncidentCloseCommand(a *app) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "close [INCIDENT]",
		Short: "Close an incident",
		Long: `INCIDENT is the index of the leaf that opened it; it may be left out if one is open. Every
check that its runbook asks for has to be confirmed by its name; td admin status lists
them. Thawing is separate.`,
		Example: "  td admin incident close 1042 --confirmed cause-known --confirmed state-checked --reason mended",
		Args:    optionalArg("INCIDENT"),
	}
	confirmed := cmd.Flags().StringArray("confirmed", nil, "check of the runbook that was done; may be given several times")
	return a.adminChange(&change{
		Command: cmd,
		do: func(ctx context.Context, c *admin.Conn, why admin.Reason, args []string) (*outcome, error) {
			index, err := incidentOf(ctx, c, args)
			if err != nil {
				return nil, err
			}
			return outcomeOf(c.CloseIncident(ctx, admin.CloseRequest{Reason: why, Incident: index, Confirmed: append([]string{}, *confirmed...)}))
		},
	})
}

// incidentOf returns the incident that the argument names, or the one that is open.
func incidentOf(ctx context.Context, c *admin.Conn, args []string) (uint64, error) {
	const hint = "td admin incident list shows the incidents"
	if len(args) == 1 {
		index, err := strconv.ParseUint(args[0], 10, 63)
		if err != nil {
			err = fault.New(fault.Usage, fmt.Sprintf("%q is not the index of a leaf", args[0]), hint)
		}
		return index, err
	}
	list, err := c.Incidents(ctx)
	if err != nil {
		return 0, err
	}
	open := slices.DeleteFunc(list.Incidents, func(i admin.Incident) bool { return i.Closed != nil })
	if len(open) != 1 {
		return 0, fault.New(fault.Usage, fmt.Sprintf("%s open; name the one that is meant", termui.CountAre(len(open), "incident")), hint)
	}
	return open[0].Index, nil
}

package main

import (
	"context"
	"fmt"
	"io"

	"github.com/spf13/cobra"

	"github.com/terradourada/td/internal/admin"
	"github.com/terradourada/td/protocol"
)

func adminResponsesCommand(a *app) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "responses",
		Short: "List the penalties that the server imposes by itself, and lift them",
		Long: `Lists the penalties in force: the client or network that has one, its step (costly, slow
or blocked), how many it had, and the rule of the alert that led to it. With the setting
response = "dry-run" these are the penalties that would be in force.`,
		Example: "  td admin responses\n  td admin responses lift client:north --reason \"their device is repaired\"",
	}
	adminList(cmd, func(*cobra.Command) readFunc {
		return func(ctx context.Context, c *admin.Conn, output *choice) error {
			list, err := c.Responses(ctx)
			if err != nil {
				return err
			}
			return a.show(output, list, func(w io.Writer) error { return responseTable(w, list) })
		}
	})
	cmd.AddCommand(adminLiftCommand(a))
	return cmd
}

func responseTable(w io.Writer, list *admin.ResponseList) error {
	t := columns(w)
	fmt.Fprintf(t, "response\t%s\n", protocol.Escaped(list.Mode))
	if len(list.Responses) == 0 {
		fmt.Fprintln(t, "no penalty")
	} else {
		fmt.Fprintln(t, "\nSUBJECT\tSTEP\tSTRIKES\tSINCE\tUNTIL\tREFUSED\tRULE")
	}
	for i := range list.Responses {
		r := &list.Responses[i]
		fmt.Fprintf(t, "%s\t%s\t%d\t%s\t%s\t%d\t%s\n", protocol.Escaped(r.Subject), r.Step, r.Strikes, stamp(r.Since), stamp(r.Until), r.Refused, r.Rule)
	}
	return t.Flush()
}

func adminLiftCommand(a *app) *cobra.Command {
	cmd := &cobra.Command{
		Use: "lift SUBJECT", Short: "End a penalty before its time", Args: oneArg("SUBJECT"),
		Long: `SUBJECT is client:NAME or network:PREFIX, as td admin responses lists it. Its former
penalties are forgotten, and for an hour it gets no other one. For a longer time, silence
the alert: td admin alerts silence RULE --scope SUBJECT.`,
		Example: "  td admin responses lift network:192.0.2.0/24 --reason \"our own test\"",
	}
	return a.adminChange(&change{Command: cmd, do: func(ctx context.Context, c *admin.Conn, why admin.Reason, args []string) (*outcome, error) {
		return outcomeOf(c.Lift(ctx, admin.LiftRequest{Reason: why, Subject: args[0]}))
	}})
}

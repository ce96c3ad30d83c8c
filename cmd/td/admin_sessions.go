package main

import (
	"context"
	"fmt"
	"io"
	"math"

	"github.com/spf13/cobra"

	"github.com/terradourada/td/internal/admin"
	"github.com/terradourada/td/internal/fault"
	"github.com/terradourada/td/protocol"
)

// filterFlags adds the flags that select pending requests, and returns what they say.
func filterFlags(cmd *cobra.Command) func() admin.Filter {
	var f admin.Filter
	fl := cmd.Flags()
	id := requestFlag(cmd, "the request with this id")
	fl.StringVar(&f.Client, "client", "", "requests of this client")
	fl.StringVar(&f.Claim, "claim", "", "requests for this claim")
	_ = cmd.RegisterFlagCompletionFunc("claim", completeClaim)
	epoch := epochFlag(cmd, "requests of the epoch with this id")
	prover := &choice{options: []string{"client", "server"}}
	fl.Var(prover, "prover", "requests that the client, or the server, proves")
	older := spanFlag(cmd, "older", "requests that were opened longer ago, such as 1m")
	return func() admin.Filter {
		f.ID, f.Epoch, f.Prover, f.Older = id.value, epoch.value, prover.value, older.millis()
		return f
	}
}

func adminSessionsCommand(a *app) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "sessions",
		Short: "List the pending requests",
		Long: `Lists the pending requests, or those that match every flag. No tag, anchor or content of
a request is shown.`,
		Example: "  td admin sessions\n  td admin sessions list --client north --older 1m",
	}
	adminList(cmd, func(cmd *cobra.Command) readFunc {
		filter := filterFlags(cmd)
		limit := numberFlag(cmd, "limit", 100, "how many are listed at most; 0 for all")
		return func(ctx context.Context, c *admin.Conn, output *choice) error {
			return a.listSessions(ctx, c, filter(), int(*limit), output)
		}
	})
	cmd.AddCommand(adminInvalidateCommand(a))
	return cmd
}

func (a *app) listSessions(ctx context.Context, c *admin.Conn, f admin.Filter, limit int, output *choice) error {
	var all []admin.Session
	var after *protocol.RequestID
	if limit == 0 {
		limit = math.MaxInt
	}
	more, pending := true, uint64(0)
	for more && len(all) < limit {
		page, err := c.Sessions(ctx, f, after, min(maxPage, limit-len(all)))
		if err != nil {
			return err
		}
		all, more, pending = append(all, page.Sessions...), page.More && len(page.Sessions) > 0, page.Pending
		if len(all) > 0 {
			after = &all[len(all)-1].ID
		}
	}
	if more {
		fmt.Fprintf(a.stderr, "note: there are more; --limit 0 lists all\n")
	}
	if output.value != "json" && len(all) > 0 {
		fmt.Fprintf(a.stderr, "note: %d of %d pending requests\n", len(all), pending)
	}
	return printRows(a, output, all, "ID\tCLIENT\tCLAIM\tPROVER\tOPENED\tEXPIRES\tEPOCH", func(w io.Writer, s *admin.Session) {
		fmt.Fprintf(w, "%s\t%s\t%s\t%s\t%s\t%s\t%s\n", s.ID, s.Client, s.Claim, s.Prover, stamp(s.Opened), stamp(s.Expires), s.Epoch)
	})
}

// maxPage is the greatest length of a page that the server takes.
const maxPage = 1000

func adminInvalidateCommand(a *app) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "invalidate",
		Short: "End pending requests",
		Long: `Ends the pending requests that match every flag, or all of them with --all. Their clients
receive the code invalidated, also those that wait for a result.`,
		Example: `  td admin sessions invalidate --client north --reason "its key was stolen"
  td admin sessions invalidate --all --reason "wrong parameters were published"`,
		Args: noArgs,
	}
	filter := filterFlags(cmd)
	all := cmd.Flags().Bool("all", false, "all pending requests")
	return a.adminChange(&change{
		Command: cmd,
		check: func([]string) error {
			switch empty := filter() == (admin.Filter{}); {
			case empty && !*all:
				return fault.New(fault.Usage, cmd.CommandPath()+" needs a flag that selects requests, or --all", "td admin sessions with the same flags lists them")
			case !empty && *all:
				return fault.New(fault.Usage, "--all selects every request, and another flag selects some", "leave one of them out")
			}
			return nil
		},
		risk: func() string {
			if *all {
				return "every pending request ends"
			}
			return ""
		},
		do: func(ctx context.Context, c *admin.Conn, why admin.Reason, _ []string) (*outcome, error) {
			return outcomeOf(c.Invalidate(ctx, admin.InvalidateRequest{Reason: why, Filter: filter(), All: *all}))
		},
	})
}

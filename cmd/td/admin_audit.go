package main

import (
	"cmp"
	"context"
	"fmt"
	"io"

	"github.com/spf13/cobra"

	"github.com/terradourada/td/internal/admin"
	"github.com/terradourada/td/internal/fault"
	"github.com/terradourada/td/internal/termui"
	"github.com/terradourada/td/protocol"
)

func adminAuditCommand(a *app) *cobra.Command {
	cmd := adminGroup("audit", "Read the record of who administered what", `Every request that could change something is a row, refused ones too: who, in which role,
what, why, and with which outcome.`,
		"  td admin audit list\n  td admin audit verify")
	cmd.AddCommand(adminAuditListCommand(a), adminAuditVerifyCommand(a))
	return cmd
}

func adminAuditListCommand(a *app) *cobra.Command {
	cmd := &cobra.Command{
		Use:     "list",
		Short:   "List rows of the audit, the oldest first",
		Long:    "Lists the newest rows, or with --after the first ones after a row.",
		Example: "  td admin audit list\n  td admin audit list --after 1000 --limit 500 -o json",
		Args:    noArgs,
	}
	after := numberFlag(cmd, "after", 0, "begin after the row with this id (default the newest rows)")
	limit := numberFlag(cmd, "limit", 50, "how many are listed at most")
	return adminRead(cmd, func(ctx context.Context, c *admin.Conn, output *choice) error {
		rows, err := auditRows(ctx, c, uint64(*after), int(*limit), !cmd.Flags().Changed("after"))
		if err != nil {
			return err
		}
		return printRows(a, output, rows, "ROW\tTIME\tACTOR\tROLE\tACTION\tTARGET\tOUTCOME\tLEAF\tREASON", func(w io.Writer, r *admin.Row) {
			outcome, leaf, target := r.Outcome, "-", cmp.Or(protocol.Escaped(r.Target), "-")
			if r.Until != nil {
				target += " until " + stamp(*r.Until)
			}
			if r.Code != "" {
				outcome += " (" + r.Code + ")"
			}
			if r.Index != nil {
				leaf = fmt.Sprint(*r.Index)
			}
			fmt.Fprintf(w, "%d\t%s\t%s\t%s\t%s\t%s\t%s\t%s\t%s\n", r.ID, stamp(r.Time), protocol.Escaped(r.Actor), r.Role, protocol.Escaped(r.Action),
				target, outcome, leaf, cmp.Or(protocol.Escaped(r.Reason), "-"))
		})
	})
}

// auditRows returns rows after an id, at most limit: the first of them, or the newest.
func auditRows(ctx context.Context, c *admin.Conn, after uint64, limit int, newest bool) (rows []admin.Row, err error) {
	for more := true; more && (newest || len(rows) < limit); {
		page, err := c.Audit(ctx, after, maxPage)
		if err != nil {
			return nil, err
		}
		rows, more = append(rows, page.Rows...), page.More && len(page.Rows) > 0
		if newest {
			rows = rows[max(0, len(rows)-limit):]
		}
		if len(page.Rows) > 0 {
			after = page.Rows[len(page.Rows)-1].ID
		}
	}
	return rows[:min(len(rows), limit)], nil
}

func adminAuditVerifyCommand(a *app) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "verify",
		Short: "Compare the audit with the log",
		Long: `Checks that no row is missing, and that every control and incident leaf of the log has
the row that opens its actor and reason commitments. Exit code 3 if a problem is found.`,
		Example: "  td admin audit verify\n  td admin audit verify -o json",
		Args:    noArgs,
	}
	return adminRead(cmd, func(ctx context.Context, c *admin.Conn, output *choice) error {
		v, err := c.VerifyAudit(ctx, admin.VerifyRequest{Reason: admin.Reason{Reason: cmd.CommandPath()}})
		if err != nil {
			return err
		}
		err = a.show(output, v, func(w io.Writer) error {
			for _, p := range v.Problems {
				fmt.Fprintf(w, "PROBLEM  %s\n", protocol.Escaped(p))
			}
			_, err := fmt.Fprintf(w, "rows      %d\nleaves    %d\nproblems  %d\n", v.Rows, v.Leaves, len(v.Problems))
			return err
		})
		if err == nil && len(v.Problems) > 0 {
			err = fault.New(fault.Negative, fmt.Sprintf("audit and log disagree: %s", termui.Count(len(v.Problems), "problem")), "docs/runbooks/ledger-inconsistency.md says what to do")
		}
		return err
	})
}

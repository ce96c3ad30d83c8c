package main

import (
	"context"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/terradourada/td/internal/admin"
	"github.com/terradourada/td/internal/fault"
	"github.com/terradourada/td/protocol"
)

func adminEpochsCommand(a *app) *cobra.Command {
	cmd := &cobra.Command{
		Use:     "epochs",
		Short:   "List the epochs that have not ended",
		Example: "  td admin epochs\n  td admin epochs -o json",
	}
	adminList(cmd, func(*cobra.Command) readFunc {
		return func(ctx context.Context, c *admin.Conn, output *choice) error {
			list, err := c.Epochs(ctx)
			if err != nil {
				return err
			}
			return printRows(a, output, list.Epochs, "NUMBER\tID\tPHASE\tSINCE\tINDEX\tISSUED\tPENDING", func(w io.Writer, e *admin.Epoch) {
				fmt.Fprintf(w, "%d\t%s\t%s\t%s\t%d\t%d\t%d\n", e.Number, e.ID, e.Phase, stamp(e.Since), e.Index, e.Issued, e.Pending)
			})
		}
	})
	cmd.AddCommand(adminRevokeCommand(a))
	return cmd
}

func adminRevokeCommand(a *app) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "revoke EPOCH",
		Short: "Revoke an epoch, permanently",
		Long: `Records in the log that the keys of an epoch are no longer trusted. Its receipts are
flagged from then on, and nothing is accepted under it. EPOCH is its id, of 32
hexadecimal digits.`,
		Example:           "  td admin epochs revoke 00112233445566778899aabbccddeeff --reason \"its key is known to others\"",
		Args:              oneArg("EPOCH"),
		ValidArgsFunction: completeEpoch,
	}
	return a.adminChange(&change{
		Command: cmd,
		check: func(args []string) error {
			_, err := epochOf(args[0])
			return err
		},
		risk: func() string { return "every receipt of the epoch is flagged, permanently" },
		do: func(ctx context.Context, c *admin.Conn, why admin.Reason, args []string) (*outcome, error) {
			id, err := epochOf(args[0])
			if err != nil {
				return nil, err
			}
			return outcomeOf(c.Revoke(ctx, admin.RevokeRequest{Reason: why, Epoch: id}))
		},
	})
}

func epochOf(text string) (protocol.EpochID, error) {
	id, err := protocol.Parse[protocol.EpochID](text)
	if err != nil {
		err = fault.New(fault.Usage, fmt.Sprintf("%q is not the id of an epoch", text), "td admin epochs and td log info show ids")
	}
	return id, err
}

// completeEpoch completes the ids of the epochs that have not ended, if the server
// answers at once.
func completeEpoch(cmd *cobra.Command, args []string, _ string) ([]string, cobra.ShellCompDirective) {
	var p place
	p.data, _ = cmd.Flags().GetString("data")
	p.socket, _ = cmd.Flags().GetString("socket")
	ctx, cancel := context.WithTimeout(cmd.Context(), time.Second)
	defer cancel()
	var ids []string
	if c, err := p.dial(); err == nil && len(args) == 0 {
		defer c.Close()
		if list, err := c.Epochs(ctx); err == nil {
			for _, e := range list.Epochs {
				ids = append(ids, fmt.Sprintf("%s\tepoch %d, %s", e.ID, e.Number, e.Phase))
			}
		}
	}
	return ids, cobra.ShellCompDirectiveNoFileComp
}

func adminClaimsCommand(a *app) *cobra.Command {
	cmd := &cobra.Command{
		Use:     "claims",
		Short:   "List the claims in the log with their fingerprints",
		Example: "  td admin claims\n  td admin claims -o json",
	}
	adminList(cmd, func(*cobra.Command) readFunc {
		return func(ctx context.Context, c *admin.Conn, output *choice) error {
			list, err := c.Claims(ctx)
			if err != nil {
				return err
			}
			return printRows(a, output, list.Claims, "CLAIM\tFINGERPRINT\tINDEX\tSTATE", func(w io.Writer, c *admin.Claim) {
				state := "in force"
				if c.Retired {
					state = "retired"
				} else if len(c.Holds) > 0 {
					state = "frozen: " + strings.Join(c.Holds, ", ")
				}
				fmt.Fprintf(w, "%s\t%s\t%d\t%s\n", c.ID, c.Fingerprint, c.Index, state)
			})
		}
	})
	cmd.AddCommand(adminRetireCommand(a))
	return cmd
}

func adminRetireCommand(a *app) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "retire CLAIM|FINGERPRINT",
		Short: "Retire a claim, permanently",
		Long: `Records in the log that a verifying key is no longer trusted. Nothing is accepted under
it again, and its receipts are flagged. Name the claim by its id if only one fingerprint
of it is in force, otherwise by the fingerprint.`,
		Example:           "  td admin claims retire range/1 --reason \"its circuit is wrong\"",
		Args:              oneArg("CLAIM"),
		ValidArgsFunction: completeClaim,
	}
	return a.adminChange(&change{
		Command: cmd,
		risk:    func() string { return "its receipts are flagged and nothing is accepted under it, permanently" },
		do: func(ctx context.Context, c *admin.Conn, why admin.Reason, args []string) (*outcome, error) {
			print, err := fingerprintOf(ctx, c, args[0])
			if err != nil {
				return nil, err
			}
			return outcomeOf(c.Retire(ctx, admin.RetireRequest{Reason: why, Fingerprint: print}))
		},
	})
}

// fingerprintOf returns the fingerprint that a text is, or that the one claim in force
// with this id has.
func fingerprintOf(ctx context.Context, c *admin.Conn, text string) (protocol.Digest, error) {
	if print, err := protocol.Parse[protocol.Digest](text); err == nil {
		return print, nil
	}
	list, err := c.Claims(ctx)
	if err != nil {
		return protocol.Digest{}, err
	}
	found := slices.DeleteFunc(list.Claims, func(c admin.Claim) bool { return c.ID != text || c.Retired })
	switch len(found) {
	case 0:
		return protocol.Digest{}, fault.New(fault.NotFound, fmt.Sprintf("no claim in force is %s", protocol.Escaped(text)), "td admin claims lists them")
	case 1:
		return found[0].Fingerprint, nil
	}
	return protocol.Digest{}, fault.New(fault.Usage, fmt.Sprintf("%s has %d fingerprints in force", protocol.Escaped(text), len(found)), "name one of those that td admin claims lists")
}

package main

import (
	"context"
	"fmt"
	"io"

	"github.com/spf13/cobra"

	"github.com/terradourada/td/internal/admin"
	"github.com/terradourada/td/protocol"
)

// scope holds the flags that say what a freeze or a thaw covers.
type scope struct {
	issue, accept bool
	claim         string
	fingerprint   *identifier[protocol.Digest, *protocol.Digest]
}

func (s *scope) flags(cmd *cobra.Command, issue, accept string) {
	cmd.Flags().BoolVar(&s.issue, "issue", false, issue)
	cmd.Flags().BoolVar(&s.accept, "accept", false, accept)
	cmd.Flags().StringVar(&s.claim, "claim", "", "one claim, under every fingerprint of it (default all claims)")
	_ = cmd.RegisterFlagCompletionFunc("claim", completeClaim)
	s.fingerprint = fingerprintFlag(cmd, "one fingerprint, as td admin claims lists it")
	cmd.MarkFlagsMutuallyExclusive("claim", "fingerprint")
}

// value returns what the flags say. Without --issue and --accept it is both.
func (s *scope) value() admin.Scope {
	v := admin.Scope{Operation: "both", Claim: s.claim, Fingerprint: s.fingerprint.value}
	switch {
	case s.issue && !s.accept:
		v.Operation = "issue"
	case s.accept && !s.issue:
		v.Operation = "accept"
	}
	return v
}

func adminFreezeCommand(a *app) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "freeze",
		Short: "Stop issuing and accepting",
		Long: `Stops acceptance, then issuing, of all claims. When it returns, nothing is accepted any
more. Reading, verifying and receipts go on. The freeze survives a restart of the server.
It ends with td admin thaw for the same claim and operations, or after --for.

It never waits for a disk: if the journal cannot be written, the freeze holds in memory,
and the exit code is 0.`,
		Example: `  td admin freeze --reason "signer died twice, looking"
  td admin freeze --issue --for 2h --reason maintenance
  td admin freeze --claim range/1 --reason "report of a false receipt"`,
		Args: noArgs,
	}
	var s scope
	s.flags(cmd, "stop issuing only: no new requests", "stop acceptance only: nothing enters the log")
	until := spanFlag(cmd, "for", "how long, such as 2h; then the server thaws by itself (default until it is thawed)")
	return a.adminChange(&change{Command: cmd, do: func(ctx context.Context, c *admin.Conn, why admin.Reason, _ []string) (*outcome, error) {
		return outcomeOf(c.Freeze(ctx, admin.FreezeRequest{Reason: why, Scope: s.value(), For: until.millis()}))
	}})
}

func adminThawCommand(a *app) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "thaw",
		Short: "Start issuing and accepting again",
		Long: `Ends the freeze of the same claim and operations; td admin status prints the command.
Only a commander may do this. With the setting second_commander two are needed: the first
request changes nothing and ends with exit code 6; the same request of another commander
within 30 minutes thaws.`,
		Example: `  td admin thaw --reason "cause found and mended"
  td admin thaw --issue --yes --reason "maintenance is over"`,
		Args: noArgs,
	}
	var s scope
	s.flags(cmd, "a freeze of issuing", "a freeze of acceptance")
	return a.adminChange(&change{
		Command: cmd,
		risk:    func() string { return "what was stopped starts again" },
		do: func(ctx context.Context, c *admin.Conn, why admin.Reason, _ []string) (*outcome, error) {
			return outcomeOf(c.Thaw(ctx, admin.ThawRequest{Reason: why, Scope: s.value()}))
		},
	})
}

func adminSealCommand(a *app) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "seal",
		Short: "End the log, permanently",
		Long: `Ends the epochs in order, writes the seal and publishes the last checkpoint. Nothing
is issued or accepted in this log again, also after a restart. It is read and served
as before. On a terminal you type the origin of the log to confirm.

Pending requests may be answered for as long as --drain; then they are invalidated.`,
		Example: "  td admin seal --reason \"the service has ended\"",
		Args:    noArgs,
	}
	drain := spanFlag(cmd, "drain", "how long pending requests may be answered (default 1m)")
	return a.adminChange(&change{
		Command: cmd,
		risk:    func() string { return "this log never takes another entry" },
		word: func(ctx context.Context, c *admin.Conn) (string, error) {
			s, err := c.Status(ctx)
			if err != nil {
				return "", err
			}
			return s.Server.Origin, nil
		},
		do: func(ctx context.Context, c *admin.Conn, why admin.Reason, _ []string) (*outcome, error) {
			return outcomeOf(c.Seal(ctx, admin.SealRequest{Reason: why, Drain: drain.millis()}))
		},
	})
}

func adminRotateCommand(a *app) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "rotate",
		Short: "Replace the keys by new ones",
		Long: `Opens the next epoch: new keys in new processes. The old signer hands over and ends.
Requests of the old epoch can be answered until their deadlines, and none fails.

--now is for keys that may be known to others: the old processes end at once, without a
hand-over, and every pending request is invalidated.`,
		Example: `  td admin rotate --reason drill
  td admin rotate --now --reason "the signer may be compromised"`,
		Args: noArgs,
	}
	now := cmd.Flags().Bool("now", false, "end the old processes at once and invalidate what is pending")
	return a.adminChange(&change{
		Command: cmd,
		risk: func() string {
			if *now {
				return "every pending request is invalidated"
			}
			return ""
		},
		do: func(ctx context.Context, c *admin.Conn, why admin.Reason, _ []string) (*outcome, error) {
			how := "drain"
			if *now {
				how = "now"
			}
			return outcomeOf(c.Rotate(ctx, admin.RotateRequest{Reason: why, How: how}))
		},
	})
}

func adminReloadCommand(a *app) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "reload",
		Short: "Read settings and TLS certificate again",
		Long: `Reads the settings, tls_cert and tls_key again at once, as SIGHUP does. The
server also reads the certificate again when it changes.`,
		Example: "  td admin reload --reason \"certificate renewed\"",
		Args:    noArgs,
	}
	return a.adminChange(&change{Command: cmd, do: func(ctx context.Context, c *admin.Conn, why admin.Reason, _ []string) (*outcome, error) {
		return outcomeOf(c.Reload(ctx, admin.ReloadRequest{Reason: why}))
	}})
}

func adminBackupCommand(a *app) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "backup NAME",
		Short: "Write a copy of journal and log while the server runs",
		Long: `The server writes a consistent copy to its data directory, into backups/NAME, verifies
it, and prints its size and root. Move the copy to another machine from there.`,
		Example: "  td admin backup 2026-11-29 --reason nightly",
		Args:    oneArg("NAME"),
	}
	return a.adminChange(&change{Command: cmd, do: func(ctx context.Context, c *admin.Conn, why admin.Reason, args []string) (*outcome, error) {
		b, err := c.Backup(ctx, admin.BackupRequest{Reason: why, Name: args[0]})
		if err != nil {
			return nil, err
		}
		return &outcome{Done: b.Done, json: b, more: func(w io.Writer) {
			fmt.Fprintf(w, "directory\t%s\nsize\t%d\nroot\t%s\n", protocol.Escaped(b.Directory), b.Size, b.Root)
		}}, nil
	}})
}

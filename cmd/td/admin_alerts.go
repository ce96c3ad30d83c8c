package main

import (
	"context"
	"fmt"
	"io"
	"time"

	"github.com/spf13/cobra"

	"github.com/terradourada/td/internal/admin"
	"github.com/terradourada/td/internal/fault"
	"github.com/terradourada/td/internal/fsutil"
	"github.com/terradourada/td/internal/notify"
	"github.com/terradourada/td/internal/watch"
	"github.com/terradourada/td/protocol"
)

func adminAlertsCommand(a *app) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "alerts",
		Short: "List alerts and silences, and manage where alerts are sent",
		Long: `Lists the alerts that are pending, fire, or have ended within 15 minutes, and the
silences. Alerts are in the log of the server, too. They are sent to the sinks that td
admin alerts sinks lists, if the setting notify_allow names destinations.`,
		Example: "  td admin alerts\n  td admin alerts silence WrongTags --for 2h --reason \"new client\"",
	}
	adminList(cmd, func(*cobra.Command) readFunc {
		return func(ctx context.Context, c *admin.Conn, output *choice) error {
			list, err := c.Alerts(ctx)
			if err != nil {
				return err
			}
			return a.show(output, list, func(w io.Writer) error { return alertTable(w, list) })
		}
	})
	cmd.AddCommand(adminRulesCommand(a), adminSilenceCommand(a), adminUnsilenceCommand(a), adminFeedbackCommand(a),
		adminTestSinkCommand(a), adminSinksCommand(a))
	return cmd
}

func alertTable(w io.Writer, list *admin.AlertList) error {
	t := columns(w)
	if len(list.Alerts) == 0 {
		fmt.Fprintln(t, "no alert")
	} else {
		fmt.Fprintln(t, "ALERT\tSEVERITY\tSTATE\tRULE\tSCOPE\tVALUE\tWORST\tTHRESHOLD\tSINCE\tRUNBOOK\tHIDDEN")
	}
	for i := range list.Alerts {
		a := &list.Alerts[i]
		hidden := a.Hidden
		if hidden == "" {
			hidden = "-"
		}
		fmt.Fprintf(t, "%s\t%s\t%s\t%s\t%s\t%.4g\t%.4g\t%.4g\t%s\t%s\t%s\n", a.Fingerprint, a.Severity, a.State, a.Rule,
			protocol.Escaped(a.Scope), a.Value, a.Peak, a.Threshold, stamp(a.Since), a.Runbook, protocol.Escaped(hidden))
	}
	if list.Dropped > 0 {
		fmt.Fprintf(t, "\n%d times since the start an alert about a client or network found no place: each rule keeps 64\n", list.Dropped)
	}
	if len(list.Silences) > 0 {
		fmt.Fprintln(t, "\nSILENCE\tRULE\tSCOPE\tUNTIL\tAUTHOR\tREASON")
	}
	for i := range list.Silences {
		s := &list.Silences[i]
		fmt.Fprintf(t, "%s\t%s\t%s\t%s\t%s\t%s\n", s.ID, s.Rule, protocol.Escaped(s.Scope), stamp(s.Until), protocol.Escaped(s.Author), protocol.Escaped(s.Reason))
	}
	return t.Flush()
}

func adminRulesCommand(a *app) *cobra.Command {
	cmd := &cobra.Command{
		Use: "rules", Short: "List the alert rules in force with their thresholds", Args: noArgs,
		Long:    "Lists each rule with what it reads. The setting alert_rules changes thresholds, or switches\na rule off.",
		Example: "  td admin alerts rules\n  td admin alerts rules -o json",
	}
	return adminRead(cmd, func(ctx context.Context, c *admin.Conn, output *choice) error {
		list, err := c.AlertRules(ctx)
		if err != nil {
			return err
		}
		return printRows(a, output, list.Rules, "RULE\tSEVERITY\tFIRES\tCLEARS\tTICKS\tREADS", func(w io.Writer, r *admin.AlertRule) {
			fires, clears := "≥", "<"
			if r.Below {
				fires, clears = "≤", ">"
			}
			fmt.Fprintf(w, "%s\t%s\t%s %g\t%s %g\t%d\t%s\n", r.Name, r.Severity, fires, r.Fire, clears, r.Clear, r.Ticks, r.Reads)
		})
	})
}

func adminSilenceCommand(a *app) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "silence RULE",
		Short: "Do not send alerts of a rule, or of a scope, for a time",
		Long: `RULE is a rule, or "*" for every rule of the scope that --scope names. A silenced alert is
still listed. A silence lasts at most 7 days, survives a restart of the server, and is a
row of the audit with its author and reason.`,
		Example: "  td admin alerts silence WrongTagsOfClient --scope client:north --for 2h --reason \"new client\"",
		Args:    oneArg("RULE"),
	}
	scope := cmd.Flags().String("scope", "*", "server, client:NAME or network:PREFIX, as td admin alerts lists it (default every scope)")
	cmd.Flags().Lookup("scope").DefValue = ""
	lasts := span(time.Hour)
	cmd.Flags().Var(&lasts, "for", "how long, at most 7d")
	return a.adminChange(&change{Command: cmd, do: func(ctx context.Context, c *admin.Conn, why admin.Reason, args []string) (*outcome, error) {
		s, err := c.Silence(ctx, admin.SilenceRequest{Reason: why, Rule: args[0], Scope: *scope, For: lasts.millis()})
		if err != nil {
			return nil, err
		}
		return &outcome{Done: s.Done, json: s, more: func(w io.Writer) {
			fmt.Fprintf(w, "silence\t%s\nuntil\t%s\n", s.Silence.ID, stamp(s.Silence.Until))
		}}, nil
	}})
}

func adminUnsilenceCommand(a *app) *cobra.Command {
	cmd := &cobra.Command{
		Use: "unsilence ID", Short: "End a silence before its time", Args: oneArg("ID"),
		Long:    "ID is that of the silence, as td admin alerts lists it.",
		Example: "  td admin alerts unsilence 0011223344556677 --reason \"the test is over\"",
	}
	return a.adminChange(&change{Command: cmd, do: func(ctx context.Context, c *admin.Conn, why admin.Reason, args []string) (*outcome, error) {
		return outcomeOf(c.Unsilence(ctx, admin.UnsilenceRequest{Reason: why, ID: args[0]}))
	}})
}

func adminFeedbackCommand(a *app) *cobra.Command {
	verdict := &choice{value: watch.Useful, options: watch.Words()}
	cmd := &cobra.Command{
		Use: "feedback ALERT", Short: "Say whether an alert was useful", Args: oneArg("ALERT"),
		Long: `ALERT is the id of an alert, as td admin alerts lists it: one that is active, or has ended
within 30 minutes. The server counts verdicts for each rule.`,
		Example: "  td admin alerts feedback 0011223344556677 --verdict useless --reason \"our own load test\"",
	}
	cmd.Flags().Var(verdict, "verdict", "useful, useless (true, and no one had to know) or false")
	return a.adminChange(&change{Command: cmd, do: func(ctx context.Context, c *admin.Conn, why admin.Reason, args []string) (*outcome, error) {
		return outcomeOf(c.Feedback(ctx, admin.FeedbackRequest{Reason: why, Alert: args[0], Verdict: verdict.value}))
	}})
}

func adminTestSinkCommand(a *app) *cobra.Command {
	cmd := &cobra.Command{
		Use: "test SINK", Short: "Send a test to a sink, and show what its receiver answered", Args: oneArg("SINK"),
		Long: `SINK is the id of a sink, as td admin alerts sinks lists it. A webhook receives a message
of type alert.test, an Alertmanager the present state with the heartbeat.`,
		Example: "  td admin alerts test 00112233 --reason \"new receiver\"",
	}
	return a.adminChange(&change{Command: cmd, do: func(ctx context.Context, c *admin.Conn, why admin.Reason, args []string) (*outcome, error) {
		return outcomeOf(c.TestSink(ctx, admin.SinkRequest{Reason: why, ID: args[0]}))
	}})
}

func adminSinksCommand(a *app) *cobra.Command {
	cmd := &cobra.Command{
		Use: "sinks", Short: "List the sinks that alerts are sent to, with their deliveries",
		Long:    "Lists the sinks. Paths of URLs and secrets are not shown. The log of the server is a sink always.",
		Example: "  td admin alerts sinks\n  td admin alerts sinks add https://alerts.example.org/td --show --reason \"on call\"",
	}
	adminList(cmd, func(*cobra.Command) readFunc {
		return func(ctx context.Context, c *admin.Conn, output *choice) error {
			list, err := c.AlertSinks(ctx)
			if err != nil {
				return err
			}
			return printRows(a, output, list.Sinks, "SINK\tKIND\tTARGET\tWAITING\tDELIVERED\tFAILED\tDROPPED\tLAST SUCCESS\tLAST ERROR", sinkRow)
		}
	})
	cmd.AddCommand(adminAddSinkCommand(a), adminRemoveSinkCommand(a))
	return cmd
}

func sinkRow(w io.Writer, s *notify.Sink) {
	last := protocol.Escaped(s.LastError)
	if last == "" {
		last = "-"
	}
	fmt.Fprintf(w, "%s\t%s\t%s\t%d\t%d\t%d\t%d\t%s\t%s\n", s.ID, s.Kind, protocol.Escaped(s.Target), s.Waiting, s.Delivered, s.Failed, s.Dropped, stampOf(s.Success), last)
}

// newSink is what -o json prints of a new sink.
type newSink struct {
	admin.Done
	ID     string `json:"id"`
	Secret string `json:"secret,omitempty"` // with --show
	File   string `json:"secret_file,omitempty"`
}

func adminAddSinkCommand(a *app) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "add URL",
		Short: "Add a sink: a webhook, or an Alertmanager",
		Long: `URL is where a webhook (Standard Webhooks 1.0.0) receives messages, or the base of an
Alertmanager. The setting notify_allow must allow the host and port. The notifier draws
the secret that signs the messages to a webhook; it is shown once, or written to a new
file that only its owner can read.`,
		Example: `  td admin alerts sinks add https://alerts.example.org/td --secret-file s --reason "on call"
  td admin alerts sinks add http://127.0.0.1:9093 --kind alertmanager --reason "our Alertmanager"`,
		Args: oneArg("URL"),
	}
	kind := &choice{value: notify.KindWebhook, options: []string{notify.KindWebhook, notify.KindAlertmanager}}
	cmd.Flags().Var(kind, "kind", "what receives there")
	var k keyFlags
	cmd.Flags().StringVar(&k.file, "secret-file", "", "new file for the secret of a webhook, for its owner only")
	cmd.Flags().BoolVar(&k.show, "show", false, "print the secret, in place of a file")
	cmd.MarkFlagsMutuallyExclusive("secret-file", "show")
	check := func([]string) error {
		if kind.value != notify.KindWebhook {
			return nil
		}
		if !k.show && k.file == "" {
			return fault.New(fault.Usage, "the secret of a webhook needs a place: --secret-file FILE, or --show", "it is shown once")
		}
		return k.check()
	}
	return a.adminChange(&change{Command: cmd, check: check, do: func(ctx context.Context, c *admin.Conn, why admin.Reason, args []string) (*outcome, error) {
		s, err := c.AddSink(ctx, admin.AddSinkRequest{Reason: why, Kind: kind.value, URL: args[0]})
		if err != nil {
			return nil, err
		}
		return keepSink(&k, s)
	}})
}

// keepSink writes the secret of a new sink to its file, or prints it.
func keepSink(k *keyFlags, s *admin.NewSink) (*outcome, error) {
	o := newSink{Done: s.Done, ID: s.ID}
	switch {
	case s.Secret == "":
	case k.show:
		o.Secret = s.Secret
	default:
		o.File = k.file
		if err := fsutil.NewPrivate(k.file, []byte(s.Secret+"\n")); err != nil {
			f := fault.Of(err)
			return nil, fault.New(f.Exit, fmt.Sprintf("%s; the sink %s was added and its secret is lost", f.What, s.ID), "td admin alerts sinks remove "+s.ID)
		}
	}
	return &outcome{Done: s.Done, json: o, more: func(w io.Writer) {
		fmt.Fprintf(w, "sink\t%s\n", s.ID)
		if o.Secret != "" {
			fmt.Fprintf(w, "secret\t%s\n", o.Secret)
		}
		if o.File != "" {
			fmt.Fprintf(w, "secret file\t%s\n", o.File)
		}
	}}, nil
}

func adminRemoveSinkCommand(a *app) *cobra.Command {
	cmd := &cobra.Command{
		Use: "remove SINK", Short: "Remove a sink with its secret and what waits for it", Args: oneArg("SINK"),
		Example: "  td admin alerts sinks remove 00112233 --reason \"moved\"",
	}
	return a.adminChange(&change{Command: cmd, do: func(ctx context.Context, c *admin.Conn, why admin.Reason, args []string) (*outcome, error) {
		return outcomeOf(c.RemoveSink(ctx, admin.SinkRequest{Reason: why, ID: args[0]}))
	}})
}

package main

import (
	"context"
	"fmt"
	"reflect"
	"time"

	"github.com/spf13/cobra"

	"github.com/terradourada/td/api"
	"github.com/terradourada/td/client"
	"github.com/terradourada/td/internal/draft"
	"github.com/terradourada/td/internal/fault"
	"github.com/terradourada/td/internal/fsutil"
	"github.com/terradourada/td/internal/input"
	"github.com/terradourada/td/internal/remote"
	"github.com/terradourada/td/internal/termui"
	"github.com/terradourada/td/protocol"
)

// challengeFlags are the flags of "td challenge".
type challengeFlags struct {
	*draft.Subject
	server, token, private, out string
	request                     bool
	numbers                     []string
	retry                       time.Duration
}

func challengeCommand(a *app) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "challenge --claim ID --private FILE EVENT",
		Short: "Commit to an event and ask for a challenge",
		Long: `Commits to one event, asks the server for a challenge, checks it, and prints it as
JSON. What only you may know, event and blind, goes to the private file, which
td prove needs; nothing in the challenge discloses the event.

With --request nothing is sent: the request's body is printed, for
POST /v1/challenges by other means.

The same command may be run again, for example because the server was not reached or
the challenge expired: a private file about the same event is kept and its commitment
used again. With --out a challenge that is there already is kept, too, and the command
says until when it may be answered. A file about something else is never replaced.`,
		Example: `  td challenge --claim open/1 --private lot.private --out challenge.json event.json
  td challenge --claim open/1 --private lot.private --request event.json > request.json`,
		Args: oneArg("EVENT"),
	}
	f := challengeFlags{Subject: subjectFlags(cmd)}
	serverFlag(cmd, &f.server)
	retryFlag(cmd, &f.retry)
	tokenFlag(cmd, &f.token)
	cmd.Flags().StringVar(&f.private, "private", "", "file to keep event and blind in; one about something else is not replaced")
	cmd.Flags().StringVar(&f.out, "out", "", "file for the challenge, never replaced (default standard output)")
	cmd.Flags().BoolVar(&f.request, "request", false, "print the request's body and send nothing")
	numbersFlag(cmd, &f.numbers)
	_ = cmd.MarkFlagRequired("private")
	cmd.RunE = func(cmd *cobra.Command, args []string) error { return a.challenge(cmd.Context(), &f, args[0]) }
	return cmd
}

func (a *app) challenge(ctx context.Context, f *challengeFlags, event string) error {
	token, err := remote.ReadToken(f.token)
	if err != nil {
		return err
	}
	sub, err := f.Load()
	if err != nil {
		return err
	}
	e, err := input.One(input.Options{
		Name: event, Stdin: a.stdin, Command: "td challenge ... -", Flags: input.Flags{NumbersFromText: f.numbers},
	})
	if err != nil {
		return err
	}
	sub.Event = e.Text
	d, err := client.NewDraft(sub, protocol.Element{})
	if err != nil {
		return err
	}
	if f.out != "" && fsutil.Exists(f.out) {
		return a.keptChallenge(f, d)
	}
	if d, err = a.keepDraft(f, d); err != nil {
		return err
	}
	if e.Numbers > 0 {
		fmt.Fprintf(a.stderr, "%s from texts before the event was committed to\n", termui.Count(e.Numbers, "number"))
	}
	if f.request {
		return a.writeJSON(f.out, d.Request())
	}
	server, err := remote.DialToken(f.server, token, a.patience(f.retry))
	if err != nil {
		return err
	}
	ch, err := server.Challenge(ctx, d.Request())
	if err == nil {
		_, err = d.Check(ch, server.ClientID())
	}
	if err != nil {
		return server.Failure(ctx, err)
	}
	return a.writeJSON(f.out, ch)
}

// keptChallenge reports on the challenge of an earlier run, which is never replaced: its
// answer may be in the log, and only the challenge names the request.
func (a *app) keptChallenge(f *challengeFlags, d *client.Draft) error {
	taken := func(hint string) error {
		return fault.New(fault.Usage, fmt.Sprintf("%s exists already and is not replaced", f.out), hint)
	}
	kept, _, err := draft.Read(f.private, f.Member, f.List)
	if err != nil || !sameDraft(kept, d) {
		return taken("it is not about this event and " + f.private + "; name another file, or move that one away")
	}
	ch, err := a.readChallenge(f.out)
	if err == nil {
		_, err = kept.Check(ch, protocol.LocalClient)
	}
	switch {
	case err != nil:
		return taken("it is not a challenge for " + f.private + "; name another file, or move that one away")
	case time.Now().After(ch.ExpiresAt):
		return taken(fmt.Sprintf("it is the challenge for %s and expired at %s; if it was answered, td send returns the receipt; else name another file", f.private, ch.ExpiresAt.UTC().Format(time.RFC3339)))
	}
	fmt.Fprintf(a.stderr, "%s holds the challenge for %s already, until %s; nothing was sent\n", f.out, f.private, ch.ExpiresAt.UTC().Format(time.RFC3339))
	return nil
}

// keepDraft writes the private file. A file of this name that is about the same stays as it
// is, and its draft is returned: an earlier run may have got a challenge for it.
func (a *app) keepDraft(f *challengeFlags, d *client.Draft) (*client.Draft, error) {
	if !fsutil.Exists(f.private) {
		return d, draft.Write(f.private, d)
	}
	kept, _, err := draft.Read(f.private, f.Member, f.List)
	if err != nil || !sameDraft(kept, d) {
		return nil, fault.New(fault.Usage, fmt.Sprintf("%s exists already and is not replaced", f.private),
			"it is not about this event, claim, parameters and lifetime; name another file, or move that one away")
	}
	fmt.Fprintf(a.stderr, "note: %s is about this event already; its commitment is used again\n", f.private)
	return kept, nil
}

// sameDraft reports whether two drafts differ in their blinds only.
func sameDraft(a, b *client.Draft) bool {
	x, y := a.Request(), b.Request()
	x.Commitment, y.Commitment = protocol.Commitment{}, protocol.Commitment{}
	return reflect.DeepEqual(x, y) && a.Opening(&api.Challenge{}).Event == b.Opening(&api.Challenge{}).Event
}

// subjectFlags adds the flags that say what is claimed.
func subjectFlags(cmd *cobra.Command) *draft.Subject {
	s := &draft.Subject{}
	f := cmd.Flags()
	f.StringVar(&s.Claim, "claim", "", "claim id, as td claims lists them; with --member it is group/1")
	f.StringVar(&s.Params, "params", "", "file with the claim's parameters in JSON; open/1 needs none")
	f.DurationVar(&s.TTL, "ttl", 0, "lifetime of a challenge, 1s to 10m (default as the server has it)")
	memberFlags(cmd, &s.Member, &s.List)
	f.StringVar(&s.Scope, "scope", "", "group/1: what is answered, for example board/2026-11; or in the parameters")
	_ = cmd.RegisterFlagCompletionFunc("claim", cobra.FixedCompletions(draft.ClaimIDs(), cobra.ShellCompDirectiveNoFileComp))
	return s
}

// numbersFlag adds the flag that changes events before they are committed to.
func numbersFlag(cmd *cobra.Command, pointers *[]string) {
	cmd.Flags().StringArrayVar(pointers, "numbers-from-text", nil, "JSON Pointer of integers that the event has as texts; they become numbers before it is committed to; may be given several times")
}

// inputFlags adds the flags that say how a file of events is read.
func inputFlags(cmd *cobra.Command, f *input.Flags) {
	cmd.Flags().BoolVar(&f.CSV, "csv", false, "the input is CSV; its first row has the names of the members")
	cmd.Flags().BoolVar(&f.DecimalComma, "decimal-comma", false, "numbers in CSV are written 21,5")
	numbersFlag(cmd, &f.NumbersFromText)
}

// memberFlags adds the flags that say who proves, for group/1.
func memberFlags(cmd *cobra.Command, member, list *string) {
	cmd.Flags().StringVar(member, "member", "", "group/1: file with the member's secret, which stays on this machine")
	cmd.Flags().StringVar(list, "list", "", "group/1: file with the member list")
}

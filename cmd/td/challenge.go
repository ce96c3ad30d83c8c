package main

import (
	"context"
	"fmt"

	"github.com/spf13/cobra"

	"github.com/terradourada/td/client"
	"github.com/terradourada/td/internal/draft"
	"github.com/terradourada/td/internal/fault"
	"github.com/terradourada/td/internal/fsutil"
	"github.com/terradourada/td/internal/remote"
	"github.com/terradourada/td/protocol"
)

// challengeFlags are the flags of "td challenge".
type challengeFlags struct {
	*draft.Subject
	server, token, private string
	request                bool
}

func challengeCommand(a *app) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "challenge --claim ID --private FILE EVENT",
		Short: "Commit to an event and ask for a challenge",
		Long: `Commits to one event, asks the server for a challenge, checks it, and prints it as
JSON. What only you may know, event and blind, goes to the private file, which
td prove needs; nothing in the challenge discloses the event.

With --request nothing is sent: the request's body is printed, for
POST /v1/challenges by other means.`,
		Example: `  td challenge --claim open/1 --private lot.private event.json > challenge.json
  td challenge --claim open/1 --private lot.private --request event.json > request.json`,
		Args: oneArg("EVENT"),
	}
	f := challengeFlags{Subject: subjectFlags(cmd)}
	serverFlag(cmd, &f.server)
	tokenFlag(cmd, &f.token)
	cmd.Flags().StringVar(&f.private, "private", "", "file to keep event and blind in; it must not exist yet")
	cmd.Flags().BoolVar(&f.request, "request", false, "print the request's body and send nothing")
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
	if sub.Event, err = fsutil.ReadInput(event, a.stdin, protocol.MaxJSONSize+1); err != nil {
		return err
	}
	d, err := client.NewDraft(sub, protocol.Element{})
	if err != nil {
		return err
	}
	if fsutil.Exists(f.private) {
		return fault.New(fault.Usage, fmt.Sprintf("%s exists already and is not replaced", f.private), "name another file, or move that one away")
	}
	if err := draft.Write(f.private, d); err != nil {
		return err
	}
	if f.request {
		return a.printJSON(d.Request())
	}
	server, err := remote.DialToken(f.server, token)
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
	return a.printJSON(ch)
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

// memberFlags adds the flags that say who proves, for group/1.
func memberFlags(cmd *cobra.Command, member, list *string) {
	cmd.Flags().StringVar(member, "member", "", "group/1: file with the member's secret, which stays on this machine")
	cmd.Flags().StringVar(list, "list", "", "group/1: file with the member list")
}

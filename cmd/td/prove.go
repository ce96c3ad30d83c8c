package main

import (
	"context"

	"github.com/spf13/cobra"

	"github.com/terradourada/td/api"
	"github.com/terradourada/td/internal/draft"
	"github.com/terradourada/td/internal/fault"
	"github.com/terradourada/td/internal/fsutil"
	"github.com/terradourada/td/internal/remote"
	"github.com/terradourada/td/internal/submit"
	"github.com/terradourada/td/internal/termui"
)

// proveFlags are the flags of "td prove".
type proveFlags struct {
	challenge, private, opening, out string
	member, list, token              string
}

func proveCommand(a *app) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "prove --challenge FILE --private FILE",
		Short: "Prove for a challenge",
		Long: `Checks a challenge against the private file that td challenge has written, and
refuses one that differs from what was asked for. Then it proves and prints the
664 bytes of the proof. No network is used.`,
		Example: `  td prove --challenge challenge.json --private lot.private --opening lot.opening > proof.bin`,
		Args:    noArgs,
	}
	var f proveFlags
	fl := cmd.Flags()
	fl.StringVar(&f.challenge, "challenge", "", "file with the challenge, - for standard input")
	fl.StringVar(&f.private, "private", "", "private file of the challenge")
	fl.StringVar(&f.opening, "opening", "", "also write the opening, which discloses the event with the receipt; it must not exist yet")
	fl.StringVar(&f.out, "out", "", "file for the proof (default standard output)")
	memberFlags(cmd, &f.member, &f.list)
	tokenFlag(cmd, &f.token)
	_, _ = cmd.MarkFlagRequired("challenge"), cmd.MarkFlagRequired("private")
	cmd.RunE = func(cmd *cobra.Command, _ []string) error { return a.prove(cmd.Context(), &f) }
	return cmd
}

func (a *app) prove(ctx context.Context, f *proveFlags) error {
	if f.out == "" && termui.IsTerminal(a.stdout) {
		return fault.New(fault.Usage, "a proof is 664 bytes that no terminal can show", "add > proof.bin, or --out proof.bin")
	}
	ch, err := a.readChallenge(f.challenge)
	if err != nil {
		return err
	}
	d, sub, err := draft.Read(f.private, f.member, f.list)
	if err != nil {
		return err
	}
	token, err := remote.ReadToken(f.token)
	if err != nil {
		return err
	}
	if _, err := d.Check(ch, token.ClientID()); err != nil {
		return fault.New(fault.Negative, err.Error(), "nothing was proved; give the private file that this challenge was asked for with, or ask for a new challenge")
	}
	prover, err := submit.NewProver(sub)
	if err != nil {
		return err
	}
	proof, err := d.Prove(ctx, prover, ch, token.ClientID())
	if err != nil {
		return err
	}
	if f.opening != "" {
		if err := draft.WriteOpening(f.opening, d.Opening(ch)); err != nil {
			return err
		}
	}
	return a.writeOut(f.out, proof)
}

// readChallenge reads the server's answer from a file, or from standard input.
func (a *app) readChallenge(name string) (*api.Challenge, error) {
	raw, err := fsutil.ReadInput(name, a.stdin, api.MaxChallengeBody)
	if err != nil {
		return nil, err
	}
	return draft.ParseChallenge(name, raw)
}

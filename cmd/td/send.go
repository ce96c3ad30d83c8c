package main

import (
	"context"
	"fmt"

	"github.com/spf13/cobra"

	"github.com/terradourada/td/api"
	"github.com/terradourada/td/internal/fault"
	"github.com/terradourada/td/internal/fsutil"
	"github.com/terradourada/td/internal/submit"
	"github.com/terradourada/td/protocol"
	"github.com/terradourada/td/receipt"
)

// sendFlags are the flags of "td send".
type sendFlags struct {
	receiptFlags
	challenge, proof string
}

func sendCommand(a *app) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "send --challenge FILE --proof FILE",
		Short: "Send a proof and wait for the receipt",
		Long: `Answers a challenge with its tag and a proof, verifies the receipt and prints it.
Sending the same proof again is safe and returns the receipt again, also after the
server was restarted; another proof for a request that was answered returns the same
receipt. If the file of --out holds the receipt of this request already, it is verified
and nothing is sent; any other file of that name is never replaced. The checkpoint of
the receipt is recorded in the trust store, so that td verify needs no server. As with
td submit, the server must be reached by https or on this machine, unless
--allow-self-asserted is given.`,
		Example: `  td send --challenge challenge.json --proof proof.bin > receipt.json`,
		Args:    noArgs,
	}
	var f sendFlags
	fl := cmd.Flags()
	fl.StringVar(&f.challenge, "challenge", "", "file with the challenge")
	fl.StringVar(&f.proof, "proof", "", "file with the proof, - for standard input")
	f.register(cmd)
	_, _ = cmd.MarkFlagRequired("challenge"), cmd.MarkFlagRequired("proof")
	cmd.RunE = func(cmd *cobra.Command, _ []string) error { return a.send(cmd.Context(), &f) }
	return cmd
}

func (a *app) send(ctx context.Context, f *sendFlags) error {
	answer, err := a.answer(f)
	if err != nil {
		return err
	}
	answer.Accepted = func(index uint64) {
		fmt.Fprintf(a.stderr, "request %s is accepted as leaf %d\n", answer.Challenge.RequestID, index)
	}
	if f.out != "" && fsutil.Exists(f.out) {
		report, err := answer.Kept(ctx, f.out)
		if err != nil {
			return err
		}
		fmt.Fprintf(a.stderr, "%s holds its receipt already; nothing was sent\n", f.out)
		a.noteReceipt(report)
		return nil
	}
	got, report, err := answer.Send(ctx)
	if err != nil {
		return err
	}
	a.noteReceipt(report)
	return a.writeReceipt(f.out, got)
}

// noteReceipt prints what a person should know about a receipt that is kept.
func (a *app) noteReceipt(report *receipt.Report) {
	a.warn(report.Warnings)
	if report.Vouched == nil {
		fmt.Fprintln(a.stderr, "the receipt is unvouched: nothing shows whose log it is")
	}
}

// answer reads what the flags name; nothing is sent.
func (a *app) answer(f *sendFlags) (answer submit.Answer, err error) {
	if answer.Challenge, err = a.readChallenge(f.challenge); err != nil {
		return answer, err
	}
	if answer.Proof, err = fsutil.ReadInput(f.proof, a.stdin, api.MaxProofBody); err != nil {
		return answer, err
	}
	if n := len(answer.Proof); n != protocol.ProofSize {
		return answer, fault.New(fault.Usage, fmt.Sprintf("%s is not a proof: it has %d bytes and not %d", f.proof, n, protocol.ProofSize), "td prove writes one")
	}
	answer.Wait = f.wait
	answer.Server, answer.Verify, err = f.open(a)
	return answer, err
}

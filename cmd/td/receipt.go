package main

import (
	"context"
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"github.com/terradourada/td/internal/fault"
	"github.com/terradourada/td/internal/fsutil"
	"github.com/terradourada/td/internal/remote"
	"github.com/terradourada/td/internal/submit"
	"github.com/terradourada/td/protocol"
	"github.com/terradourada/td/receipt"
)

// receiptFlags are the flags of the commands that get one receipt from a server, verify and
// record it: "td receipt" and "td send".
type receiptFlags struct {
	server, user, token string
	trust, out          string
	lists               []string
	wait, retry         time.Duration
	selfAsserted        bool
}

func (f *receiptFlags) register(cmd *cobra.Command) {
	fl := cmd.Flags()
	fl.StringVar(&f.out, "out", "", "file for the receipt, never replaced (default standard output)")
	serverFlag(cmd, &f.server)
	retryFlag(cmd, &f.retry)
	tokenFlag(cmd, &f.token)
	serverUserFlag(cmd, &f.user)
	trustFlag(cmd, &f.trust)
	fl.StringArrayVar(&f.lists, "list", nil, "member list that group/1 is about, beside those in the trust store; may be given several times")
	fl.DurationVar(&f.wait, "wait", submit.ReceiptWait, "how long to wait for the receipt")
	selfAssertedFlag(cmd, &f.selfAsserted)
}

// open returns the server, and how its receipts are verified. Nothing is sent.
func (f *receiptFlags) open(a *app) (*remote.Server, receipt.Options, error) {
	var o receipt.Options
	token, err := remote.ReadToken(f.token)
	if err != nil {
		return nil, o, err
	}
	server, err := remote.DialLive(f.server, f.user, token, f.selfAsserted, a.patience(f.retry))
	if err != nil {
		return nil, o, err
	}
	trust, err := remote.OpenTrust(f.trust)
	if err != nil {
		return nil, o, err
	}
	lists, err := remote.KnownLists(trust, f.lists)
	o = receipt.Options{Trust: trust, Lists: receipt.NewLists(lists...), AllowSelfAsserted: f.selfAsserted}
	return server, o, err
}

func receiptCommand(a *app) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "receipt REQUEST_ID",
		Short: "Get the receipt of an accepted request again",
		Long: `Gets the receipt of an accepted request, verifies it and prints it. Use it if a
receipt was lost, or to get the signatures that cosigners have made since; the old
receipt stays valid. The server has the receipts for as long as it has its log. The
checkpoint of the receipt is recorded in the trust store. As with td submit, the server
must be reached by https or on this machine, unless --allow-self-asserted is given.`,
		Example: `  td receipt 00112233445566778899aabbccddeeff > receipt.json`,
		Args:    oneArg("REQUEST_ID"),
	}
	var f receiptFlags
	f.register(cmd)
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		id, err := protocol.Parse[protocol.RequestID](args[0])
		if err != nil {
			return fault.New(fault.Usage, "that is not a request id, which has 32 hexadecimal digits", "the receipt, the challenge and the output of td submit have it")
		}
		return a.receipt(cmd.Context(), id, &f)
	}
	return cmd
}

func (a *app) receipt(ctx context.Context, id protocol.RequestID, f *receiptFlags) error {
	if f.out != "" && fsutil.Exists(f.out) {
		return fault.New(fault.Usage, f.out+" exists already and is not replaced", "name another file, or move that one away")
	}
	server, options, err := f.open(a)
	if err != nil {
		return err
	}
	got, report, err := submit.Fetch(ctx, server, id, f.wait, options)
	if err != nil {
		return err
	}
	a.noteReceipt(report)
	return a.writeReceipt(f.out, got)
}

// writeReceipt writes a receipt to a file that is not there yet, or to standard output.
func (a *app) writeReceipt(out string, r *receipt.Receipt) error {
	raw, err := r.Encode()
	if err != nil {
		return fmt.Errorf("encode the receipt: %w", err)
	}
	if out == "" {
		raw = append(raw, '\n')
	}
	return a.writeOut(out, raw)
}

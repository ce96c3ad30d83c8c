package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/spf13/cobra"

	"github.com/terradourada/td/api"
	"github.com/terradourada/td/claim"
	"github.com/terradourada/td/client"
	"github.com/terradourada/td/internal/fault"
	"github.com/terradourada/td/internal/fsutil"
	"github.com/terradourada/td/internal/memberlist"
	"github.com/terradourada/td/internal/remote"
	"github.com/terradourada/td/internal/submit"
	"github.com/terradourada/td/internal/termui"
	"github.com/terradourada/td/protocol"
	"github.com/terradourada/td/receipt"
)

// The three steps of "td submit" singly: challenge, prove, send.

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
	s, server := subjectFlags(cmd), serverFlag(cmd)
	private := cmd.Flags().String("private", "", "file to keep event and blind in; it must not exist yet")
	request := cmd.Flags().Bool("request", false, "print the request's body and send nothing")
	_ = cmd.MarkFlagRequired("private")
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		draft, err := a.newDraft(s, args[0])
		if err != nil {
			return err
		}
		if fsutil.Exists(*private) {
			return fault.New(fault.Usage, fmt.Sprintf("%s exists already and is not replaced", *private), "name another file, or move that one away")
		}
		if err := draftOf(draft).write(*private); err != nil {
			return err
		}
		if *request {
			return a.printJSON(draft.Request())
		}
		return a.challenge(cmd.Context(), draft, *server)
	}
	return cmd
}

// newDraft commits to one event.
func (a *app) newDraft(s *subject, name string) (*client.Draft, error) {
	sub, err := s.load()
	if err != nil {
		return nil, err
	}
	if sub.Event, err = a.readInput(name, protocol.MaxJSONSize+1); err != nil {
		return nil, err
	}
	return client.NewDraft(sub, protocol.Element{})
}

func (a *app) challenge(ctx context.Context, draft *client.Draft, address string) error {
	server, err := remote.Dial(address)
	if err != nil {
		return err
	}
	ch, err := server.Challenge(ctx, draft.Request())
	if err != nil {
		return server.Failure(ctx, err)
	}
	if _, err := draft.Check(ch, protocol.LocalClient); err != nil {
		return server.Failure(ctx, err)
	}
	return a.printJSON(ch)
}

// printJSON prints one value on one line, leaving "<", ">" and "&" alone.
func (a *app) printJSON(v any) error {
	var buf bytes.Buffer
	enc := json.NewEncoder(&buf)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(v); err != nil {
		return err
	}
	_, err := a.stdout.Write(buf.Bytes())
	return err
}

// readInput reads a file of bounded size, or standard input for "-".
func (a *app) readInput(name string, limit int64) ([]byte, error) {
	if name != "-" {
		return fsutil.ReadFile(name, limit)
	}
	b, err := io.ReadAll(io.LimitReader(a.stdin, limit+1))
	if err != nil {
		return nil, fault.New(fault.Unexpected, fmt.Sprintf("standard input cannot be read: %v", err), "")
	}
	if int64(len(b)) > limit {
		return nil, fault.New(fault.Usage, fmt.Sprintf("standard input is larger than %d bytes", limit), "")
	}
	return b, nil
}

// proveFlags are the flags of "td prove".
type proveFlags struct {
	challenge, private, opening, out *string
	who                              subject // member and list
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
	fl := cmd.Flags()
	f := proveFlags{
		challenge: fl.String("challenge", "", "file with the challenge, - for standard input"),
		private:   fl.String("private", "", "private file of the challenge"),
		opening:   fl.String("opening", "", "also write the opening, which discloses the event with the receipt; it must not exist yet"),
		out:       fl.String("out", "", "file for the proof (default standard output)"),
	}
	memberFlags(cmd, &f.who)
	_, _ = cmd.MarkFlagRequired("challenge"), cmd.MarkFlagRequired("private")
	cmd.RunE = func(cmd *cobra.Command, _ []string) error { return a.prove(cmd.Context(), &f) }
	return cmd
}

func (a *app) prove(ctx context.Context, f *proveFlags) error {
	if *f.out == "" && termui.IsTerminal(a.stdout) {
		return fault.New(fault.Usage, "a proof is 664 bytes that no terminal can show", "add > proof.bin, or --out proof.bin")
	}
	ch, err := a.readChallenge(*f.challenge)
	if err != nil {
		return err
	}
	draft, sub, err := f.draft()
	if err != nil {
		return err
	}
	if _, err := draft.Check(ch, protocol.LocalClient); err != nil {
		return fault.New(fault.Negative, err.Error(), "nothing was proved; ask for a new challenge, by a way on which it is not changed")
	}
	prover, err := submit.NewProver(sub)
	if err != nil {
		return err
	}
	proof, err := draft.Prove(ctx, prover, ch, protocol.LocalClient)
	if err != nil {
		return err
	}
	if *f.opening != "" {
		if err := newOpening(*f.opening, draft.Opening(ch)); err != nil {
			return err
		}
	}
	if *f.out != "" {
		return fsutil.WriteFile(*f.out, proof, 0o644)
	}
	_, err = a.stdout.Write(proof)
	return err
}

// draft takes up the draft, and gives what its prover needs to know.
func (f *proveFlags) draft() (*client.Draft, *client.Submission, error) {
	sub := &client.Submission{}
	var err error
	if f.who.list != "" {
		if sub.List, err = memberlist.Read(f.who.list); err != nil {
			return nil, nil, err
		}
	}
	if f.who.member != "" {
		if sub.Secret, err = readMember(f.who.member); err != nil {
			return nil, nil, err
		}
	}
	draft, id, err := readDraft(*f.private, sub.Secret, sub.List)
	sub.Claim = id
	if id == claim.Group && (sub.List == nil || sub.Secret == nil) {
		return nil, nil, fault.New(fault.Usage, "group/1 needs the member's secret and the member list", "--member FILE --list FILE")
	}
	return draft, sub, err
}

func newOpening(path string, o *receipt.Opening) error {
	b, err := o.Encode()
	if err != nil {
		return err
	}
	return fsutil.NewPrivate(path, b)
}

// sendFlags are the flags of "td send".
type sendFlags struct {
	challenge, proof, out *string
	server, user, trust   *string
	lists                 *[]string
	wait                  *time.Duration
	selfAsserted          *bool
}

func sendCommand(a *app) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "send --challenge FILE --proof FILE",
		Short: "Send a proof and wait for the receipt",
		Long: `Answers a challenge with its tag and a proof, verifies the receipt and prints it.
Sending the same proof again is safe and gives the receipt again, also after the
server was started anew. The checkpoint of the receipt is recorded in the trust
store, so that td verify needs no server. As with td submit, the server must be
reached by https or on this machine, unless --allow-self-asserted is given.`,
		Example: `  td send --challenge challenge.json --proof proof.bin > receipt.json`,
		Args:    noArgs,
	}
	fl := cmd.Flags()
	f := sendFlags{
		challenge: fl.String("challenge", "", "file with the challenge"),
		proof:     fl.String("proof", "", "file with the proof, - for standard input"),
		out:       fl.String("out", "", "file for the receipt (default standard output)"),
		server:    serverFlag(cmd),
		user:      serverUserFlag(cmd),
		trust:     trustFlag(cmd),
		lists:     fl.StringArray("list", nil, "member list that group/1 is about, beside those in the trust store; may be given several times"),
		wait:      fl.Duration("wait", submit.ReceiptWait, "how long to wait for the receipt"),

		selfAsserted: selfAssertedFlag(cmd),
	}
	_, _ = cmd.MarkFlagRequired("challenge"), cmd.MarkFlagRequired("proof")
	cmd.RunE = func(cmd *cobra.Command, _ []string) error { return a.send(cmd.Context(), &f) }
	return cmd
}

func (a *app) send(ctx context.Context, f *sendFlags) error {
	ch, err := a.readChallenge(*f.challenge)
	if err != nil {
		return err
	}
	proof, err := a.readInput(*f.proof, api.MaxProofBody)
	if err != nil {
		return err
	}
	if len(proof) != protocol.ProofSize {
		return fault.New(fault.Usage, fmt.Sprintf("%s is not a proof: it has %d bytes and not %d", *f.proof, len(proof), protocol.ProofSize), "td prove writes one")
	}
	server, err := remote.DialLive(*f.server, *f.user, *f.selfAsserted)
	if err != nil {
		return err
	}
	trust, err := remote.OpenTrust(*f.trust)
	if err != nil {
		return err
	}
	lists, err := knownLists(trust, *f.lists)
	if err != nil {
		return err
	}
	got, err := a.answer(ctx, server, ch, proof, *f.wait)
	if err != nil {
		return err
	}
	o := receipt.Options{Trust: trust, Lists: receipt.NewLists(lists...), AllowSelfAsserted: *f.selfAsserted}
	report, err := receipt.RecordAndVerify(ctx, got, o, client.NewLog(server.Client), server.Source(), time.Now())
	if bad := new(receipt.NegativeError); errors.As(err, &bad) {
		return fault.New(remote.ExitOf(bad.Verdict), bad.Error(), remote.AdviceOnReceipt(bad, server))
	}
	if err != nil {
		return server.Failure(ctx, err)
	}
	a.warn(report.Warnings)
	if report.Vouched == nil {
		fmt.Fprintln(a.stderr, "the receipt is unvouched: nothing shows whose log it is")
	}
	return a.giveReceipt(*f.out, got)
}

// answer sends a proof and gets the receipt. A server that was started again
// has forgotten the request, but not that it accepted it.
func (a *app) answer(ctx context.Context, server *remote.Server, ch *api.Challenge, proof []byte, wait time.Duration) (*receipt.Receipt, error) {
	accepted, refused := server.Send(ctx, ch.RequestID, ch.Tag, proof, 0)
	if refused != nil && !errors.Is(refused, protocol.CodeSubmissionRejected) {
		return nil, newChallenge(server.Failure(ctx, refused))
	}
	if refused != nil {
		wait = min(wait, lookupWait)
	}
	got, err := server.Receipt(ctx, ch.RequestID, wait)
	switch {
	case refused != nil && errors.Is(err, protocol.CodeNotFound):
		return nil, newChallenge(server.Failure(ctx, refused))
	case err != nil:
		return nil, server.Failure(ctx, err)
	}
	var index uint64
	if refused == nil {
		index = accepted.Index
	} else if leaf, err := protocol.ParseLeaf(got.Leaf); err == nil {
		index = leaf.Seq
	}
	if err := ownReceipt(got, ch, index); err != nil {
		return nil, err
	}
	fmt.Fprintf(a.stderr, "request %s is accepted as leaf %d\n", ch.RequestID, index)
	return got, nil
}

// lookupWait is how long a refused answer's receipt is asked for: a leaf of the
// server's last moments is published soon after its next start.
const lookupWait = 5 * time.Second

// newChallenge adds to a refusal that ends a request how to go on.
func newChallenge(err error) error {
	if f := new(fault.Fault); errors.As(err, &f) && f.Hint == "" && f.Exit == fault.Negative && f.Code != protocol.CodeAlreadyConsumed {
		f.Hint = "begin again with td challenge and a new private file"
	}
	return err
}

// ownReceipt sees that a receipt is about the challenge and the leaf that was
// acknowledged.
func ownReceipt(got *receipt.Receipt, ch *api.Challenge, index uint64) error {
	leaf, err := protocol.ParseLeaf(got.Leaf)
	if err != nil {
		return fault.New(fault.Negative, "the server gave a receipt that does not verify: "+remote.Detail(err), remote.DoNotRely)
	}
	body, ok := leaf.Body.(*protocol.Accepted)
	if !ok || body.Payload != protocol.EncodedPayload(ch.Payload) || leaf.Seq != index {
		return fault.New(fault.Negative, "the server gave a receipt about another request", remote.DoNotRely)
	}
	return nil
}

// giveReceipt writes a receipt to a file or to standard output.
func (a *app) giveReceipt(path string, got *receipt.Receipt) error {
	raw, err := got.Encode()
	if err != nil {
		return err
	}
	if path != "" {
		return fsutil.WriteFile(path, raw, 0o644)
	}
	_, err = fmt.Fprintf(a.stdout, "%s\n", raw)
	return err
}

// Package demo is the engine of "td demo": it starts a server, gets a receipt for
// one event of each claim, attacks the server, stops it, and verifies every
// receipt offline.
package demo

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"time"

	"github.com/terradourada/td/claim"
	"github.com/terradourada/td/client"
	"github.com/terradourada/td/internal/localserver"
	"github.com/terradourada/td/internal/submit"
	"github.com/terradourada/td/protocol"
	"github.com/terradourada/td/receipt"
)

// Options say how to run.
type Options struct {
	Out      string    // where the trust store and the receipts are kept; "" keeps none
	Progress io.Writer // the course of the run, in lines
}

// Report is the outcome of a run.
type Report struct {
	Accepted        []Accepted `json:"accepted"`
	Refused         []Refused  `json:"refused"`
	Verified        int        `json:"verified"`
	TamperedRefused int        `json:"tampered_refused"`
}

// Accepted is an event that was accepted, with its receipt.
type Accepted struct {
	Claim     claim.ID           `json:"claim"`
	RequestID protocol.RequestID `json:"request_id"`
	Index     uint64             `json:"index"`
	Receipt   json.RawMessage    `json:"receipt"`
}

// Refused is an attack that was refused.
type Refused struct {
	Attack string        `json:"attack"`
	Code   protocol.Code `json:"code"`
	// For parallel_64: how many of the 64 got the index, and how many were
	// refused with conflict or already_consumed.
	SameReceipt int `json:"same_receipt,omitempty"`
	TurnedAway  int `json:"turned_away,omitempty"`
}

// demo is one run.
type demo struct {
	Options
	trust *receipt.TrustStore

	dir      string
	server   *localserver.Server
	client   *client.Client
	log      *client.Log
	prover   *claim.Prover
	members  []claim.MemberSecret
	list     *claim.List
	report   Report
	receipts []*receipt.Receipt
}

func (d *demo) say(format string, args ...any) { fmt.Fprintf(d.Progress, format+"\n", args...) }

// Run runs the demo. An attack that is not refused with its code, and a receipt
// that does not verify, are errors.
func Run(ctx context.Context, o Options) (*Report, error) {
	d := &demo{Options: o}
	dir, err := os.MkdirTemp("", "td-demo-")
	if err != nil {
		return nil, err
	}
	defer os.RemoveAll(dir)
	d.dir = dir
	if d.trust, err = receipt.OpenTrust(filepath.Join(cmp.Or(d.Out, dir), "trust")); err != nil {
		return nil, err
	}
	if err := d.makeList(); err != nil {
		return nil, err
	}
	d.say("starting core, signer, tagger and prover on loopback ...")
	if d.server, err = localserver.Start(ctx, "--listen", "127.0.0.1:0", "--data", filepath.Join(dir, "data"), "--group", filepath.Join(dir, "list.json")); err != nil {
		return nil, err
	}
	defer d.server.Kill()
	if d.client, err = client.New(d.server.URL(), client.Config{Retries: -1, LiveOnly: true}); err != nil {
		return nil, err
	}
	d.log = client.NewLog(d.client)
	d.say("server ready at %s", d.server.URL())
	for _, part := range []func(context.Context) error{d.prepare, d.acceptAll, d.attack, d.pin} {
		if err := part(ctx); err != nil {
			return nil, d.server.Explain(err)
		}
	}
	if err := d.server.Stop(); err != nil {
		return nil, fmt.Errorf("the server did not stop in order: %w", err)
	}
	d.say("\nserver stopped; its keys are gone. Verifying offline ...")
	return &d.report, d.verifyAll(ctx)
}

// makeList makes three members and their list, as an electorate would.
func (d *demo) makeList() error {
	members := make([]protocol.Member, 3)
	for i := range members {
		d.members = append(d.members, claim.NewMemberSecret())
		members[i] = d.members[i].Member()
	}
	list, err := claim.NewList("demo-committee", members)
	if err != nil {
		return err
	}
	d.list = list
	return os.WriteFile(filepath.Join(d.dir, "list.json"), list.Encode(), 0o600)
}

func (d *demo) prepare(context.Context) (err error) {
	if d.prover, err = claim.NewProver(); err != nil {
		return err
	}
	return d.prover.AddList(d.list)
}

// acceptAll gets one receipt for each claim.
func (d *demo) acceptAll(ctx context.Context) error {
	d.say("\n%-16s %-34s %s", "CLAIM", "REQUEST", "INDEX")
	for _, id := range claim.IDs() {
		if err := d.acceptOne(ctx, id); err != nil {
			return fmt.Errorf("%s: %w", id, err)
		}
	}
	return nil
}

// acceptOne gets the receipt for the example of a claim. That of record-equals/1 is pushed,
// the others are proved here.
func (d *demo) acceptOne(ctx context.Context, id claim.ID) (err error) {
	example := claim.Describe(id)
	s := client.Submission{Claim: id, Params: []byte(example.Params), Event: []byte(example.Event)}
	switch id {
	case claim.RecordEquals:
		e, err := s.Prepare()
		if err != nil {
			return err
		}
		p, err := d.client.Push(ctx, e, 0, 20*time.Second)
		if err != nil {
			return err
		}
		return d.keep(id, p.Accepted, p.Opening)
	case claim.Group:
		s.List, s.Secret = d.list, &d.members[0]
		if s.Params, err = claim.GroupParams(d.list, "board/2026-11", *s.Secret); err != nil {
			return err
		}
	}
	r, err := d.client.Submit(ctx, d.prover, s)
	if err != nil {
		return err
	}
	return d.keep(id, r.Accepted, r.Opening)
}

// keep records an accepted request and, with [Options.Out], writes its files.
func (d *demo) keep(id claim.ID, acc *client.Accepted, opening *receipt.Opening) error {
	if acc == nil || acc.Receipt == nil {
		return fmt.Errorf("no receipt for %s was published in time", id)
	}
	raw, err := acc.Receipt.Encode()
	if err != nil {
		return err
	}
	d.receipts = append(d.receipts, acc.Receipt)
	d.report.Accepted = append(d.report.Accepted, Accepted{id, acc.RequestID, acc.Index, raw})
	d.say("%-16s %-34s %d", id, acc.RequestID, acc.Index)
	if d.Out == "" {
		return nil
	}
	return submit.WriteReceipt(d.Out, acc.RequestID, raw, opening)
}

// pin records every receipt's checkpoint, and the list, for td verify.
func (d *demo) pin(ctx context.Context) error {
	for _, r := range d.receipts {
		cp, err := r.Checkpoint()
		if err != nil {
			return err
		}
		if _, err := d.trust.Record(ctx, cp, d.log, d.client.Source(), time.Now()); err != nil {
			return err
		}
	}
	return d.trust.AddList(d.list)
}

// verifyAll checks every receipt with nothing but the trust store, then again
// with one bit of it flipped.
func (d *demo) verifyAll(ctx context.Context) error {
	lists, err := d.trust.Lists()
	if err != nil {
		return err
	}
	options := receipt.Options{Trust: d.trust, Lists: receipt.NewLists(lists...)}
	for i, acc := range d.report.Accepted {
		if report := receipt.Verify(ctx, d.receipts[i], options); !report.OK {
			return fmt.Errorf("the receipt of %s does not verify: step %s", acc.Claim, report.FailedStep)
		}
		d.report.Verified++
		at, refused := flipped(ctx, acc.Receipt, i, options)
		if !refused {
			return fmt.Errorf("the receipt of %s verifies with bit %d flipped", acc.Claim, at)
		}
		d.report.TamperedRefused++
	}
	d.say("%d receipts verify; %d with one bit flipped are refused", d.report.Verified, d.report.TamperedRefused)
	if d.Out != "" {
		d.say("check them yourself: td verify --trust %s %s", filepath.Join(d.Out, "trust"), filepath.Join(d.Out, "*.receipt.json"))
	}
	return nil
}

// flipped flips one bit of a receipt's bytes, another place for each n, and
// reports whether it is refused.
func flipped(ctx context.Context, raw []byte, n int, o receipt.Options) (bit int, refused bool) {
	b := append([]byte(nil), raw...)
	bit = (len(b)*8/11*(n+1) + 37*n) % (len(b) * 8)
	b[bit/8] ^= 1 << (bit % 8)
	r, err := receipt.Parse(b)
	return bit, err != nil || !receipt.Verify(ctx, r, o).OK
}

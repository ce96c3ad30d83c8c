package main

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/terradourada/td/client"
	"github.com/terradourada/td/receipt"
)

// TestRecordAndVerify: td submit and td send give out nothing that should not be
// relied on, and accuse no log without evidence.
func TestRecordAndVerify(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	e := w.Epochs[0]
	index := w.accept(e)
	good := w.receipt(index, e, e)
	log := client.NewLogDir(w.dir(e))
	tampered := *good
	tampered.Leaf = append([]byte(nil), good.Leaf...)
	tampered.Leaf[len(tampered.Leaf)-1] ^= 1

	// The same key signs another tree of the same size.
	fork := w.fork(2)
	forked := fork.receipt(fork.accept(e), e, e)
	// A stranger extends the public log with an epoch of their own.
	stranger := w.fork(w.Size())
	mine := stranger.Open(nil)
	extended := stranger.receipt(stranger.accept(mine), mine, mine)
	// A stranger rewrites the log, which everybody can.
	rewritten := w.fork(2)
	theirs := rewritten.Open(nil)
	contradicting := rewritten.receipt(rewritten.accept(theirs), theirs, theirs)

	live := receipt.Source{Live: true, Server: "https://td.example:443"}
	mirror := receipt.Source{Server: "http://td.example:80"}
	for _, tt := range []struct {
		name    string
		known   bool // w's checkpoint is recorded live before
		got     *receipt.Receipt
		log     receipt.Log
		from    receipt.Source
		allowed bool
		verdict string // of the refusal, "" if it is given out
		vouched bool
		says    string
	}{
		{name: "first use", got: good, log: log, from: live, vouched: true},
		{name: "recorded", known: true, got: good, log: log, from: mirror, vouched: true},
		{name: "not live", got: good, log: log, from: mirror, verdict: receipt.Unvouched},
		{name: "not live, allowed", got: good, log: log, from: mirror, allowed: true},
		{name: "a bit flipped", got: &tampered, log: log, from: live, verdict: receipt.Invalid},
		{name: "a bit flipped, allowed", got: &tampered, log: log, from: live, allowed: true, verdict: receipt.Invalid},
		{name: "two histories", known: true, got: forked, log: log, from: live, verdict: receipt.Contradicted, says: "evidence"},
		{name: "two histories, allowed", known: true, got: forked, log: log, from: mirror, allowed: true, verdict: receipt.Contradicted},
		{name: "extended by a stranger", known: true, got: extended, log: client.NewLogDir(stranger.dir(mine)), from: mirror, verdict: receipt.Unvouched},
		{name: "extended by a stranger, allowed", known: true, got: extended, log: client.NewLogDir(stranger.dir(mine)), from: mirror, allowed: true},
		{name: "rewritten by a stranger", known: true, got: contradicting, log: client.NewLogDir(rewritten.dir(theirs)), from: mirror, allowed: true, verdict: receipt.Unvouched, says: "nothing ties"},
		{name: "another log of the server", known: true, got: good, log: log, from: receipt.Source{Live: true, Server: "https://other.example:443"}, vouched: true},
	} {
		t.Run(tt.name, func(t *testing.T) {
			trust, err := receipt.OpenTrust(t.TempDir())
			if err != nil {
				t.Fatal(err)
			}
			if tt.known {
				if _, err := trust.Record(t.Context(), w.checkpoint(e), log, live, time.Now()); err != nil {
					t.Fatal(err)
				}
			}
			report, err := receipt.RecordAndVerify(t.Context(), tt.got, receipt.Options{Trust: trust, AllowSelfAsserted: tt.allowed}, tt.log, tt.from, time.Now())
			bad := new(receipt.NegativeError)
			switch {
			case tt.verdict != "":
				if !errors.As(err, &bad) || bad.Verdict != tt.verdict || !strings.Contains(err.Error(), tt.says) {
					t.Errorf("%v, want %s and %q", err, tt.verdict, tt.says)
				}
			case err != nil:
				t.Error(err)
			case (report.Vouched != nil) != tt.vouched:
				t.Errorf("vouched by %+v", report.Vouched)
			}
		})
	}
}

// unreadable is a log that cannot be reached.
type unreadable struct{ receipt.Log }

var errNetwork = errors.New("network down")

func (unreadable) Prefix(context.Context, uint64, uint64) ([][32]byte, error) {
	return nil, errNetwork
}

// TestRecordAndVerifyWithoutLog: a log that cannot be read says nothing about a
// receipt, which is asked for again.
func TestRecordAndVerifyWithoutLog(t *testing.T) {
	w := newWorld(t)
	e := w.Epochs[0]
	trust, err := receipt.OpenTrust(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	live := receipt.Source{Live: true, Server: "https://td.example:443"}
	if _, err := trust.Record(t.Context(), w.checkpoint(e), nil, live, time.Now()); err != nil {
		t.Fatal(err)
	}
	got := w.receipt(w.accept(e), e, e)
	_, err = receipt.RecordAndVerify(t.Context(), got, receipt.Options{Trust: trust}, unreadable{}, live, time.Now())
	if bad := new(receipt.NegativeError); errors.As(err, &bad) || !errors.Is(err, errNetwork) {
		t.Errorf("%v", err)
	}
}

package gate

import (
	"context"
	"errors"
	"time"

	"github.com/terradourada/td/protocol"
	"github.com/terradourada/td/receipt"
)

var errNoReceipt = protocol.Fail(protocol.CodeNotFound, "no accepted request has this id")

// Receipt derives the receipt of a request (section 13). It waits within ctx
// for the request to be decided and for a published checkpoint that covers it;
// not_found for a request that nobody knows, its code for one that ended
// otherwise. It asks neither control nor an epoch.
func (g *Gate) Receipt(ctx context.Context, id protocol.RequestID) (*receipt.Receipt, error) {
	row, err := g.cfg.Journal.Accepted(ctx, id)
	if errors.Is(err, protocol.CodeNotFound) || errors.Is(err, ErrUnknown) {
		if err := g.waitEnded(ctx, id, protocol.MaxTTL*time.Millisecond); err != nil {
			return nil, err
		}
		row, err = g.cfg.Journal.Accepted(ctx, id)
	}
	if err != nil {
		return nil, err
	}
	return g.derive(ctx, row)
}

// derive proves every leaf of a receipt under one checkpoint, so that all log
// texts carry the same bytes.
func (g *Gate) derive(ctx context.Context, row Record) (*receipt.Receipt, error) {
	leaf, err := protocol.ParseLeaf(row.Leaf)
	if err != nil {
		return nil, protocol.Wrap(protocol.CodeInternal, "", err)
	}
	body, ok := leaf.Body.(*protocol.Accepted)
	if !ok {
		return nil, protocol.Fail(protocol.CodeInternal, "")
	}
	payload, err := protocol.ParsePayload(body.Payload[:])
	if err != nil {
		return nil, protocol.Wrap(protocol.CodeInternal, "", err)
	}
	cp, err := g.cfg.Ledger.Await(ctx, row.Seq)
	if err != nil {
		return nil, err
	}
	r := &receipt.Receipt{Version: receipt.Version}
	var claimRow, epochRow, signerRow, lastRow Record
	if claimRow, err = g.cfg.Journal.ClaimLeaf(ctx, payload.VK); err != nil {
		return nil, internal(err)
	}
	if epochRow, err = g.cfg.Journal.EpochLeaf(ctx, payload.EpochID); err != nil {
		return nil, internal(err)
	}
	if signerRow, err = g.cfg.Journal.EpochLeafByKey(ctx, cp.Key); err != nil {
		return nil, internal(err)
	}
	if lastRow, err = g.cfg.Journal.Leaf(ctx, cp.Size-1); err != nil {
		return nil, internal(err)
	}
	for _, part := range []struct {
		into *receipt.Pair
		row  Record
	}{{&r.Pair, row}, {&r.Claim, claimRow}, {&r.Epoch, epochRow}, {&r.Signer, signerRow}, {&r.Last, lastRow}} {
		if *part.into, err = g.pair(ctx, cp, part.row); err != nil {
			return nil, err
		}
	}
	r.Flags, err = g.flags(ctx, cp, payload)
	return r, err
}

// maxFlags is how many withdrawals a log may have for a receipt to list all of
// them. In a log with more, a receipt lists those of its own epoch and claim; the
// count in the last leaf then shows that there are others.
const maxFlags = 64

// flags are the withdrawals in the tree of the checkpoint.
func (g *Gate) flags(ctx context.Context, cp Published, p protocol.Payload) ([]receipt.Pair, error) {
	rows, err := g.cfg.Journal.Withdrawals(ctx, p.EpochID, p.VK, cp.Size, maxFlags)
	if err != nil {
		return nil, internal(err)
	}
	var flags []receipt.Pair
	for _, row := range rows {
		pair, err := g.pair(ctx, cp, row)
		if err != nil {
			return nil, err
		}
		flags = append(flags, pair)
	}
	return flags, nil
}

func (g *Gate) pair(ctx context.Context, cp Published, row Record) (receipt.Pair, error) {
	text, err := g.cfg.Ledger.Proof(ctx, cp, row.Seq)
	if err != nil {
		return receipt.Pair{}, err
	}
	return receipt.Pair{Leaf: row.Leaf, Log: text}, nil
}

// internal turns a missing row of our own into a fault of ours.
func internal(err error) error {
	if errors.Is(err, protocol.CodeNotFound) {
		return protocol.Wrap(protocol.CodeInternal, "", err)
	}
	return err
}

package journal

import (
	"bytes"
	"context"
	"crypto/rand"
	"crypto/sha256"
	"database/sql"
	"errors"
	"fmt"
	"strconv"

	"github.com/terradourada/td/protocol"
)

// replay reads the leaves in order and computes the rows that their
// transactions wrote.
type replay struct {
	buf  []byte // see bag.add
	bags map[string]*bag

	pace func() // is called after each row and may wait; may be nil

	most uint64 // number of leaves that sum covers
	sum  chain

	next, time  uint64
	withdrawals uint32
	claims      map[protocol.Digest]string // ids by fingerprint
	epochs      map[protocol.EpochID]*epochRow
	holds       map[Hold]*freezes
	sealed      bool
}

type epochRow struct {
	open             protocol.EpochOpen
	opened, accepted uint64
	closed           []byte // a number in decimal; nil for an open epoch
	issued           []byte // the same; nil if nothing was accepted
	size             uint64 // of the issued tree in that leaf
}

// freezes are the leaves of a hold since it began.
type freezes struct {
	first Entry
	all   []uint64
}

func newReplay() *replay {
	r := &replay{
		buf:    make([]byte, bagKeySize, 512),
		bags:   make(map[string]*bag),
		claims: make(map[protocol.Digest]string),
		epochs: make(map[protocol.EpochID]*epochRow),
		holds:  make(map[Hold]*freezes),
	}
	_, _ = rand.Read(r.buf) // never fails
	return r
}

func (r *replay) step() {
	if r.pace != nil {
		r.pace()
	}
}

func (r *replay) bag(name string) *bag {
	if r.bags[name] == nil {
		r.bags[name] = &bag{}
	}
	return r.bags[name]
}

func (r *replay) add(table string, columns ...[]byte) { r.bag(table).add(r.buf, columns...) }

// number is an integer in the form that database/sql returns for bytes.
func number(n uint64) []byte { return strconv.AppendUint(nil, n, 10) }

// leaves replays all of them.
func (r *replay) leaves(ctx context.Context, tx *sql.Tx) error {
	rows, err := tx.QueryContext(ctx, "SELECT seq, type, leaf FROM leaves ORDER BY seq")
	if err != nil {
		return err
	}
	defer func() { _ = rows.Close() }() // rows.Err reports it
	for rows.Next() {
		var seq uint64
		var kind protocol.LeafType
		var b sql.RawBytes
		if err := rows.Scan(&seq, &kind, &b); err != nil {
			return err
		}
		if err := r.leaf(seq, kind, b); err != nil {
			return fmt.Errorf("leaf %d: %w", seq, err)
		}
		r.step()
	}
	if err := rows.Err(); err != nil {
		return err
	}
	r.end()
	return nil
}

func (r *replay) leaf(seq uint64, kind protocol.LeafType, b []byte) error {
	leaf, err := protocol.ParseLeaf(b)
	if err != nil {
		return err
	}
	if seq != r.next || leaf.Seq != seq || leaf.Time < r.time || leaf.Body.LeafType() != kind {
		return errors.New("not in its place")
	}
	if leaf.Withdrawals != r.withdrawals {
		return errors.New("it counts other withdrawals than the leaves before it")
	}
	if leaf.Withdraws() {
		r.withdrawals++
	}
	r.next, r.time = seq+1, leaf.Time
	if seq < r.most {
		r.sum.add(b)
	}
	switch body := leaf.Body.(type) {
	case *protocol.Accepted:
		return r.accepted(seq, body)
	case *protocol.EpochOpen:
		r.epochs[body.ID] = &epochRow{open: *body, opened: seq}
	case *protocol.EpochClose:
		return r.closeEpoch(seq, body)
	case *protocol.ClaimLeaf:
		vk := protocol.VKFingerprint(body.ClaimID, body.List, body.SRS, body.VK)
		r.claims[vk] = body.ClaimID
		r.add("claims", vk[:], number(seq))
	case *protocol.Control:
		r.control(Entry{Seq: seq, Leaf: b}, body)
	}
	return nil
}

func (r *replay) accepted(seq uint64, a *protocol.Accepted) error {
	p, err := protocol.ParsePayload(a.Payload[:])
	if err != nil {
		return err
	}
	id, known := r.claims[p.VK]
	epoch := r.epochs[p.EpochID]
	if !known || epoch == nil {
		return errors.New("accepted without a claim or an epoch")
	}
	n := number(seq)
	epoch.accepted++
	if a.Issued.Size > epoch.size {
		epoch.issued, epoch.size = n, a.Issued.Size
	}
	digest := sha256.Sum256(a.Proof)
	r.add("accepted", n, p.RequestID[:], a.Anchor[:], p.Commitment[:], digest[:], []byte(id))
	r.add("request ids", p.RequestID[:], n)
	r.add("anchors", a.Anchor[:], n)
	r.add("commitments", p.Commitment[:], n)
	scope, nullifier, has, err := nullifierOf(id, a.Params)
	if has {
		r.add("nullifiers", scope[:], nullifier[:], n)
	}
	return err
}

func (r *replay) closeEpoch(seq uint64, c *protocol.EpochClose) error {
	e := r.epochs[c.ID]
	if e == nil || e.closed != nil {
		return errors.New("it closes an epoch that is not open")
	}
	e.closed = number(seq)
	return nil
}

func (r *replay) control(e Entry, c *protocol.Control) {
	switch c.Action {
	case protocol.ActionFreezeIssue:
		r.hold(Hold{Issue, c.Target}, e)
	case protocol.ActionFreezeAccept:
		r.hold(Hold{Accept, c.Target}, e)
	case protocol.ActionThawIssue:
		delete(r.holds, Hold{Issue, c.Target})
	case protocol.ActionThawAccept:
		delete(r.holds, Hold{Accept, c.Target})
	case protocol.ActionSeal:
		r.sealed = true
	case protocol.ActionRetireVK, protocol.ActionRevokeEpoch:
		r.add("withdrawals", number(uint64(c.Action)), c.Target[:], number(e.Seq))
	}
}

func (r *replay) hold(h Hold, by Entry) {
	if r.holds[h] == nil {
		r.holds[h] = &freezes{first: Entry{Seq: by.Seq, Leaf: bytes.Clone(by.Leaf)}}
	}
	r.holds[h].all = append(r.holds[h].all, by.Seq)
}

// end adds the rows that later leaves could still have changed.
func (r *replay) end() {
	for id, e := range r.epochs {
		r.add("epochs", id[:], number(e.open.Number), e.open.Instance[:], e.open.CheckpointKey[:],
			number(e.opened), e.closed, number(e.accepted), e.issued)
	}
	for h := range r.holds {
		r.add("holds", number(uint64(h.Operation)), h.VK[:])
	}
	sealed := uint64(0)
	if r.sealed {
		sealed = 1
	}
	r.add("counter", number(r.next), number(r.time), number(uint64(r.withdrawals)), number(sealed))
}

package journal

import (
	"context"
	"math"
	"time"

	"github.com/terradourada/td/protocol"
)

// Append commits an epoch-open leaf (from then on the epoch is live), an
// epoch-close leaf (from then on it is not) or a claim. A claim whose id is frozen is
// frozen with its leaf, with [ReasonAdded].
//
// The journal counts the accepted requests of an epoch-close leaf itself. For
// the reasons shutdown and rotated the issued root is taken from the caller,
// and every request under it that did not end otherwise is counted as
// invalidated. For the other reasons the journal fills in the greatest issued
// root of an accepted leaf of the epoch, zero if there is none. An acceptance
// that the caller had not counted is then subtracted from the invalidated ones.
//
// Refusals: conflict if the epoch or verifying key exists already, if an
// epoch's number is not greater than all before, if it does not name the last
// epoch as the previous one, or if an epoch is closed twice; not_found for an
// epoch that was never opened; internal for an orderly close whose issued root
// is smaller than an accepted one, or smaller than the number of requests that
// ended; ledger_unavailable.
func (j *Journal) Append(ctx context.Context, now time.Time, body protocol.LeafBody) (Entry, error) {
	if err := checkBody(body); err != nil {
		return Entry{}, err
	}
	var apply func(*group) (Entry, error)
	switch b := body.(type) {
	case *protocol.EpochOpen:
		apply = func(g *group) (Entry, error) { return g.openEpoch(now, b) }
	case *protocol.EpochClose:
		apply = func(g *group) (Entry, error) { return g.closeEpoch(now, b) }
	case *protocol.ClaimLeaf:
		apply = func(g *group) (Entry, error) { return g.addClaim(now, b) }
	default:
		return Entry{}, protocol.Failf(protocol.CodeInternal, "a leaf of type %s is not appended like this", body.LeafType())
	}
	return j.submit(ctx, j.queue, &submission{apply: apply})
}

func (g *group) openEpoch(now time.Time, e *protocol.EpochOpen) (Entry, error) {
	if e.Number > math.MaxInt64 {
		return Entry{}, protocol.Fail(protocol.CodeMalformedRequest, "the epoch number is out of range")
	}
	var taken bool
	g.scan("SELECT EXISTS (SELECT 1 FROM epochs WHERE id = ? OR number >= ? OR checkpoint_key = ?)",
		[]any{e.ID[:], e.Number, e.CheckpointKey[:]}, &taken)
	if taken {
		return Entry{}, protocol.Fail(protocol.CodeConflict, "the epoch is not a new one")
	}
	var number, index uint64
	var id []byte
	g.scan(selectLastEpoch, nil, &number, &id, &index)
	var last protocol.EpochID
	copy(last[:], id) // zero before the first epoch
	if e.Previous != last || e.PreviousIndex != index {
		return Entry{}, protocol.Fail(protocol.CodeConflict, "the epoch does not name the last one as its previous")
	}
	entry, err := g.leaf(now, e)
	if err != nil {
		return Entry{}, err
	}
	g.exec("INSERT INTO epochs (id, number, instance, checkpoint_key, opened) VALUES (?, ?, ?, ?, ?)",
		e.ID[:], e.Number, e.Instance[:], e.CheckpointKey[:], entry.Seq)
	g.epochs[e.ID] = &epoch{number: e.Number, instance: e.Instance, live: true}
	return entry, nil
}

func (g *group) closeEpoch(now time.Time, c *protocol.EpochClose) (Entry, error) {
	e := g.epoch(c.ID)
	if e == nil || e.number != c.Number {
		return Entry{}, protocol.Fail(protocol.CodeNotFound, "the epoch was never opened")
	}
	if e.closed {
		return Entry{}, protocol.Fail(protocol.CodeConflict, "the epoch was closed before")
	}
	counted, err := e.count(*c)
	if err != nil {
		return Entry{}, err
	}
	entry, err := g.leaf(now, &counted)
	if err != nil {
		return Entry{}, err
	}
	g.exec("UPDATE epochs SET closed = ? WHERE id = ?", entry.Seq, c.ID[:])
	e.live, e.closed = false, true
	return entry, nil
}

// count returns c with the journal's own count of acceptances and the numbers
// that follow from it, see [Journal.Append].
func (e *epoch) count(c protocol.EpochClose) (protocol.EpochClose, error) {
	counted := c.Accepted
	c.Accepted = e.accepted
	if c.Reason != protocol.CloseShutdown && c.Reason != protocol.CloseRotated {
		// The core counts a request as invalidated if it did not learn in time that
		// the request was accepted.
		c.Invalidated -= min(c.Invalidated, e.accepted-min(e.accepted, counted))
		c.Issued = e.root
		return c, nil
	}
	if c.Issued.Size < e.root.Size {
		return c, protocol.Fail(protocol.CodeInternal, "the issued root of the close is smaller than an accepted one")
	}
	c.Invalidated = c.Issued.Size
	for _, ended := range [...]uint64{c.Accepted, c.Rejected, c.Expired} {
		if ended > c.Invalidated {
			return c, protocol.Fail(protocol.CodeInternal, "more requests of the epoch ended than were issued")
		}
		c.Invalidated -= ended
	}
	return c, nil
}

func (g *group) addClaim(now time.Time, c *protocol.ClaimLeaf) (Entry, error) {
	vk := protocol.VKFingerprint(c.ClaimID, c.List, c.SRS, c.VK)
	if g.claim(vk) {
		return Entry{}, protocol.Fail(protocol.CodeConflict, "the claim is in the log already")
	}
	entry, err := g.leaf(now, c)
	if err != nil {
		return Entry{}, err
	}
	g.exec("INSERT INTO claims (vk, seq) VALUES (?, ?)", vk[:], entry.Seq)
	g.claims[vk] = true
	return entry, g.freezeAdded(now, c.ClaimID, vk)
}

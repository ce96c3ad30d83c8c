package journal

import (
	"context"
	"math"
	"time"

	"github.com/terradourada/td/protocol"
)

// Append commits an epoch-open leaf (the epoch is live from then on), an
// epoch-close leaf (it is dead from then on), a claim or an incident. The
// journal fills in the number of accepted requests of an epoch-close leaf
// itself, and takes as many off the invalidated ones as it knows of more.
// Refusals: conflict if the epoch or verifying key is there already, if an
// epoch's number is not greater than all before, or if an epoch is closed
// twice; not_found for an epoch that was never opened; ledger_unavailable.
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
	case *protocol.Incident:
		apply = func(g *group) (Entry, error) { return g.leaf(now, b) }
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
	// What was accepted before the core had counted it counts as invalidated
	// there.
	counted := *c
	counted.Accepted = e.accepted
	counted.Invalidated -= min(counted.Invalidated, e.accepted-min(e.accepted, c.Accepted))
	entry, err := g.leaf(now, &counted)
	if err != nil {
		return Entry{}, err
	}
	g.exec("UPDATE epochs SET closed = ? WHERE id = ?", entry.Seq, c.ID[:])
	e.live, e.closed = false, true
	return entry, nil
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
	return entry, nil
}

// maxIssued bounds one call of SaveIssued: 2 MiB.
const maxIssued = 1 << 16

// SaveIssued adds digests (protocol.IssuedDigest), at most 65,536 of them, to
// those kept of an epoch, after the ones saved before. not_found for an epoch
// that was never opened.
func (j *Journal) SaveIssued(ctx context.Context, epoch protocol.EpochID, digests []protocol.Digest) error {
	if len(digests) > maxIssued {
		return protocol.Failf(protocol.CodeTooLarge, "more than %d digests at once", maxIssued)
	}
	run := make([]byte, 0, len(digests)*protocol.DigestSize)
	for i := range digests {
		run = append(run, digests[i][:]...)
	}
	_, err := j.submit(ctx, j.queue, &submission{apply: func(g *group) (Entry, error) {
		return Entry{}, g.saveIssued(epoch, run)
	}})
	return err
}

func (g *group) saveIssued(epoch protocol.EpochID, run []byte) error {
	if g.epoch(epoch) == nil {
		return protocol.Fail(protocol.CodeNotFound, "the epoch was never opened")
	}
	g.exec(`INSERT INTO issued (epoch, run, digests)
		SELECT ?1, coalesce(max(run) + 1, 0), ?2 FROM issued WHERE epoch = ?1`, epoch[:], run)
	return nil
}

package receipt

import (
	"context"
	"errors"
	"fmt"
	"math/bits"

	"golang.org/x/mod/sumdb/tlog"

	"github.com/terradourada/td/protocol"
)

// maxHandovers bounds the walk back over epochs, in steps.
const maxHandovers = 4096

// view holds the records that bear on one checkpoint. It is comparable, so
// that a change between check and append can be detected.
type view struct {
	file    string // of the log
	newest  record // V; size 0 if there is none
	same    record // the vouched record of the checkpoint's size; size 0 if there is none
	server  string // bound to the log, "" if none
	itsLog  string // origin bound to the server that was read live, "" if none
	bound   int64  // Unix seconds of the newest record that names log or server
	loose   int    // number of unauthenticated records
	kept    bool   // the checkpoint is one of those
	differs bool   // one of those has its size and another root
	skipped bool   // another log's file could not be used
}

// check applies the rules of section 13 in their order.
func (w *view) check(ctx context.Context, c *Checkpoint, log Log, from Source) (Standing, error) {
	s := Standing{Server: w.server, Warnings: w.warnings(c)}
	rule, how, err := w.consistent(ctx, c, log)
	if err == nil && rule == "" {
		rule, how, err = w.tied(ctx, c, log)
	}
	if b := w.misbound(c, from, err); b != nil {
		return s, b
	}
	if err == nil {
		s.Rule, s.How = rule, how
	}
	return s, w.explain(c, from, err)
}

// explain adds to a refusal what is known of the source of the checkpoint.
func (w *view) explain(c *Checkpoint, from Source, err error) error {
	switch {
	case err == nil || isContradiction(err):
	case from.live() && c.Size < w.newest.size && errors.As(err, new(*ShortError)):
		return &SetBackError{from.Server, c.Size, w.newest.size}
	case from.live() && w.server == "" && errors.Is(err, ErrOtherKey):
		return ErrNoServer
	case from.NotLive != nil && isUnvouched(err):
		return fmt.Errorf("%w; the server is not believed: %w", err, from.NotLive)
	}
	return err
}

// consistent compares the checkpoint with the vouched records. It returns the
// rule if that pins it, and no rule if V is a proved prefix of it.
func (w *view) consistent(ctx context.Context, c *Checkpoint, log Log) (rule string, how Vouch, err error) {
	v := &w.newest
	switch {
	case w.same.size != 0 && w.same.root != c.Root:
		return "", "", w.contradiction(ctx, c, log, &w.same)
	case w.same.size != 0:
		return RuleRecorded, w.same.how, nil
	case v.size == 0:
		return "", "", ErrUnknownLog
	case c.Size < v.size:
		root, err := prefixRoot(ctx, log, c.Size, tree{v.size, v.root})
		if err == nil && root != c.Root {
			err = w.contradiction(ctx, c, log, v)
		}
		return RulePrefix, v.how, err
	}
	root, err := prefixRoot(ctx, log, v.size, tree{c.Size, c.Root})
	if err == nil && root != v.root {
		err = w.contradiction(ctx, c, log, v)
	}
	return "", "", err
}

// tied returns the rule by which the key of a checkpoint that extends V belongs
// to the log.
func (w *view) tied(ctx context.Context, c *Checkpoint, log Log) (rule string, how Vouch, err error) {
	if c.Key == w.newest.key {
		return RuleSameKey, w.newest.how, nil
	}
	err = handedOver(ctx, c, log, &w.newest)
	switch {
	case err == nil:
		return RuleHandOver, w.newest.how, nil
	case w.readLive(c):
		return RuleLive, w.newest.how, nil
	}
	return "", "", err
}

// readLive reports whether the checkpoint was read live from the server bound to
// its log.
func (w *view) readLive(c *Checkpoint) bool { return w.itsLog == c.Origin }

// live ignores a source without a name, because it cannot bind anything.
func (s Source) live() bool { return s.Live && s.Server != "" }

// misbound returns an error in two cases: a server read live shows another
// log than its own, or the only source of the checkpoint is another server
// than the log's.
func (w *view) misbound(c *Checkpoint, from Source, err error) error {
	switch {
	case !from.live() || isContradiction(err):
		return nil
	case w.itsLog != "" && w.itsLog != c.Origin:
		return &BindingError{from.Server, c.Origin, w.itsLog}
	case errors.Is(err, ErrOtherKey) && w.server != "" && w.server != from.Server:
		return &BindingError{from.Server, c.Origin, w.server}
	}
	return nil
}

// contradiction returns the error for a record that the checkpoint was proved
// to contradict.
func (w *view) contradiction(ctx context.Context, c *Checkpoint, log Log, with *record) error {
	vouched := c.Key == w.newest.key || handedOver(ctx, c, log, &w.newest) == nil
	return &ContradictionError{Origin: c.Origin, Size: with.size, File: w.file, Vouched: vouched, Live: w.readLive(c)}
}

func (w *view) warnings(c *Checkpoint) (out []string) {
	if w.differs {
		out = append(out, fmt.Sprintf("an unauthenticated record of this log has another root at size %d: the log shows two histories, or that record is forged", c.Size))
	}
	if w.skipped {
		out = append(out, "the file of another log in the trust store cannot be used; td trust list names it")
	}
	return out
}

// prefixRoot returns the root of the first leaves of a tree. The log's proof
// counts only if the root of the whole tree follows from it, since then the
// root of the prefix that follows is the true one. Otherwise the log has proved
// nothing.
func prefixRoot(ctx context.Context, log Log, first uint64, of tree) (root [32]byte, err error) {
	if log == nil {
		return root, ErrNoLog
	}
	hashes, err := log.Prefix(ctx, first, of.size)
	if errors.As(err, new(*ShortError)) {
		return root, err
	}
	if err != nil {
		return root, fmt.Errorf("the log could not show that its trees of size %d and %d belong together: %w", first, of.size, err)
	}
	root, whole, ok := prefixRoots(hashes, first, of.size)
	if !ok || whole != of.root {
		return root, fmt.Errorf("%w: the proof from the log does not verify", ErrNotShown)
	}
	return root, nil
}

// prefixRoots computes the roots of the trees of size first and size from
// SUBPROOF(first, D[0:size], false) of RFC 6962 section 2.1.2, 0 < first <
// size.
func prefixRoots(hashes [][32]byte, first, size uint64) (prefix, whole [32]byte, ok bool) {
	if len(hashes) == 0 || first == 0 || first > size {
		return prefix, whole, false
	}
	if first == size {
		return hashes[0], hashes[0], len(hashes) == 1
	}
	last := len(hashes) - 1
	sibling := tlog.Hash(hashes[last])
	k := uint64(1) << (bits.Len64(size-1) - 1) // the left half, section 2.1
	if first <= k {
		prefix, whole, ok = prefixRoots(hashes[:last], first, k)
		return prefix, tlog.NodeHash(whole, sibling), ok
	}
	prefix, whole, ok = prefixRoots(hashes[:last], first-k, size-k)
	return tlog.NodeHash(sibling, prefix), tlog.NodeHash(sibling, whole), ok
}

// handedOver verifies that hand-overs lead from the key of a record to that of
// the checkpoint. It walks from the leaf of one epoch back to the leaf of the
// one before.
func handedOver(ctx context.Context, c *Checkpoint, log Log, v *record) error {
	open, index := c.Epoch, c.EpochIndex
	for range maxHandovers {
		if open.Handover == (protocol.SignedRoot{}) {
			return fmt.Errorf("%w: epoch %d was opened without a hand-over, as after a restart", ErrOtherKey, open.Number)
		}
		previous, err := previousEpoch(ctx, c, log, open, index)
		if err != nil {
			return err
		}
		if previous.CheckpointKey == v.key {
			if open.Handover.Size < v.size {
				return fmt.Errorf("%w: epoch %d was handed over before the recorded checkpoint", ErrOtherKey, open.Number)
			}
			return nil
		}
		open, index = previous, open.PreviousIndex
	}
	return fmt.Errorf("%w: more than %d hand-overs lie in between", ErrOtherKey, maxHandovers)
}

// previousEpoch returns the epoch-open leaf before the one at index and verifies
// the hand-over between the two.
func previousEpoch(ctx context.Context, c *Checkpoint, log Log, open *protocol.EpochOpen, index uint64) (*protocol.EpochOpen, error) {
	broken := func(why string) error {
		return fmt.Errorf("%w: the hand-over to epoch %d %s", ErrOtherKey, open.Number, why)
	}
	signed := &open.Handover
	if open.PreviousIndex >= index || signed.Size > index {
		return nil, broken("names a leaf or a tree that comes after its own leaf")
	}
	if log == nil {
		return nil, ErrNoLog
	}
	raw, path, err := log.Entry(ctx, open.PreviousIndex, c.Size)
	if err != nil {
		return nil, fmt.Errorf("the log did not return leaf %d: %w", open.PreviousIndex, err)
	}
	if !inTree(raw, open.PreviousIndex, path, tree{c.Size, c.Root}) {
		return nil, fmt.Errorf("%w: the proof of leaf %d from the log does not verify", ErrNotShown, open.PreviousIndex)
	}
	leaf, err := protocol.ParseLeaf(raw)
	if err != nil {
		return nil, broken("names a malformed leaf")
	}
	previous, ok := leaf.Body.(*protocol.EpochOpen)
	if !ok || leaf.Seq != open.PreviousIndex || previous.ID != open.Previous || previous.CheckID() != nil || previous.Number >= open.Number {
		return nil, broken("does not name the leaf of an earlier epoch")
	}
	if err := open.VerifyHandover(c.Origin, previous.CheckpointKey); err != nil {
		return nil, broken("is not signed by the key of the epoch before it")
	}
	root := [32]byte(new(protocol.Range).Root())
	if signed.Size > 0 {
		if root, err = prefixRoot(ctx, log, signed.Size, tree{c.Size, c.Root}); err != nil {
			return nil, err
		}
	}
	if root != signed.Root {
		return nil, broken("is over another tree than the checkpoint's")
	}
	return previous, nil
}

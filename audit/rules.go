package audit

import (
	"errors"
	"sync"

	"github.com/terradourada/td/claim"
	"github.com/terradourada/td/internal/tiles"
	"github.com/terradourada/td/protocol"
)

// rules checks the entries of a log in order, and reports each rule of section 12 of
// docs/spec/td-1.md that one of them breaks.
type rules struct {
	fault  func(format string, args ...any)
	origin string
	lists  map[protocol.ListID]*claim.List

	tree        tiles.Tree
	time        uint64
	withdrawals uint32
	epochs      map[protocol.EpochID]*epochState
	order       []*epochState
	claims      map[protocol.Digest]*claimState
	unknown     int // accepted under keys that only the log vouches for

	sealed  bool
	frozen  map[protocol.Digest]bool // acceptance; the zero digest for all claims
	retired map[protocol.Digest]bool

	indexed     bool                          // the four that follow are nil: see [Options]
	requests    map[protocol.RequestID]uint64 // index of the leaf
	anchors     map[protocol.Anchor]uint64
	commitments map[protocol.Commitment]uint64
	nullifiers  map[[2]protocol.Element]uint64
}

// epochState is what the entries so far say of one epoch.
type epochState struct {
	open     *protocol.EpochOpen
	index    uint64 // of the leaf that opened it
	end      *protocol.EpochClose
	revoked  bool
	accepted uint64

	seqs      map[uint64]uint64          // index of the leaf
	positions map[uint64]uint64          // in the issued tree: index of the leaf
	roots     map[uint64]protocol.Digest // of the issued tree, by its size
	greatest  protocol.SignedRoot        // with the greatest size of those

	takenSeqs, takenPositions bits // in place of the first two, see [Options].Indexed
}

// bits is a set of numbers of which most are near each other.
type bits map[uint64]uint64

// add adds a number, and reports whether it was new.
func (b bits) add(n uint64) bool {
	word, bit := n/64, uint64(1)<<(n%64)
	had := b[word]&bit != 0
	b[word] |= bit
	return !had
}

// claimState is a verifying key in the log.
type claimState struct {
	leaf  *protocol.ClaimLeaf
	key   func() (*claim.VerifyingKey, error)
	known bool // this program or a member list vouches for the key
}

func newRules(origin string, lists []*claim.List, fault func(string, ...any)) *rules {
	r := &rules{
		fault: fault, origin: origin,
		lists:       map[protocol.ListID]*claim.List{},
		epochs:      map[protocol.EpochID]*epochState{},
		claims:      map[protocol.Digest]*claimState{},
		frozen:      map[protocol.Digest]bool{},
		retired:     map[protocol.Digest]bool{},
		requests:    map[protocol.RequestID]uint64{},
		anchors:     map[protocol.Anchor]uint64{},
		commitments: map[protocol.Commitment]uint64{},
		nullifiers:  map[[2]protocol.Element]uint64{},
	}
	for _, l := range lists {
		r.lists[l.ID()] = l
	}
	return r
}

// proofCheck is a proof and what it must show.
type proofCheck struct {
	key    func() (*claim.VerifyingKey, error)
	inputs []protocol.Element
	proof  []byte
}

// entry checks the next entry. It returns nil if the entry is not a leaf. For an
// acceptance whose statement can be recomputed it also returns the proof to verify.
func (r *rules) entry(raw []byte) (leaf *protocol.Leaf, check *proofCheck) {
	index := r.tree.Size()
	defer r.tree.Append(protocol.LeafHash(raw))
	l, err := protocol.ParseLeaf(raw)
	if err != nil {
		r.fault("entry %d is not a leaf: %s", index, detail(err))
		return nil, nil
	}
	return &l, r.leaf(index, &l)
}

func (r *rules) leaf(index uint64, l *protocol.Leaf) *proofCheck {
	r.header(index, l)
	switch b := l.Body.(type) {
	case *protocol.Accepted:
		return r.accepted(index, b)
	case *protocol.EpochOpen:
		r.epochOpen(index, b)
	case *protocol.EpochClose:
		r.epochClose(index, b)
	case *protocol.ClaimLeaf:
		r.claim(index, b)
	case *protocol.Control:
		r.control(b)
	}
	return nil
}

func (r *rules) header(index uint64, l *protocol.Leaf) {
	if l.Seq != index {
		r.fault("entry %d says that it is number %d", index, l.Seq)
	}
	if l.Time < r.time {
		r.fault("entry %d is earlier than the one before it", index)
	}
	r.time = max(r.time, l.Time)
	if l.Withdrawals != r.withdrawals {
		r.fault("entry %d counts %d withdrawals before it, and the log has %d", index, l.Withdrawals, r.withdrawals)
	}
	if l.Withdraws() {
		r.withdrawals++
	}
}

func (r *rules) epochOpen(index uint64, b *protocol.EpochOpen) {
	if r.epochs[b.ID] != nil {
		r.fault("entry %d opens an epoch that was opened before", index)
		return
	}
	if b.CheckID() != nil {
		r.fault("entry %d opens an epoch whose id is not that of its keys", index)
	}
	previous := &epochState{open: &protocol.EpochOpen{}} // the first epoch names zeroes
	if n := len(r.order); n > 0 {
		previous = r.order[n-1]
		if b.Number <= previous.open.Number {
			r.fault("entry %d opens epoch %d after epoch %d", index, b.Number, previous.open.Number)
		}
	}
	if b.Previous != previous.open.ID || b.PreviousIndex != previous.index {
		r.fault("entry %d does not name the epoch before it and its entry %d", index, previous.index)
	} else if b.Handover != (protocol.SignedRoot{}) {
		r.handover(index, b, previous.open.CheckpointKey)
	}
	e := &epochState{open: b, index: index}
	if r.indexed {
		e.takenSeqs, e.takenPositions = bits{}, bits{}
	} else {
		e.seqs, e.positions, e.roots = map[uint64]uint64{}, map[uint64]uint64{}, map[uint64]protocol.Digest{}
	}
	r.epochs[b.ID] = e
	r.order = append(r.order, e)
}

// handover checks that the previous epoch's key signed the new one over an earlier
// tree of this log.
func (r *rules) handover(index uint64, b *protocol.EpochOpen, key [32]byte) {
	if err := b.VerifyHandover(r.origin, key); err != nil {
		r.fault("entry %d: %s", index, detail(err))
		return
	}
	if size := b.Handover.Size; size > index || !r.tree.RootAt(size).Equal(b.Handover.Root) {
		r.fault("entry %d: its hand-over signs a tree of %d entries that is not the beginning of this log", index, size)
	}
}

func (r *rules) epochClose(index uint64, b *protocol.EpochClose) {
	e := r.epochs[b.ID]
	switch {
	case e == nil || e.open.Number != b.Number:
		r.fault("entry %d closes an epoch that was never opened", index)
		return
	case e.end != nil:
		r.fault("entry %d closes an epoch that was closed before", index)
		return
	}
	e.end = b
	if r.indexed {
		defer e.forget()
	}
	if b.Accepted != e.accepted {
		r.fault("entry %d: epoch %d closes with %d accepted, and the log has %d", index, b.Number, b.Accepted, e.accepted)
	}
	if b.Reason != protocol.CloseShutdown && b.Reason != protocol.CloseRotated {
		if b.Issued != e.greatest {
			r.fault("entry %d: epoch %d closes with another issued tree than the greatest one in an accepted leaf", index, b.Number)
		}
		return
	}
	r.signedRoot(index, e, &b.Issued)
	if b.Issued.Size < e.greatest.Size {
		r.fault("entry %d: epoch %d closes with %d issued, and an accepted leaf has %d", index, b.Number, b.Issued.Size, e.greatest.Size)
	}
	if !sums(b.Issued.Size, b.Accepted, b.Rejected, b.Expired, b.Invalidated) {
		r.fault("entry %d: epoch %d closes with %d issued, which is not how many ended", index, b.Number, b.Issued.Size)
	}
}

// forget drops what further acceptances are compared with. After the end of an epoch there
// are none.
func (e *epochState) forget() { e.takenSeqs, e.takenPositions = nil, nil }

// sums reports whether the parts add up to the whole, without overflow.
func sums(whole uint64, parts ...uint64) bool {
	for _, n := range parts {
		if n > whole {
			return false
		}
		whole -= n
	}
	return whole == 0
}

// signedRoot checks that an epoch signed a root of its issued tree, and no other root
// for the same size.
func (r *rules) signedRoot(index uint64, e *epochState, s *protocol.SignedRoot) {
	if err := s.VerifyIssued(r.origin, e.open.ID, e.open.CheckpointKey); err != nil {
		r.fault("entry %d: %s", index, detail(err))
		return
	}
	if root, known := e.roots[s.Size]; known && !root.Equal(s.Root) {
		r.fault("entry %d: epoch %d has two issued trees of size %d", index, e.open.Number, s.Size)
		return
	}
	if e.roots != nil {
		e.roots[s.Size] = s.Root
	}
	if s.Size > e.greatest.Size {
		e.greatest = *s
	}
}

func (r *rules) claim(index uint64, b *protocol.ClaimLeaf) {
	vk := protocol.VKFingerprint(b.ClaimID, b.List, b.SRS, b.VK)
	if r.claims[vk] != nil {
		r.fault("entry %d brings a verifying key that is in the log already", index)
		return
	}
	c := &claimState{leaf: b}
	c.key, c.known = r.keyOf(b)
	r.claims[vk] = c
	if !b.SRS.Equal(claim.SRSDigest()) {
		r.fault("entry %d: claim %s rests on another reference string than this program holds", index, protocol.Printable(b.ClaimID))
	}
	if key, ok := claim.KnownKey(claim.ID(b.ClaimID)); ok && !key.Fingerprint(claim.ID(b.ClaimID), b.List).Equal(vk) {
		r.fault("entry %d: claim %s has another verifying key than this program knows", index, b.ClaimID)
	}
}

// keyOf returns the key to verify with, and whether anything but the log vouches for
// it: the program's own key if it has one, else that of the member list if the auditor
// holds it, else the log's.
func (r *rules) keyOf(b *protocol.ClaimLeaf) (key func() (*claim.VerifyingKey, error), known bool) {
	if key, ok := claim.KnownKey(claim.ID(b.ClaimID)); ok {
		return func() (*claim.VerifyingKey, error) { return key, nil }, true
	}
	if l := r.lists[b.List]; l != nil && b.ClaimID == claim.Group.String() {
		return sync.OnceValues(func() (*claim.VerifyingKey, error) { return listKey(l, b) }), true
	}
	return sync.OnceValues(func() (*claim.VerifyingKey, error) { return claim.ParseVerifyingKey(b.VK) }), false
}

// listKey computes the key of a member list, and fails if the log has another one.
func listKey(l *claim.List, b *protocol.ClaimLeaf) (*claim.VerifyingKey, error) {
	key, err := l.VerifyingKey()
	if err != nil {
		return nil, err
	}
	want := protocol.VKFingerprint(b.ClaimID, b.List, b.SRS, b.VK)
	if !key.Fingerprint(claim.Group, l.ID()).Equal(want) {
		return nil, errors.New("the claim leaf carries another verifying key than that of its member list")
	}
	return key, nil
}

// control records what a control leaf forbids or allows to accept after it.
func (r *rules) control(b *protocol.Control) {
	switch b.Action {
	case protocol.ActionFreezeAccept:
		r.frozen[b.Target] = true
	case protocol.ActionThawAccept:
		delete(r.frozen, b.Target)
	case protocol.ActionSeal:
		r.sealed = true
	case protocol.ActionRetireVK:
		r.retired[b.Target] = true
	case protocol.ActionRevokeEpoch:
		if e := r.epochs[protocol.EpochID(b.Target[:protocol.IDSize])]; e != nil {
			e.revoked = true
		}
	}
}

func (r *rules) accepted(index uint64, b *protocol.Accepted) *proofCheck {
	p, err := protocol.ParsePayload(b.Payload[:])
	if err != nil {
		r.fault("entry %d: %s", index, detail(err))
		return nil
	}
	if r.sealed || r.frozen[protocol.Digest{}] || r.frozen[p.VK] || r.retired[p.VK] {
		r.fault("entry %d was accepted under a freeze", index)
	}
	r.inEpoch(index, b, &p)
	once(r, index, r.requests, p.RequestID, "request")
	once(r, index, r.anchors, b.Anchor, "anchor")
	once(r, index, r.commitments, p.Commitment, "commitment")
	return r.statement(index, b, &p)
}

// once checks that a value was not accepted before. A nil map checks nothing.
func once[K comparable](r *rules, index uint64, seen map[K]uint64, value K, name string) {
	if seen == nil {
		return
	}
	if first, twice := seen[value]; twice {
		r.fault("entry %d has the %s of entry %d", index, name, first)
		return
	}
	seen[value] = index
}

// inEpoch checks that an acceptance belongs to an open epoch, which issued its anchor.
func (r *rules) inEpoch(index uint64, b *protocol.Accepted, p *protocol.Payload) {
	e := r.epochs[p.EpochID]
	switch {
	case e == nil || e.open.Number != p.EpochNumber || e.open.Instance != p.Instance:
		r.fault("entry %d is of an epoch that was not opened before it", index)
		return
	case e.end != nil || e.revoked:
		r.fault("entry %d was accepted after the end of its epoch", index)
	}
	e.accepted++
	once(r, index, e.seqs, p.Seq, "number in its epoch")
	if e.takenSeqs != nil && !e.takenSeqs.add(p.Seq) {
		r.fault("entry %d has the number in its epoch of an earlier entry", index)
	}
	digest := protocol.IssuedDigest(p.RequestID, &b.Payload, b.Anchor)
	if err := b.Issued.Verify(digest, r.origin, p.EpochID, e.open.CheckpointKey); err != nil {
		r.fault("entry %d: %s", index, detail(err))
		return
	}
	once(r, index, e.positions, b.Issued.Position, "position in the issued tree")
	if e.takenPositions != nil && !e.takenPositions.add(b.Issued.Position) {
		r.fault("entry %d has the position in the issued tree of an earlier entry", index)
	}
	r.signedRoot(index, e, &b.Issued.SignedRoot)
}

// statement recomputes the statement from claim, parameters and commitment, and
// returns the proof of it. It returns nil if there is no statement to verify.
func (r *rules) statement(index uint64, b *protocol.Accepted, p *protocol.Payload) *proofCheck {
	c := r.claims[p.VK]
	if c == nil {
		r.fault("entry %d is under a verifying key that was not in the log before it", index)
		return nil
	}
	if !c.known {
		r.unknown++
	}
	params, err := claim.ParseParams(claim.ID(c.leaf.ClaimID), b.Params)
	if err != nil {
		r.fault("entry %d: %s", index, detail(err))
		return nil
	}
	s, err := claim.NewStatement(params, p.Commitment)
	if err != nil {
		r.fault("entry %d: %s", index, detail(err))
		return nil
	}
	if !s.Digest().Equal(p.Statement) {
		r.fault("entry %d names another statement than that of its parameters", index)
	}
	if err := r.member(index, params, c); err != nil {
		r.fault("entry %d: %s", index, detail(err))
	}
	payload := b.Payload
	return &proofCheck{c.key, s.Inputs(b.Anchor, protocol.ContextElement(&payload), b.TagHash), b.Proof}
}

// member checks the rules of group/1: one acceptance for each nullifier, and the
// member list of the claim.
func (r *rules) member(index uint64, params *claim.Params, c *claimState) error {
	scope, nullifier, ok := params.Nullifier()
	if !ok {
		return nil
	}
	once(r, index, r.nullifiers, [2]protocol.Element{scope, protocol.Element(nullifier)}, "nullifier")
	if id, _ := params.List(); id != c.leaf.List {
		return errors.New("its parameters name another member list than its claim")
	}
	if l := r.lists[c.leaf.List]; l != nil {
		return params.CheckList(l)
	}
	return nil
}

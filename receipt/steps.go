package receipt

import (
	"errors"
	"fmt"
	"strings"
	"unicode/utf16"

	"filippo.io/torchwood"
	"golang.org/x/mod/sumdb/tlog"

	"github.com/terradourada/td/claim"
	"github.com/terradourada/td/protocol"
)

// leaf is step 1: every leaf and log text is well-formed and of its type, says
// the index it is proved at, and all log texts carry one checkpoint.
func (v *verification) leaf() (string, error) {
	if err := v.r.check(); err != nil {
		return "", err
	}
	var all []entry
	for i, p := range v.r.pairs() {
		e, err := parseEntry(p)
		if err != nil {
			return "", fmt.Errorf("%s: %s", partName(i), sentence(err))
		}
		if e.leaf.Body.LeafType() != partType(i) {
			return "", fmt.Errorf("%s is not of type %s", partName(i), partType(i))
		}
		all = append(all, e)
		if e.log.note != all[0].log.note {
			return "", fmt.Errorf("%s is proved against another checkpoint than the accepted leaf", partName(i))
		}
	}
	v.accepted, v.claimed, v.epoch, v.signer, v.flags = all[0], all[1], all[2], all[3], all[4:]
	v.body = v.accepted.leaf.Body.(*protocol.Accepted)
	var err error
	if v.payload, err = protocol.ParsePayload(v.body.Payload[:]); err != nil {
		return "", err
	}
	return fmt.Sprintf("request %s is leaf %d, written %s by the operator's clock",
		v.payload.RequestID, v.accepted.log.index, v.accepted.logTime()), v.checkFlags()
}

func parseEntry(p Pair) (entry, error) {
	leaf, err := protocol.ParseLeaf(p.Leaf)
	if err != nil {
		return entry{}, err
	}
	log, err := parseLogText(p.Log)
	if err != nil {
		return entry{}, err
	}
	if _, err := parseNote(log.note); err != nil {
		return entry{}, err
	}
	if leaf.Seq != log.index {
		return entry{}, errors.New("the leaf says another index than it is proved at")
	}
	return entry{p.Leaf, leaf, log}, nil
}

// partName and partType describe the pairs of a receipt in their order.
func partName(i int) string {
	names := [...]string{"the accepted leaf", "the claim leaf", "the epoch leaf", "the signer leaf"}
	if i < len(names) {
		return names[i]
	}
	return fmt.Sprintf("flag %d", i-len(names))
}

func partType(i int) protocol.LeafType {
	types := [...]protocol.LeafType{protocol.LeafAccepted, protocol.LeafClaim, protocol.LeafEpochOpen, protocol.LeafEpochOpen}
	if i < len(types) {
		return types[i]
	}
	return protocol.LeafControl
}

// checkFlags wants each flag once, in log order, and about this epoch or claim.
func (v *verification) checkFlags() error {
	for i, f := range v.flags {
		if i > 0 && v.flags[i-1].log.index >= f.log.index {
			return errors.New("the flags are not in log order")
		}
		if v.withdraws(&f) == "" {
			return fmt.Errorf("flag %d does not withdraw the epoch or the claim of this receipt", i)
		}
	}
	return nil
}

// withdraws names what a control leaf withdraws: "claim", "epoch", or "" for
// neither of this receipt. The target of an epoch is its id and 16 zero bytes.
func (v *verification) withdraws(f *entry) string {
	c := f.leaf.Body.(*protocol.Control)
	var epoch protocol.Digest
	copy(epoch[:], v.payload.EpochID[:])
	switch {
	case c.Action == protocol.ActionRetireVK && c.Target.Equal(v.payload.VK):
		return "claim"
	case c.Action == protocol.ActionRevokeEpoch && c.Target.Equal(epoch):
		return "epoch"
	}
	return ""
}

// statement is step 2: the verifying key is one that the verifier knows by
// itself, and the statement follows from claim, parameters and commitment.
func (v *verification) statement() (string, error) {
	c := v.claimed.leaf.Body.(*protocol.ClaimLeaf)
	if !protocol.VKFingerprint(c.ClaimID, c.List, c.SRS, c.VK).Equal(v.payload.VK) {
		return "", errors.New("the payload names another verifying key than the claim leaf")
	}
	if !c.SRS.Equal(claim.SRSDigest()) {
		return "", errors.New("the claim rests on a reference string that this verifier does not hold")
	}
	id, err := claim.ParseID(c.ClaimID)
	if err != nil {
		return "", errors.New("this verifier does not know the claim")
	}
	params, err := claim.ParseParams(id, v.body.Params)
	if err != nil {
		return "", err
	}
	fact, err := claim.NewStatement(params, v.payload.Commitment)
	if err != nil {
		return "", err
	}
	if !fact.Digest().Equal(v.payload.Statement) {
		return "", errors.New("the payload names another statement than parameters and commitment give")
	}
	key, err := v.knownKey(c, params)
	if err != nil {
		return "", err
	}
	if !key.Fingerprint(id, c.List).Equal(v.payload.VK) {
		return "", errors.New("the claim leaf carries another verifying key than this verifier knows for the claim")
	}
	v.fact, v.key = fact, key
	return fmt.Sprintf("claim %s of %s, with the verifying key that this verifier knows", id, inASCII(v.body.Params)), nil
}

// inASCII writes canonical JSON in printable ASCII, still the same JSON, so that
// nothing in it can confuse a terminal.
func inASCII(text []byte) string {
	var b strings.Builder
	for _, r := range string(text) {
		if r < 0x7f {
			b.WriteRune(r)
			continue
		}
		for _, unit := range utf16.AppendRune(nil, r) {
			fmt.Fprintf(&b, "\\u%04x", unit)
		}
	}
	return b.String()
}

// knownKey is the key the verifier itself holds for the claim: embedded, or
// built from the member list.
func (v *verification) knownKey(c *protocol.ClaimLeaf, params *claim.Params) (*claim.VerifyingKey, error) {
	list, isGroup := params.List()
	if c.List != list {
		return nil, errors.New("the claim leaf is for another member list than the parameters")
	}
	if !isGroup {
		key, ok := claim.KnownKey(params.Claim())
		if !ok {
			return nil, errors.New("this verifier has no verifying key for the claim")
		}
		return key, nil
	}
	key, ok, err := v.o.Lists.key(list, params)
	if !ok {
		return nil, fmt.Errorf("verifying key self-asserted: give the list file of list %s to have it checked", list)
	}
	return key, err
}

// contextElement is step 3: c binds the proof to the 256 bytes of the payload.
func (v *verification) contextElement() (string, error) {
	v.c = protocol.ContextElement(&v.body.Payload)
	return fmt.Sprintf("c recomputed from the payload (%s, epoch %d, number %d of its epoch)",
		v.payload.Mode, v.payload.EpochNumber, v.payload.Seq), nil
}

// proof is step 4.
func (v *verification) proof() (string, error) {
	x := v.fact.Inputs(v.body.Anchor, v.c, v.body.TagHash)
	if err := claim.Verify(v.key, x, v.body.Proof); err != nil {
		return "", errors.New("the proof does not verify for anchor, context, tag and statement of this leaf")
	}
	return fmt.Sprintf("the proof verifies for %d public inputs", len(x)), nil
}

// inclusion is step 6: all leaves stand in the tree, key and epoch before the
// acceptance, and the payload is of that epoch.
func (v *verification) inclusion() (string, error) {
	tree, err := parseNote(v.accepted.log.note)
	if err != nil {
		return "", err
	}
	for i, e := range append([]entry{v.accepted, v.claimed, v.epoch, v.signer}, v.flags...) {
		if tlog.CheckRecord(e.log.hashes, tree.N, tree.Hash, int64(e.log.index), tlog.RecordHash(e.raw)) != nil {
			return "", fmt.Errorf("%s is not in the tree of the checkpoint", partName(i))
		}
	}
	if v.claimed.log.index >= v.accepted.log.index || v.epoch.log.index >= v.accepted.log.index {
		return "", errors.New("the claim leaf or the epoch leaf stands after the accepted leaf")
	}
	open := v.epoch.epochOpen()
	if open.ID != v.payload.EpochID || open.Number != v.payload.EpochNumber || open.Instance != v.payload.Instance {
		return "", errors.New("the epoch leaf opens another epoch than the payload names")
	}
	detail := fmt.Sprintf("all leaves are in the tree of %d leaves", tree.N)
	for _, f := range v.flags {
		detail += fmt.Sprintf("; flagged: leaf %d of %s withdraws the %s", f.log.index, f.logTime(), v.withdraws(&f))
	}
	return detail, nil
}

// signature is step 7: the checkpoint is signed by the key that the signer leaf
// announces, and the library, reading each log text anew, agrees.
func (v *verification) signature() (string, error) {
	epoch, signer := v.epoch.epochOpen(), v.signer.epochOpen()
	same := signer.ID == epoch.ID
	if same != (v.signer.log.index == v.epoch.log.index) ||
		!same && (signer.Number <= epoch.Number || v.signer.log.index < v.epoch.log.index) {
		return "", errors.New("the signer leaf is neither the epoch of the payload nor a later one")
	}
	var err error
	if v.checkpoint, err = ParseCheckpoint(v.accepted.log.note, signer.CheckpointKey); err != nil {
		return "", err
	}
	key, err := epochVerifier(v.checkpoint.Origin, signer.CheckpointKey)
	if err != nil {
		return "", err
	}
	for i, p := range v.r.pairs() {
		if err := torchwood.VerifyProof(signedBy(key), tlog.RecordHash(p.Leaf), []byte(p.Log)); err != nil {
			return "", fmt.Errorf("the log text of %s does not verify as a tlog-proof", partName(i))
		}
	}
	by := "the key of the epoch itself"
	if !same {
		by = fmt.Sprintf("the key of the later epoch %d; %s", signer.Number, v.handover())
	}
	return fmt.Sprintf("log %s, size %d, signed by %s", v.checkpoint.Origin, v.checkpoint.Size, by), nil
}

// handover says what the receipt shows of the way from the epoch's key to the
// signer's. It judges nothing: the tree, not this signature, ties them together.
func (v *verification) handover() string {
	epoch, signer := v.epoch.epochOpen(), v.signer.epochOpen()
	switch {
	case signer.Previous != epoch.ID:
		return "the hand-overs between the two are not shown here"
	case signer.Handover == [64]byte{}:
		return "the epoch of the payload did not hand over to it"
	}
	// What the previous key signed last is known only if it is the tree right
	// before the signer leaf, which this leaf's own proof contains.
	h := protocol.Handover{
		Origin: v.checkpoint.Origin, Previous: epoch.ID, Next: signer.ID, Number: signer.Number,
		Key: signer.CheckpointKey, Size: v.signer.log.index, Root: v.signer.log.before(v.checkpoint.Size),
	}
	digest := h.Digest()
	key, err := epochVerifier(v.checkpoint.Origin, epoch.CheckpointKey)
	if err != nil || !key.Verify(digest[:], signer.Handover[:]) {
		return "the hand-over to it is over a checkpoint that the receipt does not hold, so it is not shown here"
	}
	return "handed over by the key of the payload's epoch"
}

package receipt

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"
	"unicode/utf16"

	"filippo.io/torchwood"
	"golang.org/x/mod/sumdb/tlog"

	"github.com/terradourada/td/claim"
	"github.com/terradourada/td/protocol"
)

// leaf is step 1: every leaf and log text is well-formed and of its type, and
// each leaf is proved at its own index. All log texts carry one checkpoint,
// and the counts of withdrawals are consistent.
func (v *verification) leaf() (string, error) {
	if err := v.r.check(); err != nil {
		return "", err
	}
	for i, p := range v.r.pairs() {
		e, err := parseEntry(p)
		if err != nil {
			return "", fmt.Errorf("%s: %s", partName(i), sentence(err))
		}
		if t := e.leaf.Body.LeafType(); i < len(partTypes) && partTypes[i] != 0 && t != partTypes[i] {
			return "", fmt.Errorf("%s is not of type %s", partName(i), partTypes[i])
		}
		v.all = append(v.all, e)
		if e.log.note != v.all[0].log.note {
			return "", fmt.Errorf("%s is proved against another checkpoint than the accepted leaf", partName(i))
		}
	}
	v.accepted, v.claimed, v.epoch, v.signer, v.last, v.flags = v.all[0], v.all[1], v.all[2], v.all[3], v.all[4], v.all[5:]
	v.body = v.accepted.leaf.Body.(*protocol.Accepted)
	var err error
	if v.payload, err = protocol.ParsePayload(v.body.Payload[:]); err != nil {
		return "", err
	}
	if err := v.checkFlags(); err != nil {
		return "", err
	}
	v.report.RequestID = v.payload.RequestID.String()
	return fmt.Sprintf("request %s is leaf %d, written %s by the operator's clock",
		v.payload.RequestID, v.accepted.log.index, logTime(&v.accepted.leaf)), nil
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

// partName and partTypes describe the pairs of a receipt in their order. The
// last leaf may have any type; the pairs after it are flags.
func partName(i int) string {
	names := [...]string{"the accepted leaf", "the claim leaf", "the epoch leaf", "the signer leaf", "the last leaf"}
	if i < len(names) {
		return names[i]
	}
	return fmt.Sprintf("flag %d", i-len(names))
}

var partTypes = [...]protocol.LeafType{protocol.LeafAccepted, protocol.LeafClaim, protocol.LeafEpochOpen, protocol.LeafEpochOpen, 0}

// statement is step 2: the verifier itself knows the verifying key, and the
// statement follows from claim, parameters and commitment.
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
		return "", errors.New("the payload names another statement than the one of parameters and commitment")
	}
	key, err := v.knownKey(c, params)
	if err != nil {
		return "", err
	}
	if !key.Fingerprint(id, c.List).Equal(v.payload.VK) {
		return "", errors.New("the claim leaf carries another verifying key than this verifier knows for the claim")
	}
	v.fact, v.key = fact, key
	v.report.Claim, v.report.Params = string(id), v.body.Params
	return fmt.Sprintf("claim %s of %s, with the verifying key that this verifier knows", id, inASCII(v.body.Params)), nil
}

// inASCII writes canonical JSON in printable ASCII, as JSON of the same value,
// so that nothing in it can steer a terminal.
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
		return nil, &failure{verdict: Unvouched, detail: fmt.Sprintf("verifying key self-asserted: give the list file of list %s to have it checked", list)}
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
	head, err := parseNote(v.accepted.log.note)
	if err != nil {
		return "", err
	}
	for i, e := range v.all {
		if tlog.CheckRecord(e.log.hashes, head.N, head.Hash, int64(e.log.index), tlog.RecordHash(e.raw)) != nil {
			return "", fmt.Errorf("%s is not in the tree of the checkpoint", partName(i))
		}
	}
	if v.last.log.index != uint64(head.N)-1 {
		return "", errors.New("the last leaf is not the last of the checkpoint's tree")
	}
	if v.claimed.log.index >= v.accepted.log.index || v.epoch.log.index >= v.accepted.log.index {
		return "", errors.New("the claim leaf or the epoch leaf stands after the accepted leaf")
	}
	open := v.epoch.epochOpen()
	if open.ID != v.payload.EpochID || open.Number != v.payload.EpochNumber || open.Instance != v.payload.Instance {
		return "", errors.New("the epoch leaf opens another epoch than the payload names")
	}
	for i, open := range []*protocol.EpochOpen{open, v.signer.epochOpen()} {
		if err := open.CheckID(); err != nil {
			return "", fmt.Errorf("%s: %s", partName(i+2), sentence(err))
		}
	}
	v.report.Epoch, v.report.Index = &open.Number, &v.accepted.log.index
	v.report.Time = time.UnixMilli(int64(v.accepted.leaf.Time)).UTC().Format(time.RFC3339Nano)
	return fmt.Sprintf("all leaves are in the tree of %d leaves%s", head.N, v.presented()), nil
}

// issued is step 7: the anchor stands in the issued tree of its epoch, whose
// root the epoch's key signed.
func (v *verification) issued() (string, error) {
	head, err := parseNote(v.accepted.log.note)
	if err != nil {
		return "", err
	}
	open, issued := v.epoch.epochOpen(), &v.body.Issued
	digest := protocol.IssuedDigest(v.payload.RequestID, &v.body.Payload, v.body.Anchor)
	if err := issued.Verify(digest, head.Origin, open.ID, open.CheckpointKey); err != nil {
		return "", err
	}
	return fmt.Sprintf("the anchor is number %d of at least %d that the signer of the epoch issued", issued.Position, issued.Size), nil
}

// signature is step 8: the signer leaf announces the key that signed the
// checkpoint, and the library agrees after parsing each log text anew.
func (v *verification) signature() (string, error) {
	epoch, signer := v.epoch.epochOpen(), v.signer.epochOpen()
	same := signer.ID == epoch.ID
	if same != (v.signer.log.index == v.epoch.log.index) ||
		!same && (signer.Number <= epoch.Number || v.signer.log.index < v.epoch.log.index) {
		return "", errors.New("the signer leaf is neither the epoch of the payload nor a later one")
	}
	c, err := ParseCheckpoint(v.accepted.log.note, signer.CheckpointKey)
	if err != nil {
		return "", err
	}
	key, err := epochVerifier(c.Origin, signer.CheckpointKey)
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
		handover, err := v.handover(c)
		if err != nil {
			return "", err
		}
		by = fmt.Sprintf("the key of the later epoch %d; %s", signer.Number, handover)
	}
	c.Epoch, c.EpochIndex = signer, v.signer.log.index
	v.checkpoint, v.report.Log, v.report.Size = c, c.Origin, &c.Size
	return fmt.Sprintf("log %s, size %d, signed by %s", c.Origin, c.Size, by), nil
}

// handover verifies the part of the way from the epoch's key to the signer's
// that the receipt shows.
func (v *verification) handover(c *Checkpoint) (string, error) {
	epoch, signer := v.epoch.epochOpen(), v.signer.epochOpen()
	if signer.Previous != epoch.ID {
		return "the hand-overs between the two are not shown here", nil
	}
	if signer.PreviousIndex != v.epoch.log.index {
		return "", errors.New("the signer leaf names another leaf of the epoch before it")
	}
	if signer.Handover == (protocol.SignedRoot{}) {
		return "the epoch of the payload did not hand over to it", nil
	}
	if signer.Handover.Size > v.signer.log.index {
		return "", errors.New("the hand-over to the signer's epoch is over a tree that reaches beyond its leaf")
	}
	if err := signer.VerifyHandover(c.Origin, epoch.CheckpointKey); err != nil {
		return "", err
	}
	root, shown := v.rootAt(signer.Handover.Size, c.Size)
	switch {
	case !shown:
		return "handed over by the key of the payload's epoch, over a tree that the receipt does not show", nil
	case root != signer.Handover.Root:
		return "", errors.New("the hand-over to the signer's epoch is over another tree than the checkpoint's")
	}
	return "handed over by the key of the payload's epoch", nil
}

// rootAt returns the root of the first leaves of the checkpoint's tree, if the
// receipt holds the proof of the leaf that follows them.
func (v *verification) rootAt(first, size uint64) (protocol.Digest, bool) {
	if first == 0 {
		return new(protocol.Range).Root(), true
	}
	i := slices.IndexFunc(v.all, func(e entry) bool { return e.log.index == first })
	if i < 0 {
		return protocol.Digest{}, false
	}
	return v.all[i].log.before(size), true
}

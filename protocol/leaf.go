package protocol

import (
	"encoding/binary"
	"math"
)

// A leaf is one entry of the log (section 12).
//
//	"TDLEAF01" | u16 type | u64 seq | u64 Unix ms | u32 withdrawals | body
//
// The header is 30 bytes; numbers are big-endian; trailing bytes are refused.
const (
	leafMagic      = "TDLEAF01"
	LeafHeaderSize = 30

	// MaxLeafSize bounds every leaf; it is the entry limit of the log, a 16-bit
	// length.
	MaxLeafSize = math.MaxUint16

	// MaxParamsSize bounds the canonical parameters of a claim, in bytes.
	MaxParamsSize = 2048

	// ProofSize is the one size of a proof, in bytes (section 6).
	ProofSize = 664

	// VKSize is the one size of an encoded verifying key, in bytes (section 6).
	VKSize = 404
)

// LeafType is the type word of a leaf.
type LeafType uint16

// The leaf types of section 12. Type 7, a batch root, is reserved and refused.
const (
	LeafAccepted   LeafType = 1
	LeafEpochOpen  LeafType = 2
	LeafEpochClose LeafType = 3
	LeafClaim      LeafType = 4
	LeafControl    LeafType = 5
	LeafIncident   LeafType = 6
)

var leafTypeNames = []string{
	LeafAccepted: "accepted", LeafEpochOpen: "epoch-open", LeafEpochClose: "epoch-close",
	LeafClaim: "claim", LeafControl: "control", LeafIncident: "incident",
}

// String returns the name of the type as the command line prints it.
func (t LeafType) String() string { return nameOf(leafTypeNames, t, "unknown") }

// nameOf returns the name of a value out of a table, or otherwise if it has none.
func nameOf[T ~uint8 | ~uint16](names []string, v T, otherwise string) string {
	if int(v) < len(names) && names[v] != "" {
		return names[v]
	}
	return otherwise
}

// LeafTypeOf returns the type word of an encoded leaf, 0 if it is too short to have one.
func LeafTypeOf(leaf []byte) LeafType {
	if len(leaf) < len(leafMagic)+2 {
		return 0
	}
	return LeafType(binary.BigEndian.Uint16(leaf[len(leafMagic):]))
}

// Leaf is a parsed leaf: its header and exactly one body.
type Leaf struct {
	Seq         uint64
	Time        uint64 // Unix milliseconds, never less than the previous leaf's
	Withdrawals uint32 // withdrawals in the log before this leaf, see [Leaf.Withdraws]
	Body        LeafBody
}

// Withdraws reports whether the leaf withdraws a verifying key or an epoch: a
// control leaf of action 6 or 9. The header of such a leaf numbers it, from 0.
func (l *Leaf) Withdraws() bool {
	c, ok := l.Body.(*Control)
	return ok && (c.Action == ActionRetireVK || c.Action == ActionRevokeEpoch)
}

// LeafBody is one of [Accepted], [EpochOpen], [EpochClose], [ClaimLeaf],
// [Control], [Incident].
type LeafBody interface {
	LeafType() LeafType
	// AppendBody appends the body's bytes; it fails where a variable part is
	// longer than its length word or its limit allows.
	AppendBody(b []byte) ([]byte, error)
}

// Accepted is the body of leaf 1: everything needed to verify one acceptance.
type Accepted struct {
	Payload EncodedPayload
	Anchor  Anchor
	TagHash Element // t, never the tag itself
	Issued  Issued  // shows that the anchor was issued in its epoch
	Params  []byte  // canonical JSON, at most MaxParamsSize
	Proof   []byte  // ProofSize bytes
}

// EpochOpen is the body of leaf 2: the public values of an epoch.
type EpochOpen struct {
	Number        uint64
	ID            EpochID
	Instance      InstanceID
	PublicKey     [MLDSAPublicKeySize]byte
	Build         Digest // SHA-256 of the executable
	SignerGrade   uint8
	TaggerGrade   uint8
	Posture       Digest
	CheckpointKey [32]byte   // Ed25519
	Previous      EpochID    // zero if there is none
	PreviousIndex uint64     // of the leaf that opened it; zero if there is none
	Handover      SignedRoot // by the previous epoch's checkpoint key; zero if there is none
}

// CloseReason says why an epoch ended.
type CloseReason uint8

// The close reasons of leaf 3.
const (
	CloseShutdown CloseReason = 1 // the core stopped in order
	CloseRotated  CloseReason = 2 // the next epoch took over
	CloseDied     CloseReason = 3 // a keyholder exited or was killed
	CloseSuspect  CloseReason = 4 // core and tagger disagreed, or a self-test failed
	CloseLost     CloseReason = 5 // the process exited without closing; written by the next start
)

var closeReasonNames = []string{
	CloseShutdown: "shutdown", CloseRotated: "rotated", CloseDied: "died", CloseSuspect: "suspect", CloseLost: "lost",
}

// String returns the name of the reason.
func (r CloseReason) String() string { return nameOf(closeReasonNames, r, "unknown") }

// EpochClose is the body of leaf 3. Issued is the signed root of the issued
// tree. After an orderly close it covers the whole tree; otherwise it is the
// greatest root in an accepted leaf of the epoch, or zero.
type EpochClose struct {
	ID          EpochID
	Number      uint64
	Reason      CloseReason
	Accepted    uint64
	Rejected    uint64
	Expired     uint64
	Invalidated uint64
	Issued      SignedRoot
}

// ClaimLeaf is the body of leaf 4: a verifying key enters the log.
type ClaimLeaf struct {
	ClaimID string // 1..255 bytes
	List    ListID // zero for claims without a list
	SRS     Digest
	VK      []byte // VKSize bytes
}

// ControlAction is what an operator, or the core itself, did.
type ControlAction uint8

// The actions of leaf 5.
const (
	ActionFreezeIssue  ControlAction = 1
	ActionThawIssue    ControlAction = 2
	ActionFreezeAccept ControlAction = 3
	ActionThawAccept   ControlAction = 4
	ActionSeal         ControlAction = 5
	ActionRetireVK     ControlAction = 6
	ActionInvalidate   ControlAction = 7
	ActionRotate       ControlAction = 8
	ActionRevokeEpoch  ControlAction = 9
	actionEnd          ControlAction = 10
)

var actionNames = [actionEnd]string{
	ActionFreezeIssue: "freeze-issue", ActionThawIssue: "thaw-issue",
	ActionFreezeAccept: "freeze-accept", ActionThawAccept: "thaw-accept",
	ActionSeal: "seal", ActionRetireVK: "retire", ActionInvalidate: "invalidate",
	ActionRotate: "rotate", ActionRevokeEpoch: "revoke",
}

// String names the action as the command line prints it.
func (a ControlAction) String() string { return nameOf(actionNames[:], a, "unknown") }

// Control is the body of leaf 5. The target is the fingerprint or the identity
// the action is about, zero for all.
type Control struct {
	Action   ControlAction
	Actor    Digest // ActorCommitment of who acted
	Reason   uint16 // reason code
	Text     Digest // ReasonDigest of the text
	Previous uint8  // state before, one bit for each kind of hold, seal and retirement (section 17)
	Target   Digest
}

// Incident is the body of leaf 6.
type Incident struct {
	Kind   uint8  // numbered in section 17
	Digest Digest // IncidentDigest
}

// LeafType returns the type of the body.
func (*Accepted) LeafType() LeafType { return LeafAccepted }

// LeafType is 2.
func (*EpochOpen) LeafType() LeafType { return LeafEpochOpen }

// LeafType is 3.
func (*EpochClose) LeafType() LeafType { return LeafEpochClose }

// LeafType is 4.
func (*ClaimLeaf) LeafType() LeafType { return LeafClaim }

// LeafType is 5.
func (*Control) LeafType() LeafType { return LeafControl }

// LeafType is 6.
func (*Incident) LeafType() LeafType { return LeafIncident }

// Encode writes header and body.
func (l *Leaf) Encode() ([]byte, error) {
	b := make([]byte, 0, 2560)
	b = append(b, leafMagic...)
	b = binary.BigEndian.AppendUint16(b, uint16(l.Body.LeafType()))
	b = binary.BigEndian.AppendUint64(b, l.Seq)
	b = binary.BigEndian.AppendUint64(b, l.Time)
	b = binary.BigEndian.AppendUint32(b, l.Withdrawals)
	b, err := l.Body.AppendBody(b)
	if err != nil {
		return nil, err
	}
	if len(b) > MaxLeafSize {
		return nil, Fail(CodeInternal, "leaf is too large")
	}
	return b, nil
}

// AppendBody writes payload, anchor, t, the place in the issued tree, parameters
// and proof.
func (a *Accepted) AppendBody(b []byte) ([]byte, error) {
	if len(a.Params) > MaxParamsSize {
		return nil, Fail(CodeMalformedRequest, "parameters are too long")
	}
	if len(a.Proof) != ProofSize {
		return nil, Fail(CodeProofRejected, "proof has the wrong size")
	}
	b = append(b, a.Payload[:]...)
	b = append(b, a.Anchor[:]...)
	b = append(b, a.TagHash[:]...)
	b, err := a.Issued.append(b)
	if err != nil {
		return nil, err
	}
	b = binary.BigEndian.AppendUint16(b, uint16(len(a.Params)))
	b = append(b, a.Params...)
	b = binary.BigEndian.AppendUint16(b, uint16(len(a.Proof)))
	return append(b, a.Proof...), nil
}

// AppendBody writes the fields in the order of section 12.
func (e *EpochOpen) AppendBody(b []byte) ([]byte, error) {
	if err := e.check(); err != nil {
		return nil, err
	}
	b = binary.BigEndian.AppendUint64(b, e.Number)
	b = append(b, e.ID[:]...)
	b = append(b, e.Instance[:]...)
	b = binary.BigEndian.AppendUint16(b, Suite)
	b = append(b, e.PublicKey[:]...)
	b = append(b, e.Build[:]...)
	b = append(b, e.SignerGrade, e.TaggerGrade)
	b = append(b, e.Posture[:]...)
	b = append(b, e.CheckpointKey[:]...)
	b = append(b, e.Previous[:]...)
	b = binary.BigEndian.AppendUint64(b, e.PreviousIndex)
	b = binary.BigEndian.AppendUint64(b, e.Handover.Size)
	b = append(b, e.Handover.Root[:]...)
	return append(b, e.Handover.Signature[:]...), nil
}

// AppendBody writes the fields in the order of section 12.
func (e *EpochClose) AppendBody(b []byte) ([]byte, error) {
	if err := e.Issued.check(); err != nil {
		return nil, err
	}
	b = append(b, e.ID[:]...)
	b = binary.BigEndian.AppendUint64(b, e.Number)
	b = append(b, byte(e.Reason))
	for _, n := range [...]uint64{e.Issued.Size, e.Accepted, e.Rejected, e.Expired, e.Invalidated} {
		b = binary.BigEndian.AppendUint64(b, n)
	}
	b = append(b, e.Issued.Root[:]...)
	return append(b, e.Issued.Signature[:]...), nil
}

// AppendBody writes the fields in the order of section 12.
func (c *ClaimLeaf) AppendBody(b []byte) ([]byte, error) {
	if len(c.ClaimID) == 0 || len(c.ClaimID) > math.MaxUint8 {
		return nil, Fail(CodeInternal, "claim id has the wrong length")
	}
	if len(c.VK) != VKSize {
		return nil, Fail(CodeInternal, "verifying key has the wrong size")
	}
	b = append(b, byte(len(c.ClaimID)))
	b = append(b, c.ClaimID...)
	b = append(b, c.List[:]...)
	b = append(b, c.SRS[:]...)
	b = binary.BigEndian.AppendUint16(b, uint16(len(c.VK)))
	return append(b, c.VK...), nil
}

// AppendBody writes the fields in the order of section 12.
func (c *Control) AppendBody(b []byte) ([]byte, error) {
	b = append(b, byte(c.Action))
	b = append(b, c.Actor[:]...)
	b = binary.BigEndian.AppendUint16(b, c.Reason)
	b = append(b, c.Text[:]...)
	b = append(b, c.Previous)
	return append(b, c.Target[:]...), nil
}

// AppendBody writes the fields in the order of section 12.
func (i *Incident) AppendBody(b []byte) ([]byte, error) {
	return append(append(b, i.Kind), i.Digest[:]...), nil
}

// ParseLeaf reads a leaf written by [Leaf.Encode] and nothing else: unknown
// types, short bodies, trailing bytes and values out of range are refused with
// malformed_request.
func ParseLeaf(b []byte) (Leaf, error) {
	if len(b) > MaxLeafSize {
		return Leaf{}, Fail(CodeMalformedRequest, "leaf is too large")
	}
	r := reader{b: b}
	if string(r.take(len(leafMagic))) != leafMagic {
		return Leaf{}, Fail(CodeMalformedRequest, "leaf does not begin with its constant")
	}
	t := LeafType(r.u16())
	l := Leaf{Seq: r.u64(), Time: r.u64(), Withdrawals: r.u32()}
	body, err := parseBody(&r, t)
	if err != nil {
		return Leaf{}, err
	}
	if r.failed {
		return Leaf{}, Fail(CodeMalformedRequest, "leaf is too short")
	}
	if len(r.b) != 0 {
		return Leaf{}, Fail(CodeMalformedRequest, "leaf has trailing bytes")
	}
	l.Body = body
	return l, nil
}

func parseBody(r *reader, t LeafType) (LeafBody, error) {
	switch t {
	case LeafAccepted:
		return parseAccepted(r)
	case LeafEpochOpen:
		return parseEpochOpen(r)
	case LeafEpochClose:
		return parseEpochClose(r)
	case LeafClaim:
		return parseClaimLeaf(r)
	case LeafControl:
		return parseControl(r)
	case LeafIncident:
		i := &Incident{Kind: r.u8()}
		r.fill(i.Digest[:])
		return i, nil
	default:
		return nil, Fail(CodeMalformedRequest, "leaf has an unknown type")
	}
}

func parseAccepted(r *reader) (LeafBody, error) {
	a := &Accepted{}
	r.fill(a.Payload[:])
	r.fill(a.Anchor[:])
	r.fill(a.TagHash[:])
	a.Issued = readIssued(r)
	a.Params = r.take(int(r.u16()))
	a.Proof = r.take(int(r.u16()))
	if r.failed {
		return a, nil
	}
	if _, err := ParsePayload(a.Payload[:]); err != nil {
		return nil, err
	}
	if CheckElement(a.Anchor[:]) != nil || CheckElement(a.TagHash[:]) != nil {
		return nil, Fail(CodeMalformedRequest, "leaf holds a value that is not a canonical field element")
	}
	if len(a.Params) > MaxParamsSize || len(a.Proof) != ProofSize {
		return nil, Fail(CodeMalformedRequest, "leaf has a part of the wrong length")
	}
	return a, a.Issued.Check()
}

func parseEpochOpen(r *reader) (LeafBody, error) {
	e := &EpochOpen{Number: r.u64()}
	r.fill(e.ID[:])
	r.fill(e.Instance[:])
	suite := r.u16()
	r.fill(e.PublicKey[:])
	r.fill(e.Build[:])
	e.SignerGrade = r.u8()
	e.TaggerGrade = r.u8()
	r.fill(e.Posture[:])
	r.fill(e.CheckpointKey[:])
	r.fill(e.Previous[:])
	e.PreviousIndex = r.u64()
	e.Handover.Size = r.u64()
	r.fill(e.Handover.Root[:])
	r.fill(e.Handover.Signature[:])
	switch {
	case r.failed:
		return e, nil
	case suite != Suite:
		return nil, Fail(CodeMalformedRequest, "leaf has an unknown suite")
	}
	return e, e.check()
}

// check refuses an index or a hand-over without a previous epoch.
func (e *EpochOpen) check() error {
	if e.Previous == (EpochID{}) && (e.PreviousIndex != 0 || e.Handover != SignedRoot{}) {
		return Fail(CodeMalformedRequest, "leaf has a hand-over from no epoch")
	}
	return e.Handover.check()
}

func parseEpochClose(r *reader) (LeafBody, error) {
	e := &EpochClose{}
	r.fill(e.ID[:])
	e.Number = r.u64()
	e.Reason = CloseReason(r.u8())
	for _, n := range [...]*uint64{&e.Issued.Size, &e.Accepted, &e.Rejected, &e.Expired, &e.Invalidated} {
		*n = r.u64()
	}
	r.fill(e.Issued.Root[:])
	r.fill(e.Issued.Signature[:])
	if r.failed {
		return e, nil
	}
	if e.Reason < CloseShutdown || e.Reason > CloseLost {
		return nil, Fail(CodeMalformedRequest, "leaf has an unknown reason")
	}
	return e, e.Issued.check()
}

func parseClaimLeaf(r *reader) (LeafBody, error) {
	c := &ClaimLeaf{ClaimID: string(r.take(int(r.u8())))}
	r.fill(c.List[:])
	r.fill(c.SRS[:])
	c.VK = r.take(int(r.u16()))
	if !r.failed && (c.ClaimID == "" || len(c.VK) != VKSize) {
		return nil, Fail(CodeMalformedRequest, "leaf has a part of the wrong length")
	}
	return c, nil
}

func parseControl(r *reader) (LeafBody, error) {
	c := &Control{Action: ControlAction(r.u8())}
	r.fill(c.Actor[:])
	c.Reason = r.u16()
	r.fill(c.Text[:])
	c.Previous = r.u8()
	r.fill(c.Target[:])
	if !r.failed && (c.Action == 0 || c.Action >= actionEnd) {
		return nil, Fail(CodeMalformedRequest, "leaf has an unknown action")
	}
	return c, nil
}

// reader takes fixed parts off the front of b; after a short read it is marked
// as failed and returns zeros.
type reader struct {
	b      []byte
	failed bool
}

func (r *reader) take(n int) []byte {
	if r.failed || len(r.b) < n {
		r.failed = true
		return nil
	}
	part := append([]byte(nil), r.b[:n]...)
	r.b = r.b[n:]
	return part
}

func (r *reader) fill(dst []byte) { copy(dst, r.take(len(dst))) }

func (r *reader) u8() uint8 {
	if b := r.take(1); b != nil {
		return b[0]
	}
	return 0
}

func (r *reader) u16() uint16 {
	if b := r.take(2); b != nil {
		return binary.BigEndian.Uint16(b)
	}
	return 0
}

func (r *reader) u32() uint32 {
	if b := r.take(4); b != nil {
		return binary.BigEndian.Uint32(b)
	}
	return 0
}

func (r *reader) u64() uint64 {
	if b := r.take(8); b != nil {
		return binary.BigEndian.Uint64(b)
	}
	return 0
}

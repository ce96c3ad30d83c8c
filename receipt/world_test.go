package receipt_test

import (
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"fmt"
	"math/bits"
	"slices"
	"sync"
	"testing"

	"filippo.io/torchwood"
	"golang.org/x/mod/sumdb/note"
	"golang.org/x/mod/sumdb/tlog"

	"github.com/terradourada/td/claim"
	"github.com/terradourada/td/protocol"
	"github.com/terradourada/td/receipt"
)

const (
	testOrigin = "terradourada/0123456789abcdef"
	testClient = "press 7"
)

// prover is shared, because its keys cost about a second.
var prover = sync.OnceValues(func() (*claim.Prover, error) {
	return claim.NewProver(claim.Open, claim.Range, claim.RecordEquals)
})

// world is a log with everything a server writes into one, made of real trees,
// keys and proofs. Only the ML-DSA key is random bytes, since no verifier ever
// uses it.
type world struct {
	t      testing.TB
	origin string
	hashes []tlog.Hash
	leaves [][]byte
	epochs []*epochKey

	withdrawals []uint64 // leaves that withdraw something
}

type epochKey struct {
	open   protocol.EpochOpen
	index  uint64
	key    ed25519.PrivateKey
	issued []tlog.Hash // stored hashes of the issued tree
	count  uint64      // of its leaves
}

// issue appends to the issued tree of the epoch and returns the place.
func (w *world) issue(e *epochKey, digest protocol.Digest) protocol.Issued {
	w.t.Helper()
	read := tlog.HashReaderFunc(func(indexes []int64) ([]tlog.Hash, error) {
		out := make([]tlog.Hash, len(indexes))
		for i, n := range indexes {
			out[i] = e.issued[n]
		}
		return out, nil
	})
	hashes, err := tlog.StoredHashes(int64(e.count), digest[:], read)
	w.must(err)
	e.issued = append(e.issued, hashes...)
	i := protocol.Issued{Position: e.count}
	e.count++
	root, err := tlog.TreeHash(int64(e.count), read)
	w.must(err)
	path, err := tlog.ProveRecord(int64(e.count), int64(i.Position), read)
	w.must(err)
	for _, h := range path {
		i.Path = append(i.Path, protocol.Digest(h))
	}
	i.Size, i.Root = e.count, protocol.Digest(root)
	d := protocol.IssuedRootDigest(w.origin, e.open.ID, i.Size, i.Root)
	copy(i.Signature[:], ed25519.Sign(e.key, d[:]))
	return i
}

func newWorld(tb testing.TB) *world {
	tb.Helper()
	return &world{t: tb, origin: testOrigin}
}

func (w *world) ReadHashes(indexes []int64) ([]tlog.Hash, error) {
	out := make([]tlog.Hash, len(indexes))
	for i, n := range indexes {
		out[i] = w.hashes[n]
	}
	return out, nil
}

func (w *world) size() uint64 { return uint64(len(w.leaves)) }

func (w *world) must(err error) {
	w.t.Helper()
	if err != nil {
		w.t.Fatal(err)
	}
}

func (w *world) append(body protocol.LeafBody) uint64 {
	w.t.Helper()
	leaf := protocol.Leaf{
		Seq: w.size(), Time: 1_800_000_000_000 + w.size(), Withdrawals: uint32(len(w.withdrawals)), Body: body,
	}
	if leaf.Withdraws() {
		w.withdrawals = append(w.withdrawals, leaf.Seq)
	}
	b, err := leaf.Encode()
	w.must(err)
	return w.appendRaw(b)
}

func (w *world) appendRaw(b []byte) uint64 {
	w.t.Helper()
	hashes, err := tlog.StoredHashes(int64(w.size()), b, w)
	w.must(err)
	w.hashes = append(w.hashes, hashes...)
	w.leaves = append(w.leaves, b)
	return w.size() - 1
}

func (w *world) root(size uint64) tlog.Hash {
	w.t.Helper()
	h, err := tlog.TreeHash(int64(size), w)
	w.must(err)
	return h
}

// openEpoch starts an epoch; from, if not nil, hands over to it with the
// checkpoint over lag leaves less than there are.
func (w *world) openEpoch(from *epochKey, lag uint64) *epochKey {
	w.t.Helper()
	key := newKey(w.t)
	e := &epochKey{key: key, open: protocol.EpochOpen{Number: uint64(len(w.epochs) + 1)}}
	fill(e.open.Instance[:], e.open.PublicKey[:], e.open.Build[:], e.open.Posture[:])
	copy(e.open.CheckpointKey[:], key.Public().(ed25519.PublicKey))
	e.open.ID = protocol.DeriveEpochID(e.open.PublicKey[:], e.open.CheckpointKey)
	if from != nil {
		e.open.Previous, e.open.PreviousIndex = from.open.ID, from.index
		size := w.size() - lag
		w.handOver(&e.open, from.key, size, w.root(size))
	}
	e.index = w.append(&e.open)
	w.epochs = append(w.epochs, e)
	return e
}

// handOver signs the hand-over to an epoch that names its previous one.
func (w *world) handOver(open *protocol.EpochOpen, key ed25519.PrivateKey, size uint64, root tlog.Hash) {
	open.Handover.Size, open.Handover.Root = size, protocol.Digest(root)
	h := protocol.Handover{
		Origin: w.origin, Previous: open.Previous, Next: open.ID, Number: open.Number,
		Key: open.CheckpointKey, Size: size, Root: protocol.Digest(root),
	}
	d := h.Digest()
	copy(open.Handover.Signature[:], ed25519.Sign(key, d[:]))
}

func fill(parts ...[]byte) {
	for _, p := range parts {
		rand.Read(p)
	}
}

// registered is a claim with its leaf in the log.
type registered struct {
	id    claim.ID
	list  protocol.ListID
	vk    protocol.Digest
	index uint64
}

func (w *world) register(id claim.ID) registered {
	w.t.Helper()
	vk, ok := claim.KnownKey(id)
	if !ok {
		w.t.Fatalf("no key for %s", id)
	}
	return w.registerKey(id, protocol.ListID{}, vk.Encode(), claim.SRSDigest())
}

func (w *world) registerKey(id claim.ID, list protocol.ListID, vk []byte, srs protocol.Digest) registered {
	w.t.Helper()
	index := w.append(&protocol.ClaimLeaf{ClaimID: string(id), List: list, SRS: srs, VK: vk})
	return registered{id, list, protocol.VKFingerprint(string(id), list, srs, vk), index}
}

// accepted is an acceptance in the log with its opening.
type accepted struct {
	epoch   *epochKey
	claim   registered
	index   uint64
	opening receipt.Opening
}

// job is an event and the statement to prove about it.
type job struct {
	mode   protocol.Mode
	params string
	event  string
	commit func(p *claim.Params, event []byte, blind protocol.Element) (protocol.Commitment, *claim.Assignment, error)
	client string
	change func(*protocol.Payload) // before the proof is made
}

// accept proves a job and logs it, as gate.Accept would.
func (w *world) accept(e *epochKey, c registered, j job) accepted {
	w.t.Helper()
	p, err := claim.ParseParams(c.id, []byte(j.params))
	w.must(err)
	blind := claim.NewBlind()
	if j.commit == nil {
		j.commit = claim.Commit
	}
	cm, assignment, err := j.commit(p, []byte(j.event), blind)
	w.must(err)
	s, err := claim.NewStatement(p, cm)
	w.must(err)
	if j.client == "" {
		j.client = protocol.LocalClient
	}
	var salt protocol.Salt
	fill(salt[:])
	payload := protocol.Payload{
		Mode: max(j.mode, protocol.ModePush), EpochID: e.open.ID, EpochNumber: e.open.Number, Instance: e.open.Instance,
		Seq: w.size(), IssuedAt: 1_800_000_000_000, TTL: protocol.DefaultTTL, Policy: 1, Commitment: cm,
		Client: protocol.ClientCommitment(salt, j.client), VK: c.vk, Statement: s.Digest(),
	}
	fill(payload.RequestID[:], payload.Nonce[:])
	if j.change != nil {
		j.change(&payload)
	}
	return accepted{e, c, w.append(w.prove(e, s, &payload, assignment)), receipt.Opening{
		RequestID: payload.RequestID, Event: j.event, Blind: blind, ClientSalt: salt,
	}}
}

// again logs the leaf of an acceptance once more, changed, with its old proof.
func (w *world) again(a accepted, change func(*protocol.Accepted)) accepted {
	w.t.Helper()
	leaf, err := protocol.ParseLeaf(w.leaves[a.index])
	w.must(err)
	body := leaf.Body.(*protocol.Accepted)
	change(body)
	a.index = w.append(body)
	return a
}

// onPayload is a change of the payload of an acceptance.
func onPayload(change func(*protocol.Payload)) func(*protocol.Accepted) {
	return func(a *protocol.Accepted) {
		p, err := protocol.ParsePayload(a.Payload[:])
		if err != nil {
			panic(err)
		}
		change(&p)
		a.Payload = p.Encode()
	}
}

func (w *world) prove(e *epochKey, s *claim.Statement, payload *protocol.Payload, a *claim.Assignment) *protocol.Accepted {
	w.t.Helper()
	p, err := prover()
	w.must(err)
	var tag protocol.Tag
	fill(tag[:])
	body := &protocol.Accepted{
		Payload: payload.Encode(), Anchor: protocol.Anchor(claim.NewBlind()),
		TagHash: protocol.TagElement(tag), Params: s.Params().Bytes(),
	}
	body.Issued = w.issue(e, protocol.IssuedDigest(payload.RequestID, &body.Payload, body.Anchor))
	x := s.Inputs(body.Anchor, protocol.ContextElement(&body.Payload), body.TagHash)
	body.Proof, err = p.Prove(context.Background(), s, x, a)
	w.must(err)
	return body
}

// checkpoint signs the tree of the first size leaves.
func (w *world) checkpoint(size uint64, signers ...note.Signer) []byte {
	w.t.Helper()
	c := torchwood.Checkpoint{Origin: w.origin, Tree: tlog.Tree{N: int64(size), Hash: w.root(size)}}
	signed, err := note.Sign(&note.Note{Text: c.String()}, signers...)
	w.must(err)
	return signed
}

func (w *world) signer(e *epochKey) note.Signer { return noteSigner(w.t, w.origin, e.key) }

func noteSigner(tb testing.TB, name string, key ed25519.PrivateKey) note.Signer {
	tb.Helper()
	vkey, err := note.NewEd25519VerifierKey(name, key.Public().(ed25519.PublicKey))
	if err != nil {
		tb.Fatal(err)
	}
	v, err := note.NewVerifier(vkey)
	if err != nil {
		tb.Fatal(err)
	}
	return ed25519Signer{v, key}
}

type ed25519Signer struct {
	note.Verifier
	key ed25519.PrivateKey
}

func (s ed25519Signer) Sign(msg []byte) ([]byte, error) { return ed25519.Sign(s.key, msg), nil }

func (w *world) pair(index, size uint64, checkpoint []byte) receipt.Pair {
	w.t.Helper()
	proof, err := tlog.ProveRecord(int64(size), int64(index), w)
	w.must(err)
	return receipt.Pair{
		Leaf: append([]byte(nil), w.leaves[index]...),
		Log:  string(torchwood.FormatProof(int64(index), proof, checkpoint)),
	}
}

// receipt returns what a server would answer at the present size; the key of
// an epoch signs the checkpoint.
func (w *world) receipt(a accepted, by *epochKey, flags ...uint64) *receipt.Receipt {
	w.t.Helper()
	return w.receiptAt(a, by, w.size(), flags...)
}

func (w *world) receiptAt(a accepted, by *epochKey, size uint64, flags ...uint64) *receipt.Receipt {
	w.t.Helper()
	return w.receiptFor(a, by, w.checkpoint(size, w.signer(by)), size, flags...)
}

func (w *world) receiptFor(a accepted, by *epochKey, cp []byte, size uint64, flags ...uint64) *receipt.Receipt {
	w.t.Helper()
	r := &receipt.Receipt{
		Version: receipt.Version,
		Pair:    w.pair(a.index, size, cp),
		Claim:   w.pair(a.claim.index, size, cp),
		Epoch:   w.pair(a.epoch.index, size, cp),
		Signer:  w.pair(by.index, size, cp),
		Last:    w.pair(size-1, size, cp),
	}
	for _, f := range flags {
		r.Flags = append(r.Flags, w.pair(f, size, cp))
	}
	return r
}

// Prefix and Entry make a world a receipt.Log, Leaves a receipt.Scanner.
func (w *world) Prefix(_ context.Context, from, to uint64) ([][32]byte, error) {
	if to > w.size() {
		return nil, fmt.Errorf("the log has %d leaves only", w.size())
	}
	proof, err := tlog.ProveTree(int64(to), int64(from), w)
	var out [][32]byte
	if bits.OnesCount64(from) == 1 { // where RFC 6962 omits the root that the reader already has
		out = append(out, w.root(from))
	}
	for _, h := range proof {
		out = append(out, h)
	}
	return out, err
}

func (w *world) Entry(_ context.Context, index, size uint64) ([]byte, [][32]byte, error) {
	if size > w.size() || index >= size {
		return nil, nil, fmt.Errorf("the log has %d leaves only", w.size())
	}
	return w.leaves[index], w.path(index, size), nil
}

func (w *world) Leaves(_ context.Context, size uint64, each func(uint64, []byte) error) error {
	for i, leaf := range w.leaves[:size] {
		if err := each(uint64(i), leaf); err != nil {
			return err
		}
	}
	return nil
}

func (w *world) path(index, size uint64) [][32]byte {
	w.t.Helper()
	proof, err := tlog.ProveRecord(int64(size), int64(index), w)
	w.must(err)
	out := make([][32]byte, len(proof))
	for i, h := range proof {
		out[i] = h
	}
	return out
}

// at returns the checkpoint of a size, signed by an epoch whose leaf is in the
// tree.
func (w *world) at(size uint64, by *epochKey) *receipt.Checkpoint {
	w.t.Helper()
	c, err := receipt.VerifyCheckpoint(string(w.checkpoint(size, w.signer(by))), w.leaves[by.index], w.path(by.index, size))
	w.must(err)
	return c
}

// fork is a copy of the first leaves of a log, to be continued differently.
func (w *world) fork(size uint64) *world {
	w.t.Helper()
	f := &world{t: w.t, origin: w.origin, epochs: slices.Clone(w.epochs)}
	for _, leaf := range w.leaves[:size] {
		f.appendRaw(leaf)
	}
	for _, i := range w.withdrawals {
		if i < size {
			f.withdrawals = append(f.withdrawals, i)
		}
	}
	return f
}

// grow appends leaves without meaning, different ones each time.
func (w *world) grow(n int) {
	w.t.Helper()
	for range n {
		body := &protocol.Incident{}
		fill(body.Digest[:])
		w.append(body)
	}
}

// The events and statements of the tests.
var (
	openJob   = job{mode: protocol.ModePull, params: `{}`, event: `{"lot":"7","ph":[61,72]}`}
	rangeJob  = job{mode: protocol.ModePush, params: `{"offset":0,"scale":2,"values":[{"at":"/ph/0","hi":80,"lo":60},{"at":"/ph/1","hi":80,"lo":60}]}`, event: `{"lot":"7","ph":[61,72]}`, client: testClient}
	recordJob = job{mode: protocol.ModePull, params: `{"field":1,"offset":0,"scale":0,"schema":["/lot","/grade"],"value":"A"}`, event: `{"grade":"A","lot":"7"}`}
)

// scene is the log that most tests use: claims, an epoch, three acceptances,
// a rotation.
type scene struct {
	*world
	first, second       *epochKey
	open, ranges, field accepted
	revoke, retire      uint64 // control leaves against the first epoch and range/1
	other               uint64 // a control leaf that withdraws nothing
}

// sharedScene is built once; tests that change anything change copies of
// receipts, never the log.
var sharedScene = sync.OnceValue(func() *scene { return newScene(&failer{}) })

// failer turns a failure outside of any test into a panic.
type failer struct{ testing.TB }

func (*failer) Helper()           {}
func (*failer) Fatal(args ...any) { panic(fmt.Sprint(args...)) }
func (*failer) Fatalf(format string, args ...any) {
	panic(fmt.Sprintf(format, args...))
}

func newScene(tb testing.TB) *scene {
	tb.Helper()
	s := &scene{world: newWorld(tb)}
	open, ranges, record := s.register(claim.Open), s.register(claim.Range), s.register(claim.RecordEquals)
	s.first = s.openEpoch(nil, 0)
	s.open = s.accept(s.first, open, openJob)
	s.ranges = s.accept(s.first, ranges, rangeJob)
	s.field = s.accept(s.first, record, recordJob)
	s.second = s.openEpoch(s.first, 0)
	var epoch protocol.Digest
	copy(epoch[:], s.first.open.ID[:])
	s.other = s.append(&protocol.Control{Action: protocol.ActionFreezeIssue})
	s.revoke = s.append(&protocol.Control{Action: protocol.ActionRevokeEpoch, Target: epoch})
	s.retire = s.append(&protocol.Control{Action: protocol.ActionRetireVK, Target: ranges.vk})
	s.append(&protocol.Incident{})
	return s
}

func newKey(tb testing.TB) ed25519.PrivateKey {
	tb.Helper()
	_, key, err := ed25519.GenerateKey(nil)
	if err != nil {
		tb.Fatal(err)
	}
	return key
}

// clone copies a receipt so that a test may change it.
func clone(r *receipt.Receipt) *receipt.Receipt {
	c := *r
	for _, p := range []*receipt.Pair{&c.Pair, &c.Claim, &c.Epoch, &c.Signer, &c.Last} {
		p.Leaf = append([]byte(nil), p.Leaf...)
	}
	c.Flags = append([]receipt.Pair(nil), r.Flags...)
	for i := range c.Flags {
		c.Flags[i].Leaf = append([]byte(nil), c.Flags[i].Leaf...)
	}
	return &c
}

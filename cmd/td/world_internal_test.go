package main

import (
	"bytes"
	"crypto/ed25519"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/terradourada/td/api"
	"github.com/terradourada/td/claim"
	"github.com/terradourada/td/client"
	"github.com/terradourada/td/protocol"
	"github.com/terradourada/td/receipt"
)

const testOrigin = "terradourada/0123456789abcdef"

// world is a log in the making, with real keys, trees and proofs.
type world struct {
	t           *testing.T
	leaves      [][]byte
	tree        leafTree
	withdrawals uint32
	vk          protocol.Digest
	claim       uint64 // index of the claim leaf
	epochs      []*worldEpoch
}

type worldEpoch struct {
	open   *protocol.EpochOpen
	index  uint64
	key    ed25519.PrivateKey
	issued protocol.Range
	tail   []protocol.Digest // leaf hashes of the issued tree
}

// newWorld is a log with the claim open/1 and an epoch.
func newWorld(t *testing.T) *world {
	t.Helper()
	w := &world{t: t}
	key, ok := claim.KnownKey(claim.Open)
	if !ok {
		t.Fatal("open/1 has no key")
	}
	w.vk = key.Fingerprint(claim.Open, protocol.ListID{})
	w.claim = w.add(&protocol.ClaimLeaf{ClaimID: "open/1", SRS: claim.SRSDigest(), VK: key.Encode()})
	w.open(nil)
	return w
}

// fork is a log with the same first leaves.
func (w *world) fork(size uint64) *world {
	f := &world{t: w.t, vk: w.vk, claim: w.claim}
	for _, raw := range w.leaves[:size] {
		f.addRaw(raw)
	}
	for _, e := range w.epochs {
		if e.index < size {
			f.epochs = append(f.epochs, e)
		}
	}
	return f
}

func (w *world) must(err error) {
	w.t.Helper()
	if err != nil {
		w.t.Fatal(err)
	}
}

func (w *world) size() uint64 { return w.tree.size() }

func (w *world) add(body protocol.LeafBody) uint64 {
	w.t.Helper()
	l := protocol.Leaf{Seq: w.size(), Time: 1_800_000_000_000 + w.size(), Withdrawals: w.withdrawals, Body: body}
	if l.Withdraws() {
		w.withdrawals++
	}
	raw, err := l.Encode()
	w.must(err)
	return w.addRaw(raw)
}

func (w *world) addRaw(raw []byte) uint64 {
	w.leaves = append(w.leaves, raw)
	w.tree.add(protocol.LeafHash(raw))
	return w.size() - 1
}

// epoch is a new epoch that names the one before it; from, if not nil, hands
// over to it.
func (w *world) epoch(from *worldEpoch) *worldEpoch {
	w.t.Helper()
	public, key, err := ed25519.GenerateKey(rand.Reader)
	w.must(err)
	n := byte(len(w.epochs) + 1)
	e := &worldEpoch{key: key, open: &protocol.EpochOpen{Number: uint64(n), Instance: protocol.InstanceID{n}, CheckpointKey: [32]byte(public)}}
	e.open.ID = protocol.DeriveEpochID(e.open.PublicKey[:], e.open.CheckpointKey)
	if n > 1 {
		last := w.epochs[n-2]
		e.open.Previous, e.open.PreviousIndex = last.open.ID, last.index
	}
	if from != nil {
		w.handOver(e.open, from, w.size(), w.tree.root())
	}
	return e
}

func (w *world) handOver(open *protocol.EpochOpen, from *worldEpoch, size uint64, root protocol.Digest) {
	h := protocol.Handover{Origin: testOrigin, Previous: from.open.ID, Next: open.ID, Number: open.Number, Key: open.CheckpointKey, Size: size, Root: root}
	d := h.Digest()
	open.Handover = protocol.SignedRoot{Size: size, Root: root, Signature: [64]byte(ed25519.Sign(from.key, d[:]))}
}

func (w *world) open(from *worldEpoch) *worldEpoch {
	w.t.Helper()
	e := w.epoch(from)
	e.index = w.add(e.open)
	w.epochs = append(w.epochs, e)
	return e
}

// signed is a root of the issued tree under the epoch's key.
func (e *worldEpoch) signed(size uint64, root protocol.Digest) protocol.SignedRoot {
	d := protocol.IssuedRootDigest(testOrigin, e.open.ID, size, root)
	return protocol.SignedRoot{Size: size, Root: root, Signature: [64]byte(ed25519.Sign(e.key, d[:]))}
}

// issuedRoot is the root of everything issued.
func (e *worldEpoch) issuedRoot() protocol.SignedRoot {
	return e.signed(e.issued.Size(), e.issued.Root())
}

// issue anchors a digest.
func (e *worldEpoch) issue(digest protocol.Digest) protocol.Issued {
	h := protocol.LeafHash(digest[:])
	e.issued.Append(h)
	e.tail = append(e.tail, h)
	i := protocol.Issued{Position: e.issued.Size() - 1, SignedRoot: e.issuedRoot()}
	i.Path = pathOf(e.tail, int(i.Position))
	return i
}

// pathOf is PATH of RFC 6962 section 2.1.1 over leaf hashes.
func pathOf(hashes []protocol.Digest, at int) []protocol.Digest {
	if len(hashes) == 1 {
		return nil
	}
	k := 1
	for 2*k < len(hashes) {
		k *= 2
	}
	if at < k {
		return append(pathOf(hashes[:k], at), rootOf(hashes[k:]))
	}
	return append(pathOf(hashes[k:], at-k), rootOf(hashes[:k]))
}

var openKeys = sync.OnceValues(func() (*claim.Prover, error) { return claim.NewProver(claim.Open) })

// accept proves an event and logs the acceptance.
func (w *world) accept(e *worldEpoch) uint64 {
	w.t.Helper()
	prover, err := openKeys()
	w.must(err)
	draft, err := client.NewDraft(&client.Submission{Claim: claim.Open, Params: []byte("{}"), Event: fmt.Appendf(nil, `{"n":%d}`, w.size())}, protocol.Element{})
	w.must(err)
	ch := w.challenge(e, draft.Request().Commitment)
	proof, err := draft.Prove(w.t.Context(), prover, ch, protocol.LocalClient)
	w.must(err)
	return w.accepted(e, ch, proof)
}

// challenge is what a server answers to a commitment of open/1.
func (w *world) challenge(e *worldEpoch, cm protocol.Commitment) *api.Challenge {
	w.t.Helper()
	p := protocol.Payload{
		Mode: protocol.ModePull, EpochID: e.open.ID, EpochNumber: e.open.Number, Instance: e.open.Instance,
		Seq: e.issued.Size() + 1, IssuedAt: 1_800_000_000_000, TTL: protocol.DefaultTTL, Policy: 1, Commitment: cm, VK: w.vk,
		Statement: protocol.StatementDigest("open/1", []byte("{}"), cm), Client: protocol.ClientCommitment(protocol.Salt{}, protocol.LocalClient),
	}
	rand.Read(p.RequestID[:])
	rand.Read(p.Nonce[:])
	ch := &api.Challenge{RequestID: p.RequestID, Payload: api.Payload(p.Encode()), Anchor: protocol.Anchor(claim.NewBlind())}
	rand.Read(ch.Tag[:])
	params, err := claim.ParseParams(claim.Open, []byte("{}"))
	w.must(err)
	statement, err := claim.NewStatement(params, cm)
	w.must(err)
	encoded := p.Encode()
	ch.PublicInputs = statement.Inputs(ch.Anchor, protocol.ContextElement(&encoded), protocol.TagElement(ch.Tag))
	return ch
}

// accepted logs the answer to a challenge.
func (w *world) accepted(e *worldEpoch, ch *api.Challenge, proof []byte) uint64 {
	w.t.Helper()
	body := &protocol.Accepted{Payload: protocol.EncodedPayload(ch.Payload), Anchor: ch.Anchor, TagHash: protocol.TagElement(ch.Tag), Params: []byte("{}"), Proof: proof}
	body.Issued = e.issue(protocol.IssuedDigest(ch.RequestID, &body.Payload, body.Anchor))
	return w.add(body)
}

// note is the checkpoint of a size under the key of an epoch.
func (w *world) note(size uint64, by *worldEpoch) string {
	root := w.tree.rootAt(size)
	text := fmt.Sprintf("%s\n%d\n%s\n", testOrigin, size, base64.StdEncoding.EncodeToString(root[:]))
	sig := append(keyID(by.open.CheckpointKey), ed25519.Sign(by.key, []byte(text))...)
	return fmt.Sprintf("%s\n\u2014 %s %s\n", text, testOrigin, base64.StdEncoding.EncodeToString(sig))
}

// keyID is that of C2SP signed-note.
func keyID(key [32]byte) []byte {
	sum := sha256.Sum256(append([]byte(testOrigin+"\n\x01"), key[:]...))
	return sum[:4]
}

// policy is a policy file that asks for the signature of an epoch's key.
func (w *world) policy(e *worldEpoch) string {
	w.t.Helper()
	key := append([]byte{1}, e.open.CheckpointKey[:]...)
	return w.file("policy", fmt.Appendf(nil, "log %s+%x+%s\nquorum none\n", testOrigin, keyID(e.open.CheckpointKey), base64.StdEncoding.EncodeToString(key)))
}

// file writes a file of its own.
func (w *world) file(name string, content []byte) string {
	w.t.Helper()
	path := filepath.Join(w.t.TempDir(), name)
	w.must(os.WriteFile(path, content, 0o600))
	return path
}

// write puts the log as it is now into a directory, signed by an epoch.
func (w *world) write(dir string, by *worldEpoch) {
	w.t.Helper()
	put := func(name string, content []byte) {
		path := filepath.Join(dir, filepath.FromSlash(name))
		w.must(os.MkdirAll(filepath.Dir(path), 0o700))
		w.must(os.WriteFile(path, content, 0o600))
	}
	put("checkpoint", []byte(w.note(w.size(), by)))
	w.must(w.tree.tiles(func(level int, n uint64, hashes []protocol.Digest) error {
		name := fmt.Sprintf("%03d", n)
		if len(hashes) < bundleWidth {
			name += fmt.Sprintf(".p/%d", len(hashes))
		}
		var tile, bundle []byte
		for i, h := range hashes {
			tile = append(tile, h[:]...)
			if level == 0 {
				raw := w.leaves[n*bundleWidth+uint64(i)]
				bundle = append(binary.BigEndian.AppendUint16(bundle, uint16(len(raw))), raw...)
			}
		}
		put(fmt.Sprintf("tile/%d/%s", level, name), tile)
		if level == 0 {
			put("tile/entries/"+name, bundle)
		}
		return nil
	}))
}

func (w *world) dir(by *worldEpoch) string {
	w.t.Helper()
	dir := w.t.TempDir()
	w.write(dir, by)
	return dir
}

// serveDir serves a log on loopback as a server does; other puts another log in
// its place.
func serveDir(t *testing.T, dir string) (url string, other func(dir string)) {
	t.Helper()
	var mu sync.Mutex
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		mu.Lock()
		defer mu.Unlock()
		serveFile(w, r, dir)
	}))
	t.Cleanup(s.Close)
	return s.URL, func(d string) {
		mu.Lock()
		defer mu.Unlock()
		dir = d
	}
}

// serveFile answers with a file of a log.
func serveFile(w http.ResponseWriter, r *http.Request, dir string) {
	b, err := os.ReadFile(filepath.Join(dir, filepath.FromSlash(r.URL.Path)))
	if err != nil {
		w.WriteHeader(http.StatusNotFound)
		return
	}
	w.Header().Set("Content-Type", "application/octet-stream")
	if r.URL.Path == "/checkpoint" {
		w.Header().Set("Content-Type", "text/plain")
	}
	w.Write(b)
}

// receipt is that of an accepted leaf at the present size.
func (w *world) receipt(index uint64, of, by *worldEpoch, flags ...uint64) *receipt.Receipt {
	w.t.Helper()
	note := w.note(w.size(), by)
	pair := func(i uint64) receipt.Pair {
		text := fmt.Sprintf("c2sp.org/tlog-proof@v1\nindex %d\n", i)
		for _, h := range pathOf(w.tree.leaves, int(i)) {
			text += base64.StdEncoding.EncodeToString(h[:]) + "\n"
		}
		return receipt.Pair{Leaf: w.leaves[i], Log: text + "\n" + note}
	}
	r := &receipt.Receipt{
		Version: receipt.Version, Pair: pair(index), Claim: pair(w.claim), Epoch: pair(of.index), Signer: pair(by.index), Last: pair(w.size() - 1),
	}
	for _, f := range flags {
		r.Flags = append(r.Flags, pair(f))
	}
	return r
}

// receiptFile writes a receipt and returns its path.
func (w *world) receiptFile(index uint64, of, by *worldEpoch, flags ...uint64) string {
	w.t.Helper()
	raw, err := w.receipt(index, of, by, flags...).Encode()
	w.must(err)
	return w.file("r.json", raw)
}

// checkpoint is the present one, verified.
func (w *world) checkpoint(by *worldEpoch) *receipt.Checkpoint {
	w.t.Helper()
	cp, err := client.NewLogDir(w.dir(by)).SignedCheckpoint(w.t.Context())
	w.must(err)
	return cp
}

// td runs a command and wants its exit code and each text in what it printed.
func td(t *testing.T, exit int, args []string, texts ...string) string {
	t.Helper()
	var out bytes.Buffer
	if got := run(args, strings.NewReader(""), &out, &out); got != exit {
		t.Errorf("td %s: exit code %d, want %d\n%s", strings.Join(args, " "), got, exit, &out)
		return out.String()
	}
	for _, text := range texts {
		if !strings.Contains(out.String(), text) {
			t.Errorf("td %s: %q is missing in\n%s", strings.Join(args, " "), text, &out)
		}
	}
	return out.String()
}

func base64Of(key [32]byte) string { return base64.StdEncoding.EncodeToString(key[:]) }

package main_test

import (
	"crypto/ed25519"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/terradourada/td/claim"
	"github.com/terradourada/td/client"
	"github.com/terradourada/td/internal/keyholder"
	"github.com/terradourada/td/protocol"
	"github.com/terradourada/td/receipt"
)

// forge is a log that the attacker writes, leaf by leaf: a copy of a real one,
// or one of their own.
type forge struct {
	t           testing.TB
	origin      string
	leaves      [][]byte
	hashes      []protocol.Digest
	time        uint64
	withdrawals uint32
	claim       uint64 // index of the leaf of open/1
	vk          protocol.Digest
	epochs      []*forgedEpoch
}

// forgedEpoch is an epoch with keys of the attacker's own, or one whose keys an
// honest signer process holds. An epoch of a copied log has neither.
type forgedEpoch struct {
	open   *protocol.EpochOpen
	index  uint64
	key    ed25519.PrivateKey
	signer *keyholder.Signer
	told   uint64            // leaves that the signer was sent
	issued []protocol.Digest // leaf hashes of the issued tree, under an own key
	asked  uint64
}

// newForge is a log with the claim open/1.
func newForge(t testing.TB) *forge {
	t.Helper()
	var name [8]byte
	rand.Read(name[:])
	f := &forge{t: t, origin: fmt.Sprintf("terradourada/%x", name), time: 1_800_000_000_000}
	key, ok := claim.KnownKey(claim.Open)
	if !ok {
		t.Fatal("open/1 has no key")
	}
	f.vk = key.Fingerprint(claim.Open, protocol.ListID{})
	f.claim = f.add(&protocol.ClaimLeaf{ClaimID: "open/1", SRS: claim.SRSDigest(), VK: key.Encode()})
	return f
}

// forgeOf is a copy of a real log.
func forgeOf(t testing.TB, dir string) *forge {
	t.Helper()
	f := newForge(t)
	f.leaves, f.hashes = nil, nil
	log := client.NewLogDir(dir)
	note, err := log.Checkpoint(t.Context())
	f.must(err)
	f.origin, _, _ = strings.Cut(string(note), "\n")
	size, err := log.Size(t.Context())
	f.must(err)
	f.must(log.Leaves(t.Context(), size, func(index uint64, raw []byte) error {
		leaf, err := protocol.ParseLeaf(raw)
		f.time = leaf.Time
		switch body := leaf.Body.(type) {
		case *protocol.ClaimLeaf:
			if body.ClaimID == "open/1" {
				f.claim = index
			}
		case *protocol.EpochOpen:
			f.epochs = append(f.epochs, &forgedEpoch{open: body, index: index})
		}
		f.addRaw(raw)
		return err
	}))
	return f
}

// fork is a log with the same first leaves, and the keys of their epochs.
func (f *forge) fork(size int) *forge {
	g := &forge{t: f.t, origin: f.origin, time: f.time, claim: f.claim, vk: f.vk}
	for _, raw := range f.leaves[:size] {
		leaf, err := protocol.ParseLeaf(raw)
		f.must(err)
		g.withdrawals = leaf.Withdrawals
		if leaf.Withdraws() {
			g.withdrawals++
		}
		g.addRaw(raw)
	}
	for _, e := range f.epochs {
		if e.index < uint64(size) {
			g.epochs = append(g.epochs, e)
		}
	}
	return g
}

func (f *forge) must(err error) {
	f.t.Helper()
	if err != nil {
		f.t.Fatal(err)
	}
}

func (f *forge) size() uint64 { return uint64(len(f.leaves)) }

func (f *forge) add(body protocol.LeafBody) uint64 {
	f.t.Helper()
	f.time++
	l := protocol.Leaf{Seq: f.size(), Time: f.time, Withdrawals: f.withdrawals, Body: body}
	if l.Withdraws() {
		f.withdrawals++
	}
	raw, err := l.Encode()
	f.must(err)
	return f.addRaw(raw)
}

func (f *forge) addRaw(raw []byte) uint64 {
	f.leaves = append(f.leaves, raw)
	f.hashes = append(f.hashes, protocol.LeafHash(raw))
	return f.size() - 1
}

// epoch is a new epoch with keys of the attacker's own that names the one
// before it; it is not yet in the log.
func (f *forge) epoch() *forgedEpoch {
	f.t.Helper()
	public, key, err := ed25519.GenerateKey(rand.Reader)
	f.must(err)
	e := &forgedEpoch{key: key, open: &protocol.EpochOpen{Number: 1, CheckpointKey: [32]byte(public)}}
	rand.Read(e.open.Instance[:])
	rand.Read(e.open.PublicKey[:])
	e.open.ID = protocol.DeriveEpochID(e.open.PublicKey[:], e.open.CheckpointKey)
	if n := len(f.epochs); n > 0 {
		last := f.epochs[n-1]
		e.open.Number, e.open.Previous, e.open.PreviousIndex = last.open.Number+1, last.open.ID, last.index
	}
	return e
}

// begin logs the leaf that opens an epoch.
func (f *forge) begin(e *forgedEpoch) *forgedEpoch {
	f.t.Helper()
	e.index = f.add(e.open)
	f.epochs = append(f.epochs, e)
	return e
}

// handOver makes an epoch the heir of another, whose key is known, over the
// first leaves of the log.
func (f *forge) handOver(to, from *forgedEpoch, size int) {
	to.open.Previous, to.open.PreviousIndex = from.open.ID, from.index
	h := protocol.Handover{
		Origin: f.origin, Previous: from.open.ID, Next: to.open.ID, Number: to.open.Number,
		Key: to.open.CheckpointKey, Size: uint64(size), Root: hashRoot(f.hashes[:size]),
	}
	d := h.Digest()
	to.open.Handover = protocol.SignedRoot{Size: h.Size, Root: h.Root, Signature: [64]byte(ed25519.Sign(from.key, d[:]))}
}

// end logs the leaf that closes an epoch of own keys, as after a shutdown.
func (f *forge) end(e *forgedEpoch) {
	f.t.Helper()
	f.add(&protocol.EpochClose{
		ID: e.open.ID, Number: e.open.Number, Reason: protocol.CloseShutdown,
		Accepted: uint64(len(e.issued)), Issued: e.issuedRoot(f.origin, hashRoot(e.issued), uint64(len(e.issued))),
	})
}

// issuedRoot is a root of the issued tree as the attacker's own key signs it.
func (e *forgedEpoch) issuedRoot(origin string, root protocol.Digest, size uint64) protocol.SignedRoot {
	d := protocol.IssuedRootDigest(origin, e.open.ID, size, root)
	return protocol.SignedRoot{Size: size, Root: root, Signature: [64]byte(ed25519.Sign(e.key, d[:]))}
}

// text is the note text of the first leaves.
func (f *forge) text(size int) string {
	root := hashRoot(f.hashes[:size])
	return fmt.Sprintf("%s\n%d\n%s\n", f.origin, size, base64.StdEncoding.EncodeToString(root[:]))
}

// line is a signature line of a checkpoint.
func (f *forge) line(key [32]byte, signature []byte) string {
	id := sha256.Sum256(append([]byte(f.origin+"\n\x01"), key[:]...))
	return fmt.Sprintf("\u2014 %s %s\n", f.origin, base64.StdEncoding.EncodeToString(append(id[:4], signature...)))
}

// note is the checkpoint of a size under an epoch's key. A signer process signs
// what it was sent, which must be that size.
func (f *forge) note(size int, by *forgedEpoch) string {
	f.t.Helper()
	text := f.text(size)
	if by.signer == nil {
		return text + "\n" + f.line(by.open.CheckpointKey, ed25519.Sign(by.key, []byte(text)))
	}
	f.must(by.signer.Extend(f.t.Context(), f.hashes[by.told:size]))
	by.told = uint64(size)
	signed, err := by.signer.Checkpoint(f.t.Context())
	f.must(err)
	return text + "\n" + f.line(by.open.CheckpointKey, signed.Signature[:])
}

// now is the newest checkpoint.
func (f *forge) now(by *forgedEpoch) string { return f.note(len(f.leaves), by) }

// pair is a leaf with its proof under a checkpoint of this log as it is.
func (f *forge) pair(index uint64, note string) receipt.Pair {
	f.t.Helper()
	text := fmt.Sprintf("c2sp.org/tlog-proof@v1\nindex %d\n", index)
	for _, h := range hashPath(f.hashes, int(index)) {
		text += base64.StdEncoding.EncodeToString(h[:]) + "\n"
	}
	return receipt.Pair{Leaf: f.leaves[index], Log: text + "\n" + note}
}

// receipt shows an accepted leaf under a checkpoint of the log as it is.
func (f *forge) receipt(index uint64, of, by *forgedEpoch, note string, flags ...uint64) *receipt.Receipt {
	f.t.Helper()
	r := &receipt.Receipt{
		Version: receipt.Version, Pair: f.pair(index, note), Claim: f.pair(f.claim, note),
		Epoch: f.pair(of.index, note), Signer: f.pair(by.index, note), Last: f.pair(f.size()-1, note),
	}
	for _, flag := range flags {
		r.Flags = append(r.Flags, f.pair(flag, note))
	}
	return r
}

// file writes a receipt.
func (f *forge) file(r *receipt.Receipt) string {
	f.t.Helper()
	raw, err := r.Encode()
	f.must(err)
	return f.save("forged.receipt.json", string(raw))
}

func (f *forge) save(name, content string) string {
	f.t.Helper()
	path := filepath.Join(f.t.TempDir(), name)
	f.must(os.WriteFile(path, []byte(content), 0o600))
	return path
}

// dir writes the log as C2SP tiles with a checkpoint.
func (f *forge) dir(note string) string {
	f.t.Helper()
	n := len(f.leaves)
	if n > 255 {
		f.t.Fatal("the log has more than one tile")
	}
	dir := f.t.TempDir()
	var tile, bundle []byte
	for i, h := range f.hashes {
		tile = append(tile, h[:]...)
		bundle = append(binary.BigEndian.AppendUint16(bundle, uint16(len(f.leaves[i]))), f.leaves[i]...)
	}
	for name, content := range map[string][]byte{
		"checkpoint":                            []byte(note),
		fmt.Sprintf("tile/0/000.p/%d", n):       tile,
		fmt.Sprintf("tile/entries/000.p/%d", n): bundle,
	} {
		path := filepath.Join(dir, filepath.FromSlash(name))
		f.must(os.MkdirAll(filepath.Dir(path), 0o700))
		f.must(os.WriteFile(path, content, 0o600))
	}
	return dir
}

// hashRoot and hashPath are MTH and PATH of RFC 6962 section 2.1 over leaf
// hashes.
func hashRoot(hashes []protocol.Digest) protocol.Digest {
	switch len(hashes) {
	case 0:
		return sha256.Sum256(nil)
	case 1:
		return hashes[0]
	}
	k := leftHalf(len(hashes))
	left, right := hashRoot(hashes[:k]), hashRoot(hashes[k:])
	return sha256.Sum256(append(append([]byte{1}, left[:]...), right[:]...))
}

func hashPath(hashes []protocol.Digest, at int) []protocol.Digest {
	if len(hashes) == 1 {
		return nil
	}
	k := leftHalf(len(hashes))
	if at < k {
		return append(hashPath(hashes[:k], at), hashRoot(hashes[k:]))
	}
	return append(hashPath(hashes[k:], at-k), hashRoot(hashes[:k]))
}

func leftHalf(n int) int {
	k := 1
	for 2*k < n {
		k *= 2
	}
	return k
}

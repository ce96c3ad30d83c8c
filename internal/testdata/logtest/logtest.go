// Package logtest makes logs for tests, with real keys, trees and signatures. It
// panics where a log cannot be made.
//
// It is below testdata because it signs, which no package of the program may do but
// the keyholder. The plan of floors has no place for it, so only tests can import it.
package logtest

import (
	"crypto/ed25519"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"fmt"
	"os"
	"path/filepath"
	"regexp"

	"filippo.io/torchwood"

	"github.com/terradourada/td/claim"
	"github.com/terradourada/td/internal/tiles"
	"github.com/terradourada/td/protocol"
)

// Origin is the origin of every log.
const Origin = "terradourada/0123456789abcdef"

// firstTime is the time of the first leaf; every leaf is a millisecond later than
// the one before it.
const firstTime = 1_800_000_000_000

// Log is a log that a test writes leaf by leaf.
type Log struct {
	Leaves      [][]byte
	Tree        tiles.Tree
	Withdrawals uint32          // so far
	VK          protocol.Digest // fingerprint of the key of open/1
	Claim       uint64          // index of the leaf with that key
	Epochs      []*Epoch        // in the order of their leaves
}

// Epoch is an epoch of a log.
type Epoch struct {
	Open   *protocol.EpochOpen
	Index  uint64 // of its leaf
	Key    ed25519.PrivateKey
	Issued protocol.Range
	Tail   []protocol.Digest // leaf hashes of the issued tree
}

// New returns a log with the claim open/1 and an epoch.
func New() *Log {
	key, ok := claim.KnownKey(claim.Open)
	if !ok {
		panic("open/1 has no key")
	}
	l := &Log{VK: key.Fingerprint(claim.Open, protocol.ListID{})}
	l.Claim = l.Add(&protocol.ClaimLeaf{ClaimID: claim.Open.String(), SRS: claim.SRSDigest(), VK: key.Encode()})
	l.Open(nil)
	return l
}

// Fork returns a log with the same first leaves.
func (l *Log) Fork(size uint64) *Log {
	f := &Log{VK: l.VK, Claim: l.Claim}
	for _, raw := range l.Leaves[:size] {
		f.AddRaw(raw)
	}
	for _, e := range l.Epochs {
		if e.Index < size {
			f.Epochs = append(f.Epochs, e)
		}
	}
	return f
}

// Size returns the number of leaves.
func (l *Log) Size() uint64 { return l.Tree.Size() }

// Next returns the next leaf with a body, as the rules require.
func (l *Log) Next(body protocol.LeafBody) protocol.Leaf {
	return protocol.Leaf{Seq: l.Size(), Time: firstTime + l.Size(), Withdrawals: l.Withdrawals, Body: body}
}

// Add appends a leaf and returns its index.
func (l *Log) Add(body protocol.LeafBody) uint64 {
	leaf := l.Next(body)
	if leaf.Withdraws() {
		l.Withdrawals++
	}
	return l.AddRaw(must(leaf.Encode()))
}

// AddRaw appends any bytes and returns their index.
func (l *Log) AddRaw(raw []byte) uint64 {
	l.Leaves = append(l.Leaves, raw)
	l.Tree.Append(protocol.LeafHash(raw))
	return l.Size() - 1
}

// Epoch returns a new epoch that names the one before it. If from is not nil, it
// hands over to the new one. The log stays as it is.
func (l *Log) Epoch(from *Epoch) *Epoch {
	public, key, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		panic(err)
	}
	n := byte(len(l.Epochs) + 1)
	e := &Epoch{Key: key, Open: &protocol.EpochOpen{Number: uint64(n), Instance: protocol.InstanceID{n}, CheckpointKey: [32]byte(public)}}
	e.Open.ID = protocol.DeriveEpochID(e.Open.PublicKey[:], e.Open.CheckpointKey)
	if n > 1 {
		last := l.Epochs[n-2]
		e.Open.Previous, e.Open.PreviousIndex = last.Open.ID, last.Index
	}
	if from != nil {
		from.HandOver(e.Open, l.Size(), l.Tree.Root())
	}
	return e
}

// Open appends a new epoch, see [Log.Epoch].
func (l *Log) Open(from *Epoch) *Epoch {
	e := l.Epoch(from)
	e.Index = l.Add(e.Open)
	l.Epochs = append(l.Epochs, e)
	return e
}

// HandOver signs the hand-over to another epoch over a tree.
func (e *Epoch) HandOver(to *protocol.EpochOpen, size uint64, root protocol.Digest) {
	h := protocol.Handover{Origin: Origin, Previous: e.Open.ID, Next: to.ID, Number: to.Number, Key: to.CheckpointKey, Size: size, Root: root}
	to.Handover = e.sign(h.Digest(), size, root)
}

// Signed returns a root of the issued tree under the epoch's key.
func (e *Epoch) Signed(size uint64, root protocol.Digest) protocol.SignedRoot {
	return e.sign(protocol.IssuedRootDigest(Origin, e.Open.ID, size, root), size, root)
}

func (e *Epoch) sign(d protocol.Digest, size uint64, root protocol.Digest) protocol.SignedRoot {
	return protocol.SignedRoot{Size: size, Root: root, Signature: [64]byte(ed25519.Sign(e.Key, d[:]))}
}

// IssuedRoot returns the signed root of the whole issued tree.
func (e *Epoch) IssuedRoot() protocol.SignedRoot { return e.Signed(e.Issued.Size(), e.Issued.Root()) }

// Issue appends a digest to the issued tree.
func (e *Epoch) Issue(digest protocol.Digest) protocol.Issued {
	h := protocol.LeafHash(digest[:])
	e.Issued.Append(h)
	e.Tail = append(e.Tail, h)
	return e.Place(e.Issued.Size()-1, e.Issued.Size())
}

// Place returns the place of a position in the issued tree of a size.
func (e *Epoch) Place(position, size uint64) protocol.Issued {
	hashes := e.Tail[:size]
	return protocol.Issued{Position: position, SignedRoot: e.Signed(size, tiles.Root(hashes)), Path: path(hashes, int(position))}
}

// Path returns the inclusion path of a leaf in the present tree, from the leaf
// upwards.
func (l *Log) Path(index uint64) []protocol.Digest {
	hashes := make([]protocol.Digest, len(l.Leaves))
	for i, raw := range l.Leaves {
		hashes[i] = protocol.LeafHash(raw)
	}
	return path(hashes, int(index))
}

// path is PATH of RFC 6962 section 2.1.1 over leaf hashes.
func path(hashes []protocol.Digest, at int) []protocol.Digest {
	if len(hashes) == 1 {
		return nil
	}
	k := 1
	for 2*k < len(hashes) {
		k *= 2
	}
	if at < k {
		return append(path(hashes[:k], at), tiles.Root(hashes[k:]))
	}
	return append(path(hashes[k:], at-k), tiles.Root(hashes[:k]))
}

// Note returns the checkpoint of a size under the key of an epoch.
func (l *Log) Note(size uint64, by *Epoch) string {
	root := l.Tree.RootAt(size)
	text := fmt.Sprintf("%s\n%d\n%s\n", Origin, size, base64.StdEncoding.EncodeToString(root[:]))
	sig := append(by.KeyID(), ed25519.Sign(by.Key, []byte(text))...)
	return fmt.Sprintf("%s\n\u2014 %s %s\n", text, Origin, base64.StdEncoding.EncodeToString(sig))
}

// KeyID returns the id of the epoch's key (C2SP signed-note).
func (e *Epoch) KeyID() []byte {
	sum := sha256.Sum256(append([]byte(Origin+"\n\x01"), e.Open.CheckpointKey[:]...))
	return sum[:4]
}

// Write writes the files of the log into a directory, with a checkpoint of an epoch.
func (l *Log) Write(dir string, by *Epoch) {
	put := func(name string, content []byte) {
		file := filepath.Join(dir, filepath.FromSlash(name))
		check(os.MkdirAll(filepath.Dir(file), 0o700))
		check(os.WriteFile(file, content, 0o600))
	}
	put(tiles.Checkpoint, []byte(l.Note(l.Size(), by)))
	check(l.Tree.Tiles(func(level int, n uint64, hashes []protocol.Digest) error {
		var tile, bundle []byte
		for i, h := range hashes {
			tile = append(tile, h[:]...)
			if level == 0 {
				bundle = must(torchwood.AppendTileEntry(bundle, l.Leaves[n*tiles.Width+uint64(i)]))
			}
		}
		put(tiles.Path(tiles.At(level, n, l.Size())), tile)
		if level == 0 {
			put(tiles.Path(tiles.At(tiles.Entries, n, l.Size())), bundle)
		}
		return nil
	}))
}

// AtURL adds the URL of a cosigner to each of its keys in lines of a policy file.
func AtURL(policy, url string) string { return witness.ReplaceAllString(policy, "$0 "+url) }

var witness = regexp.MustCompile("(?m)^witness .*$")

func must[T any](v T, err error) T {
	check(err)
	return v
}

func check(err error) {
	if err != nil {
		panic(err)
	}
}

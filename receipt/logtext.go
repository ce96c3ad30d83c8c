package receipt

import (
	"encoding/base64"
	"errors"
	"fmt"
	"math/bits"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"

	"filippo.io/torchwood"
	"golang.org/x/mod/sumdb/note"
	"golang.org/x/mod/sumdb/tlog"

	"github.com/terradourada/td/protocol"
)

const (
	proofHeader  = "c2sp.org/tlog-proof@v1\n"
	maxHashes    = 62 // of an inclusion proof in a tree of at most 2^62 leaves
	maxOrigin    = 128
	maxSignLines = 32
	keyIDSize    = 4 // bytes in front of a signature, C2SP signed-note
)

// stdBase64 is the base64 of C2SP formats; Strict allows one text for each
// value only.
var stdBase64 = base64.StdEncoding.Strict()

// logText is a parsed C2SP tlog-proof.
type logText struct {
	index  uint64
	hashes tlog.RecordProof
	note   string // the checkpoint, verbatim
}

// parseLogText reads a tlog-proof text as this project writes it: no extra
// line, canonical numbers and base64, so that a proof has one text.
func parseLogText(s string) (*logText, error) {
	rest, ok := strings.CutPrefix(s, proofHeader)
	if !ok {
		return nil, errors.New("log text is not a tlog-proof@v1")
	}
	head, checkpoint, ok := strings.Cut(rest, "\n\n")
	if !ok {
		return nil, errors.New("log text has no checkpoint")
	}
	lines := strings.Split(head, "\n")
	number, ok := strings.CutPrefix(lines[0], "index ")
	if !ok {
		return nil, errors.New("log text has no index line")
	}
	index, err := parseNumber(number)
	if err != nil {
		return nil, err
	}
	if len(lines)-1 > maxHashes {
		return nil, errors.New("log text has too many hashes")
	}
	l := &logText{index: index, note: checkpoint}
	for _, line := range lines[1:] {
		h, err := parseHash(line)
		if err != nil {
			return nil, err
		}
		l.hashes = append(l.hashes, h)
	}
	return l, nil
}

// before returns the root of the tree of all leaves before this one; the proof
// holds the subtrees to the left of its leaf. The proof must be valid in a tree
// of the given size, and the index not 0.
func (l *logText) before(size uint64) (root [32]byte) {
	var left []tlog.Hash // from the top down
	for lo, hi, i := uint64(0), size, len(l.hashes)-1; hi-lo > 1; i-- {
		k := uint64(1) << (bits.Len64(hi-lo-1) - 1) // the left half, RFC 6962 section 2.1
		if l.index < lo+k {
			hi = lo + k
			continue
		}
		left, lo = append(left, l.hashes[i]), lo+k
	}
	for i, h := range slices.Backward(left) {
		if i == len(left)-1 {
			root = h
			continue
		}
		root = tlog.NodeHash(h, root)
	}
	return root
}

// parseNumber reads a canonical decimal below 2^63.
func parseNumber(s string) (uint64, error) {
	n, err := strconv.ParseInt(s, 10, 64)
	if err != nil || n < 0 || strconv.FormatInt(n, 10) != s {
		return 0, errors.New("log text holds a number that is not a canonical decimal")
	}
	return uint64(n), nil
}

func parseHash(s string) (tlog.Hash, error) {
	b, err := stdBase64.DecodeString(s)
	if err != nil || len(b) != tlog.HashSize || strings.ContainsAny(s, "\r\n") {
		return tlog.Hash{}, errors.New("log text holds a hash that is not 32 bytes of base64")
	}
	return tlog.Hash(b), nil
}

// Checkpoint is a signed tree head of one log (C2SP tlog-checkpoint).
type Checkpoint struct {
	Origin string
	Size   uint64
	Root   [32]byte
	Key    [32]byte // the Ed25519 key that signed it
	Note   string   // the signed note, verbatim

	// Epoch is the epoch-open leaf of Key and EpochIndex its place, proved in
	// the tree. It is nil after [ParseCheckpoint]; a trust store refuses that.
	Epoch      *protocol.EpochOpen
	EpochIndex uint64

	signature string // the base64 of the signature by Key; "" unless verified
}

// ParseCheckpoint reads a signed checkpoint and verifies that key signed it
// under the name of its origin. Extension lines are refused. It does not
// check whose key it is: see [VerifyCheckpoint].
func ParseCheckpoint(signed string, key [32]byte) (*Checkpoint, error) {
	tree, err := parseNote(signed)
	if err != nil {
		return nil, err
	}
	v, err := epochVerifier(tree.Origin, key)
	if err != nil {
		return nil, err
	}
	_, n, err := torchwood.VerifyCheckpoint([]byte(signed), signedBy(v))
	if err != nil {
		return nil, errors.New("the checkpoint is not signed by the epoch's key under the name of its origin")
	}
	return &Checkpoint{
		Origin: tree.Origin, Size: uint64(tree.N), Root: tree.Hash, Key: key, Note: signed, signature: n.Sigs[0].Base64,
	}, nil
}

// VerifyCheckpoint reads a signed checkpoint. It verifies that the epoch-open
// leaf is in its tree, by its inclusion path from the leaf upwards, and that
// the leaf's key signed it.
func VerifyCheckpoint(signed string, epochLeaf []byte, path [][32]byte) (*Checkpoint, error) {
	leaf, err := protocol.ParseLeaf(epochLeaf)
	if err != nil {
		return nil, err
	}
	open, ok := leaf.Body.(*protocol.EpochOpen)
	if !ok {
		return nil, errors.New("the leaf that should announce the checkpoint's key opens no epoch")
	}
	if err := open.CheckID(); err != nil {
		return nil, err
	}
	c, err := ParseCheckpoint(signed, open.CheckpointKey)
	if err != nil {
		return nil, err
	}
	if !inTree(epochLeaf, leaf.Seq, path, tree{c.Size, c.Root}) {
		return nil, errors.New("the leaf that announces the checkpoint's key is not in its tree")
	}
	c.Epoch, c.EpochIndex = open, leaf.Seq
	return c, nil
}

// tree is the size and root of an RFC 6962 tree.
type tree struct {
	size uint64
	root [32]byte
}

// inTree reports whether the path shows leaf at index in the tree.
func inTree(leaf []byte, index uint64, path [][32]byte, in tree) bool {
	proof := make(tlog.RecordProof, len(path))
	for i, h := range path {
		proof[i] = h
	}
	return tlog.CheckRecord(proof, int64(in.size), in.root, int64(index), tlog.RecordHash(leaf)) == nil
}

// signedBy is the policy that the log itself, under the verifier's name,
// signed.
func signedBy(v note.Verifier) torchwood.Policy {
	return torchwood.ThresholdPolicy(2, torchwood.OriginPolicy(v.Name()), torchwood.SingleVerifierPolicy(v))
}

// epochVerifier is the C2SP signed-note verifier of an epoch's checkpoint key.
func epochVerifier(origin string, key [32]byte) (note.Verifier, error) {
	vkey, err := note.NewEd25519VerifierKey(origin, key[:])
	if err != nil {
		return nil, errors.New("the checkpoint key is not an Ed25519 key")
	}
	v, err := note.NewVerifier(vkey)
	if err != nil {
		return nil, errors.New("the origin of the checkpoint is not a key name")
	}
	return v, nil
}

// parseNote parses the text of a checkpoint and the form of its signature
// lines; it verifies no signature.
func parseNote(signed string) (torchwood.Checkpoint, error) {
	var none torchwood.Checkpoint
	if len(signed) > MaxLogSize || !utf8.ValidString(signed) {
		return none, errors.New("checkpoint is too large or not UTF-8")
	}
	i := strings.LastIndex(signed, "\n\n")
	if i < 0 {
		return none, errors.New("checkpoint has no signature")
	}
	c, err := torchwood.ParseCheckpoint(signed[:i+1])
	if err != nil || c.Extension != "" || c.String() != signed[:i+1] {
		return none, errors.New("checkpoint is not origin, size and root in three canonical lines")
	}
	if c.N > protocol.MaxTreeSize {
		return none, errors.New("the checkpoint is of a tree that is too large")
	}
	if !isOrigin(c.Origin) {
		return none, errors.New("the origin of the checkpoint is not a name in printable ASCII")
	}
	return c, checkSignLines(signed[i+2:])
}

// checkSignLines accepts lines "— name base64" with strict base64, of different
// names or key ids: otherwise two readers could differ about which of two lines
// counts.
func checkSignLines(s string) error {
	lines := strings.Split(s, "\n")
	if n := len(lines) - 1; n < 1 || n > maxSignLines || lines[n] != "" {
		return fmt.Errorf("checkpoint does not end with 1 to %d signature lines", maxSignLines)
	}
	seen := map[string]bool{}
	for _, line := range lines[:len(lines)-1] {
		signer, dash := strings.CutPrefix(line, "— ")
		name, b64, ok := strings.Cut(signer, " ")
		sig, err := stdBase64.DecodeString(b64)
		if !dash || !ok || err != nil || len(sig) <= keyIDSize || strings.Contains(b64, "\r") {
			return errors.New("checkpoint has a malformed signature line")
		}
		key := name + " " + string(sig[:keyIDSize])
		if seen[key] {
			return errors.New("checkpoint has two signature lines of one key")
		}
		seen[key] = true
	}
	return nil
}

// isOrigin reports whether an origin is safe to print and usable as a key name.
func isOrigin(s string) bool {
	for _, c := range []byte(s) {
		if c <= ' ' || c > '~' || c == '+' {
			return false
		}
	}
	return s != "" && len(s) <= maxOrigin
}

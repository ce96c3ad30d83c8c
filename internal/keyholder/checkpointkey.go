package keyholder

import (
	"crypto/ed25519"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"fmt"

	"github.com/terradourada/td/protocol"
)

// checkpointKey is the Ed25519 key of an epoch with what it has signed: it
// signs checkpoints of one growing tree and, once and last, the hand-over to
// the next epoch. Its methods are called from one goroutine.
type checkpointKey struct {
	redacted
	private ed25519.PrivateKey // nil once wiped
	public  [ed25519.PublicKeySize]byte

	origin string
	size   uint64          // of the last checkpoint it signed
	root   protocol.Digest // of the same; before the first, the empty tree
	handed bool            // the hand-over was signed; nothing follows it
}

func newCheckpointKey(origin string) (*checkpointKey, error) {
	public, private, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		return nil, err
	}
	return &checkpointKey{
		private: private,
		public:  [ed25519.PublicKeySize]byte(public),
		origin:  origin,
		root:    sha256.Sum256(nil),
	}, nil
}

// checkpoint signs the note text of a C2SP tlog-checkpoint. It refuses a
// smaller tree than it signed before, another root for the same size, and
// everything after the hand-over.
func (k *checkpointKey) checkpoint(size uint64, root protocol.Digest) ([ed25519.SignatureSize]byte, bool) {
	if k.handed || size < k.size || size == k.size && !root.Equal(k.root) {
		return [ed25519.SignatureSize]byte{}, false
	}
	k.size, k.root = size, root
	return k.sign(checkpointText(k.origin, size, root)), true
}

// handover signs the next epoch's name and key (section 12), once; the number
// must grow.
func (k *checkpointKey) handover(h protocol.Handover) ([ed25519.SignatureSize]byte, bool) {
	if k.handed || h.Next == h.Previous {
		return [ed25519.SignatureSize]byte{}, false
	}
	k.handed = true
	h.Origin, h.Size, h.Root = k.origin, k.size, k.root
	digest := h.Digest()
	return k.sign(digest[:]), true
}

func (k *checkpointKey) sign(message []byte) [ed25519.SignatureSize]byte {
	return [ed25519.SignatureSize]byte(ed25519.Sign(k.private, message))
}

// wipe ends the key after its hand-over; before, it does nothing.
func (k *checkpointKey) wipe() {
	if k.handed {
		clear(k.private)
		k.private = nil
	}
}

// checkpointText is the text of a checkpoint as C2SP tlog-checkpoint has it:
// origin, size in decimal, root in base64, one a line.
func checkpointText(origin string, size uint64, root protocol.Digest) []byte {
	return fmt.Appendf(nil, "%s\n%d\n%s\n", origin, size, base64.StdEncoding.EncodeToString(root[:]))
}

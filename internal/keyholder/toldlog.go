package keyholder

import (
	"encoding/binary"
	"math/bits"

	"github.com/terradourada/td/protocol"
)

// toldLog is the log that the core has sent to the signer: a compact range, once,
// and every leaf hash after it. The checkpoint key signs this tree and no other,
// and it only grows, so all that one key signs is one history.
type toldLog struct {
	size  uint64            // of the range
	nodes []protocol.Digest // of the range, so far
	begun bool              // all nodes are there, and in tree
	tree  protocol.Range
}

// begin takes some nodes of the range: u64 size | u8 first | 8 hashes.
func (l *toldLog) begin(body []byte) error {
	size, first := binary.BigEndian.Uint64(body), int(body[8])
	if l.begun || size > protocol.MaxTreeSize || first != len(l.nodes) || first > 0 && size != l.size {
		return errMalformed
	}
	all := bits.OnesCount64(size)
	nodes, err := appendDigests(l.nodes, body[9:], min(all-first, frameHashes))
	if err != nil {
		return err
	}
	l.size, l.nodes = size, nodes
	if len(nodes) < all {
		return nil
	}
	l.begun = true
	l.tree, err = protocol.NewRange(size, nodes)
	return err
}

// extend takes the next leaf hashes: u8 n | 8 hashes.
func (l *toldLog) extend(body []byte) error {
	n := int(body[0])
	if !l.begun || n == 0 || n > frameHashes {
		return errMalformed
	}
	hashes, err := appendDigests(make([]protocol.Digest, 0, frameHashes), body[1:], n)
	for _, h := range hashes {
		l.tree.Append(h)
	}
	return err
}

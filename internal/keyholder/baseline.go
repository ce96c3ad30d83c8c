package keyholder

import (
	"crypto/rand"
	"encoding/binary"

	"github.com/cloudflare/circl/sign/mldsa/mldsa65"

	"github.com/terradourada/td/internal/secret"
	"github.com/terradourada/td/protocol"
)

// Baseline signs n different payloads with a fresh ML-DSA-65 key, hedged, and
// verifies each signature, on the calling goroutine and with nothing around it.
// It is an aid to measuring and no part of the server: the budgets of issuing
// are multiples of what it costs.
func Baseline(n int) error {
	public, private, err := mldsa65.GenerateKey(rand.Reader)
	if err != nil {
		return err
	}
	defer secret.WipeRegisters()
	var payload protocol.EncodedPayload
	signature := make([]byte, mldsa65.SignatureSize)
	context := []byte(protocol.SignatureContext)
	for i := range n {
		binary.BigEndian.PutUint64(payload[:], uint64(i))
		if err := mldsa65.SignTo(private, payload[:], context, true, signature); err != nil {
			return err
		}
		if !mldsa65.Verify(public, payload[:], context, signature) {
			return errSelfCheck
		}
	}
	return nil
}

// TreeBaseline does n times what the issued tree adds to an anchor at both ends
// of the socket: the signer's append, and the core's where it reads the answer.
// Like [Baseline] it is an aid to measuring.
func TreeBaseline(n int) error {
	var payload protocol.EncodedPayload
	var signer protocol.Range
	var core issuedTree
	var a protocol.Anchor
	for i := range n {
		binary.BigEndian.PutUint64(payload[:], uint64(i))
		id := protocol.RequestID(payload[:])
		digest := protocol.IssuedDigest(id, &payload, a)
		signer.Append(protocol.LeafHash(digest[:]))
		if err := core.add(uint64(i), protocol.IssuedDigest(id, &payload, a)); err != nil {
			return err
		}
	}
	return nil
}

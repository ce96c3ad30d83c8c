package keyholder

import (
	"encoding/binary"
	"errors"
	"unicode"
	"unicode/utf8"

	"github.com/terradourada/td/internal/sandbox"
	"github.com/terradourada/td/protocol"
)

const (
	maxOrigin = 255 // bytes

	signerStartSize = 1 + maxOrigin + 8 + 16
	taggerStartSize = 16 + 8 + 4

	signerMagic     = "TDSIGNR1"
	taggerMagic     = "TDTAGGR1"
	signerReadySize = len(signerMagic) + 16 + protocol.MLDSAPublicKeySize + 32 + postureSize
	taggerReadySize = len(taggerMagic) + 16 + 8 + postureSize

	frameHashes = 8 // hashes in a frame of the log
	treeSize    = 8 + 1 + frameHashes*protocol.DigestSize
	leavesSize  = 1 + frameHashes*protocol.DigestSize
)

// SignerStart is what a signer receives at its start; it draws the rest.
type SignerStart struct {
	// Origin is the log's name, the first line of its checkpoints: 1 to 255
	// bytes of UTF-8 without spaces, control characters and plus signs, as in a
	// note's key name.
	Origin string

	Number   uint64              // of the epoch, from 1
	Instance protocol.InstanceID // the only one whose payloads are anchored
}

func (s *SignerStart) check() error {
	if s.Origin == "" || len(s.Origin) > maxOrigin || !utf8.ValidString(s.Origin) {
		return errors.New("keyholder: origin is empty, too long or not UTF-8")
	}
	for _, r := range s.Origin {
		if r == '+' || unicode.IsSpace(r) || unicode.IsControl(r) {
			return errors.New("keyholder: origin has a space, a control character or a plus sign")
		}
	}
	if s.Number == 0 {
		return errors.New("keyholder: epoch numbers count from 1")
	}
	return nil
}

func (s *SignerStart) frame() frame {
	var origin [1 + maxOrigin]byte
	origin[0] = byte(len(s.Origin))
	copy(origin[1:], s.Origin)
	number := binary.BigEndian.AppendUint64(nil, s.Number)
	return newFrame(0, reqStart, origin[:], number, s.Instance[:])
}

func parseSignerStart(f *frame) (SignerStart, error) {
	n := 1 + int(f.body[0])
	rest := f.body[1+maxOrigin:]
	s := SignerStart{
		Origin:   string(f.body[1:n]),
		Number:   binary.BigEndian.Uint64(rest),
		Instance: protocol.InstanceID(rest[8:24]),
	}
	if f.code != reqStart || !zero(f.body[n:1+maxOrigin]) || s.check() != nil {
		return SignerStart{}, errMalformed
	}
	return s, nil
}

// taggerStart is what a tagger receives at its start.
type taggerStart struct {
	epoch    protocol.EpochID
	number   uint64
	capacity uint32 // requests in the table
}

func (s *taggerStart) frame() frame {
	b := binary.BigEndian.AppendUint64(s.epoch[:len(s.epoch):len(s.epoch)], s.number)
	return newFrame(0, reqStart, binary.BigEndian.AppendUint32(b, s.capacity))
}

func parseTaggerStart(f *frame) (taggerStart, error) {
	s := taggerStart{
		epoch:    protocol.EpochID(f.body[:16]),
		number:   binary.BigEndian.Uint64(f.body[16:]),
		capacity: binary.BigEndian.Uint32(f.body[24:]),
	}
	if f.code != reqStart || s.epoch == (protocol.EpochID{}) || s.number == 0 || s.capacity == 0 {
		return taggerStart{}, errMalformed
	}
	return s, nil
}

// signerReady is the public face of a signer.
type signerReady struct {
	epoch      protocol.EpochID
	publicKey  [protocol.MLDSAPublicKeySize]byte
	checkpoint [32]byte
	posture    sandbox.Posture
}

func (r *signerReady) encode() []byte {
	b := append(make([]byte, 0, signerReadySize), signerMagic...)
	b = append(b, r.epoch[:]...)
	b = append(b, r.publicKey[:]...)
	b = append(b, r.checkpoint[:]...)
	return append(b, encodePosture(r.posture)...)
}

func parseSignerReady(b []byte) (signerReady, error) {
	if len(b) != signerReadySize || string(b[:len(signerMagic)]) != signerMagic {
		return signerReady{}, errMalformed
	}
	b = b[len(signerMagic):]
	posture, err := parsePosture(b[16+protocol.MLDSAPublicKeySize+32:])
	r := signerReady{
		epoch:      protocol.EpochID(b[:16]),
		publicKey:  [protocol.MLDSAPublicKeySize]byte(b[16:]),
		checkpoint: [32]byte(b[16+protocol.MLDSAPublicKeySize:]),
		posture:    posture,
	}
	open := protocol.EpochOpen{ID: r.epoch, PublicKey: r.publicKey, CheckpointKey: r.checkpoint}
	if err != nil || open.CheckID() != nil {
		return signerReady{}, errMalformed
	}
	return r, nil
}

func encodeRoot(r *protocol.SignedRoot) []byte {
	b := binary.BigEndian.AppendUint64(make([]byte, 0, signerBody), r.Size)
	b = append(b, r.Root[:]...)
	return append(b, r.Signature[:]...)
}

func parseRoot(f *frame) protocol.SignedRoot {
	return protocol.SignedRoot{
		Size:      binary.BigEndian.Uint64(f.body[:]),
		Root:      protocol.Digest(f.body[8:]),
		Signature: [64]byte(f.body[8+protocol.DigestSize:]),
	}
}

// appendDigests appends n digests of b to dst; the rest of b must be zero.
func appendDigests(dst []protocol.Digest, b []byte, n int) ([]protocol.Digest, error) {
	for ; n > 0; n-- {
		dst = append(dst, protocol.Digest(b))
		b = b[protocol.DigestSize:]
	}
	if !zero(b) {
		return nil, errMalformed
	}
	return dst, nil
}

// joinDigests is the part of a body that appendDigests reads.
func joinDigests(digests []protocol.Digest) []byte {
	b := make([]byte, 0, frameHashes*protocol.DigestSize)
	for i := range digests {
		b = append(b, digests[i][:]...)
	}
	return b
}

func (s *taggerStart) encodeReady(p sandbox.Posture) []byte {
	b := append(make([]byte, 0, taggerReadySize), taggerMagic...)
	b = append(b, s.epoch[:]...)
	b = binary.BigEndian.AppendUint64(b, s.number)
	return append(b, encodePosture(p)...)
}

// parseReady reads the ready record of a tagger that received s.
func (s *taggerStart) parseReady(b []byte) (sandbox.Posture, error) {
	if len(b) != taggerReadySize {
		return sandbox.Posture{}, errMalformed
	}
	p, err := parsePosture(b[taggerReadySize-postureSize:])
	if err != nil || string(b) != string(s.encodeReady(p)) {
		return sandbox.Posture{}, errMalformed
	}
	return p, nil
}

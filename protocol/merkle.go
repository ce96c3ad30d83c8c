package protocol

import "crypto/sha256"

// MerkleRoot is the RFC 6962 section 2.1 tree hash over the digests, each of
// them one leaf of 32 bytes. The root of no digests is the hash of nothing.
func MerkleRoot(digests []Digest) Digest {
	switch n := len(digests); n {
	case 0:
		return Digest(sha256.Sum256(nil))
	case 1:
		return merkleLeaf(digests[0])
	default:
		k := 1
		for k*2 < n {
			k *= 2
		}
		return merkleNode(MerkleRoot(digests[:k]), MerkleRoot(digests[k:]))
	}
}

func merkleLeaf(d Digest) Digest {
	var b [1 + DigestSize]byte
	copy(b[1:], d[:])
	return Digest(sha256.Sum256(b[:]))
}

func merkleNode(left, right Digest) Digest {
	var b [1 + 2*DigestSize]byte
	b[0] = 1
	copy(b[1:], left[:])
	copy(b[1+DigestSize:], right[:])
	return Digest(sha256.Sum256(b[:]))
}

package keyholder

import (
	"github.com/terradourada/td/internal/secret"
	"github.com/terradourada/td/protocol"
)

// preimage is the one buffer a signature is ever in: the digests of public key
// and payload in front of it, as the anchor is hashed.
type preimage [protocol.AnchorPreimageSize]byte

// signerMemory is everything of a signer that must not leave it: one region,
// carved up once.
type signerMemory struct {
	secret.Redacted
	region    *secret.Region
	origin    *originSecret
	check     *checkpointSecret
	preimages []*preimage // one for each worker
}

func newSignerMemory(workers int) (*signerMemory, error) {
	size := secret.Room[originSecret](1) + secret.Room[checkpointSecret](1) + secret.Room[preimage](workers)
	region, err := secret.New(size, bestMemory())
	if err != nil {
		return nil, err
	}
	m := &signerMemory{region: region, preimages: make([]*preimage, workers)}
	if m.origin, err = secret.Place[originSecret](region); err != nil {
		return nil, err
	}
	if m.check, err = secret.Place[checkpointSecret](region); err != nil {
		return nil, err
	}
	for i := range m.preimages {
		if m.preimages[i], err = secret.Place[preimage](region); err != nil {
			return nil, err
		}
	}
	return m, nil
}

// taggerMemory is the same for a tagger.
type taggerMemory struct {
	secret.Redacted
	region *secret.Region
	tag    *tagSecret
}

func newTaggerMemory() (*taggerMemory, error) {
	region, err := secret.New(secret.Room[tagSecret](1), bestMemory())
	if err != nil {
		return nil, err
	}
	tag, err := secret.Place[tagSecret](region)
	return &taggerMemory{region: region, tag: tag}, err
}

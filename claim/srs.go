package claim

import (
	"crypto/sha256"
	_ "embed"
	"errors"
	"runtime"
	"strings"
	"sync"

	bls12381 "github.com/consensys/gnark-crypto/ecc/bls12-381"
	"github.com/consensys/gnark-crypto/ecc/bls12-381/kzg"

	"github.com/terradourada/td/protocol"
)

// The structured reference string is the output of Ethereum's KZG ceremony.
// data/powers.bin is its 4096 G1 powers and 65 G2 powers, compressed, and
// nothing else, so that the SHA-256 of the file is the SRS digest.
// data/lagrange.bin is the first 1024 and the first 2048 G1 powers in Lagrange
// form: what the prover would otherwise compute for seconds at every start.

//go:generate go run -tags generate ./internal/srsgen

//go:embed data/powers.bin
var powersFile string

//go:embed data/lagrange.bin
var lagrangeFile string

const (
	g1Powers = 4096
	g2Powers = 65
	g1Size   = bls12381.SizeOfG1AffineCompressed
	g2Size   = bls12381.SizeOfG2AffineCompressed

	smallDomain = 1024
	// largeDomain is the largest the powers allow: the prover commits to
	// polynomials of up to domain+3 coefficients.
	largeDomain  = 2048
	blindingRoom = 3
)

// srsDigest is the SRS digest of section 6, from the consensus specification's
// mainnet file.
var srsDigest = protocol.Digest{
	0xbf, 0xe6, 0xbd, 0xe3, 0x28, 0x61, 0x34, 0x7b, 0xe6, 0x6b, 0xd8, 0xaf, 0x2f, 0x1b, 0xe0, 0x7c,
	0x54, 0x19, 0x71, 0xb4, 0x6e, 0xb4, 0x85, 0xcf, 0xa4, 0x03, 0xeb, 0x1a, 0x2e, 0x84, 0x66, 0x95,
}

// lagrangeDigest pins the derived file too, so that a prover may load it
// without checking its points one by one. [CheckSRS] does check them.
var lagrangeDigest = protocol.Digest{
	0x5d, 0x03, 0x76, 0x18, 0x25, 0x24, 0x45, 0x72, 0xfb, 0xe0, 0x98, 0x25, 0x9f, 0xf8, 0x4d, 0x8f,
	0xe6, 0x68, 0x4a, 0xd4, 0x74, 0xef, 0xcc, 0xd7, 0x7d, 0x0b, 0x2f, 0x54, 0xb9, 0x8a, 0xae, 0x30,
}

// SRSDigest is the SHA-256 of the embedded reference string: its compressed G1
// powers, then its G2 powers.
func SRSDigest() protocol.Digest { return srsDigest }

// errSRS means that this executable is damaged.
var errSRS = errors.New("claim: the embedded reference string is not the pinned one")

func checkDigests(powers, lagrange string) error {
	p, l := sha256.Sum256([]byte(powers)), sha256.Sum256([]byte(lagrange))
	if !srsDigest.Equal(p) || !lagrangeDigest.Equal(l) {
		return errSRS
	}
	return nil
}

// verifierSRS is the part of the reference string that a verifier needs: the
// two generators and tau in G2, with the lines of its pairings.
var verifierSRS = sync.OnceValues(func() (*kzg.VerifyingKey, error) {
	if err := checkDigests(powersFile, lagrangeFile); err != nil {
		return nil, err
	}
	g1, err := decodeG1(powersFile[:g1Size], bls12381.NoSubgroupChecks())
	if err != nil {
		return nil, err
	}
	g2, err := decodeG2(powersFile[g1Powers*g1Size:][:2*g2Size], bls12381.NoSubgroupChecks())
	if err != nil {
		return nil, err
	}
	vk := &kzg.VerifyingKey{G1: g1[0], G2: [2]bls12381.G2Affine{g2[0], g2[1]}}
	for i := range vk.G2 {
		vk.Lines[i] = bls12381.PrecomputeLines(vk.G2[i])
	}
	return vk, nil
})

// proverPoints is the part that a prover needs.
type proverPoints struct {
	powers       []bls12381.G1Affine // the first largeDomain+blindingRoom
	small, large []bls12381.G1Affine // Lagrange forms
}

// lagrange returns the Lagrange form for a domain, or nil if there is none.
func (p *proverPoints) lagrange(domain uint64) []bls12381.G1Affine {
	switch domain {
	case smallDomain:
		return p.small
	case largeDomain:
		return p.large
	}
	return nil
}

// proverSRS relies on the digests, which fix every point; [CheckSRS] checks
// the points themselves.
var proverSRS = sync.OnceValues(func() (*proverPoints, error) {
	if err := checkDigests(powersFile, lagrangeFile); err != nil {
		return nil, err
	}
	powers, err := decodeG1(powersFile[:(largeDomain+blindingRoom)*g1Size], bls12381.NoSubgroupChecks())
	if err != nil {
		return nil, err
	}
	both, err := decodeG1(lagrangeFile, bls12381.NoSubgroupChecks())
	if err != nil {
		return nil, err
	}
	return &proverPoints{powers: powers, small: both[:smallDomain], large: both[smallDomain:]}, nil
})

type decoderOption = func(*bls12381.Decoder)

// decodeG1 reads a whole string of compressed points, on all cores.
func decodeG1(s string, opts ...decoderOption) ([]bls12381.G1Affine, error) {
	points := make([]bls12381.G1Affine, len(s)/g1Size)
	err := inChunks(len(points), func(from, to int) error {
		d := bls12381.NewDecoder(strings.NewReader(s[from*g1Size:to*g1Size]), opts...)
		for i := from; i < to; i++ {
			if err := d.Decode(&points[i]); err != nil {
				return err
			}
		}
		return nil
	})
	return points, err
}

// decodeG2 reads a whole string of compressed points.
func decodeG2(s string, opts ...decoderOption) ([]bls12381.G2Affine, error) {
	points := make([]bls12381.G2Affine, len(s)/g2Size)
	d := bls12381.NewDecoder(strings.NewReader(s), opts...)
	for i := range points {
		if err := d.Decode(&points[i]); err != nil {
			return nil, err
		}
	}
	return points, nil
}

// inChunks splits 0..n among the cores and waits for all; the error is the
// first in order.
func inChunks(n int, do func(from, to int) error) error {
	workers := min(runtime.GOMAXPROCS(0), n)
	errs := make([]error, workers)
	var wg sync.WaitGroup
	for i := range workers {
		wg.Go(func() { errs[i] = do(i*n/workers, (i+1)*n/workers) })
	}
	wg.Wait()
	return errors.Join(errs...)
}

package claim

import (
	"errors"
	"math/big"

	bls12381 "github.com/consensys/gnark-crypto/ecc/bls12-381"
	"github.com/consensys/gnark/constraint/solver"
	"github.com/consensys/gnark/std/math/bits"

	"github.com/terradourada/td/protocol"
)

// FixedIDs are the claims with an embedded key.
func FixedIDs() []ID { return fixedIDs() }

// Setup compiles the circuit of a claim and commits to it.
func Setup(id ID, members []protocol.Member) (*VerifyingKey, error) {
	ccs, err := compile(newCircuit(id, members))
	if err != nil {
		return nil, err
	}
	return setup(ccs)
}

// GatesWith is [Gates] for the given list.
func GatesWith(id ID, members []protocol.Member) (int, error) {
	ccs, err := compile(newCircuit(id, members))
	if err != nil {
		return 0, err
	}
	return size(ccs), nil
}

// Circuit is a compiled circuit that reports whether it accepts an assignment,
// without any native rule and without a proof.
type Circuit struct{ key provingKey }

// NewCircuit compiles a circuit.
func NewCircuit(id ID, members []protocol.Member) (*Circuit, error) {
	ccs, err := compile(newCircuit(id, members))
	return &Circuit{provingKey{ccs: ccs}}, err
}

// Solve returns nil if the circuit accepts the public inputs and private
// values.
func (c *Circuit) Solve(x, w []protocol.Element) error {
	full, err := c.key.witness(x, w)
	if err != nil {
		return err
	}
	_, err = c.key.ccs.Solve(full)
	return err
}

// SolveWithBits is Solve with the given binary decompositions.
func (c *Circuit) SolveWithBits(x, w []protocol.Element, decompose func(in *big.Int, out []*big.Int)) error {
	full, err := c.key.witness(x, w)
	if err != nil {
		return err
	}
	var options []solver.Option
	for _, hint := range bits.GetHints() {
		options = append(options, solver.OverrideHint(solver.GetHintID(hint), func(_ *big.Int, in, out []*big.Int) error {
			decompose(in[0], out)
			return nil
		}))
	}
	_, err = c.key.ccs.Solve(full, options...)
	return err
}

// Products counts, for each public input, the gates in which it is a factor of
// a product.
func (c *Circuit) Products() []int {
	ccs := c.key.ccs
	counts := make([]int, len(ccs.Public))
	it := ccs.GetSparseR1CIterator()
	for gate := it.Next(); gate != nil; gate = it.Next() {
		if ccs.Coefficients[gate.QM].IsZero() {
			continue
		}
		for i := range counts {
			if gate.XA == uint32(i) || gate.XB == uint32(i) {
				counts[i]++
			}
		}
	}
	return counts
}

// Commits reports whether the circuit uses the commitment extension.
func (c *Circuit) Commits() bool { return len(c.key.ccs.CommitmentInfo.CommitmentIndexes()) != 0 }

// ProveRaw proves without the native check.
func (p *Prover) ProveRaw(id ID, x, w []protocol.Element) ([]byte, error) {
	key := p.fixed[id]
	if key == nil {
		return nil, errors.New("not loaded")
	}
	return key.prove(x, w)
}

// Embedded returns the two files of the reference string.
func Embedded() (powers, lagrange string) { return powersFile, lagrangeFile }

// Reference is the decoded reference string.
type Reference = reference

// DecodeReference decodes a reference string, checking each point.
func DecodeReference(powers, lagrange string) (*Reference, error) {
	return decodeReference(powers, lagrange)
}

// CheckDigests compares the files with the pinned digests.
func CheckDigests(powers, lagrange string) error { return checkDigests(powers, lagrange) }

// Check checks the decoded points.
func (r *Reference) Check() error { return r.check() }

// Points returns the decoded points, so that a test can change them.
func (r *Reference) Points() (g1, small, large []bls12381.G1Affine, g2 []bls12381.G2Affine) {
	return r.g1, r.small, r.large, r.g2
}

// KnownAnswer is a stored proof.
type KnownAnswer = knownAnswer

// KnownAnswers are the stored proofs.
func KnownAnswers() ([]KnownAnswer, error) { return knownAnswers() }

// Check is the check of the self-test.
func (k *KnownAnswer) Check(proof []byte) error { return k.check(proof) }

// DiffFromSetup describes where a parsed key differs from the library's own
// for the same circuit, or returns "".
func DiffFromSetup(vk *VerifyingKey, id ID) (string, error) {
	ccs, err := compile(newCircuit(id, nil))
	if err != nil {
		return "", err
	}
	key, err := setupKey(ccs)
	if err != nil {
		return "", err
	}
	got, want := &vk.key, key
	switch {
	case got.Size != want.Size || got.SizeInv != want.SizeInv || got.Generator != want.Generator:
		return "domain", nil
	case got.CosetShift != want.CosetShift:
		return "coset shift", nil
	case got.NbPublicVariables != want.NbPublicVariables:
		return "public inputs", nil
	case got.Kzg != want.Kzg:
		return "reference string", nil
	case got.S != want.S || got.Ql != want.Ql || got.Qr != want.Qr || got.Qm != want.Qm || got.Qo != want.Qo || got.Qk != want.Qk:
		return "points", nil
	case len(want.Qcp) != 0 || len(want.CommitmentConstraintIndexes) != 0 || len(got.Qcp) != 0:
		return "commitment extension", nil
	}
	return "", nil
}

// RawVerifier is the library's verifier over values that were decoded before.
func RawVerifier(vk *VerifyingKey, x []protocol.Element, proof []byte) (func() error, error) {
	inputs, err := vk.inputs(x)
	if err != nil {
		return nil, err
	}
	p, err := DecodeProof(proof)
	return func() error { return verify(&p.inner, &vk.key, inputs) }, err
}

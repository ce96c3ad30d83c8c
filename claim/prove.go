package claim

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"

	"github.com/consensys/gnark-crypto/ecc"
	"github.com/consensys/gnark-crypto/ecc/bls12-381/fr"
	"github.com/consensys/gnark-crypto/ecc/bls12-381/kzg"
	"github.com/consensys/gnark/backend"
	plonk "github.com/consensys/gnark/backend/plonk/bls12-381"
	"github.com/consensys/gnark/backend/witness"
	cs "github.com/consensys/gnark/constraint/bls12-381"

	"github.com/terradourada/td/internal/fault"
	"github.com/terradourada/td/protocol"
)

// Prover holds compiled circuits and proving keys, so that a proof costs no
// preparation. It is safe for concurrent use. The caller decides how many
// proofs run at a time; one for each core has the greatest throughput.
type Prover struct {
	fixed map[ID]*provingKey // does not change

	mu    sync.RWMutex
	lists map[protocol.ListID]*provingKey
}

// provingKey is a compiled circuit with its key.
type provingKey struct {
	ccs *cs.SparseR1CS
	key *plonk.ProvingKey
}

// NewProver prepares the circuits of some of the fixed claims, or of all six if
// none is named; group/1 comes list by list with [Prover.AddList]. An unknown
// claim is unknown_claim.
func NewProver(ids ...ID) (*Prover, error) {
	if len(ids) == 0 {
		ids = fixedIDs()
	}
	p := &Prover{fixed: make(map[ID]*provingKey), lists: make(map[protocol.ListID]*provingKey)}
	for _, id := range ids {
		vk, ok := KnownKey(id)
		if !ok {
			return nil, protocol.Fail(protocol.CodeUnknownClaim, "claim is not a fixed one of this build")
		}
		ccs, err := compile(newCircuit(id, nil))
		if err != nil {
			return nil, err
		}
		if p.fixed[id], err = newProvingKey(ccs, vk); err != nil {
			return nil, err
		}
	}
	return p, nil
}

// newProvingKey needs no set-up: a proving key is the verifying key and points
// of the reference string. With a verifying key of another circuit the proofs
// would not verify; the self-test detects that.
func newProvingKey(ccs *cs.SparseR1CS, vk *VerifyingKey) (*provingKey, error) {
	points, err := proverSRS()
	if err != nil {
		return nil, err
	}
	domain := vk.key.Size
	if domainOf(ccs) != domain || len(ccs.Public) != vk.PublicInputs() {
		return nil, errors.New("claim: circuit does not match its verifying key")
	}
	return &provingKey{ccs: ccs, key: &plonk.ProvingKey{
		Kzg:         kzg.ProvingKey{G1: points.powers[:domain+blindingRoom]},
		KzgLagrange: kzg.ProvingKey{G1: points.lagrange(domain)},
		Vk:          &vk.key,
	}}, nil
}

// domainOf is the size of the evaluation domain of a circuit.
func domainOf(ccs *cs.SparseR1CS) uint64 { return ecc.NextPowerOfTwo(uint64(size(ccs))) }

// AddList prepares the circuit of a list for group/1, which takes hundreds of
// milliseconds. Adding a list again does nothing.
func (p *Prover) AddList(l *List) error {
	if p.list(l.ID()) != nil {
		return nil
	}
	ccs, err := l.compile()
	if err != nil {
		return err
	}
	vk, err := setup(ccs)
	if err != nil {
		return err
	}
	key, err := newProvingKey(ccs, vk)
	if err != nil {
		return err
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.lists[l.ID()] = key
	return nil
}

func (p *Prover) list(id protocol.ListID) *provingKey {
	p.mu.RLock()
	defer p.mu.RUnlock()
	return p.lists[id]
}

// Prove makes the 664 bytes of a proof. x must be [Statement.Inputs] of the
// statement. A statement that does not hold for the assignment is refused with
// statement_false, before any proving. One for a claim or list that is not
// loaded is refused with unknown_claim. Other public inputs, or an assignment
// for another claim, are refused with malformed_request.
//
// A proof is statistically zero-knowledge and different every time. It is made
// on the calling goroutine and on others that end before Prove returns. It
// cannot be interrupted once begun: ctx is checked before that only.
func (p *Prover) Prove(ctx context.Context, s *Statement, x []protocol.Element, a *Assignment) ([]byte, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	key := p.find(s)
	if key == nil {
		return nil, protocol.Fail(protocol.CodeUnknownClaim, "prover has not loaded this claim")
	}
	if len(x) != len(key.ccs.Public) || !slices.Equal(x[contextInputs:], s.public) {
		return nil, protocol.Fail(protocol.CodeMalformedRequest, "public inputs are not those of the statement")
	}
	for i := range x[:contextInputs] {
		if err := protocol.CheckElement(x[i][:]); err != nil {
			return nil, err
		}
	}
	if err := s.Check(a); err != nil {
		return nil, err
	}
	return key.prove(x, a.private())
}

// find is the key for a statement, or nil.
func (p *Prover) find(s *Statement) *provingKey {
	if list, ok := s.Params().List(); ok {
		return p.list(list)
	}
	return p.fixed[s.Claim()]
}

// prove refuses with statement_false every assignment that the circuit does not
// accept.
func (k *provingKey) prove(x, private []protocol.Element) (proof []byte, err error) {
	defer func() {
		if r := recover(); r != nil {
			proof, err = nil, fmt.Errorf("claim: prover panicked: %w", fault.Panicked(r))
		}
	}()
	w, err := k.witness(x, private)
	if err != nil {
		return nil, err
	}
	if _, err := k.ccs.Solve(w); err != nil {
		return nil, protocol.Wrap(protocol.CodeStatementFalse, "assignment does not satisfy the claim", err)
	}
	p, err := plonk.Prove(k.ccs, k.key, w, backend.WithStatisticalZeroKnowledge())
	if err != nil {
		return nil, err
	}
	encoded := (&Proof{inner: *p}).encode()
	return encoded[:], nil
}

// witness is the library's form of an assignment: public inputs, then private
// values.
func (k *provingKey) witness(x, private []protocol.Element) (witness.Witness, error) {
	w, err := witness.New(fr.Modulus())
	if err != nil {
		return nil, err
	}
	values := make(chan any, len(x)+len(private))
	for _, e := range slices.Concat(x, private) {
		values <- fieldElement(e)
	}
	close(values)
	return w, w.Fill(len(x), len(private), values)
}

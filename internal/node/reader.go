package node

import (
	"context"
	"errors"
	"math"
	"slices"
	"time"

	"github.com/terradourada/td/api"
	"github.com/terradourada/td/claim"
	"github.com/terradourada/td/internal/epochs"
	"github.com/terradourada/td/internal/journal"
	"github.com/terradourada/td/protocol"
)

// reader reads the records for the public API. It asks no epoch, so that reading goes
// on during a freeze and without keyholders.
type reader struct {
	*records
	epochs  *epochs.Manager
	claims  int // in the log; none is added while the server runs
	version string
}

// newReader returns what the API reads of a machine, which need not be started.
func newReader(ctx context.Context, m *machine, version string) (*reader, error) {
	claims, err := m.journal.ClaimLeaves(ctx)
	if err != nil {
		return nil, err
	}
	return &reader{m.records, m.epochs, len(claims), version}, nil
}

// Claims returns every verifying key in the log, in log order.
func (r *reader) Claims(ctx context.Context) ([]api.Claim, error) {
	entries, err := r.journal.ClaimLeaves(ctx)
	if err != nil {
		return nil, err
	}
	state, err := r.journal.State(ctx)
	if err != nil {
		return nil, err
	}
	claims := make([]api.Claim, 0, len(entries))
	for _, e := range entries {
		leaf, body, err := bodyOf[*protocol.ClaimLeaf](e)
		if err != nil {
			return nil, err
		}
		c := api.Claim{
			Fingerprint: protocol.VKFingerprint(body.ClaimID, body.List, body.SRS, body.VK),
			Claim:       body.ClaimID,
			Index:       leaf.Seq,
		}
		c.Retired = slices.Contains(state.Retired, c.Fingerprint)
		if id, err := claim.ParseID(body.ClaimID); err == nil && id != claim.Group {
			c.Gates = claim.Gates(id)
		}
		if body.List != (protocol.ListID{}) {
			c.List = &body.List
		}
		claims = append(claims, c)
	}
	return claims, nil
}

// Epochs returns at most most epochs, newest first.
func (r *reader) Epochs(ctx context.Context, most int) ([]api.Epoch, error) {
	entries, err := r.journal.EpochLeaves(ctx, math.MaxInt64, most)
	if err != nil {
		return nil, err
	}
	epochs := make([]api.Epoch, 0, len(entries))
	for _, e := range entries {
		epoch, err := r.epoch(ctx, e)
		if err != nil {
			return nil, err
		}
		epoch.PublicKey = nil
		epochs = append(epochs, epoch)
	}
	return epochs, nil
}

// Epoch returns one epoch with its public key.
func (r *reader) Epoch(ctx context.Context, number uint64) (api.Epoch, error) {
	e, err := r.epochEntry(ctx, number)
	if err != nil {
		return api.Epoch{}, err
	}
	return r.epoch(ctx, e)
}

// Attestation returns the evidence about an epoch.
func (r *reader) Attestation(ctx context.Context, number uint64) ([]byte, error) {
	e, err := r.epochEntry(ctx, number)
	if err != nil {
		return nil, err
	}
	_, body, err := bodyOf[*protocol.EpochOpen](e)
	if err != nil {
		return nil, err
	}
	evidence, ok, err := r.journal.Attestation(ctx, body.ID)
	if err == nil && !ok {
		err = protocol.Fail(protocol.CodeNotFound, "there is no evidence of hardware about this epoch")
	}
	return evidence, err
}

func (r *reader) epochEntry(ctx context.Context, number uint64) (journal.Entry, error) {
	var e journal.Entry
	ok, err := false, error(nil)
	if number <= math.MaxInt64 {
		e, ok, err = r.journal.EpochLeafByNumber(ctx, number)
	}
	if err == nil && !ok {
		err = protocol.Fail(protocol.CodeNotFound, "no epoch has this number")
	}
	return e, err
}

func (r *reader) epoch(ctx context.Context, e journal.Entry) (api.Epoch, error) {
	leaf, body, err := bodyOf[*protocol.EpochOpen](e)
	if err != nil {
		return api.Epoch{}, err
	}
	epoch := api.Epoch{
		Number:        body.Number,
		ID:            body.ID,
		Instance:      body.Instance,
		Index:         leaf.Seq,
		OpenedAt:      leafTime(leaf),
		PublicKey:     body.PublicKey[:],
		CheckpointKey: body.CheckpointKey,
		Build:         body.Build,
		SignerGrade:   body.SignerGrade,
		TaggerGrade:   body.TaggerGrade,
		Posture:       body.Posture,
		Handover:      body.Handover != (protocol.SignedRoot{}),
	}
	if body.Previous != (protocol.EpochID{}) {
		epoch.Previous, epoch.PreviousIndex = &body.Previous, &body.PreviousIndex
	}
	if epoch.Evidence, err = r.journal.HasAttestation(ctx, body.ID); err != nil {
		return api.Epoch{}, err
	}
	closed, ok, err := r.journal.EpochCloseLeaf(ctx, body.ID)
	if err != nil || !ok {
		return epoch, err
	}
	end, how, err := bodyOf[*protocol.EpochClose](closed)
	if err != nil {
		return api.Epoch{}, err
	}
	epoch.Close = &api.EpochClose{
		Reason:      how.Reason.String(),
		Index:       end.Seq,
		ClosedAt:    leafTime(end),
		Issued:      how.Issued.Size,
		Accepted:    how.Accepted,
		Rejected:    how.Rejected,
		Expired:     how.Expired,
		Invalidated: how.Invalidated,
		Root:        how.Issued.Root,
	}
	return epoch, nil
}

// bodyOf parses an entry that must be of one type.
func bodyOf[B protocol.LeafBody](e journal.Entry) (protocol.Leaf, B, error) {
	leaf, err := protocol.ParseLeaf(e.Leaf)
	if err != nil {
		return leaf, *new(B), protocol.Wrap(protocol.CodeInternal, "", err)
	}
	body, ok := leaf.Body.(B)
	if !ok {
		return leaf, body, protocol.Wrap(protocol.CodeInternal, "", errors.New("a leaf is not of the type the journal says"))
	}
	return leaf, body, nil
}

func leafTime(l protocol.Leaf) time.Time { return time.UnixMilli(int64(l.Time)).UTC() }

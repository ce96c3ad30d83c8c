package journal

import (
	"bytes"
	"context"

	"github.com/terradourada/td/protocol"
)

// maxEvidence bounds what is kept of one attestation, in bytes.
const maxEvidence = 64 << 10

// SaveAttestation stores the evidence of hardware about an epoch, at most 64
// KiB. Refusals: not_found for an epoch that was never opened, conflict if
// there is evidence about it already, too_large.
func (j *Journal) SaveAttestation(ctx context.Context, epoch protocol.EpochID, evidence []byte) error {
	if len(evidence) == 0 || len(evidence) > maxEvidence {
		return protocol.Failf(protocol.CodeTooLarge, "evidence has 1 to %d bytes", maxEvidence)
	}
	kept := bytes.Clone(evidence) // the writer may still use it when ctx has ended
	_, err := j.submit(ctx, j.queue, &submission{apply: func(g *group) (Entry, error) {
		return Entry{}, g.saveAttestation(epoch, kept)
	}})
	return err
}

func (g *group) saveAttestation(epoch protocol.EpochID, evidence []byte) error {
	if g.epoch(epoch) == nil {
		return protocol.Fail(protocol.CodeNotFound, "the epoch was never opened")
	}
	var taken bool
	g.scan("SELECT EXISTS (SELECT 1 FROM attestations WHERE epoch = ?)", []any{epoch[:]}, &taken)
	if taken {
		return protocol.Fail(protocol.CodeConflict, "there is evidence about the epoch already")
	}
	g.exec("INSERT INTO attestations (epoch, evidence) VALUES (?, ?)", epoch[:], evidence)
	return nil
}

// Attestation returns the evidence about an epoch.
func (j *Journal) Attestation(ctx context.Context, epoch protocol.EpochID) (evidence []byte, ok bool, err error) {
	ok, err = j.row(ctx, "SELECT evidence FROM attestations WHERE epoch = ?", []any{epoch[:]}, &evidence)
	return evidence, ok, err
}

// HasAttestation reports whether there is evidence about an epoch.
func (j *Journal) HasAttestation(ctx context.Context, epoch protocol.EpochID) (has bool, err error) {
	_, err = j.row(ctx, "SELECT EXISTS (SELECT 1 FROM attestations WHERE epoch = ?)", []any{epoch[:]}, &has)
	return has, err
}

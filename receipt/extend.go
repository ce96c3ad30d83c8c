package receipt

import (
	"context"
)

// Head is the size, root and key of a checkpoint that was believed before.
type Head struct {
	Size uint64
	Root [32]byte
	Key  [32]byte // the Ed25519 key that signed it
}

// HandedOver verifies that hand-overs lead from the key of an earlier checkpoint to
// that of c, by rule 4 of section 13. The error wraps [ErrOtherKey] if they do not.
// That the earlier checkpoint is a prefix of c must be known already. The Epoch of c
// must be set. The log supplies leaves and proofs, none of which is believed by itself.
func HandedOver(ctx context.Context, c *Checkpoint, log Log, from Head) error {
	return handedOver(ctx, c, log, &record{size: from.Size, root: from.Root, key: from.Key})
}

// PrefixRoot returns the root of the first size leaves of a checkpoint's tree, 0 < size
// <= c.Size. The log supplies the proof, which counts only if the root of the whole tree
// follows from it; otherwise the error is [ErrNotShown].
func PrefixRoot(ctx context.Context, log Log, size uint64, c *Checkpoint) ([32]byte, error) {
	if size == c.Size {
		return c.Root, nil
	}
	return prefixRoot(ctx, log, size, tree{c.Size, c.Root})
}

// ReadCheckpoint reads a checkpoint with the strictness of [ParseCheckpoint] and
// verifies no signature: Key and Epoch are not set, and anyone can have written it.
func ReadCheckpoint(signed string) (*Checkpoint, error) {
	c, err := parseNote(signed)
	if err != nil {
		return nil, err
	}
	return &Checkpoint{Origin: c.Origin, Size: uint64(c.N), Root: c.Hash, Note: signed}, nil
}

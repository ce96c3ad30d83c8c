package ledger

import (
	"context"
	"crypto/ed25519"
	"errors"
	"fmt"
	"slices"
	"time"

	"filippo.io/torchwood"
	"golang.org/x/mod/sumdb/note"
	"golang.org/x/mod/sumdb/tlog"

	"github.com/terradourada/td/internal/tiles"
	"github.com/terradourada/td/protocol"
)

// Signer is the checkpoint key of an epoch, in another process.
type Signer interface {
	// Key is the Ed25519 public key. It never changes.
	Key() [32]byte
	// Begin sends the tree before the epoch-open leaf that announces the key. It is
	// called once, before anything else.
	Begin(ctx context.Context, tree protocol.Range) error
	// Extend sends the hashes of the leaves that follow, in order. After an error of
	// Begin or Extend the signer signs nothing more.
	Extend(ctx context.Context, leafHashes []protocol.Digest) error
	// Checkpoint returns the Ed25519 signature of the checkpoint text (C2SP
	// tlog-checkpoint) with the log's origin and the tree that was sent, which must have
	// this size and root. It should return when ctx ends; the ledger does not wait longer.
	Checkpoint(ctx context.Context, size uint64, root [32]byte) ([64]byte, error)
}

// Checkpoint is a published checkpoint: its signature verified under Key, and
// its tree covers the epoch-open leaf that announces Key.
type Checkpoint struct {
	Note []byte   // the signed note, verbatim
	Size uint64   // entries that it covers
	Root [32]byte // at Size
	Key  [32]byte // Ed25519 public key whose signature was verified
}

// signing is the current signer.
type signing struct {
	Signer
	verifier note.Verifier
	key      [32]byte
	open     uint64        // index of the epoch-open leaf that announces key
	gone     chan struct{} // closed when another takes over
	free     chan struct{} // holds a token unless a call is under way

	sent *protocol.Range // the tree that the signer has, nil before Begin; guarded by the token
}

// SetSigner replaces the signer; nil means none until the next call. openIndex is the
// index of the epoch-open leaf that announces its key: no checkpoint is requested before
// the log covers that leaf. Earlier checkpoints stay.
func (l *Ledger) SetSigner(s Signer, openIndex uint64) {
	var in *signing
	if s != nil {
		in = newSigning(l.cfg.Origin, s, openIndex)
	}
	l.swap(in, func(*signing) bool { return true })
}

// UnsetSigner leaves the log without a signer if this is its signer. It does not affect
// the successor that may have replaced it.
func (l *Ledger) UnsetSigner(s Signer) {
	l.swap(nil, func(out *signing) bool { return out != nil && out.Signer == s })
}

// swap replaces the signer if that is the one to replace.
func (l *Ledger) swap(in *signing, is func(out *signing) bool) {
	l.mu.Lock()
	out := l.signer
	if !is(out) {
		l.mu.Unlock()
		return
	}
	l.signer = in
	l.mu.Unlock()
	if out != nil {
		close(out.gone)
	}
	wake(l.swapped)
	wake(l.grown)
}

func newSigning(origin string, s Signer, openIndex uint64) *signing {
	key := s.Key()
	v, err := verifier(origin, key)
	if err != nil {
		panic("ledger: internal error: an origin that Open has checked: " + err.Error())
	}
	in := &signing{Signer: s, verifier: v, key: key, open: openIndex, gone: make(chan struct{}), free: make(chan struct{}, 1)}
	in.free <- struct{}{}
	return in
}

// verifier returns the signed-note verifier of an Ed25519 key with the origin as its
// name. It fails if that is not a name for keys.
func verifier(origin string, key [32]byte) (note.Verifier, error) {
	text, err := note.NewEd25519VerifierKey(origin, ed25519.PublicKey(key[:]))
	if err != nil {
		return nil, err
	}
	return note.NewVerifier(text)
}

// publish publishes when there is something new, at most once an interval,
// until ctx ends.
func (l *Ledger) publish(ctx context.Context) {
	backoff := l.cfg.Interval
	for {
		select {
		case <-ctx.Done():
			return
		case <-l.grown:
		}
		if ctx.Err() != nil {
			return // the last attempt is not this one
		}
		select {
		case <-l.swapped: // from before this attempt
		default:
		}
		wait := l.cfg.Interval
		did, err := l.publishOnce(ctx)
		if ctx.Err() == nil && !errors.Is(err, errReplaced) {
			l.note(&l.publishing, "publication", err)
		}
		switch {
		case err != nil:
			wait, backoff = backoff, min(2*backoff, max(maxBackoff, l.cfg.Interval))
			wake(l.grown)
		case did:
			backoff = l.cfg.Interval
		default:
			continue
		}
		pause(ctx, wait, l.swapped)
	}
}

// publishLast makes one more attempt at the end.
func (l *Ledger) publishLast(ctx context.Context) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), l.cfg.SignTimeout)
	defer cancel()
	if _, err := l.publishOnce(ctx); err != nil {
		l.log.Warn("last checkpoint not published", "err", err)
	}
}

// publishOnce has the compared tree signed, verifies, writes and shows the
// checkpoint. It reports false when there is nothing to publish.
func (l *Ledger) publishOnce(ctx context.Context) (bool, error) {
	s, tree := l.due()
	if s == nil {
		return false, nil
	}
	text := torchwood.Checkpoint{Origin: l.cfg.Origin, Tree: tree}.String()
	ctx, cancel := context.WithTimeout(ctx, l.cfg.SignTimeout)
	defer cancel()
	signature, err := s.ask(ctx, l.tiles, tree)
	if err != nil {
		return false, fmt.Errorf("%w: %w", errSigner, err)
	}
	signed, err := seal(text, s.verifier, signature)
	if err != nil {
		return false, err
	}
	l.placing.Lock()
	defer l.placing.Unlock()
	if err := l.writer.replace(checkpointFile, signed); err != nil {
		return false, fmt.Errorf("ledger: writing the checkpoint: %w", err)
	}
	l.show(Checkpoint{Note: signed, Size: uint64(tree.N), Root: tree.Hash, Key: s.key})
	return true, nil
}

// due returns the tree to be published and its signer, or nil.
func (l *Ledger) due() (*signing, tlog.Tree) {
	l.mu.Lock()
	defer l.mu.Unlock()
	s := l.signer
	if s == nil || l.reason != nil || l.size <= s.open || (l.latest.Size == l.size && l.latest.Key == s.key) {
		return nil, tlog.Tree{}
	}
	l.signing = l.size
	return s, tlog.Tree{N: int64(l.size), Hash: l.root}
}

func (l *Ledger) show(cp Checkpoint) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.latest, l.published, l.publishedSize, l.settled = cp, cp.Note, cp.Size, true
	l.recent = append(l.recent[max(len(l.recent)-keepCheckpoints+1, 0):], cp.Size)
	close(l.news)
	l.news = make(chan struct{})
}

var errReplaced = errors.New("ledger: the signer was replaced")

// ask requests a signature of the tree. It stops waiting when ctx ends or the signer is
// replaced. A call that does not return holds the token, so that there is never more
// than one.
func (s *signing) ask(ctx context.Context, t tiles.Reader, tree tlog.Tree) ([64]byte, error) {
	type answer struct {
		signature [64]byte
		err       error
	}
	select {
	case <-s.free:
	case <-s.gone:
		return [64]byte{}, errReplaced
	case <-ctx.Done():
		return [64]byte{}, fmt.Errorf("ledger: the signer has not answered an earlier call: %w", ctx.Err())
	}
	ch := make(chan answer, 1)
	go func() {
		var a answer
		if a.err = s.extend(ctx, t, tree); a.err == nil {
			a.signature, a.err = s.Checkpoint(ctx, uint64(tree.N), tree.Hash)
		}
		s.free <- struct{}{}
		ch <- a
	}()
	select {
	case a := <-ch:
		return a.signature, a.err
	case <-s.gone:
		return [64]byte{}, errReplaced
	case <-ctx.Done():
		return [64]byte{}, fmt.Errorf("ledger: the signer did not answer: %w", ctx.Err())
	}
}

// extend sends the signer what it lacks of the tree. The hashes come from the tiles
// and are compared with the root before they are sent, so that a damaged tile does
// not end the epoch.
func (s *signing) extend(ctx context.Context, t tiles.Reader, tree tlog.Tree) error {
	hashReader := t.Hashes(ctx, uint64(tree.N))
	base := s.sent
	if base == nil {
		begin, err := tiles.Range(hashReader, s.open)
		if err != nil {
			return fmt.Errorf("ledger: reading the tiles: %w", err)
		}
		base = &begin
	}
	hashes, err := tiles.Leaves(hashReader, base.Size(), uint64(tree.N))
	if err != nil {
		return fmt.Errorf("ledger: reading the tiles: %w", err)
	}
	whole := extended(*base, hashes)
	if whole.Root() != protocol.Digest(tree.Hash) {
		return errors.New("ledger: the leaf hashes in the tiles do not have the root")
	}
	if s.sent == nil {
		if err := s.Begin(ctx, *base); err != nil {
			return err
		}
		s.sent = base
	}
	for part := range slices.Chunk(hashes, maxExtend) {
		if err := s.Extend(ctx, part); err != nil {
			return err
		}
	}
	s.sent = &whole
	return nil
}

// maxExtend bounds the leaf hashes of one call, so that the signer can make anchors
// between two calls.
const maxExtend = 1024

// seal makes the signed note and verifies it with the key of the signer.
func seal(text string, v note.Verifier, signature [64]byte) ([]byte, error) {
	signed, err := note.Sign(&note.Note{Text: text}, given{v, signature})
	if err != nil {
		return nil, err
	}
	if _, err := note.Open(signed, note.VerifierList(v)); err != nil {
		return nil, fmt.Errorf("ledger: the signer's answer does not verify: %w", err)
	}
	return signed, nil
}

// given is a [note.Signer] with a signature that was made before, so that name, key hash
// and signature are of one signer even if it is replaced meanwhile.
type given struct {
	note.Verifier
	signature [64]byte
}

func (g given) Sign([]byte) ([]byte, error) { return g.signature[:], nil }

// Resume makes the checkpoint that an earlier process has published the latest one,
// and reports whether it did: this key must have signed it, and it must cover the
// epoch-open leaf with this index, which announces the key. Call it before Run.
func (l *Ledger) Resume(key [32]byte, openIndex uint64) bool {
	v, err := verifier(l.cfg.Origin, key)
	if err != nil {
		return false
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.publishedSize <= openIndex {
		return false
	}
	if _, err := note.Open(l.published, note.VerifierList(v)); err != nil {
		return false
	}
	l.latest = Checkpoint{Note: l.published, Size: l.publishedSize, Root: l.root, Key: key}
	return true
}

// Latest returns the newest checkpoint that this process has published, or resumed.
func (l *Ledger) Latest() (Checkpoint, bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.latest, l.latest.Note != nil
}

// Await waits for a published checkpoint that covers the entry with this index. It returns
// the newest one, or the newest cosigned one if that became the newest of all within the
// last 10 seconds. The error is ledger_unavailable when ctx ends, with its cause, or when
// the log has stopped.
func (l *Ledger) Await(ctx context.Context, index uint64) (Checkpoint, error) {
	for {
		l.mu.Lock()
		cp, news := l.latest, l.news
		if c := &l.cosigned; c.Size > index && time.Since(c.at) < cosignedFor {
			cp = c.Checkpoint
		}
		l.mu.Unlock()
		if cp.Size > index {
			return cp, nil
		}
		select {
		case <-news:
		case <-l.diverged:
			return l.atEnd(index)
		case <-l.stopped:
			return l.atEnd(index)
		case <-ctx.Done():
			return Checkpoint{}, protocol.Wrap(protocol.CodeLedgerUnavailable,
				"the entry is not yet covered by a published checkpoint", ctx.Err())
		}
	}
}

// atEnd is the result of Await when no further checkpoint will come.
func (l *Ledger) atEnd(index uint64) (Checkpoint, error) {
	if cp, ok := l.Latest(); ok && cp.Size > index {
		return cp, nil
	}
	return Checkpoint{}, l.halted()
}

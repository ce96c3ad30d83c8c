package keyholder

import (
	"context"
	"encoding/binary"
	"sync"

	"golang.org/x/mod/sumdb/tlog"

	"github.com/terradourada/td/protocol"
)

// issuedTree is the core's copy of the issued tree of one epoch, with the
// greatest root of it that the signer signed. The goroutine that reads the
// socket fills it, so it holds every anchor that was answered, also to calls
// that were given up. It outlives the signer.
type issuedTree struct {
	origin string
	epoch  protocol.EpochID
	key    [32]byte // checkpoint key of the epoch

	mu     sync.Mutex // guards what follows
	size   uint64
	hashes storedHashes
	held   protocol.SignedRoot
	asking *rootRequest // the one under way; nil if there is none
}

// rootRequest is a request for a signed root that several calls wait for.
type rootRequest struct {
	done chan struct{} // closed when it has ended
	err  error         // once done
}

// add appends an anchor, which must have the next position.
func (t *issuedTree) add(position uint64, digest protocol.Digest) error {
	t.mu.Lock()
	defer t.mu.Unlock()
	if position != t.size {
		return errMalformed
	}
	hashes, err := tlog.StoredHashes(int64(position), digest[:], &t.hashes)
	if err != nil {
		return err
	}
	t.hashes.add(hashes)
	t.size++
	return nil
}

// count returns the number of anchors.
func (t *issuedTree) count() uint64 {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.size
}

// hold keeps a signed root if it is greater than the one held. It must be a root
// of this very tree, over at least so many anchors, signed by the epoch's key.
func (t *issuedTree) hold(r *protocol.SignedRoot, least uint64) error {
	if r.VerifyIssued(t.origin, t.epoch, t.key) != nil {
		return errMalformed
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	if r.Size < least || r.Size > t.size {
		return errMalformed
	}
	own, err := tlog.TreeHash(int64(r.Size), &t.hashes)
	if err != nil || !r.Root.Equal(protocol.Digest(own)) {
		return errMalformed
	}
	if r.Size > t.held.Size {
		t.held = *r
	}
	return nil
}

// place returns the place of a position under the root held, and false if that
// does not cover it.
func (t *issuedTree) place(position uint64) (i protocol.Issued, ok bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if position >= t.held.Size {
		return i, false
	}
	path, err := tlog.ProveRecord(int64(t.held.Size), int64(position), &t.hashes)
	if err != nil {
		return i, false
	}
	i = protocol.Issued{Position: position, SignedRoot: t.held, Path: make([]protocol.Digest, len(path))}
	for n, h := range path {
		i.Path[n] = protocol.Digest(h)
	}
	return i, true
}

// join waits for the request for a root that is under way, and starts one with
// ask if there is none.
func (t *issuedTree) join(ctx context.Context, ask func() error) error {
	t.mu.Lock()
	r := t.asking
	if r == nil {
		r = &rootRequest{done: make(chan struct{})}
		t.asking = r
		go func() {
			r.err = ask()
			t.mu.Lock()
			t.asking = nil
			t.mu.Unlock()
			close(r.done)
		}()
	}
	t.mu.Unlock()
	select {
	case <-r.done:
		return r.err
	case <-ctx.Done():
		return ctx.Err()
	}
}

// Issued returns the place of an anchor's position in the issued tree, under a
// signed root that covers it. A root that is held is used as it is, also after
// the signer is gone; otherwise all calls that wait share one request for a new
// one. The code is invalidated if no root that is held covers the position and
// none can be had, or the context ended first.
func (s *Signer) Issued(ctx context.Context, position uint64) (protocol.Issued, error) {
	var err error
	if position >= s.issued.count() {
		return protocol.Issued{}, protocol.Fail(protocol.CodeInvalidated, "no anchor has this position")
	}
	// A request under way may have been sent before the anchor was read, and its
	// root need not cover it; the root of the next one does.
	for {
		if i, ok := s.issued.place(position); ok {
			return i, nil
		}
		if err != nil {
			return protocol.Issued{}, protocol.Wrap(protocol.CodeInvalidated, "no signed root shows that the request was issued", err)
		}
		err = s.issued.join(ctx, func() error {
			_, err := s.IssuedRoot(context.WithoutCancel(ctx))
			return err
		})
	}
}

// IssuedRoot asks for a signed root of the issued tree over everything anchored
// so far. It is refused ([ErrRefused], code internal) after the checkpoint key
// was wiped.
func (s *Signer) IssuedRoot(ctx context.Context) (protocol.SignedRoot, error) {
	least := s.issued.count()
	return s.signedRoot(ctx, func(r *protocol.SignedRoot) error { return s.issued.hold(r, least) }, reqIssuedRoot)
}

// record judges the answer to a request for an anchor and assigns an anchor its
// place in the tree.
func (s *Signer) record(f *frame, id protocol.RequestID, payload *protocol.EncodedPayload) error {
	switch {
	case f.code == ansRefused:
		return nil
	case f.code != ansAnchor || protocol.CheckElement(f.body[:protocol.ElementSize]) != nil:
		return errMalformed
	}
	a, position := anchorOf(f)
	return s.issued.add(position, protocol.IssuedDigest(id, payload, a))
}

// anchorOf reads the answer to a request for an anchor.
func anchorOf(f *frame) (protocol.Anchor, uint64) {
	return protocol.Anchor(f.body[:protocol.ElementSize]), binary.BigEndian.Uint64(f.body[protocol.ElementSize:])
}

// storedHashes are the hashes of a tree by tlog.StoredHashIndex, about two for
// each leaf, in chunks: growing copies none of them.
type storedHashes struct {
	n      int64
	chunks []*[hashChunk]tlog.Hash
}

const hashChunk = 4096 // hashes, 128 KiB

func (s *storedHashes) add(hashes []tlog.Hash) {
	for _, h := range hashes {
		if s.n%hashChunk == 0 {
			s.chunks = append(s.chunks, new([hashChunk]tlog.Hash))
		}
		s.chunks[s.n/hashChunk][s.n%hashChunk] = h
		s.n++
	}
}

// ReadHashes is tlog.HashReader. It does not fail.
func (s *storedHashes) ReadHashes(indexes []int64) ([]tlog.Hash, error) {
	hashes := make([]tlog.Hash, len(indexes))
	for i, x := range indexes {
		hashes[i] = s.chunks[x/hashChunk][x%hashChunk]
	}
	return hashes, nil
}

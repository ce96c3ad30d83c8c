package cosign

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"golang.org/x/mod/sumdb/tlog"

	"github.com/terradourada/td/client"
	"github.com/terradourada/td/internal/addcheckpoint"
	"github.com/terradourada/td/protocol"
	"github.com/terradourada/td/receipt"
)

// Refusals of a cosigner, beside [ErrUnknownLog], [ErrOldKey] and
// [addcheckpoint.ErrMalformed]. Errors that wrap them add the reason in words.
var (
	// ErrOtherTree: the tree of this size has another root.
	ErrOtherTree = errors.New("another root was cosigned for this size")
	// ErrProof: the proof does not show that the submitted tree contains the newest
	// cosigned one.
	ErrProof = errors.New("the consistency proof does not verify")
	// ErrForeignKey: nothing ties the key to the log.
	ErrForeignKey = errors.New("nothing ties the key that signed the checkpoint to this log")
	// ErrUnavailable: the bound server could not be read. A later try may succeed.
	ErrUnavailable = errors.New("the log's own server could not be read")
)

// SizeError means that the checkpoint does not start from the newest cosigned one.
type SizeError struct{ Size uint64 } // of the newest cosigned one

// Error names the size.
func (e *SizeError) Error() string {
	return fmt.Sprintf("the newest cosigned checkpoint has size %d", e.Size)
}

// OnBreak says what decides when a log goes on under a key without a hand-over.
type OnBreak string

// The values of [OnBreak].
const (
	Live    OnBreak = "live"    // the bound server, read by the cosigner itself
	Approve OnBreak = "approve" // a person, with [Store.Approve]
)

// Source is a log as its bound server shows it. Everything that it returns is verified
// by proofs, except that SignedCheckpoint is the server's own word if Live says so.
type Source interface {
	receipt.Log
	// VerifyCheckpointSince is that of [client.Log].
	VerifyCheckpointSince(ctx context.Context, note []byte, since uint64) (*receipt.Checkpoint, error)
	// SignedCheckpoint returns the newest checkpoint.
	SignedCheckpoint(ctx context.Context) (*receipt.Checkpoint, error)
	// Source says whether the server itself was read, see [client.Client.Live].
	Source() receipt.Source
}

// Signer returns signature lines over a checkpoint.
type Signer interface {
	Sign(c *receipt.Checkpoint) (lines string, err error)
}

// Config are the parts of a [Cosigner].
type Config struct {
	Store   *Store
	Signer  Signer
	OnBreak OnBreak
	Open    func(server string) (Source, error) // opens the log at a bound URL
}

// Cosigner decides about checkpoints. It may be used by many goroutines.
type Cosigner struct {
	Config

	mu    sync.Mutex          // guards what follows
	taken map[slot]bool       // requests that read the server of a log because of a new key
	shown map[string][32]byte // by origin: the key that the server of the log showed last
}

// slot lets one request read the server of a log. Each log has two.
type slot struct {
	origin   string
	shownKey bool // for a checkpoint under the key that the server showed last
}

// New returns a cosigner.
func New(cfg Config) *Cosigner {
	return &Cosigner{Config: cfg, taken: map[slot]bool{}, shown: map[string][32]byte{}}
}

// Add returns the cosignature of a checkpoint that continues the newest cosigned one,
// which it then is itself. The error is, or wraps, a [*SizeError] or one of the
// refusals; any other error is one of the cosigner itself. Nothing was signed then.
//
// A checkpoint whose answer was lost can be submitted again.
func (c *Cosigner) Add(ctx context.Context, r addcheckpoint.Request, now time.Time) (lines string, err error) {
	cp, err := receipt.ReadCheckpoint(r.Note)
	if err != nil {
		return "", fmt.Errorf("%w: %w", addcheckpoint.ErrMalformed, err)
	}
	l, err := c.Store.Log(ctx, cp.Origin)
	if err != nil {
		return "", err
	}
	if err := continues(cp, r, &l.Head); err != nil {
		return "", err
	}
	if same, err := receipt.ParseCheckpoint(r.Note, l.Head.Key); err == nil {
		cp = same
	} else if cp, err = c.otherKey(ctx, cp, &l); err != nil {
		return "", err
	}
	to := receipt.Head{Size: cp.Size, Root: cp.Root, Key: cp.Key}
	if to != l.Head {
		err = c.Store.Advance(ctx, cp.Origin, l.Head, to, now)
	}
	if errors.Is(err, errMoved) {
		return "", c.moved(ctx, cp.Origin)
	}
	if err != nil {
		return "", err
	}
	return c.Signer.Sign(cp)
}

// moved returns the error for a request that another one has overtaken.
func (c *Cosigner) moved(ctx context.Context, origin string) error {
	l, err := c.Store.Log(ctx, origin)
	if err != nil {
		return err
	}
	return &SizeError{l.Head.Size}
}

// continues checks that the tree of a checkpoint contains that of the head.
func continues(cp *receipt.Checkpoint, r addcheckpoint.Request, head *receipt.Head) error {
	switch {
	case r.Old > cp.Size:
		return fmt.Errorf("%w: the old size is greater than the checkpoint's", addcheckpoint.ErrMalformed)
	case r.Old != head.Size:
		return &SizeError{head.Size}
	case r.Old == cp.Size && cp.Root != head.Root:
		return ErrOtherTree
	case r.Old == cp.Size && len(r.Proof) > 0:
		return ErrProof
	case r.Old == cp.Size:
		return nil
	}
	if err := tlog.CheckTree(r.Proof, int64(cp.Size), cp.Root, int64(head.Size), head.Root); err != nil {
		return ErrProof
	}
	return nil
}

// otherKey returns a checkpoint with the key that signed it, if the log may go on under
// that key. The tree must be known to contain that of the head.
func (c *Cosigner) otherKey(ctx context.Context, cp *receipt.Checkpoint, l *Log) (*receipt.Checkpoint, error) {
	if cp.Size == l.Head.Size { // a new key is announced by a leaf
		return nil, ErrForeignKey
	}
	s, ok := c.take(cp)
	if !ok {
		return nil, fmt.Errorf("%w: it is being read because of another request", ErrUnavailable)
	}
	defer c.release(s)
	log, err := c.Open(l.Server)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrUnavailable, err)
	}
	newest, unread := log.SignedCheckpoint(ctx)
	if unread == nil {
		c.noteShown(l.Origin, newest.Key)
	}
	if cp, err = announced(ctx, cp, log, l); err != nil {
		return nil, err
	}
	if old, err := c.Store.Replaced(ctx, l.Origin, cp.Key); err != nil || old {
		return nil, errors.Join(err, ErrOldKey)
	}
	err = receipt.HandedOver(ctx, cp, log, l.Head)
	switch {
	case !errors.Is(err, receipt.ErrOtherKey):
	case c.OnBreak == Approve:
		return cp, c.approved(ctx, cp)
	case unread != nil:
		err = unread
	default:
		err = shownLive(ctx, cp, newest, log)
	}
	return cp, classified(err)
}

// take returns a slot of the log that cp is of, and reports whether one was free. The slots
// bound how often strangers can make the cosigner read the server of a log. The first slot
// is for any checkpoint, so a stranger can hold it. The second one is only for checkpoints
// under the key that the server showed last, as the request in the first slot has read it. A
// stranger cannot sign such a checkpoint, and can only submit again what the server signed.
func (c *Cosigner) take(cp *receipt.Checkpoint) (s slot, ok bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	s = slot{origin: cp.Origin}
	if c.taken[s] {
		_, err := receipt.ParseCheckpoint(cp.Note, c.shown[cp.Origin])
		s.shownKey = err == nil
	}
	if c.taken[s] {
		return s, false
	}
	c.taken[s] = true
	return s, true
}

func (c *Cosigner) release(s slot) {
	c.mu.Lock()
	defer c.mu.Unlock()
	delete(c.taken, s)
}

// noteShown keeps the key of the newest checkpoint that the server of a log shows.
func (c *Cosigner) noteShown(origin string, key [32]byte) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.shown[origin] = key
}

// announced returns the checkpoint with the key that signed it. A leaf behind the head
// must announce the key, so that a key from before it cannot return.
func announced(ctx context.Context, cp *receipt.Checkpoint, log Source, l *Log) (*receipt.Checkpoint, error) {
	signed, err := log.VerifyCheckpointSince(ctx, []byte(cp.Note), l.Head.Size)
	return signed, classified(err)
}

// shownLive verifies newest, the newest checkpoint of the bound server. It must have been read
// from the server itself, be under the key of cp, and have a tree that contains that of cp.
func shownLive(ctx context.Context, cp, newest *receipt.Checkpoint, log Source) error {
	from := log.Source()
	switch {
	case !from.Live:
		return fmt.Errorf("%w: the server was not read over an authenticated connection", ErrForeignKey)
	case newest.Origin != cp.Origin || newest.Key != cp.Key:
		return fmt.Errorf("%w: the log's own server shows another key", ErrForeignKey)
	case newest.Size < cp.Size:
		return fmt.Errorf("%w: the log's own server shows a smaller tree", ErrForeignKey)
	}
	root, err := receipt.PrefixRoot(ctx, log, cp.Size, newest)
	if err == nil && root != cp.Root {
		err = fmt.Errorf("%w: the log's own server shows another tree", ErrForeignKey)
	}
	return err
}

// approved refuses a key that no person has approved, and notes that it waits.
func (c *Cosigner) approved(ctx context.Context, cp *receipt.Checkpoint) error {
	found, err := c.Store.Approved(ctx, cp.Origin, cp.Key)
	if err != nil || found {
		return err
	}
	return errors.Join(c.Store.Wait(ctx, cp.Origin, cp.Key),
		fmt.Errorf("%w: there is no hand-over to the key %s, and no person has approved it", ErrForeignKey, protocol.Digest(cp.Key)))
}

// classified returns an error about the bound server as a refusal. A server whose tree is
// smaller, or another one, refuses the checkpoint.
func classified(err error) error {
	switch {
	case err == nil, errors.Is(err, ErrForeignKey):
		return err
	case errors.Is(err, receipt.ErrNotShown), errors.Is(err, client.ErrLog):
		return fmt.Errorf("%w: %w", ErrForeignKey, err)
	}
	return fmt.Errorf("%w: %w", ErrUnavailable, err)
}

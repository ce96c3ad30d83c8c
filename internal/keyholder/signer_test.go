package keyholder_test

import (
	"bytes"
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"
	"math/bits"
	"sync"
	"testing"

	"golang.org/x/mod/sumdb/note"

	"github.com/terradourada/td/internal/keyholder"
	"github.com/terradourada/td/protocol"
)

func TestSignerAnchors(t *testing.T) {
	t.Parallel()
	s := startSigner(t, keyholder.Config{})
	if s.EpochID() == (protocol.EpochID{}) || s.PublicKey() == [1952]byte{} || s.CheckpointKey() == [32]byte{} {
		t.Fatal("the signer is ready without keys")
	}
	p := payload(s.EpochID(), 1)
	a, position, err := s.Anchor(t.Context(), &p)
	if err != nil || position != 0 {
		t.Fatalf("position %d, %v", position, err)
	}
	if err := protocol.CheckElement(a[:]); err != nil || a == (protocol.Anchor{}) {
		t.Errorf("anchor %v is no field element: %v", a, err)
	}
	if err := s.Close(); err != nil {
		t.Errorf("Close: %v", err)
	}
	if err := s.Err(); err != nil {
		t.Errorf("Err after an orderly end: %v", err)
	}
	q := payload(s.EpochID(), 2)
	_, _, err = s.Anchor(t.Context(), &q)
	if protocol.CodeOf(err) != protocol.CodeInvalidated || !errors.Is(err, keyholder.ErrClosed) {
		t.Errorf("Anchor after Close: %v", err)
	}
}

func TestSignerKeysAreNewEachTime(t *testing.T) {
	t.Parallel()
	a, b := startSigner(t, keyholder.Config{}), startSigner(t, keyholder.Config{})
	if a.EpochID() == b.EpochID() || a.PublicKey() == b.PublicKey() || a.CheckpointKey() == b.CheckpointKey() {
		t.Error("two signers have an epoch id or a key in common")
	}
}

// Sixty-four callers, each with its own sequence numbers: every payload gets
// its anchor, no two the same.
func TestSignerConcurrent(t *testing.T) {
	t.Parallel()
	s := startSigner(t, keyholder.Config{})
	const callers, each = 64, 8
	var mu sync.Mutex
	seen := make(map[protocol.Anchor]bool)
	var wg sync.WaitGroup
	for c := range callers {
		wg.Go(func() {
			for i := range each {
				p := payload(s.EpochID(), uint64(1+c*each+i))
				a, _, err := s.Anchor(t.Context(), &p)
				if err != nil {
					t.Error(err)
					return
				}
				mu.Lock()
				seen[a] = true
				mu.Unlock()
			}
		})
	}
	wg.Wait()
	if len(seen) != callers*each {
		t.Errorf("%d different anchors, want %d", len(seen), callers*each)
	}
}

func TestSignerAnswersASequenceNumberOnce(t *testing.T) {
	t.Parallel()
	s := startSigner(t, keyholder.Config{})
	anchor := func(seq uint64) error {
		p := payload(s.EpochID(), seq)
		_, _, err := s.Anchor(t.Context(), &p)
		return err
	}
	for _, step := range []struct {
		seq     uint64
		refused bool
	}{
		{5, false},
		{5, true},
		{3, false}, // out of order is fine
		{3, true},
		{70_000, false},
		{70_000 - 65_536, true}, // just behind the window
		{70_000 - 65_535, false},
		{5, true},
		{^uint64(0), false},
		{70_001, true},
		{^uint64(0), true},
	} {
		err := anchor(step.seq)
		if got := errors.Is(err, keyholder.ErrRefused); got != step.refused || (err != nil) != step.refused {
			t.Fatalf("seq %d: %v, want refused %t", step.seq, err, step.refused)
		}
	}
	if s.Err() != nil {
		t.Errorf("a refusal ended the epoch: %v", s.Err())
	}
}

// What the core's side knows to be fatal it does not send: the epoch lives on.
func TestSignerForeignPayloadIsNotSent(t *testing.T) {
	t.Parallel()
	s := startSigner(t, keyholder.Config{})
	own := payload(s.EpochID(), 1)
	for name, c := range map[string]struct {
		change func(*protocol.Payload)
		code   protocol.Code
	}{
		"epoch":    {func(p *protocol.Payload) { p.EpochID[0] ^= 1 }, protocol.CodeInvalidated},
		"number":   {func(p *protocol.Payload) { p.EpochNumber++ }, protocol.CodeInvalidated},
		"instance": {func(p *protocol.Payload) { p.Instance[0] ^= 1 }, protocol.CodeInvalidated},
		"draft":    {func(p *protocol.Payload) { p.Seq = 0 }, protocol.CodeMalformedRequest},
		"ttl":      {func(p *protocol.Payload) { p.TTL = 1 }, protocol.CodeMalformedRequest},
	} {
		p := edit(t, own, c.change)
		if _, _, err := s.Anchor(t.Context(), &p); protocol.CodeOf(err) != c.code {
			t.Errorf("%s: %v, want %v", name, err, c.code)
		}
	}
	if _, _, err := s.Anchor(t.Context(), &own); err != nil {
		t.Errorf("the epoch did not live on: %v", err)
	}
}

// logRange returns a range of random nodes, as of a log of this size.
func logRange(t testing.TB, size uint64) protocol.Range {
	t.Helper()
	nodes := make([]protocol.Digest, bits.OnesCount64(size))
	for i := range nodes {
		_, _ = rand.Read(nodes[i][:])
	}
	r, err := protocol.NewRange(size, nodes)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// extend sends a signer n more leaf hashes, and the test's own range.
func extend(t testing.TB, s *keyholder.Signer, log *protocol.Range, n int) {
	t.Helper()
	hashes := make([]protocol.Digest, n)
	for i := range hashes {
		_, _ = rand.Read(hashes[i][:])
		log.Append(hashes[i])
	}
	if err := s.Extend(t.Context(), hashes); err != nil {
		t.Fatal(err)
	}
}

// checkNote verifies a checkpoint as the note that it is.
func checkNote(t testing.TB, key [32]byte, r protocol.SignedRoot) {
	t.Helper()
	vkey, err := note.NewEd25519VerifierKey(origin, key[:])
	if err != nil {
		t.Fatal(err)
	}
	verifier, err := note.NewVerifier(vkey)
	if err != nil {
		t.Fatal(err)
	}
	text := fmt.Sprintf("%s\n%d\n%s\n", origin, r.Size, base64.StdEncoding.EncodeToString(r.Root[:]))
	hash := verifier.KeyHash()
	line := append([]byte{byte(hash >> 24), byte(hash >> 16), byte(hash >> 8), byte(hash)}, r.Signature[:]...)
	signed := text + "\n\u2014 " + origin + " " + base64.StdEncoding.EncodeToString(line) + "\n"
	n, err := note.Open([]byte(signed), note.VerifierList(verifier))
	if err != nil {
		t.Fatal(err)
	}
	if n.Text != text || len(n.Sigs) != 1 {
		t.Errorf("note has text %q and %d signatures", n.Text, len(n.Sigs))
	}
}

// The signer signs the log that it was sent: ranges of 0, 1, 8, 9 and 61 nodes,
// which take one frame to eight, and any number of leaves.
func TestCheckpointOfTheToldLog(t *testing.T) {
	t.Parallel()
	for _, size := range []uint64{0, 1, 12345, 1<<8 - 1, 1<<9 - 1, 1<<17 - 1, 1<<61 - 1, 1<<62 - 1} {
		s := startSigner(t, keyholder.Config{InFlight: 3}) // fewer slots than frames
		log := logRange(t, size)
		if err := s.Begin(t.Context(), log.Clone()); err != nil {
			t.Fatal(err)
		}
		for _, n := range []int{0, 1, 7, 8, 9, 100, 0} {
			if size == 1<<62-1 && log.Size() > size {
				break // no log is larger
			}
			extend(t, s, &log, n)
			r, err := s.Checkpoint(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			if r.Size != log.Size() || r.Root != log.Root() {
				t.Fatalf("from %d: a checkpoint of size %d, want %d, or of another root", size, r.Size, log.Size())
			}
			checkNote(t, s.CheckpointKey(), r)
		}
	}
}

// A mistake in telling the log is refused on the core's side: the epoch lives on.
func TestTellingOutOfOrder(t *testing.T) {
	t.Parallel()
	s := startSigner(t, keyholder.Config{})
	refused := func(what string, err error) {
		t.Helper()
		if !errors.Is(err, keyholder.ErrRefused) || protocol.CodeOf(err) != protocol.CodeInternal {
			t.Errorf("%s: %v", what, err)
		}
	}
	_, err := s.Checkpoint(t.Context())
	refused("Checkpoint before Begin", err)
	refused("Extend before Begin", s.Extend(t.Context(), []protocol.Digest{{1}}))
	log := logRange(t, 5)
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	if err := s.Begin(ended, log.Clone()); err != nil {
		t.Errorf("Begin with an ended context: %v", err)
	}
	refused("a second Begin", s.Begin(t.Context(), log.Clone()))
	log.Append(protocol.Digest{2})
	if err := s.Extend(ended, []protocol.Digest{{2}}); err != nil {
		t.Errorf("Extend with an ended context: %v", err)
	}
	if r, err := s.Checkpoint(t.Context()); err != nil || r.Size != 6 || r.Root != log.Root() {
		t.Errorf("a checkpoint of size %d, %v", r.Size, err)
	}
}

// seal wipes the ML-DSA key and has the issued tree signed.
func seal(t testing.TB, s *keyholder.Signer) {
	t.Helper()
	if err := s.Wipe(t.Context()); err != nil {
		t.Fatal(err)
	}
	if _, err := s.IssuedRoot(t.Context()); err != nil {
		t.Fatal(err)
	}
}

func TestHandover(t *testing.T) {
	t.Parallel()
	next, key := protocol.EpochID{0xaa}, [32]byte{0xbb}
	for name, signed := range map[string]bool{"after a checkpoint": true, "before any checkpoint": false} {
		t.Run(name, func(t *testing.T) {
			s := startSigner(t, keyholder.Config{})
			want := protocol.SignedRoot{Root: sha256.Sum256(nil)}
			log := logRange(t, 42)
			if err := s.Begin(t.Context(), log.Clone()); err != nil {
				t.Fatal(err)
			}
			if signed {
				r, err := s.Checkpoint(t.Context())
				if err != nil {
					t.Fatal(err)
				}
				want.Size, want.Root = r.Size, r.Root
			}
			extend(t, s, &log, 3) // sent, but not signed
			seal(t, s)
			if _, err := s.Handover(t.Context(), next, 7, key); !errors.Is(err, keyholder.ErrRefused) {
				t.Errorf("hand-over to the same number: %v", err)
			}
			if _, err := s.Handover(t.Context(), s.EpochID(), 8, key); !errors.Is(err, keyholder.ErrRefused) {
				t.Errorf("hand-over to itself: %v", err)
			}
			got, err := s.Handover(t.Context(), next, 8, key)
			if err != nil {
				t.Fatal(err)
			}
			leaf := protocol.EpochOpen{Number: 8, ID: next, Previous: s.EpochID(), CheckpointKey: key, Handover: got}
			if err := leaf.VerifyHandover(origin, s.CheckpointKey()); err != nil {
				t.Error(err)
			}
			if got.Size != want.Size || got.Root != want.Root {
				t.Errorf("a hand-over of size %d, want %d, or of another root", got.Size, want.Size)
			}
			if _, err := s.Handover(t.Context(), next, 8, key); !errors.Is(err, keyholder.ErrRefused) {
				t.Errorf("second hand-over: %v", err)
			}
			if _, err := s.Checkpoint(t.Context()); !errors.Is(err, keyholder.ErrRefused) {
				t.Errorf("checkpoint after the hand-over: %v", err)
			}
			if _, err := s.IssuedRoot(t.Context()); err != nil {
				t.Errorf("issued root after the hand-over: %v", err)
			}
			if err := s.Wipe(t.Context()); err != nil {
				t.Error(err)
			}
			if _, err := s.IssuedRoot(t.Context()); !errors.Is(err, keyholder.ErrRefused) {
				t.Errorf("issued root after the wipe of the checkpoint key: %v", err)
			}
			if s.Err() != nil {
				t.Errorf("a refusal ended the epoch: %v", s.Err())
			}
		})
	}
}

// There is no hand-over while an anchor can be made, or was made that no signed
// root covers.
func TestHandoverComesLast(t *testing.T) {
	t.Parallel()
	s := startSigner(t, keyholder.Config{})
	refused := func(when string) {
		t.Helper()
		if _, err := s.Handover(t.Context(), protocol.EpochID{1}, 8, [32]byte{2}); !errors.Is(err, keyholder.ErrRefused) {
			t.Errorf("hand-over %s: %v", when, err)
		}
	}
	anchor := func(seq uint64) {
		t.Helper()
		p := payload(s.EpochID(), seq)
		if _, _, err := s.Anchor(t.Context(), &p); err != nil {
			t.Fatal(err)
		}
	}
	refused("at first")
	anchor(1)
	if _, err := s.IssuedRoot(t.Context()); err != nil {
		t.Fatal(err)
	}
	refused("before the wipe")
	anchor(2)
	if err := s.Wipe(t.Context()); err != nil {
		t.Fatal(err)
	}
	refused("with an anchor that no root covers")
	if r, err := s.IssuedRoot(t.Context()); err != nil || r.Size != 2 {
		t.Fatalf("root of size %d, %v", r.Size, err)
	}
	if _, err := s.Handover(t.Context(), protocol.EpochID{1}, 8, [32]byte{2}); err != nil {
		t.Error(err)
	}
}

func TestWipe(t *testing.T) {
	t.Parallel()
	s := startSigner(t, keyholder.Config{})
	for range 2 {
		if err := s.Wipe(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	p := payload(s.EpochID(), 1000)
	_, _, err := s.Anchor(t.Context(), &p)
	if !errors.Is(err, keyholder.ErrRefused) || protocol.CodeOf(err) != protocol.CodeInvalidated {
		t.Errorf("Anchor after Wipe: %v", err)
	}
	// The checkpoint key is still there: the draining epoch's log goes on.
	log := logRange(t, 1)
	if err := s.Begin(t.Context(), log.Clone()); err != nil {
		t.Fatal(err)
	}
	r, err := s.Checkpoint(t.Context())
	if err != nil {
		t.Fatalf("Checkpoint after Wipe: %v", err)
	}
	checkNote(t, s.CheckpointKey(), r)
}

func TestSignerStartRefusals(t *testing.T) {
	t.Parallel()
	for name, start := range map[string]keyholder.SignerStart{
		"no origin":   {Number: 1},
		"long origin": {Origin: string(bytes.Repeat([]byte("x"), 256)), Number: 1},
		"two lines":   {Origin: "a\nb", Number: 1},
		"a space":     {Origin: "a b", Number: 1},
		"a plus sign": {Origin: "a+b", Number: 1},
		"not UTF-8":   {Origin: "a\xff", Number: 1},
		"number zero": {Origin: origin},
	} {
		if s, err := keyholder.StartSigner(t.Context(), keyholder.Config{}, start); err == nil {
			_ = s.Close()
			t.Errorf("%s: started", name)
		}
	}
}

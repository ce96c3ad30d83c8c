package keyholder_test

import (
	"bytes"
	"crypto/ed25519"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"
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
	a, err := s.Anchor(t.Context(), &p)
	if err != nil {
		t.Fatal(err)
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
	_, err = s.Anchor(t.Context(), &q)
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
				a, err := s.Anchor(t.Context(), &p)
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
		_, err := s.Anchor(t.Context(), &p)
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
		if _, err := s.Anchor(t.Context(), &p); protocol.CodeOf(err) != c.code {
			t.Errorf("%s: %v, want %v", name, err, c.code)
		}
	}
	if _, err := s.Anchor(t.Context(), &own); err != nil {
		t.Errorf("the epoch did not live on: %v", err)
	}
}

func TestCheckpointVerifiesAsANote(t *testing.T) {
	t.Parallel()
	s := startSigner(t, keyholder.Config{})
	root := sha256.Sum256([]byte("root"))
	sig, err := s.Checkpoint(t.Context(), 12345, root)
	if err != nil {
		t.Fatal(err)
	}
	key := s.CheckpointKey()
	vkey, err := note.NewEd25519VerifierKey(origin, key[:])
	if err != nil {
		t.Fatal(err)
	}
	verifier, err := note.NewVerifier(vkey)
	if err != nil {
		t.Fatal(err)
	}
	text := fmt.Sprintf("%s\n12345\n%s\n", origin, base64.StdEncoding.EncodeToString(root[:]))
	hash := verifier.KeyHash()
	line := append([]byte{byte(hash >> 24), byte(hash >> 16), byte(hash >> 8), byte(hash)}, sig[:]...)
	signed := text + "\n\u2014 " + origin + " " + base64.StdEncoding.EncodeToString(line) + "\n"
	n, err := note.Open([]byte(signed), note.VerifierList(verifier))
	if err != nil {
		t.Fatal(err)
	}
	if n.Text != text || len(n.Sigs) != 1 {
		t.Errorf("note has text %q and %d signatures", n.Text, len(n.Sigs))
	}
}

func TestCheckpointOnlyGrows(t *testing.T) {
	t.Parallel()
	s := startSigner(t, keyholder.Config{})
	empty := sha256.Sum256(nil)
	a, b := [32]byte{'a'}, [32]byte{'b'}
	for i, step := range []struct {
		size    uint64
		root    [32]byte
		refused bool
	}{
		{0, a, true}, // no other root for the empty tree
		{0, empty, false},
		{10, a, false},
		{10, b, true},
		{10, a, false}, // the same again is no harm
		{9, a, true},
		{0, empty, true},
		{11, b, false},
		{10, a, true},
		{^uint64(0), a, false},
		{11, b, true},
	} {
		sig, err := s.Checkpoint(t.Context(), step.size, step.root)
		if errors.Is(err, keyholder.ErrRefused) != step.refused || (err != nil) != step.refused {
			t.Fatalf("step %d: %v, want refused %t", i, err, step.refused)
		}
		if refused := sig == [64]byte{}; refused != step.refused {
			t.Fatalf("step %d: a refusal with a signature, or the reverse", i)
		}
	}
}

func TestHandover(t *testing.T) {
	t.Parallel()
	next, key, root := protocol.EpochID{0xaa}, [32]byte{0xbb}, [32]byte{0xcc}
	for name, signed := range map[string]bool{"after a checkpoint": true, "before any checkpoint": false} {
		t.Run(name, func(t *testing.T) {
			s := startSigner(t, keyholder.Config{})
			want := protocol.Handover{
				Origin: origin, Previous: s.EpochID(), Next: next, Number: 8, Key: key, Root: sha256.Sum256(nil),
			}
			if signed {
				if _, err := s.Checkpoint(t.Context(), 42, root); err != nil {
					t.Fatal(err)
				}
				want.Size, want.Root = 42, root
			}
			if _, err := s.Handover(t.Context(), next, 7, key); !errors.Is(err, keyholder.ErrRefused) {
				t.Errorf("hand-over to the same number: %v", err)
			}
			if _, err := s.Handover(t.Context(), s.EpochID(), 8, key); !errors.Is(err, keyholder.ErrRefused) {
				t.Errorf("hand-over to itself: %v", err)
			}
			sig, err := s.Handover(t.Context(), next, 8, key)
			if err != nil {
				t.Fatal(err)
			}
			own, digest := s.CheckpointKey(), want.Digest()
			if !ed25519.Verify(own[:], digest[:], sig[:]) {
				t.Error("the hand-over signature does not verify")
			}
			if _, err := s.Handover(t.Context(), next, 8, key); !errors.Is(err, keyholder.ErrRefused) {
				t.Errorf("second hand-over: %v", err)
			}
			if _, err := s.Checkpoint(t.Context(), 43, root); !errors.Is(err, keyholder.ErrRefused) {
				t.Errorf("checkpoint after the hand-over: %v", err)
			}
			if err := s.Wipe(t.Context()); err != nil {
				t.Error(err)
			}
		})
	}
}

func TestWipe(t *testing.T) {
	t.Parallel()
	s := startSigner(t, keyholder.Config{})
	// Anchors asked for before the wipe are given.
	const before = 32
	results := make(chan error, before)
	for i := range before {
		p := payload(s.EpochID(), uint64(1+i))
		go func() {
			_, err := s.Anchor(t.Context(), &p)
			results <- err
		}()
	}
	for range before {
		if err := <-results; err != nil {
			t.Error(err)
		}
	}
	for range 2 {
		if err := s.Wipe(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	p := payload(s.EpochID(), 1000)
	_, err := s.Anchor(t.Context(), &p)
	if !errors.Is(err, keyholder.ErrRefused) || protocol.CodeOf(err) != protocol.CodeInvalidated {
		t.Errorf("Anchor after Wipe: %v", err)
	}
	// The checkpoint key is still there: the draining epoch's log goes on.
	sig, err := s.Checkpoint(t.Context(), 1, [32]byte{1})
	if err != nil || bytes.Equal(sig[:], make([]byte, 64)) {
		t.Errorf("Checkpoint after Wipe: %v", err)
	}
	if _, err := s.Handover(t.Context(), protocol.EpochID{1}, 8, [32]byte{}); err != nil {
		t.Errorf("Handover after Wipe: %v", err)
	}
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

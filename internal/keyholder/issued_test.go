package keyholder_test

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"encoding/binary"
	"errors"
	"io"
	"os"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/terradourada/td/internal/keyholder"
	"github.com/terradourada/td/protocol"
)

// anchored is an anchor with what its digest is made of.
type anchored struct {
	payload  protocol.EncodedPayload
	anchor   protocol.Anchor
	position uint64
}

func anchor(t testing.TB, s *keyholder.Signer, seq uint64) anchored {
	t.Helper()
	p := payload(s.EpochID(), seq)
	a, position, err := s.Anchor(t.Context(), &p)
	if err != nil {
		t.Fatal(err)
	}
	return anchored{p, a, position}
}

// check verifies that an anchor is in the issued tree, and returns its place.
func (i *anchored) check(t testing.TB, s *keyholder.Signer) protocol.Issued {
	t.Helper()
	place, err := s.Issued(t.Context(), i.position)
	if err != nil {
		t.Error(err)
		return place
	}
	p, err := protocol.ParsePayload(i.payload[:])
	if err != nil {
		t.Fatal(err)
	}
	if err := place.Verify(protocol.IssuedDigest(p.RequestID, &i.payload, i.anchor), origin, s.EpochID(), s.CheckpointKey()); err != nil {
		t.Error(err)
	}
	if place.Position != i.position {
		t.Errorf("place of position %d, want %d", place.Position, i.position)
	}
	return place
}

// Under parallel anchors and roots, every position is given once, and every
// anchor is proved, under the next root and under the last.
func TestIssuedTree(t *testing.T) {
	t.Parallel()
	s := startSigner(t, keyholder.Config{})
	const callers, each = 16, 16
	var mu sync.Mutex
	var all []anchored
	var wg sync.WaitGroup
	for c := range callers {
		wg.Go(func() {
			for i := range each {
				p := payload(s.EpochID(), uint64(1+c*each+i))
				a, position, err := s.Anchor(t.Context(), &p)
				if err != nil {
					t.Error(err)
					return
				}
				one := anchored{p, a, position}
				if (c+i)%2 == 0 {
					one.check(t, s)
				}
				mu.Lock()
				all = append(all, one)
				mu.Unlock()
			}
		})
	}
	wg.Wait()
	if r, err := s.IssuedRoot(t.Context()); err != nil || r.Size != callers*each {
		t.Fatalf("the last root has size %d, want %d: %v", r.Size, callers*each, err)
	}
	seen := make(map[uint64]bool)
	for i := range all {
		if place := all[i].check(t, s); place.Size != callers*each {
			t.Errorf("place under a root of size %d", place.Size)
		}
		seen[all[i].position] = true
	}
	for n := range uint64(callers * each) {
		if !seen[n] {
			t.Errorf("no anchor has position %d", n)
		}
	}
	if _, err := s.Issued(t.Context(), callers*each); protocol.CodeOf(err) != protocol.CodeInvalidated || s.Err() != nil {
		t.Errorf("a position that was not given: %v, %v", err, s.Err())
	}
}

// An epoch that issues nothing has a root too, for its close.
func TestIssuedRootOfNothing(t *testing.T) {
	t.Parallel()
	s := startSigner(t, keyholder.Config{})
	r, err := s.IssuedRoot(t.Context())
	if err != nil || r.Size != 0 {
		t.Fatalf("size %d, %v", r.Size, err)
	}
	if err := r.VerifyIssued(origin, s.EpochID(), s.CheckpointKey()); err != nil {
		t.Error(err)
	}
}

// A request that was given up has its place in the tree all the same, and those
// after it are not disturbed.
func TestIssuedCountsWhatWasGivenUp(t *testing.T) {
	t.Parallel()
	s := startSigner(t, keyholder.Config{})
	first := anchor(t, s, 1000)
	stop(t, s.Pid())
	ctx, cancel := context.WithCancel(t.Context())
	const n = 8
	outcomes := background(t, ctx, s, n)
	cancel()
	for range n {
		if err := <-outcomes; !errors.Is(err, context.Canceled) {
			t.Errorf("given up: %v", err)
		}
	}
	if _, err := s.Issued(ctx, first.position); protocol.CodeOf(err) != protocol.CodeInvalidated || !errors.Is(err, context.Canceled) {
		t.Errorf("Issued with an ended context: %v", err)
	}
	signal(t, s.Pid(), syscall.SIGCONT)
	eventually(t, "all slots free", func() bool { return s.Waiting() == 0 })
	last := anchor(t, s, 1001)
	if last.position != 1+n {
		t.Errorf("position %d after %d given up and one, want %d", last.position, n, 1+n)
	}
	first.check(t, s)
	if place := last.check(t, s); place.Size != 2+n {
		t.Errorf("a root of size %d, want %d", place.Size, 2+n)
	}
}

// All calls that wait for a root share one request.
func TestIssuedSharesOneSignature(t *testing.T) {
	t.Parallel()
	s := startSigner(t, keyholder.Config{})
	const n = 64
	all := make([]anchored, n)
	for i := range all {
		all[i] = anchor(t, s, uint64(1+i))
	}
	stop(t, s.Pid())
	before := s.Requests()
	var wg sync.WaitGroup
	for i := range all {
		wg.Go(func() { all[i].check(t, s) })
	}
	eventually(t, "a request for a root", func() bool { return s.Waiting() == 1 })
	signal(t, s.Pid(), syscall.SIGCONT)
	wg.Wait()
	if sent := s.Requests() - before; sent != 1 {
		t.Errorf("%d requests for %d calls", sent, n)
	}
}

// The call that began a shared request may be given up: the others go on.
func TestIssuedOutlivesItsFirstCall(t *testing.T) {
	t.Parallel()
	s := startSigner(t, keyholder.Config{})
	one := anchor(t, s, 1)
	stop(t, s.Pid())
	ctx, cancel := context.WithCancel(t.Context())
	given := make(chan error)
	go func() {
		_, err := s.Issued(ctx, one.position)
		given <- err
	}()
	eventually(t, "a request for a root", func() bool { return s.Waiting() == 1 })
	cancel()
	if err := <-given; protocol.CodeOf(err) != protocol.CodeInvalidated {
		t.Errorf("given up: %v", err)
	}
	before := s.Requests()
	signal(t, s.Pid(), syscall.SIGCONT)
	one.check(t, s)
	if sent := s.Requests() - before; sent != 0 {
		t.Errorf("%d more requests", sent)
	}
}

// A root that is held serves after the death of the signer; what it does not
// cover is invalidated.
func TestIssuedAfterDeath(t *testing.T) {
	t.Parallel()
	s := startSigner(t, keyholder.Config{})
	covered := anchor(t, s, 1)
	covered.check(t, s)
	other := anchor(t, s, 2)
	signal(t, s.Pid(), syscall.SIGKILL)
	gone(t, s.Done())
	covered.check(t, s)
	if _, err := s.Issued(t.Context(), other.position); protocol.CodeOf(err) != protocol.CodeInvalidated {
		t.Errorf("a position that no root covers: %v", err)
	}
	if _, err := s.IssuedRoot(t.Context()); protocol.CodeOf(err) != protocol.CodeInvalidated {
		t.Errorf("a root from a dead signer: %v", err)
	}
}

// The last root serves after the wipe of both keys: the epoch drains on it.
func TestIssuedAfterTheWipe(t *testing.T) {
	t.Parallel()
	s := startSigner(t, keyholder.Config{})
	one := anchor(t, s, 1)
	seal(t, s)
	if _, err := s.Handover(t.Context(), protocol.EpochID{1}, 8, [32]byte{2}); err != nil {
		t.Fatal(err)
	}
	if err := s.Wipe(t.Context()); err != nil {
		t.Fatal(err)
	}
	one.check(t, s)
}

// A call that waits for a slot of a stopped child ends after the answer time-out,
// also when every call that holds a slot was given up.
func TestNoSlotEndsTheEpoch(t *testing.T) {
	t.Parallel()
	for name, call := range map[string]func(*keyholder.Signer) error{
		"wipe":   func(s *keyholder.Signer) error { return s.Wipe(context.Background()) },
		"begin":  func(s *keyholder.Signer) error { return s.Begin(context.Background(), protocol.Range{}) },
		"issued": func(s *keyholder.Signer) error { _, err := s.Issued(context.Background(), 0); return err },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := startSigner(t, keyholder.Config{InFlight: 1, AnswerTimeout: 100 * time.Millisecond})
			anchor(t, s, 1000)
			stop(t, s.Pid())
			ctx, cancel := context.WithCancel(t.Context())
			outcomes := background(t, ctx, s, 1)
			cancel()
			<-outcomes
			if err := call(s); protocol.CodeOf(err) != protocol.CodeInvalidated {
				t.Errorf("%v", err)
			}
			gone(t, s.Done())
		})
	}
}

// fakeTree is an issued tree with a checkpoint key that tests know.
type fakeTree struct {
	key  ed25519.PrivateKey
	tree protocol.Range
}

var fakeEpoch = protocol.DeriveEpochID(make([]byte, protocol.MLDSAPublicKeySize), newFakeTree().public())

func newFakeTree() *fakeTree {
	return &fakeTree{key: ed25519.NewKeyFromSeed(make([]byte, ed25519.SeedSize))}
}

func (f *fakeTree) public() [32]byte { return [32]byte(f.key.Public().(ed25519.PublicKey)) }

func (f *fakeTree) sign(origin string, epoch protocol.EpochID, size uint64, root protocol.Digest) protocol.SignedRoot {
	digest := protocol.IssuedRootDigest(origin, epoch, size, root)
	return protocol.SignedRoot{Size: size, Root: root, Signature: [64]byte(ed25519.Sign(f.key, digest[:]))}
}

func (f *fakeTree) root() protocol.SignedRoot {
	return f.sign(origin, fakeEpoch, f.tree.Size(), f.tree.Root())
}

// False answers about the issued tree, each of which ends the epoch: positionLies
// in the answer to the second anchor, rootLies in that to issued root after two.
func positionLies() []string {
	return []string{"skips a position", "repeats a position", "position out of range", "no element", "not an anchor"}
}

func rootLies() []string {
	return []string{
		"another root", "another anchor", "too small", "too large", "far too large", "no tree", "another key", "another epoch",
		"another origin", "another size", "no signature", "not a root",
	}
}

// issuingPrefix and a lie make a child that is issuing.
const issuingPrefix = "issuing: "

// issuing is a child that answers as a signer does but for one lie.
func issuing(sock io.ReadWriter, lie string) {
	c := issuer{fakeTree: newFakeTree(), sock: sock, lie: lie}
	request := make([]byte, keyholder.SignerRequestSize)
	for {
		if _, err := io.ReadFull(sock, request); err != nil {
			return
		}
		id, body := binary.BigEndian.Uint64(request), request[16:]
		switch request[8] {
		case keyholder.ReqAnchor:
			c.anchor(id, protocol.EncodedPayload(body))
		case keyholder.ReqIssuedRoot:
			c.issuedRoot(id)
		default:
			c.answer(id, keyholder.AnsRefused)
			c.release()
		}
	}
}

type issuer struct {
	*fakeTree
	sock     io.ReadWriter
	lie      string
	withheld []byte // an answer for later
}

func (c *issuer) answer(id uint64, code byte, body ...[]byte) {
	f := keyholder.NewFrame(id, code, body...)
	_, _ = c.sock.Write(keyholder.Shapes()[2].Append(nil, &f))
}

func (c *issuer) withhold(id uint64, code byte, body ...[]byte) {
	f := keyholder.NewFrame(id, code, body...)
	c.withheld = keyholder.Shapes()[2].Append(nil, &f)
}

func (c *issuer) release() {
	_, _ = c.sock.Write(c.withheld)
	c.withheld = nil
}

func (c *issuer) anchor(id uint64, p protocol.EncodedPayload) {
	parsed, err := protocol.ParsePayload(p[:])
	if err != nil {
		return
	}
	position := c.tree.Size()
	a := protocol.Anchor{31: byte(position)}
	digest := protocol.IssuedDigest(parsed.RequestID, &p, a)
	if c.lie == "another anchor" {
		digest = protocol.IssuedDigest(parsed.RequestID, &p, protocol.Anchor{1})
	}
	c.tree.Append(protocol.LeafHash(digest[:]))
	code, answer := keyholder.AnsAnchor, c.answer
	if position == 1 {
		switch c.lie {
		case "skips a position":
			position++
		case "repeats a position":
			position--
		case "position out of range":
			position = 1 << 63
		case "no element":
			a = protocol.Anchor{0xff}
		case "not an anchor":
			code, a, position = keyholder.AnsDone, protocol.Anchor{}, 0
		case "root first":
			answer = c.withhold
		}
	}
	answer(id, code, a[:], binary.BigEndian.AppendUint64(nil, position))
}

func (c *issuer) issuedRoot(id uint64) {
	r := c.root()
	switch c.lie {
	case "another root":
		r = c.sign(origin, fakeEpoch, r.Size, protocol.Digest{1})
	case "too small":
		r = c.sign(origin, fakeEpoch, 0, new(protocol.Range).Root())
	case "too large":
		c.tree.Append(protocol.Digest{1})
		r = c.root()
	case "far too large":
		r = c.sign(origin, fakeEpoch, 1<<40, r.Root)
	case "no tree":
		r = c.sign(origin, fakeEpoch, 1<<63, r.Root)
	case "another key":
		c.key = ed25519.NewKeyFromSeed(append(make([]byte, 31), 1))
		r = c.root()
	case "another epoch":
		r = c.sign(origin, protocol.EpochID{6}, r.Size, r.Root)
	case "another origin":
		r = c.sign(origin+"0", fakeEpoch, r.Size, r.Root)
	case "another size":
		r.Size--
	case "no signature":
		r.Signature = [64]byte{}
	case "not a root":
		c.answer(id, keyholder.AnsDone)
		return
	case "late root":
		if r.Size == 1 {
			c.withhold(id, keyholder.AnsRoot, keyholder.EncodeRoot(&r))
			return
		}
	}
	c.answer(id, keyholder.AnsRoot, keyholder.EncodeRoot(&r))
	c.release()
}

func startIssuing(t *testing.T, lie string) *keyholder.Signer {
	t.Helper()
	return startSigner(t, evilConfig(issuingPrefix+lie))
}

// ended sees that an epoch ended because the child broke the protocol.
func ended(t *testing.T, s *keyholder.Signer) {
	t.Helper()
	gone(t, s.Done())
	if err := s.Err(); err == nil || !strings.Contains(err.Error(), "broke the protocol") {
		t.Errorf("the epoch ended with %v", err)
	}
}

func TestLyingIssuedTree(t *testing.T) {
	t.Parallel()
	t.Run("no lie", func(t *testing.T) {
		t.Parallel()
		s := startIssuing(t, "")
		for seq := range uint64(5) {
			one := anchor(t, s, seq+1)
			one.check(t, s)
		}
	})
	for _, lie := range positionLies() {
		t.Run(lie, func(t *testing.T) {
			t.Parallel()
			s := startIssuing(t, lie)
			first := anchor(t, s, 1)
			first.check(t, s)
			p := payload(s.EpochID(), 2)
			if _, _, err := s.Anchor(t.Context(), &p); protocol.CodeOf(err) != protocol.CodeInvalidated {
				t.Errorf("Anchor: %v", err)
			}
			ended(t, s)
			first.check(t, s) // what was shown before stands
		})
		// The caller may have left: the answer is judged where it is read.
		t.Run(lie+", given up", func(t *testing.T) {
			t.Parallel()
			s := startIssuing(t, lie)
			anchor(t, s, 1000)
			stop(t, s.Pid())
			ctx, cancel := context.WithCancel(t.Context())
			outcomes := background(t, ctx, s, 1)
			cancel()
			<-outcomes
			signal(t, s.Pid(), syscall.SIGCONT)
			ended(t, s)
		})
	}
	for _, lie := range rootLies() {
		t.Run(lie, func(t *testing.T) {
			t.Parallel()
			s := startIssuing(t, lie)
			anchor(t, s, 1)
			one := anchor(t, s, 2)
			if _, err := s.Issued(t.Context(), one.position); protocol.CodeOf(err) != protocol.CodeInvalidated {
				t.Errorf("Issued: %v", err)
			}
			ended(t, s)
			if _, err := s.Issued(t.Context(), one.position); protocol.CodeOf(err) != protocol.CodeInvalidated {
				t.Errorf("Issued after the end: %v", err)
			}
		})
	}
	t.Run("root first", func(t *testing.T) {
		t.Parallel()
		s := startIssuing(t, "root first")
		anchor(t, s, 1000)
		outcomes := background(t, t.Context(), s, 1)
		if _, err := s.IssuedRoot(t.Context()); protocol.CodeOf(err) != protocol.CodeInvalidated {
			t.Errorf("IssuedRoot: %v", err)
		}
		if err := <-outcomes; protocol.CodeOf(err) != protocol.CodeInvalidated {
			t.Errorf("Anchor: %v", err)
		}
		ended(t, s)
	})
}

// A root that was asked for before an anchor was read need not cover it: then
// another is asked for.
func TestIssuedAsksAgain(t *testing.T) {
	t.Parallel()
	s := startIssuing(t, "late root")
	first := anchor(t, s, 1)
	var wg sync.WaitGroup
	defer wg.Wait()
	wg.Go(func() { first.check(t, s) })
	eventually(t, "a request for a root", func() bool { return s.Waiting() == 1 })
	second := anchor(t, s, 2)
	wg.Go(func() { second.check(t, s) })
	if _, err := s.Checkpoint(t.Context()); !errors.Is(err, keyholder.ErrRefused) { // sends the late root
		t.Errorf("Checkpoint: %v", err)
	}
}

// A signer that receives two histories, or one in disorder, ends.
func TestChildEndsOnTwoHistories(t *testing.T) {
	t.Parallel()
	start := keyholder.SignerStartFrame(keyholder.SignerStart{Origin: origin, Number: 7, Instance: instance})
	tree := func(size uint64, first byte, nodes int) []byte {
		return told(keyholder.ReqTree, binary.BigEndian.AppendUint64(nil, size), first, nodes)
	}
	leaves := func(n byte, hashes int) []byte { return told(keyholder.ReqLeaves, nil, n, hashes) }
	const nine = 1<<9 - 1
	for name, frames := range map[string][][]byte{
		"tree twice":              {tree(3, 0, 2), tree(3, 0, 2)},
		"empty tree twice":        {tree(0, 0, 0), tree(0, 0, 0)},
		"tree after leaves":       {tree(0, 0, 0), leaves(1, 1), tree(1, 0, 1)},
		"leaves first":            {leaves(1, 1)},
		"leaves in the tree":      {tree(nine, 0, 8), leaves(1, 1)},
		"second part first":       {tree(nine, 8, 1)},
		"first part twice":        {tree(nine, 0, 8), tree(nine, 0, 8)},
		"second part of another":  {tree(nine, 0, 8), tree(nine<<1, 8, 1)},
		"a gap between the parts": {tree(1<<20-1, 0, 8), tree(1<<20-1, 16, 4)},
		"a node too many":         {tree(3, 0, 3)},
		"a node too many, later":  {tree(nine, 0, 8), tree(nine, 8, 2)},
		"size too large":          {tree(1<<63, 0, 1)},
		"no leaves":               {tree(0, 0, 0), leaves(0, 0)},
		"nine leaves":             {tree(0, 0, 0), leaves(9, 8)},
		"a leaf too many":         {tree(0, 0, 0), leaves(7, 8)},
		"a hash of no leaf":       {tree(0, 0, 0), leaves(0, 1)},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			sock, _, exit := raw(t, "signer", start, keyholder.SignerReadySize)
			last := len(frames) - 1
			for i, f := range frames {
				if _, err := sock.Write(f); err != nil {
					t.Fatal(err)
				}
				if i == last {
					break
				}
				answer := make([]byte, keyholder.SignerAnswerSize)
				if _, err := io.ReadFull(sock, answer); err != nil || answer[8] != keyholder.AnsDone {
					t.Fatalf("frame %d: code %d, %v", i, answer[8], err)
				}
			}
			if rest, err := io.ReadAll(sock); len(rest) != 0 {
				t.Errorf("%d bytes of answer, %v", len(rest), err)
			}
			if got := exit(); got != 3 {
				t.Errorf("exit status %d, want 3", got)
			}
		})
	}
}

// told is a frame with n hashes that are not zero.
func told(code byte, before []byte, count byte, n int) []byte {
	body := slices.Concat(before, []byte{count}, bytes.Repeat([]byte{0x5a}, 32*n))
	return encode(keyholder.NewFrame(1, code, body))
}

// A root that is read late does not replace a greater one.
func TestHeldRootDoesNotShrink(t *testing.T) {
	fake := newFakeTree()
	tree := keyholder.NewIssuedTree(origin, fakeEpoch, fake.public())
	var roots [3]protocol.SignedRoot
	for position := range uint64(3) {
		digest := protocol.Digest{byte(position)}
		fake.tree.Append(protocol.LeafHash(digest[:]))
		roots[position] = fake.root()
		if err := tree.Add(position, digest); err != nil {
			t.Fatal(err)
		}
	}
	for _, i := range []int{1, 2, 0} {
		if err := tree.Hold(&roots[i], 1); err != nil {
			t.Fatal(err)
		}
	}
	if place, ok := tree.Place(2); !ok || place.Size != 3 {
		t.Errorf("a place under a root of size %d, %t", place.Size, ok)
	}
}

// To take a position and to queue the answer is one step.
func TestPositionAndAnswerAreOneStep(t *testing.T) {
	t.Parallel()
	answers := keyholder.IssueInParallel(8, 5000)
	for i := range answers {
		if position := binary.BigEndian.Uint64(answers[i].Body()[32:]); position != uint64(i) {
			t.Fatalf("answer %d has position %d", i, position)
		}
	}
}

// Answers stand on the socket in order of position, and a root after everything
// that it covers.
func TestAnswersKeepTheirOrder(t *testing.T) {
	t.Parallel()
	start := keyholder.SignerStartFrame(keyholder.SignerStart{Origin: origin, Number: 7, Instance: instance})
	sock, ready, _ := raw(t, "signer", start, keyholder.SignerReadySize)
	epoch, err := keyholder.ReadyEpoch(ready)
	if err != nil {
		t.Fatal(err)
	}
	const all = 200
	go func() {
		for id := uint64(1); id <= all; id++ {
			p := payload(epoch, id)
			f := keyholder.NewFrame(id, keyholder.ReqAnchor, p[:])
			if id%5 == 0 {
				f = keyholder.NewFrame(id, keyholder.ReqIssuedRoot)
			}
			if _, err := sock.Write(encode(f)); err != nil && !errors.Is(err, os.ErrClosed) {
				t.Error(err)
			}
		}
	}()
	anchors, roots := uint64(0), uint64(0)
	answer := make([]byte, keyholder.SignerAnswerSize)
	for range all {
		if _, err := io.ReadFull(sock, answer); err != nil {
			t.Fatal(err)
		}
		switch body := answer[16:]; answer[8] {
		case keyholder.AnsAnchor:
			if position := binary.BigEndian.Uint64(body[32:]); position != anchors {
				t.Fatalf("answer %d has position %d", anchors, position)
			}
			anchors++
		case keyholder.AnsRoot:
			size := binary.BigEndian.Uint64(body)
			if size > anchors || size < roots {
				t.Fatalf("a root of size %d after %d answers, and after one of size %d", size, anchors, roots)
			}
			roots = size
		default:
			t.Fatalf("code %d", answer[8])
		}
	}
	if anchors != all-all/5 {
		t.Errorf("%d anchors", anchors)
	}
}

package ledger_test

import (
	"context"
	"crypto/ed25519"
	"encoding/base64"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"filippo.io/torchwood"
	"golang.org/x/mod/sumdb/note"
	"golang.org/x/mod/sumdb/tlog"

	"github.com/terradourada/td/internal/ledger"
	"github.com/terradourada/td/protocol"
)

const origin = "terradourada/0123456789abcdef"

var errInjected = errors.New("injected failure")

// rows is a journal in memory that fails on demand.
type rows struct {
	mu      sync.Mutex
	leaves  [][]byte
	fail    error                          // of every call, when set
	gate    chan struct{}                  // Leaves waits for it to close, when set
	rewrite func(uint64, []byte) []byte    // what Leaves returns instead, when set
	size    func(real uint64) uint64       // what Size returns instead, when set
	sink    func(first uint64, l [][]byte) // Committed of the open ledger
}

func (r *rows) Size(context.Context) (uint64, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	n := uint64(len(r.leaves))
	if r.size != nil {
		n = r.size(n)
	}
	return n, r.fail
}

func (r *rows) Leaves(ctx context.Context, from uint64, n int) ([][]byte, error) {
	r.mu.Lock()
	gate := r.gate
	r.mu.Unlock()
	if gate != nil {
		select {
		case <-gate:
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.fail != nil {
		return nil, r.fail
	}
	var out [][]byte
	for i := from; i < uint64(len(r.leaves)) && len(out) < n; i++ {
		leaf := r.leaves[i]
		if r.rewrite != nil {
			leaf = r.rewrite(i, leaf)
		}
		out = append(out, leaf)
	}
	return out, nil
}

func (r *rows) set(f func(*rows)) {
	r.mu.Lock()
	defer r.mu.Unlock()
	f(r)
}

// insert adds rows without announcing them and returns the first's number.
func (r *rows) insert(leaves ...[]byte) uint64 {
	r.mu.Lock()
	defer r.mu.Unlock()
	first := uint64(len(r.leaves))
	r.leaves = append(r.leaves, leaves...)
	return first
}

// commit adds rows, announces them and returns the last one's number.
func (r *rows) commit(leaves ...[]byte) uint64 {
	first := r.insert(leaves...)
	r.sink(first, leaves)
	return first + uint64(len(leaves)) - 1
}

func (r *rows) leaf(i uint64) []byte {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.leaves[i]
}

// hashes are the record hashes of the first n rows.
func (r *rows) hashes(n uint64) []tlog.Hash {
	r.mu.Lock()
	defer r.mu.Unlock()
	out := make([]tlog.Hash, n)
	for i := range out {
		out[i] = tlog.RecordHash(r.leaves[i])
	}
	return out
}

// someLeaves makes n leaves of differing sizes; no two calls with different
// salts give the same.
func someLeaves(salt string, n int) [][]byte {
	out := make([][]byte, n)
	for i := range out {
		out[i] = []byte(fmt.Sprintf("%s-%d-%s", salt, i, strings.Repeat("x", i*37%900)))
	}
	return out
}

// signer is a checkpoint key in this process that misbehaves on demand. Like
// the real one it signs only the tree that it has received.
type signer struct {
	private ed25519.PrivateKey
	answer  func(ctx context.Context, honest func() ([64]byte, error)) ([64]byte, error) // nil: honest
	extend  func() error                                                                 // nil: no failure

	mu    sync.Mutex
	begun bool
	tree  protocol.Range
	calls int
}

func newSigner(tb testing.TB) *signer {
	tb.Helper()
	_, private, err := ed25519.GenerateKey(nil)
	if err != nil {
		tb.Fatal(err)
	}
	return &signer{private: private}
}

func (s *signer) Key() [32]byte { return [32]byte(s.private.Public().(ed25519.PublicKey)) }

func (s *signer) Checkpoint(ctx context.Context, size uint64, root [32]byte) ([64]byte, error) {
	s.mu.Lock()
	s.calls++
	s.mu.Unlock()
	honest := func() ([64]byte, error) { return s.sign(size, root) }
	if s.answer != nil {
		return s.answer(ctx, honest)
	}
	return honest()
}

func (s *signer) Begin(_ context.Context, tree protocol.Range) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.begun {
		return errors.New("signer: the tree was begun twice")
	}
	s.begun, s.tree = true, tree.Clone()
	return nil
}

func (s *signer) Extend(_ context.Context, leafHashes []protocol.Digest) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.begun {
		return errors.New("signer: leaves before the tree")
	}
	if s.extend != nil {
		if err := s.extend(); err != nil {
			return err
		}
	}
	for _, h := range leafHashes {
		s.tree.Append(h)
	}
	return nil
}

func (s *signer) sign(size uint64, root [32]byte) ([64]byte, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.begun || size != s.tree.Size() || root != s.tree.Root() {
		return [64]byte{}, fmt.Errorf("signer: asked for a tree of %d leaves, has received one of %d", size, s.tree.Size())
	}
	text := fmt.Sprintf("%s\n%d\n%s\n", origin, size, base64.StdEncoding.EncodeToString(root[:]))
	return [64]byte(ed25519.Sign(s.private, []byte(text))), nil
}

func (s *signer) asked() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.calls
}

func verifierOf(tb testing.TB, key [32]byte) note.Verifier {
	tb.Helper()
	text, err := note.NewEd25519VerifierKey(origin, key[:])
	if err != nil {
		tb.Fatal(err)
	}
	v, err := note.NewVerifier(text)
	if err != nil {
		tb.Fatal(err)
	}
	return v
}

// running is an open ledger whose Run is under way.
type running struct {
	*ledger.Ledger
	t    testing.TB
	rows *rows
	dir  string
	stop context.CancelFunc
	done chan error
}

// open opens the ledger of the rows in dir without running it.
func open(tb testing.TB, dir string, r *rows, adjust func(*ledger.Config)) (*ledger.Ledger, error) {
	tb.Helper()
	cfg := ledger.Config{
		Dir: dir, Origin: origin, Source: r,
		SurveyEvery: 10 * time.Millisecond, SignTimeout: 200 * time.Millisecond,
	}
	if adjust != nil {
		adjust(&cfg)
	}
	l, err := ledger.Open(tb.Context(), cfg)
	if err == nil {
		r.set(func(r *rows) { r.sink = l.Committed })
	}
	return l, err
}

// start opens and runs the ledger of the rows in dir.
func start(tb testing.TB, dir string, r *rows, adjust func(*ledger.Config)) *running {
	tb.Helper()
	l, err := open(tb, dir, r, adjust)
	if err != nil {
		tb.Fatal(err)
	}
	return run(tb, dir, r, l)
}

func run(tb testing.TB, dir string, r *rows, l *ledger.Ledger) *running {
	tb.Helper()
	ctx, stop := context.WithCancel(context.Background())
	out := &running{Ledger: l, t: tb, rows: r, dir: dir, stop: stop, done: make(chan error, 1)}
	go func() { out.done <- l.Run(ctx) }()
	tb.Cleanup(func() { stop(); _ = l.Close() })
	return out
}

// halt stops the ledger in order and fails if that takes long.
func (r *running) halt() error {
	r.t.Helper()
	r.stop()
	err := r.ended()
	if cerr := r.Close(); cerr != nil {
		r.t.Fatal(cerr)
	}
	return err
}

// ended waits for Run to return.
func (r *running) ended() error {
	r.t.Helper()
	select {
	case err := <-r.done:
		r.done <- err
		return err
	case <-time.After(time.Minute):
		r.t.Fatal("Run does not return")
		return nil
	}
}

// newEpoch commits an epoch-open leaf for the signer and puts it in office.
func (r *running) newEpoch(s *signer) uint64 {
	key := s.Key()
	index := r.rows.commit(append([]byte("epoch-open "), key[:]...))
	r.SetSigner(s, index)
	return index
}

// await waits for a checkpoint that covers index.
func (r *running) await(index uint64) ledger.Checkpoint {
	r.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	defer cancel()
	cp, err := r.Await(ctx, index)
	if err != nil {
		r.t.Fatalf("Await(%d): %v", index, err)
	}
	return cp
}

// check verifies the log in a directory as [checkFS] does.
func check(tb testing.TB, dir string, r *rows, cp ledger.Checkpoint) {
	tb.Helper()
	checkFS(tb, os.DirFS(dir), r, cp)
}

// checkFS verifies the whole log under a checkpoint against the rows, without
// this package's code: root, note, every tile, every entry; all by the names
// that C2SP defines for them.
func checkFS(tb testing.TB, files fs.FS, r *rows, cp ledger.Checkpoint) {
	tb.Helper()
	leaves := r.hashes(cp.Size)
	if want := treeHash(tb, leaves); want != cp.Root {
		tb.Fatalf("root at %d is %x, rows have %x", cp.Size, cp.Root, want)
	}
	parsed, _, err := torchwood.VerifyCheckpoint(cp.Note, policy(verifierOf(tb, cp.Key)))
	if err != nil || uint64(parsed.N) != cp.Size || [32]byte(parsed.Hash) != cp.Root {
		tb.Fatalf("checkpoint is %v, %v", parsed, err)
	}
	checkTree(tb, files, r, cp.Size)
}

// checkTree verifies tiles and entries of a size.
func checkTree(tb testing.TB, files fs.FS, r *rows, size uint64) {
	tb.Helper()
	leaves := r.hashes(size)
	all := stored(tb, leaves)
	for _, tile := range tlog.NewTiles(torchwood.TileHeight, 0, int64(size)) {
		want, err := tlog.ReadTileData(tile, all)
		if err != nil {
			tb.Fatal(err)
		}
		if got, err := fs.ReadFile(files, torchwood.TilePath(tile)); err != nil || string(got) != string(want) {
			tb.Fatalf("%s in a tree of %d: %d bytes, %v", torchwood.TilePath(tile), size, len(got), err)
		}
	}
	source, err := torchwood.NewTileFS(files)
	if err != nil {
		tb.Fatal(err)
	}
	reader, err := torchwood.NewClient(source)
	if err != nil {
		tb.Fatal(err)
	}
	var read uint64
	for i, entry := range reader.AllEntries(tb.Context(), tlog.Tree{N: int64(size), Hash: treeHash(tb, leaves)}, 0) {
		if string(entry) != string(r.leaf(uint64(i))) {
			tb.Fatalf("entry %d is not row %d", i, i)
		}
		read++
	}
	if err := reader.Err(); err != nil || read != size {
		tb.Fatalf("%d entries of %d are read: %v", read, size, err)
	}
}

func policy(v note.Verifier) torchwood.Policy {
	return torchwood.ThresholdPolicy(2, torchwood.OriginPolicy(origin), torchwood.SingleVerifierPolicy(v))
}

// treeHash is the tree head by x/mod's own storage of all hashes.
func treeHash(tb testing.TB, leaves []tlog.Hash) [32]byte {
	tb.Helper()
	h, err := tlog.TreeHash(int64(len(leaves)), stored(tb, leaves))
	if err != nil {
		tb.Fatal(err)
	}
	return h
}

func stored(tb testing.TB, leaves []tlog.Hash) tlog.HashReader {
	tb.Helper()
	var all []tlog.Hash
	reader := tlog.HashReaderFunc(func(indexes []int64) ([]tlog.Hash, error) {
		out := make([]tlog.Hash, len(indexes))
		for i, x := range indexes {
			out[i] = all[x]
		}
		return out, nil
	})
	for i, h := range leaves {
		hashes, err := tlog.StoredHashesForRecordHash(int64(i), h, reader)
		if err != nil {
			tb.Fatal(err)
		}
		all = append(all, hashes...)
	}
	return reader
}

package main

import (
	"context"
	"crypto/subtle"
	"fmt"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/terradourada/td/claim"
	"github.com/terradourada/td/client"
	"github.com/terradourada/td/protocol"
	"github.com/terradourada/td/receipt"
)

// audit walks one log. Entries are read and judged in order by one goroutine;
// proofs are verified beside it.
type audit struct {
	files      *logFiles
	proofs     bool
	progress   *progress
	checkpoint *receipt.Checkpoint // once it was found signed
	rules      *logRules
	tree       tree

	mu     sync.Mutex // guards report
	report auditReport
}

func newAudit(files *logFiles, lists map[protocol.ListID]*claim.List, proofs bool) *audit {
	au := &audit{files: files, proofs: proofs}
	au.report.Leaves, au.report.Identity = map[string]int{}, receipt.SelfAsserted
	au.rules = newLogRules(lists, au.fault)
	return au
}

func (au *audit) fault(format string, args ...any) {
	au.mu.Lock()
	defer au.mu.Unlock()
	au.report.fault(format, args...)
}

// run checks the log as large as its newest checkpoint says now. An error means
// that it could not be read; what is wrong with it are faults.
func (au *audit) run(ctx context.Context) error {
	note, err := au.files.checkpoint(ctx)
	if err != nil {
		return err
	}
	size, ok := sizeOf(string(note))
	if !ok {
		return fail(exitNegative, "the checkpoint of the log is malformed", "")
	}
	au.report.Size = size
	au.progress.expect(int((size + bundleWidth - 1) / bundleWidth))
	if err := au.walk(ctx, size); err != nil {
		return err
	}
	au.checkSigned(string(note))
	return au.compareIssued(ctx)
}

// sizeOf reads the second line of a checkpoint.
func sizeOf(note string) (uint64, bool) {
	lines := strings.SplitN(note, "\n", 3)
	if len(lines) < 3 {
		return 0, false
	}
	n, err := strconv.ParseUint(lines[1], 10, 63)
	return n, err == nil
}

// walk reads every entry once and holds the log's tiles against it.
func (au *audit) walk(ctx context.Context, size uint64) error {
	au.tree.full = func(level int, n uint64, hashes [][32]byte) error { return au.compareTile(ctx, level, n, hashes) }
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(runtime.GOMAXPROCS(0) + 1)
	group.Go(func() error {
		for n := uint64(0); n*bundleWidth < size; n++ {
			entries, err := au.files.bundle(ctx, n, size)
			if err != nil {
				return err
			}
			for i, raw := range entries {
				if err := au.entry(group, n*bundleWidth+uint64(i), raw); err != nil {
					return err
				}
			}
			au.progress.step(time.Now())
		}
		return au.partialTiles(ctx)
	})
	return group.Wait()
}

// entry judges one entry and has its proof verified.
func (au *audit) entry(group *errgroup.Group, index uint64, raw []byte) error {
	leaf, err := protocol.ParseLeaf(raw)
	if err != nil {
		au.fault("entry %d is no leaf: %s", index, detailOf(err))
	} else {
		au.report.Leaves[leaf.Body.LeafType().String()]++
		if check := au.rules.leaf(index, &leaf); check != nil && au.proofs {
			group.Go(func() error { au.verifyProof(index, check); return nil })
		}
	}
	return au.tree.add(0, leafHash(raw))
}

func (au *audit) verifyProof(index uint64, c *proofCheck) {
	key, err := c.key()
	if err != nil {
		au.fault("entry %d: %s", index, detailOf(err))
		return
	}
	if err := claim.Verify(key, c.inputs, c.proof); err != nil {
		au.fault("entry %d: its proof does not verify", index)
		return
	}
	au.mu.Lock()
	defer au.mu.Unlock()
	au.report.Proofs++
}

// compareTile holds a tile of the log against the hashes of the entries.
func (au *audit) compareTile(ctx context.Context, level int, n uint64, hashes [][32]byte) error {
	want := make([]byte, 0, len(hashes)*protocol.DigestSize)
	for i := range hashes {
		want = append(want, hashes[i][:]...)
	}
	got, err := au.files.tile(ctx, tilePath(strconv.Itoa(level), n), uint64(len(hashes)))
	if err != nil {
		return err
	}
	if len(got) < len(want) || subtle.ConstantTimeCompare(got[:len(want)], want) != 1 {
		au.fault("tile %d of level %d does not hold the hashes of its entries", n, level)
	}
	return nil
}

// partialTiles compares the last tiles of all levels.
func (au *audit) partialTiles(ctx context.Context) error {
	for level, hashes := range au.tree.levels {
		if len(hashes) == 0 {
			continue
		}
		if err := au.compareTile(ctx, level, au.tree.counts[level], hashes); err != nil {
			return err
		}
	}
	return nil
}

// checkSigned wants the checkpoint signed by an epoch of the log, over the root
// of the entries.
func (au *audit) checkSigned(note string) {
	root := au.tree.root()
	au.report.Root = protocol.Digest(root)
	au.report.Origin, _, _ = strings.Cut(note, "\n")
	for _, e := range slices.Backward(au.rules.order) {
		cp, err := receipt.ParseCheckpoint(note, e.open.CheckpointKey)
		if err != nil {
			continue
		}
		au.checkpoint, au.report.Origin = cp, cp.Origin
		if cp.Root != root {
			au.fault("the root of the checkpoint is not that of the entries")
		}
		return
	}
	au.report.Origin = string(asciiOnly([]byte(au.report.Origin)))
	au.fault("the checkpoint is not signed by the key of any epoch in the log")
}

// identify holds the checkpoint against those recorded on this machine.
func (au *audit) identify(ctx context.Context, trust *receipt.TrustStore) error {
	au.report.Unknown = au.rules.unknown
	if au.checkpoint == nil {
		return nil
	}
	err := trust.Check(ctx, au.checkpoint, au.files)
	switch {
	case err == nil:
		au.report.Identity = receipt.Pinned
	case isRegression(err):
		return fmt.Errorf("%w: %w", errReceipt, err)
	case !isUnknownLog(err):
		return err
	}
	return nil
}

// compareIssued compares every closed epoch with what the server says it
// issued. A directory does not say.
func (au *audit) compareIssued(ctx context.Context) error {
	if au.files.server == nil {
		return nil
	}
	for _, e := range au.rules.order {
		if e.end == nil || e.end.Reason == protocol.CloseLost {
			continue
		}
		issued, err := au.files.server.Issued(ctx, e.open.Number)
		if isProblem(err, protocol.CodeNotFound) {
			au.fault("epoch %d: the server does not say what it issued", e.open.Number)
			continue
		}
		if err != nil {
			return err
		}
		au.report.Epochs++
		au.compareEpoch(e, issued)
	}
	return nil
}

func isProblem(err error, code protocol.Code) bool {
	p, ok := err.(*client.Problem) //nolint:errorlint // this very call's answer
	return ok && p.Code == code
}

func (au *audit) compareEpoch(e *epochRules, issued []protocol.Digest) {
	if !protocol.MerkleRoot(issued).Equal(e.end.Root) || uint64(len(issued)) != e.end.Issued {
		au.fault("epoch %d: what the server says it issued is not what its close leaf says", e.open.Number)
		return
	}
	among := make(map[protocol.Digest]bool, len(issued))
	for _, d := range issued {
		among[d] = true
	}
	for _, a := range e.accepted {
		if !among[a.digest] {
			au.fault("entry %d: it was accepted in epoch %d, which did not issue it", a.index, e.open.Number)
		}
	}
}

// proofCheck is one proof and what it must show.
type proofCheck struct {
	key    func() (*claim.VerifyingKey, error)
	inputs []protocol.Element
	proof  []byte
}

func errorf(format string, args ...any) error {
	return protocol.Fail(protocol.CodeMalformedRequest, fmt.Sprintf(format, args...))
}

package main

import (
	"context"
	"errors"
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
	"github.com/terradourada/td/internal/tiles"
	"github.com/terradourada/td/protocol"
	"github.com/terradourada/td/receipt"
)

// audit walks one log. Entries are read and judged in order by one goroutine;
// proofs are verified beside it.
type audit struct {
	files    *logFiles
	lists    map[protocol.ListID]*claim.List
	proofs   bool
	progress *progress
	note     []byte // the newest checkpoint, as it was at the beginning
	rules    *logRules

	mu     sync.Mutex // guards report
	report auditReport
}

func newAudit(files *logFiles, lists []*claim.List, proofs bool) *audit {
	au := &audit{files: files, lists: map[protocol.ListID]*claim.List{}, proofs: proofs}
	for _, l := range lists {
		au.lists[l.ID()] = l
	}
	au.report.Leaves, au.report.Identity = map[string]int{}, receipt.SelfAsserted
	return au
}

func (au *audit) fault(format string, args ...any) {
	au.mu.Lock()
	defer au.mu.Unlock()
	au.report.fault(format, args...)
}

// parseSize reads the second line of a checkpoint.
func parseSize(line string) (uint64, bool) {
	n, err := strconv.ParseUint(line, 10, 63)
	return n, err == nil && n <= protocol.MaxTreeSize
}

// run checks the log up to the size of its newest checkpoint. An error means that
// it could not be read; what is wrong with it becomes faults of the report.
func (au *audit) run(ctx context.Context) (err error) {
	if au.note, err = au.files.Checkpoint(ctx); err != nil {
		return err
	}
	lines := strings.SplitN(string(au.note), "\n", 3)
	ok := len(lines) == 3
	if ok {
		au.report.Size, ok = parseSize(lines[1])
	}
	if !ok {
		au.fault("the checkpoint is malformed")
		return nil
	}
	au.rules = newLogRules(lines[0], au.lists, au.fault)
	au.report.Origin = protocol.Printable(lines[0])
	au.progress.expect(int((au.report.Size + tiles.Width - 1) / tiles.Width))
	err = au.walk(ctx)
	if err == nil {
		err = au.rules.tree.Tiles(func(level int, n uint64, hashes []protocol.Digest) error {
			return au.compareTile(ctx, level, n, hashes)
		})
	}
	if errors.Is(err, client.ErrLog) {
		au.fault("%s", strings.TrimPrefix(err.Error(), client.ErrLog.Error()+": "))
		err = nil
	}
	if err != nil {
		return err
	}
	au.checkSigned()
	au.report.Unknown = au.rules.unknown
	return nil
}

// walk reads every entry once.
func (au *audit) walk(ctx context.Context) error {
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(runtime.GOMAXPROCS(0) + 1)
	group.Go(func() error {
		return au.files.Leaves(ctx, au.report.Size, func(index uint64, raw []byte) error {
			au.entry(group, index, raw)
			if (index+1)%tiles.Width == 0 || index+1 == au.report.Size {
				au.progress.step(time.Now())
			}
			return nil
		})
	})
	return group.Wait()
}

// entry judges one entry and has its proof verified.
func (au *audit) entry(group *errgroup.Group, index uint64, raw []byte) {
	leaf, check := au.rules.entry(raw)
	if leaf == nil {
		return
	}
	au.report.Leaves[leaf.Body.LeafType().String()]++
	if check != nil && au.proofs {
		group.Go(func() error { au.verifyProof(index, check); return nil })
	}
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

// compareTile compares a tile of the log with the hashes of its entries.
func (au *audit) compareTile(ctx context.Context, level int, n uint64, hashes []protocol.Digest) error {
	got, err := au.files.Tile(ctx, level, n, au.report.Size)
	if err != nil {
		return err
	}
	if !slices.EqualFunc(got, hashes, func(a [32]byte, b protocol.Digest) bool { return b.Equal(a) }) {
		au.fault("tile %d of level %d does not hold the hashes of its entries", n, level)
	}
	return nil
}

// checkSigned checks that an epoch of the log signed the checkpoint, over the
// root of the entries.
func (au *audit) checkSigned() {
	au.report.Root = au.rules.tree.Root()
	for _, e := range slices.Backward(au.rules.order) {
		cp, err := receipt.ParseCheckpoint(string(au.note), e.open.CheckpointKey)
		if err != nil {
			continue
		}
		if !au.report.Root.Equal(cp.Root) {
			au.fault("the root of the checkpoint is not that of the entries")
		}
		return
	}
	au.fault("the checkpoint is not signed by the key of any epoch in the log")
}

// identify sets verdict and identity by the trust store. An error means that the
// records or the log could not be read.
func (au *audit) identify(ctx context.Context, trust *receipt.TrustStore) error {
	cp, err := au.files.VerifyCheckpoint(ctx, au.note)
	if errors.Is(err, client.ErrLog) {
		if len(au.report.Faults) == 0 {
			au.fault("%v", err) // the files have changed since they were read
		}
		return nil
	}
	if err != nil {
		return err
	}
	standing, err := trust.Check(ctx, cp, au.files, au.files.Source())
	au.report.Warnings = standing.Warnings
	switch verdict := receipt.VerdictOf(err); verdict {
	case receipt.Contradicted, receipt.Unvouched:
		if isShort(err) {
			verdict = receipt.Unavailable
		}
		au.report.Verdict, au.report.Reason, au.report.refusal = verdict, err.Error(), err
	case "":
		if err != nil {
			return err
		}
		au.report.Verdict, au.report.Identity, au.report.Vouched = receipt.Valid, receipt.Pinned, &standing
	default:
		return err
	}
	return nil
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

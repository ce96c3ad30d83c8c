package audit

import (
	"cmp"
	"context"
	"errors"
	"runtime"
	"slices"
	"strings"
	"sync"

	"golang.org/x/sync/errgroup"

	"github.com/terradourada/td/claim"
	"github.com/terradourada/td/client"
	"github.com/terradourada/td/internal/tiles"
	"github.com/terradourada/td/protocol"
	"github.com/terradourada/td/receipt"
)

// Run audits a log up to its newest checkpoint. It returns an error if the log or the
// trust store could not be read, and a [*client.IncompleteError] if the log lacks a file,
// as a copy does that is still being made. Faults of the log are in the report.
func Run(ctx context.Context, log Source, o Options) (*Report, error) {
	a := &audit{log: log, Options: o, report: &Report{
		Identity: receipt.SelfAsserted, Leaves: map[string]int{}, Warnings: []string{}, Faults: []string{},
	}}
	if err := a.check(ctx); err != nil {
		return nil, err
	}
	if err := a.identify(ctx); err != nil {
		return nil, err
	}
	a.report.conclude(o.AllowSelfAsserted)
	return a.report, nil
}

// audit is one run.
type audit struct {
	Options
	log   Source
	note  []byte // the newest checkpoint at the beginning
	rules *rules

	mu     sync.Mutex // guards report while proofs are verified
	report *Report
}

func (a *audit) fault(format string, args ...any) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.report.fault(format, args...)
}

// check checks the rules of the log.
func (a *audit) check(ctx context.Context) (err error) {
	if a.note, err = a.log.Checkpoint(ctx); err != nil {
		return err
	}
	origin, size, err := tiles.Head(a.note)
	if errors.Is(err, client.ErrLog) {
		a.fault("the checkpoint is malformed")
		return nil
	}
	a.report.Origin, a.report.Size = protocol.Printable(origin), size
	a.rules = newRules(origin, a.Lists, a.fault)
	err = a.checkEntries(ctx)
	if err == nil {
		err = a.rules.tree.Tiles(func(level int, n uint64, hashes []protocol.Digest) error {
			return a.checkTile(ctx, level, n, hashes)
		})
	}
	if errors.Is(err, client.ErrLog) {
		a.fault("%s", strings.TrimPrefix(err.Error(), client.ErrLog.Error()+": "))
		err = nil
	}
	if err != nil {
		return err
	}
	a.checkSigned()
	a.report.Unknown = a.rules.unknown
	return nil
}

// checkEntries reads and checks every entry once.
func (a *audit) checkEntries(ctx context.Context) error {
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(runtime.GOMAXPROCS(0) + 1)
	group.Go(func() error {
		return a.log.Leaves(ctx, a.report.Size, func(index uint64, raw []byte) error {
			a.checkEntry(group, index, raw)
			if n := index + 1; a.Progress != nil && (n%tiles.Width == 0 || n == a.report.Size) {
				a.Progress(bundles(n), bundles(a.report.Size))
			}
			return nil
		})
	})
	return group.Wait()
}

// bundles returns the number of bundles that hold some number of entries.
func bundles(entries uint64) int { return int((entries + tiles.Width - 1) / tiles.Width) }

// checkEntry checks one entry, and has the group verify its proof.
func (a *audit) checkEntry(group *errgroup.Group, index uint64, raw []byte) {
	leaf, check := a.rules.entry(raw)
	if leaf == nil {
		return
	}
	a.report.Leaves[leaf.Body.LeafType().String()]++
	if check != nil && a.Proofs {
		group.Go(func() error { a.verifyProof(index, check); return nil })
	}
}

func (a *audit) verifyProof(index uint64, c *proofCheck) {
	key, err := c.key()
	if err != nil {
		a.fault("entry %d: %s", index, detail(err))
		return
	}
	if err := claim.Verify(key, c.inputs, c.proof); err != nil {
		a.fault("entry %d: its proof does not verify", index)
		return
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	a.report.Proofs++
}

// checkTile compares a tile of the log with the hashes of its entries.
func (a *audit) checkTile(ctx context.Context, level int, n uint64, hashes []protocol.Digest) error {
	got, err := a.log.Tile(ctx, level, n, a.report.Size)
	if err != nil {
		return err
	}
	if !slices.EqualFunc(got, hashes, func(a [32]byte, b protocol.Digest) bool { return b.Equal(a) }) {
		a.fault("tile %d of level %d does not hold the hashes of its entries", n, level)
	}
	return nil
}

// checkSigned checks that an epoch of the log signed the checkpoint, over the root of
// the entries.
func (a *audit) checkSigned() {
	a.report.Root = a.rules.tree.Root()
	for _, e := range slices.Backward(a.rules.order) {
		cp, err := receipt.ParseCheckpoint(string(a.note), e.open.CheckpointKey)
		if err != nil {
			continue
		}
		if !a.report.Root.Equal(cp.Root) {
			a.fault("the root of the checkpoint is not that of the entries")
		}
		return
	}
	a.fault("the checkpoint is not signed by the key of any epoch in the log")
}

var errNoTrust = errors.New("the auditor has no trust store")

// identify sets identity and verdict by the trust store. It returns an error if the
// store or the log could not be read.
func (a *audit) identify(ctx context.Context) error {
	cp, err := a.log.VerifyCheckpoint(ctx, a.note)
	if errors.Is(err, client.ErrLog) {
		if len(a.report.Faults) == 0 {
			a.fault("%v", err) // the files have changed since they were read
		}
		return nil
	}
	if err != nil {
		return err
	}
	if a.Trust == nil {
		a.refuse(receipt.Unvouched, errNoTrust)
		return nil
	}
	standing, err := a.Trust.Check(ctx, cp, a.log, a.log.Source())
	a.report.Warnings = append(a.report.Warnings, standing.Warnings...)
	switch verdict := receipt.VerdictOf(err); verdict {
	case receipt.Contradicted, receipt.Unvouched:
		if errors.As(err, new(*receipt.ShortError)) {
			verdict = receipt.Unavailable
		}
		a.refuse(verdict, err)
		return nil
	}
	if err == nil {
		a.report.Verdict, a.report.Identity, a.report.Vouched = receipt.Valid, receipt.Pinned, &standing
	}
	return err
}

// refuse records why the trust store does not vouch for the log.
func (a *audit) refuse(verdict string, reason error) {
	a.report.Verdict, a.report.Reason, a.report.Refusal = verdict, reason.Error(), reason
}

// detail returns what an error says about an entry.
func detail(err error) string { return cmp.Or(protocol.DetailOf(err), err.Error()) }

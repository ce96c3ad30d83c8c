package audit

import (
	"cmp"
	"context"
	"errors"
	"io/fs"
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

	signed bool // the checkpoint was, over the root of the entries

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
	a.note, err = a.log.Checkpoint(ctx)
	if a.Rows != nil && errors.Is(err, fs.ErrNotExist) {
		return a.checkUnpublished(ctx)
	}
	if err != nil {
		return err
	}
	origin, size, err := tiles.Head(a.note)
	if errors.Is(err, client.ErrLog) {
		a.fault("the checkpoint is malformed")
		return nil
	}
	a.report.Origin, a.report.Size = protocol.Printable(origin), size
	a.rules = a.newRules(origin)
	if a.Rows != nil && origin != a.Rows.Origin() {
		a.fault("the log is that of %s, and the journal that of %s", a.report.Origin, protocol.Printable(a.Rows.Origin()))
	}
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
	return a.checkBeyond(ctx)
}

func (a *audit) newRules(origin string) *rules {
	r := newRules(origin, a.Lists, a.fault)
	if r.indexed = a.Indexed; r.indexed {
		r.requests, r.anchors, r.commitments, r.nullifiers = nil, nil, nil, nil
	}
	return r
}

// checkUnpublished checks the rows of a journal whose log has no checkpoint.
func (a *audit) checkUnpublished(ctx context.Context) error {
	a.note = nil
	a.report.Origin = protocol.Printable(a.Rows.Origin())
	a.rules = a.newRules(a.Rows.Origin())
	if len(a.Known) > 0 {
		a.fault("the log has no checkpoint, and checkpoints of it are known")
	}
	return a.checkBeyond(ctx)
}

// checkBeyond checks what is known beyond the log: the other rows, and the known
// checkpoints.
func (a *audit) checkBeyond(ctx context.Context) error {
	if err := a.checkTail(ctx); err != nil {
		return err
	}
	for _, note := range a.Known {
		a.checkKnown(note)
	}
	a.report.Unknown = a.rules.unknown
	return nil
}

// checkEntries reads and checks every entry once.
func (a *audit) checkEntries(ctx context.Context) error {
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(runtime.GOMAXPROCS(0) + 1)
	group.Go(func() error {
		rows := rowReader{rows: a.Rows}
		return a.log.Leaves(ctx, a.report.Size, func(index uint64, raw []byte) error {
			if err := a.compareRow(ctx, &rows, index, raw); err != nil {
				return err
			}
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
	switch {
	case check == nil || !a.Proofs:
	case a.Pace != nil:
		a.verifyProof(index, check)
	default:
		group.Go(func() error { a.verifyProof(index, check); return nil })
	}
	if a.Pace != nil {
		a.Pace()
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

// compareRow compares an entry with the row of its number, if there is a journal.
func (a *audit) compareRow(ctx context.Context, rows *rowReader, index uint64, raw []byte) error {
	if a.Rows == nil || ctx.Err() != nil {
		return ctx.Err()
	}
	row, err := rows.row(ctx, index)
	switch {
	case err != nil:
		return err
	case row == nil:
		a.fault("entry %d is not in the journal", index)
	case string(row) != string(raw):
		a.fault("entry %d is not row %d of the journal", index, index)
	}
	return nil
}

// checkTail checks the rows of the journal that the log does not hold yet, as many as
// there are by now.
func (a *audit) checkTail(ctx context.Context) (err error) {
	if a.Rows == nil {
		return nil
	}
	if a.report.Rows, err = a.Rows.Size(ctx); err != nil {
		return err
	}
	group := &errgroup.Group{}
	group.SetLimit(runtime.GOMAXPROCS(0) + 1)
	rows := rowReader{rows: a.Rows}
	for index := a.rules.tree.Size(); index < a.report.Rows; index++ {
		var row []byte
		if row, err = rows.row(ctx, index); err == nil {
			err = ctx.Err()
		}
		if err != nil {
			break
		}
		if row == nil {
			a.fault("row %d is not in the journal, which counts %d", index, a.report.Rows)
			break
		}
		a.checkEntry(group, index, row)
	}
	return errors.Join(err, group.Wait())
}

// rowReader reads rows in order, some at a time.
type rowReader struct {
	rows  Rows
	first uint64
	ahead [][]byte
}

// rowsAtOnce is the number of rows of one read.
const rowsAtOnce = tiles.Width

// row returns a row, or nil if there is none.
func (r *rowReader) row(ctx context.Context, index uint64) (row []byte, err error) {
	if index < r.first || index >= r.first+uint64(len(r.ahead)) {
		if r.ahead, err = r.rows.Leaves(ctx, index, rowsAtOnce); err != nil || len(r.ahead) == 0 {
			return nil, err
		}
		r.first = index
	}
	return r.ahead[index-r.first], nil
}

// checkKnown checks that the entries begin with the tree of a checkpoint that is known
// from elsewhere. An epoch that opened after the last entry is not known here, so a
// checkpoint that is ahead counts under any key.
func (a *audit) checkKnown(note string) {
	a.report.Known++
	_, size, err := tiles.Head([]byte(note))
	if err != nil {
		a.fault("a checkpoint that is known from elsewhere is malformed")
		return
	}
	if have := a.rules.tree.Size(); size > have {
		a.report.Lost = max(a.report.Lost, size-have)
		a.fault("a checkpoint of %d entries is known, and %d are here: %d are lost", size, have, size-have)
		return
	}
	cp := a.signedBy(note)
	switch {
	case cp == nil || cp.Origin != a.rules.origin:
		a.fault("a checkpoint of %d entries is known that no epoch of the log signed", size)
	case !a.rules.tree.RootAt(size).Equal(cp.Root):
		a.report.contradicted = a.signed // else the files are damaged
		a.fault("the log contradicts a checkpoint of %d entries that is known", size)
	}
}

// signedBy returns a checkpoint that an epoch of the log signed after its leaf, or nil.
func (a *audit) signedBy(note string) *receipt.Checkpoint {
	for _, e := range slices.Backward(a.rules.order) {
		if cp, err := receipt.ParseCheckpoint(note, e.open.CheckpointKey); err == nil && e.index < cp.Size {
			return cp
		}
	}
	return nil
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
	cp := a.signedBy(string(a.note))
	switch {
	case cp == nil:
		a.fault("the checkpoint is not signed by the key of any epoch in the log")
	case !a.report.Root.Equal(cp.Root):
		a.fault("the root of the checkpoint is not that of the entries")
	default:
		a.signed = true
	}
}

var (
	errNoTrust     = errors.New("the auditor has no trust store")
	errUnpublished = errors.New("the log has no checkpoint")
)

// identify sets identity and verdict by the trust store. It returns an error if the
// store or the log could not be read.
func (a *audit) identify(ctx context.Context) error {
	if a.note == nil && a.Rows != nil {
		a.refuse(receipt.Unvouched, errUnpublished)
		return nil
	}
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

package receipt

import (
	"cmp"
	"errors"
	"fmt"
	"slices"

	"github.com/terradourada/td/protocol"
)

// checkFlags verifies that flags are withdrawals in log order, and that the
// headers of all leaves presented count withdrawals correctly: no fewer than
// before, and one more after a leaf that withdraws.
func (v *verification) checkFlags() error {
	for i, f := range v.flags {
		if !f.leaf.Withdraws() {
			return fmt.Errorf("flag %d withdraws nothing", i)
		}
		if i > 0 && v.flags[i-1].log.index >= f.log.index {
			return fmt.Errorf("flag %d is not in log order", i)
		}
	}
	sorted := slices.Clone(v.all)
	slices.SortStableFunc(sorted, func(a, b entry) int { return cmp.Compare(a.log.index, b.log.index) })
	for i, e := range sorted[1:] {
		before := sorted[i]
		least := uint64(before.leaf.Withdrawals)
		if before.log.index < e.log.index && before.leaf.Withdraws() {
			least++
		}
		if uint64(e.leaf.Withdrawals) < least {
			return fmt.Errorf("leaf %d counts %d withdrawals before it, but there are at least %d", e.log.index, e.leaf.Withdrawals, least)
		}
	}
	return nil
}

// withdraws returns what a leaf withdraws: "claim", "epoch", or "" for neither
// of this receipt. The target of an epoch is its id and 16 zero bytes.
func (v *verification) withdraws(l *protocol.Leaf) string {
	c, ok := l.Body.(*protocol.Control)
	if !ok {
		return ""
	}
	var epoch protocol.Digest
	copy(epoch[:], v.payload.EpochID[:])
	switch {
	case c.Action == protocol.ActionRetireVK && c.Target.Equal(v.payload.VK):
		return "claim"
	case c.Action == protocol.ActionRevokeEpoch && c.Target.Equal(epoch):
		return "epoch"
	}
	return ""
}

// presented collects the withdrawals that the receipt shows. They are complete
// if there are as many as the last leaf counts, itself included. After
// [verification.checkFlags] that many leaves can only be numbered 0, 1, 2 and
// so on.
func (v *verification) presented() (detail string) {
	shown := v.flags
	total := uint64(v.last.leaf.Withdrawals)
	if v.last.leaf.Withdraws() {
		total++
		if n := len(shown); n == 0 || shown[n-1].log.index != v.last.log.index {
			shown = append(slices.Clip(shown), v.last)
		}
	}
	for _, f := range shown {
		detail += v.flag(&f.leaf)
	}
	v.report.Withdrawals = AsPresented
	if uint64(len(shown)) == total {
		v.report.Withdrawals = CompleteByCount
	}
	return detail
}

// flag records one withdrawal if it is about this epoch or claim.
func (v *verification) flag(l *protocol.Leaf) (detail string) {
	what := v.withdraws(l)
	if what == "" {
		return ""
	}
	v.withdrawn = append(v.withdrawn, l.Seq)
	return fmt.Sprintf("; flagged: leaf %d of %s withdraws the %s", l.Seq, logTime(l), what)
}

// scan is the step scan: it reads the whole log, if that was requested.
func (v *verification) scan() {
	if v.o.Scan == nil {
		return
	}
	line := Step{Step: StepScan}
	defer func() { v.report.Steps = append(v.report.Steps, line) }()
	if !v.report.step(StepCheckpoint).OK {
		line.skip(StepCheckpoint)
		return
	}
	of := v.scanned()
	leftOut, err := v.scanLeaves(of)
	if err != nil {
		line.Detail = sentence(err)
		v.report.judge(err, StepScan)
		return
	}
	v.report.Withdrawals = CompleteByScan
	line.OK, line.Detail = true, fmt.Sprintf("%d leaves of the log were read", of.size)
	for i := range leftOut {
		l := &leftOut[i]
		line.Detail += v.flag(l)
		how := "leaves out"
		if l.Seq >= v.checkpoint.Size {
			how = "is older than"
		}
		v.report.Warnings = append(v.report.Warnings, fmt.Sprintf("the receipt %s leaf %d, which withdraws the %s", how, l.Seq, v.withdraws(l)))
	}
}

// scanned returns the tree to scan: that of the checkpoint, or a greater one that
// is believed of the same log. A withdrawal comes after what it withdraws, so a
// receipt from before it shows a tree without it.
func (v *verification) scanned() tree {
	of := tree{v.checkpoint.Size, v.checkpoint.Root}
	if v.report.Vouched == nil || v.o.Trust == nil {
		return of
	}
	if size, root, ok, err := v.o.Trust.Newest(v.checkpoint.Origin); err == nil && ok && size > of.size {
		of = tree{size, root}
	}
	if v.o.Live == nil {
		return of
	}
	live, from, err := v.o.Live(v.ctx)
	if err != nil || live.Origin != v.checkpoint.Origin || live.Size <= of.size {
		return of
	}
	if _, err := v.o.Trust.Check(v.ctx, live, v.o.Log, from); err == nil {
		of = tree{live.Size, live.Root}
	}
	return of
}

// scanLeaves returns the withdrawals of this epoch or claim that the receipt
// does not show. A fault of a leaf counts only once the source has shown the
// trees of the checkpoint and of the scan; before that, the source itself may
// be wrong.
func (v *verification) scanLeaves(of tree) (leftOut []protocol.Leaf, err error) {
	var seen protocol.Range
	var count uint64
	var wrong error
	another := &failure{verdict: Unavailable, detail: "the log could not be scanned: the source shows another tree than the checkpoint's"}
	err = v.o.Scan.Leaves(v.ctx, of.size, func(index uint64, b []byte) error {
		if index != seen.Size() || index >= of.size {
			return fmt.Errorf("leaf %d comes after leaf %d", index, seen.Size())
		}
		seen.Append(protocol.LeafHash(b))
		if seen.Size() == v.checkpoint.Size && seen.Root() != protocol.Digest(v.checkpoint.Root) {
			return another
		}
		leaf, err := protocol.ParseLeaf(b)
		parsed := err == nil
		switch {
		case wrong != nil:
		case !parsed || leaf.Seq != index:
			wrong = fmt.Errorf("leaf %d of the log is malformed", index)
		case uint64(leaf.Withdrawals) != count:
			wrong = fmt.Errorf("leaf %d of the log counts %d withdrawals before it, but there are %d", index, leaf.Withdrawals, count)
		}
		if !parsed || !leaf.Withdraws() {
			return nil
		}
		count++
		if v.withdraws(&leaf) != "" && !slices.Contains(v.withdrawn, index) {
			leftOut = append(leftOut, leaf)
		}
		return nil
	})
	if errors.Is(err, another) || err == nil && seen.Root() != protocol.Digest(of.root) {
		return nil, another
	}
	if err != nil {
		return nil, &failure{Unavailable, "the log could not be scanned: " + sentence(err), err}
	}
	return leftOut, wrong
}

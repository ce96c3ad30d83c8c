package receipt_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/terradourada/td/claim"
	"github.com/terradourada/td/protocol"
	"github.com/terradourada/td/receipt"
)

func TestFlags(t *testing.T) {
	s := sharedScene()
	r := s.receipt(s.ranges, s.second, s.revoke, s.retire)
	o := pinned(t, r)
	p := verify(t, r, o)
	if p.Verdict != receipt.Flagged || !p.OK || p.Withdrawals != receipt.CompleteByCount {
		t.Errorf("got %q ok=%t, %s, want flagged and ok, complete by count", p.Verdict, p.OK, p.Withdrawals)
	}
	for _, want := range []string{"withdraws the epoch", "withdraws the claim"} {
		if !strings.Contains(step(p, "inclusion").Detail, want) {
			t.Errorf("inclusion says %q, want %q", step(p, "inclusion").Detail, want)
		}
	}
	o.Strict = true
	if p := verify(t, r, o); p.Verdict != receipt.Flagged || p.OK || p.FailedStep != "" {
		t.Errorf("strict: got %q ok=%t failed step %q, want flagged, not ok, no failed step", p.Verdict, p.OK, p.FailedStep)
	}
	for name, flags := range map[string][]uint64{
		"no withdrawal":      {s.other},
		"twice":              {s.revoke, s.revoke},
		"not in log order":   {s.retire, s.revoke},
		"not a control leaf": {s.second.index},
	} {
		t.Run(name, func(t *testing.T) {
			r := s.receipt(s.ranges, s.second, flags...)
			wantFailed(t, verify(t, r, o), "leaf", "flag")
		})
	}
	t.Run("only two actions withdraw", func(t *testing.T) {
		w := newWorld(t)
		open := w.register(claim.Open)
		e := w.openEpoch(nil, 0)
		a := w.accept(e, open, openJob)
		var epoch protocol.Digest
		copy(epoch[:], e.open.ID[:])
		for action := protocol.ActionFreezeIssue; action <= protocol.ActionRevokeEpoch; action++ {
			onClaim := w.append(&protocol.Control{Action: action, Target: open.vk})
			onEpoch := w.append(&protocol.Control{Action: action, Target: epoch})
			w.append(&protocol.Incident{})
			o := receipt.Options{AllowSelfAsserted: true}
			retire, revoke := action == protocol.ActionRetireVK, action == protocol.ActionRevokeEpoch
			for flag, about := range map[uint64]bool{onClaim: retire, onEpoch: revoke} {
				want := receipt.Invalid
				if about {
					want = receipt.Flagged
				} else if retire || revoke {
					want = receipt.Valid // it withdraws something else
				}
				if got := verify(t, w.receipt(a, e, flag), o).Verdict; got != want {
					t.Errorf("action %d at %d: verdict is %s, want %s", action, flag, got, want)
				}
			}
		}
	})
}

// The withdrawals of the log that a receipt shows, and the text about them.
func TestWithdrawals(t *testing.T) {
	w := newWorld(t)
	open, ranges := w.register(claim.Open), w.register(claim.Range)
	e := w.openEpoch(nil, 0)
	a := w.accept(e, open, openJob)
	var epoch protocol.Digest
	copy(epoch[:], e.open.ID[:])
	before := w.size()
	other := w.append(&protocol.Control{Action: protocol.ActionRetireVK, Target: ranges.vk})
	foreign := w.append(&protocol.Control{Action: protocol.ActionRevokeEpoch, Target: protocol.Digest{1}})
	w.append(&protocol.Incident{})
	mine := w.append(&protocol.Control{Action: protocol.ActionRevokeEpoch, Target: epoch})
	w.append(&protocol.Incident{})
	for name, tt := range map[string]struct {
		size    uint64
		flags   []uint64
		known   string
		flagged bool
	}{
		"none, and none shown":                 {before, nil, receipt.CompleteByCount, false},
		"others, none shown":                   {mine, nil, receipt.AsPresented, false},
		"others, one shown":                    {mine, []uint64{foreign}, receipt.AsPresented, false},
		"others, all shown":                    {mine, []uint64{other, foreign}, receipt.CompleteByCount, false},
		"last is one, by itself":               {other + 1, nil, receipt.CompleteByCount, false},
		"last is one, as a flag too":           {other + 1, []uint64{other}, receipt.CompleteByCount, false},
		"last is the second, by itself":        {foreign + 1, []uint64{other}, receipt.CompleteByCount, false},
		"last is the second, the first is not": {foreign + 1, []uint64{foreign}, receipt.AsPresented, false},
		"last is mine, by itself":              {mine + 1, nil, receipt.AsPresented, true},
		"last is mine, all shown":              {mine + 1, []uint64{other, foreign}, receipt.CompleteByCount, true},
		"mine left out":                        {w.size(), []uint64{other, foreign}, receipt.AsPresented, false},
		"mine alone":                           {w.size(), []uint64{mine}, receipt.AsPresented, true},
		"all":                                  {w.size(), []uint64{other, foreign, mine}, receipt.CompleteByCount, true},
	} {
		t.Run(name, func(t *testing.T) {
			r := w.receiptAt(a, e, tt.size, tt.flags...)
			o := pinned(t, r)
			p := verify(t, r, o)
			if p.Withdrawals != tt.known || (p.Verdict == receipt.Flagged) != tt.flagged || !p.OK {
				t.Errorf("got %s, %s, want %s, flagged %t", p.Verdict, p.Withdrawals, tt.known, tt.flagged)
			}
			o.Strict = true
			want := receipt.Valid
			switch {
			case tt.flagged:
				want = receipt.Flagged
			case tt.known == receipt.AsPresented:
				want = receipt.Unavailable
			}
			if p := verify(t, r, o); p.Verdict != want || p.OK != (want == receipt.Valid) {
				t.Errorf("strict: got %s, ok %t, want %s", p.Verdict, p.OK, want)
			}
			// A scan finds every withdrawal that was left out.
			o.Scan = w
			p = verify(t, r, o)
			really := tt.size > mine
			if p.Withdrawals != receipt.CompleteByScan || (p.Verdict == receipt.Flagged) != really || p.OK == really {
				t.Errorf("with a scan: got %s, ok %t, %s", p.Verdict, p.OK, p.Withdrawals)
			}
			leftOut := really && !tt.flagged
			if got := strings.Contains(fmt.Sprint(p.Warnings), "leaves out leaf"); got != leftOut {
				t.Errorf("warnings are %q; something was left out: %t", p.Warnings, leftOut)
			}
			if said := step(p, "inclusion").Detail + step(p, "scan").Detail; really && strings.Count(said, "flagged: leaf") != 1 {
				t.Errorf("inclusion and scan say %q", said)
			}
		})
	}
	t.Run("another leaf as the last", func(t *testing.T) {
		r := w.receipt(a, e)
		r.Last = w.pair(mine, w.size(), w.checkpoint(w.size(), w.signer(e)))
		wantFailed(t, verify(t, r, pinned(t, w.receipt(a, e))), "inclusion", "not the last")
	})
}

// For a receipt from before the withdrawal, a scan reads on, as far as the
// log is believed.
func TestScanFindsYoungerWithdrawals(t *testing.T) {
	w := newWorld(t)
	open := w.register(claim.Open)
	e := w.openEpoch(nil, 0)
	a := w.accept(e, open, openJob)
	r, before := w.receipt(a, e), w.size()
	w.append(&protocol.Control{Action: protocol.ActionRevokeEpoch, Target: w.target(e)})
	w.grow(2)
	newest := func(context.Context) (*receipt.Checkpoint, receipt.Source, error) {
		return w.at(w.size(), e), live, nil
	}
	for name, tt := range map[string]struct {
		known uint64 // the size that is recorded
		scan  receipt.Scanner
		live  bool
		want  string
	}{
		"nothing later is known":          {before, w, false, receipt.Valid},
		"a later tree is recorded":        {w.size(), w, false, receipt.Flagged},
		"the server shows a later tree":   {before, w, true, receipt.Flagged},
		"the source ends at the receipt":  {w.size(), w.fork(before), false, receipt.Unavailable},
		"the source ends before the live": {before, w.fork(before), true, receipt.Unavailable},
	} {
		t.Run(name, func(t *testing.T) {
			o := recorded(t, w.at(tt.known, e))
			o.Log, o.Scan = w, scanner(func(size uint64, each func(uint64, []byte) error) error {
				if reach := tt.scan.(*world).size(); size > reach {
					return fmt.Errorf("the log has %d leaves only", reach)
				}
				return tt.scan.Leaves(t.Context(), size, each)
			})
			if tt.live {
				o.Live = newest
			}
			p := verify(t, r, o)
			if p.Verdict != tt.want {
				t.Errorf("verdict is %s, want %s: %q", p.Verdict, tt.want, step(p, "inclusion").Detail)
			}
			if got := strings.Contains(fmt.Sprint(p.Warnings), "is older than leaf"); got != (tt.want == receipt.Flagged) {
				t.Errorf("warnings are %q", p.Warnings)
			}
		})
	}
}

// target names an epoch in a control leaf.
func (w *world) target(e *epochKey) (d protocol.Digest) {
	copy(d[:], e.open.ID[:])
	return d
}

// Counts that cannot belong to one log.
func TestWrongCounts(t *testing.T) {
	// count logs a leaf whose header counts n withdrawals.
	count := func(w *world, n uint32, body protocol.LeafBody) uint64 {
		leaf := protocol.Leaf{Seq: w.size(), Time: 1_800_000_000_000 + w.size(), Withdrawals: n, Body: body}
		b, err := leaf.Encode()
		w.must(err)
		return w.appendRaw(b)
	}
	withdrawal := &protocol.Control{Action: protocol.ActionRetireVK, Target: protocol.Digest{1}}
	for name, tt := range map[string]struct {
		counts []uint32 // of leaves behind the acceptance: two withdrawals and the last leaf
		flags  []int    // which of them are shown
		step   string   // "" if the receipt alone does not show it
		whole  bool     // the counts are right
	}{
		"right":                               {[]uint32{0, 1, 2}, []int{0, 1}, "", true},
		"the last counts none":                {[]uint32{0, 1, 0}, []int{0, 1}, "leaf", false},
		"the last counts none, none is shown": {[]uint32{0, 1, 0}, nil, "", false},
		"one number twice":                    {[]uint32{0, 0, 2}, []int{0, 1}, "leaf", false},
		"one number twice, one is shown":      {[]uint32{0, 0, 1}, []int{1}, "", false},
		"the last forgets one":                {[]uint32{0, 1, 1}, []int{0, 1}, "leaf", false},
		"the last counts too many":            {[]uint32{0, 1, 3}, []int{0, 1}, "", false},
		"the first counts too many":           {[]uint32{1, 2, 3}, []int{0, 1}, "", false},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			open := w.register(claim.Open)
			e := w.openEpoch(nil, 0)
			a := w.accept(e, open, openJob)
			var flags []uint64
			for i, n := range tt.counts {
				body := protocol.LeafBody(withdrawal)
				if i == 2 {
					body = &protocol.Incident{}
				}
				index := count(w, n, body)
				if slices.Contains(tt.flags, i) {
					flags = append(flags, index)
				}
			}
			r := w.receipt(a, e, flags...)
			o := recorded(t, w.at(w.size(), e))
			p := verify(t, r, o)
			if tt.step != "" {
				wantFailed(t, p, tt.step, "counts")
			} else {
				wantValid(t, p) // according to the log
			}
			o.Scan = w
			p = verify(t, r, o)
			switch {
			case tt.whole:
				wantValid(t, p)
			case tt.step == "":
				wantFailed(t, p, "scan", "of the log counts")
			}
		})
	}
}

// The newest record may be of another history if a policy alone pins the receipt. A scan of
// that history says nothing about the receipt.
func TestScanOfAnotherHistory(t *testing.T) {
	s := sharedScene()
	alice := cosigner(t, "alice.example")
	r := s.receiptFor(s.open, s.first, s.checkpoint(s.size(), s.signer(s.first), alice), s.size(), s.withdrawals...)
	fork := s.fork(s.size() - 2)
	fork.grow(9)
	o := recorded(t, fork.at(fork.size(), s.second))
	o.Policy = parsePolicy(t, fmt.Sprintf("origin %s\nwitness A %s\nquorum A\n", testOrigin, alice.Verifier()))
	o.Scan = fork
	p := verify(t, r, o)
	if !step(p, "identity").OK || step(p, "scan").OK || strings.Count(step(p, "scan").Detail, "could not be scanned: the source shows another tree") != 1 ||
		strings.Count(step(p, "scan").Detail, "could not be scanned") != 1 {
		t.Errorf("%s: %+v, %+v", p.Verdict, step(p, "identity"), step(p, "scan"))
	}
}

type scanner func(size uint64, each func(uint64, []byte) error) error

func (s scanner) Leaves(_ context.Context, size uint64, each func(uint64, []byte) error) error {
	return s(size, each)
}

// A source that does not show the checkpoint's tree proves nothing.
func TestScanOfAnotherLog(t *testing.T) {
	s := sharedScene()
	r := s.receipt(s.open, s.first, s.withdrawals...)
	o := pinned(t, r)
	away := errors.New("the bundle is gone")
	for name, scan := range map[string]scanner{
		"fails": func(size uint64, each func(uint64, []byte) error) error { return away },
		"fails late": func(size uint64, each func(uint64, []byte) error) error {
			return errors.Join(s.Leaves(t.Context(), size, each), away)
		},
		"stops early": func(size uint64, each func(uint64, []byte) error) error { return s.Leaves(t.Context(), size-1, each) },
		"goes on": func(size uint64, each func(uint64, []byte) error) error {
			return errors.Join(s.Leaves(t.Context(), size, each), each(size, s.leaves[0]))
		},
		"not in order": func(size uint64, each func(uint64, []byte) error) error { return each(1, s.leaves[1]) },
		"another leaf": func(size uint64, each func(uint64, []byte) error) error {
			return s.Leaves(t.Context(), size, func(i uint64, leaf []byte) error {
				leaf = slices.Clone(leaf)
				if i == 2 {
					leaf[25] ^= 1
				}
				return each(i, leaf)
			})
		},
		"a leaf that is none": func(size uint64, each func(uint64, []byte) error) error {
			return s.Leaves(t.Context(), size, func(i uint64, leaf []byte) error {
				if i == 2 {
					leaf = []byte("rubbish")
				}
				return each(i, leaf)
			})
		},
		"a wrong count": func(size uint64, each func(uint64, []byte) error) error {
			return s.Leaves(t.Context(), size, func(i uint64, leaf []byte) error {
				leaf = slices.Clone(leaf)
				leaf[29]++
				return each(i, leaf)
			})
		},
	} {
		t.Run(name, func(t *testing.T) {
			o := o
			o.Scan = scan
			detail := "could not be scanned"
			if name == "goes on" || name == "not in order" { // noticed at that leaf
				detail = "comes after leaf"
			}
			wantVerdict(t, verify(t, r, o), receipt.Unavailable, "scan", detail)
		})
	}
	t.Run("a log with a leaf that is none", func(t *testing.T) {
		for name, bad := range map[string]func(w *world) []byte{
			"rubbish":                 func(*world) []byte { return []byte("rubbish") },
			"a leaf of another place": func(w *world) []byte { return w.leaves[0] },
		} {
			w := newWorld(t)
			open := w.register(claim.Open)
			e := w.openEpoch(nil, 0)
			a := w.accept(e, open, openJob)
			w.appendRaw(bad(w))
			w.appendRaw(bad(w))
			w.append(&protocol.Incident{})
			r := w.receipt(a, e)
			o := pinned(t, r)
			wantValid(t, verify(t, r, o))
			o.Scan = w
			p := verify(t, r, o)
			wantFailed(t, p, "scan", "leaf 3 of the log is malformed")
			if p.Withdrawals != receipt.CompleteByCount {
				t.Errorf("%s: withdrawals are %s", name, p.Withdrawals)
			}
		}
	})
	t.Run("a log whose first leaf is none", func(t *testing.T) {
		w := newWorld(t)
		w.appendRaw([]byte("rubbish"))
		open := w.register(claim.Open)
		e := w.openEpoch(nil, 0)
		r := w.receipt(w.accept(e, open, openJob), e)
		o := pinned(t, r)
		o.Scan = w
		wantFailed(t, verify(t, r, o), "scan", "leaf 0 of the log is malformed")
	})
	t.Run("not asked for a failed receipt", func(t *testing.T) {
		bad := clone(r)
		bad.Leaf[len(bad.Leaf)-1] ^= 1
		o := o
		o.Scan = scanner(func(uint64, func(uint64, []byte) error) error { t.Error("was scanned"); return nil })
		wantFailed(t, verify(t, bad, o), "proof", "")
	})
}

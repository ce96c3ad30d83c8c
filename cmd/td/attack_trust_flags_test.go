package main_test

import (
	"slices"

	"github.com/terradourada/td/protocol"
	"github.com/terradourada/td/receipt"
)

// withdrawn is a log in which two strange withdrawals came first and then that
// of the epoch. An honest signer signs it.
type withdrawn struct {
	*forge
	epoch    *forgedEpoch
	index    uint64   // of the accepted leaf
	strange  []uint64 // withdrawals of another epoch and another claim
	own      uint64   // the withdrawal of the epoch
	freeze   uint64   // a control leaf that withdraws nothing
	user     *victim
	note     string // the newest checkpoint
	earlier  string // the one before the withdrawals
	earlySet *receipt.Receipt
}

func (a *attack) withdrawn() *withdrawn {
	a.Helper()
	w := &withdrawn{forge: newForge(a.T)}
	w.epoch = w.begin(w.honestEpoch())
	w.index = w.accept(w.epoch)
	w.earlier = w.now(w.epoch)
	w.earlySet = w.receipt(w.index, w.epoch, w.epoch, w.earlier)
	w.strange = []uint64{
		w.add(&protocol.Control{Action: protocol.ActionRevokeEpoch, Target: protocol.Digest{7}}),
		w.add(&protocol.Control{Action: protocol.ActionRetireVK, Target: protocol.Digest{8}}),
	}
	w.freeze = w.add(&protocol.Control{Action: protocol.ActionFreezeIssue, Target: w.target()})
	w.own = w.add(&protocol.Control{Action: protocol.ActionRevokeEpoch, Target: w.target()})
	w.add(&protocol.Incident{Kind: 1})
	w.note = w.now(w.epoch)
	w.user = newVictim(a.T, "")
	a.want(w.user.trustAdd("--from-operator", w.save("checkpoint", w.note), "--log", w.dir(w.note)), accepted)
	return w
}

// target names the epoch in a control leaf.
func (w *withdrawn) target() (d protocol.Digest) {
	copy(d[:], w.epoch.open.ID[:])
	return d
}

// attackWithdrawals presents a receipt of an epoch that was withdrawn, and
// leaves the withdrawal out.
func (s *siege) attackWithdrawals() {
	s.attack("withdrawals shown as they are", func(a *attack) {
		w := a.withdrawn()
		file := w.file(w.receipt(w.index, w.epoch, w.epoch, w.note, append(w.strange, w.own)...))
		for _, args := range [][]string{{}, {"--strict"}, {"--log", w.dir(w.note), "--scan"}, {"--log", w.dir(w.note), "--scan", "--strict"}} {
			a.want(w.user.verify(file, args...), receipt.Flagged)
		}
		a.want(w.user.audit("--dir", w.dir(w.note)), "valid")
	})
	for _, tt := range []struct {
		name  string
		flags func(w *withdrawn) []uint64
	}{
		{"a receipt without its flags", func(*withdrawn) []uint64 { return nil }},
		{"a receipt with others' flags", func(w *withdrawn) []uint64 { return w.strange }},
		{"a receipt with fewer flags", func(w *withdrawn) []uint64 { return w.strange[:1] }},
	} {
		s.attack(tt.name, func(a *attack) {
			w := a.withdrawn()
			file, dir := w.file(w.receipt(w.index, w.epoch, w.epoch, w.note, tt.flags(w)...)), w.dir(w.note)
			if got := a.want(w.user.verify(file), "valid"); got.report.Withdrawals != receipt.AsPresented {
				a.Errorf("withdrawals are called %s", got.report.Withdrawals)
			}
			a.want(w.user.verify(file, "--strict"), unavailable)
			a.want(w.user.verify(file, "--strict", "--log", dir), unavailable)
			a.want(w.user.verify(file, "--scan", "--log", dir), receipt.Flagged)
			a.want(w.user.verify(file, "--strict", "--scan", "--log", dir), receipt.Flagged)
			// A scan of another log, or of a part, is none.
			for _, other := range []string{w.dir(w.earlier), a.siege.scene.mirror} {
				a.want(w.user.verify(file, "--strict", "--scan", "--log", other), unavailable)
			}
		})
	}
	for _, tt := range []struct {
		name  string
		flags func(w *withdrawn) []uint64
	}{
		{"a flag twice, to make up the number", func(w *withdrawn) []uint64 { return append(w.strange, w.strange[1]) }},
		{"a freeze as a flag, to make up the number", func(w *withdrawn) []uint64 { return append(w.strange, w.freeze) }},
		{"another leaf as a flag, to make up the number", func(w *withdrawn) []uint64 { return append(w.strange, w.size()-1) }},
	} {
		s.attack(tt.name, func(a *attack) {
			w := a.withdrawn()
			flags := slices.Sorted(slices.Values(tt.flags(w)))
			a.want(w.user.verify(w.file(w.receipt(w.index, w.epoch, w.epoch, w.note, flags...))), invalid)
		})
	}
	s.attack("another leaf in the place of the last", func(a *attack) {
		w := a.withdrawn()
		for _, index := range []uint64{0, w.index, w.freeze, w.own} {
			r := w.receipt(w.index, w.epoch, w.epoch, w.note)
			r.Last = w.pair(index, w.note)
			a.want(w.user.verify(w.file(r), "--strict"), invalid)
		}
	})
	s.attack("a core that counts no withdrawal", func(a *attack) {
		f := newForge(a.T)
		e := f.begin(f.honestEpoch())
		index := f.accept(e)
		var target protocol.Digest
		copy(target[:], e.open.ID[:])
		f.add(&protocol.Control{Action: protocol.ActionRevokeEpoch, Target: target})
		f.withdrawals = 0
		f.add(&protocol.Incident{Kind: 1})
		note := f.now(e)
		user := newVictim(a.T, "")
		a.want(user.trustAdd("--from-operator", f.save("checkpoint", note), "--log", f.dir(note)), accepted)
		file := f.file(f.receipt(index, e, e, note))
		a.want(user.verify(file, "--scan", "--strict", "--log", f.dir(note)), invalid, receipt.Flagged)
		a.want(user.audit("--dir", f.dir(note)), invalid)
	})
	s.attack("a receipt from before the withdrawal, with a scan of the log as it is", func(a *attack) {
		w := a.withdrawn() // the user knows the log behind the withdrawal
		file := w.file(w.earlySet)
		a.want(w.user.verify(file, "--strict", "--scan", "--log", w.dir(w.note)), receipt.Flagged)
		a.want(w.user.verify(file, "--scan", "--log", w.dir(w.note)), receipt.Flagged)
	})
}

package receipt_test

import (
	"context"
	"crypto/ed25519"
	"encoding/json"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"filippo.io/torchwood"
	"github.com/google/go-cmp/cmp"
	"golang.org/x/mod/sumdb/tlog"

	"github.com/terradourada/td/claim"
	"github.com/terradourada/td/protocol"
	"github.com/terradourada/td/receipt"
)

var now = time.Date(2026, 8, 1, 12, 0, 0, 0, time.UTC)

// steps are the step names of section 13 in order.
var steps = []string{"leaf", "statement", "context", "proof", "binding", "inclusion", "issued", "checkpoint", "identity"}

const testServer = "https://td.example/"

// live is a source for which a first checkpoint is believed.
var live = receipt.Source{Live: true, Server: testServer}

// pinned returns options that have recorded the checkpoint of r.
func pinned(tb testing.TB, r *receipt.Receipt) receipt.Options {
	tb.Helper()
	c, err := r.Checkpoint()
	if err != nil {
		tb.Fatalf("Checkpoint: %v", err)
	}
	return recorded(tb, c)
}

// recorded returns options that have recorded a checkpoint on first use.
func recorded(tb testing.TB, c *receipt.Checkpoint) receipt.Options {
	tb.Helper()
	o := receipt.Options{Trust: openTrust(tb, tb.TempDir())}
	if _, err := o.Trust.Record(context.Background(), c, nil, live, now); err != nil {
		tb.Fatalf("Record: %v", err)
	}
	return o
}

func openTrust(tb testing.TB, dir string) *receipt.TrustStore {
	tb.Helper()
	trust, err := receipt.OpenTrust(dir)
	if err != nil {
		tb.Fatal(err)
	}
	return trust
}

// verify checks what holds for every report: all steps are in order, and the
// verdict follows from them.
func verify(tb testing.TB, r *receipt.Receipt, o receipt.Options) *receipt.Report {
	tb.Helper()
	p := receipt.Verify(context.Background(), r, o)
	var names []string
	firstFailed := ""
	for _, s := range p.Steps {
		names = append(names, s.Step)
		if !s.OK && firstFailed == "" {
			firstFailed = s.Step
		}
		if s.Detail == "" {
			tb.Errorf("step %s has no detail", s.Step)
		}
		if strings.HasPrefix(s.Detail, "not checked") && s.OK {
			tb.Errorf("step %s is ok but was not checked", s.Step)
		}
	}
	want := steps
	if o.Scan != nil {
		want = append(slices.Clip(want), receipt.StepScan)
	}
	if diff := cmp.Diff(want, names); diff != "" {
		tb.Errorf("steps (-want +got):\n%s", diff)
	}
	positive := p.Verdict == receipt.Valid || p.Verdict == receipt.Flagged && !o.Strict
	if p.OK != positive || p.OK && firstFailed != "" {
		tb.Errorf("verdict %q has ok=%t; first failed step is %q", p.Verdict, p.OK, firstFailed)
	}
	if (p.FailedStep != "") != (firstFailed != "") || p.FailedStep != "" && step(p, p.FailedStep).OK {
		tb.Errorf("failed step is %q, the first that failed is %q", p.FailedStep, firstFailed)
	}
	if p.Warnings == nil || (p.Vouched != nil) != (p.Identity == receipt.Pinned) {
		tb.Errorf("report is %+v", p)
	}
	return p
}

// step returns the line of a step.
func step(p *receipt.Report, name string) receipt.Step {
	return p.Steps[slices.IndexFunc(p.Steps, func(s receipt.Step) bool { return s.Step == name })]
}

func wantValid(tb testing.TB, p *receipt.Report) {
	tb.Helper()
	if !p.OK || p.Verdict != receipt.Valid {
		tb.Errorf("got verdict %q, want valid; report %+v", p.Verdict, p)
	}
}

func wantFailed(tb testing.TB, p *receipt.Report, name, detail string) {
	tb.Helper()
	wantVerdict(tb, p, receipt.Invalid, name, detail)
}

func wantVerdict(tb testing.TB, p *receipt.Report, verdict, name, detail string) {
	tb.Helper()
	if p.OK || p.Verdict != verdict || p.FailedStep != name {
		tb.Fatalf("got verdict %q at step %q, want %s at %q; report %+v", p.Verdict, p.FailedStep, verdict, name, p)
	}
	if got := step(p, name).Detail; !strings.Contains(got, detail) {
		tb.Errorf("step %s says %q, want something about %q", name, got, detail)
	}
}

func TestVerifyAcceptsEachClaim(t *testing.T) {
	s := sharedScene()
	for name, tt := range map[string]struct {
		a       accepted
		by      *epochKey
		binding string
	}{
		"open/1, pull":            {s.open, s.first, "client:"},
		"range/1, push":           {s.ranges, s.first, "operator:"},
		"record-equals/1, pull":   {s.field, s.first, "client:"},
		"signed by a later epoch": {s.open, s.second, "client:"},
	} {
		t.Run(name, func(t *testing.T) {
			r := s.receipt(tt.a, tt.by)
			p := verify(t, r, pinned(t, r))
			wantValid(t, p)
			if p.Identity != receipt.Pinned {
				t.Errorf("identity is %q, want pinned", p.Identity)
			}
			if got := p.Steps[4].Detail; !strings.HasPrefix(got, tt.binding) {
				t.Errorf("binding says %q, want it to begin with %q", got, tt.binding)
			}
		})
	}
}

// There is a receipt for every tree that holds all the leaves.
func TestVerifyAtEverySize(t *testing.T) {
	s := sharedScene()
	for size := s.open.index + 1; size <= s.size(); size++ {
		r := s.receiptAt(s.open, s.first, size)
		if _, err := r.Checkpoint(); err != nil {
			t.Errorf("size %d: %v", size, err)
		}
	}
}

// The library's own verifier reads the log texts as this package does.
func TestLogTextIsForAnyVerifier(t *testing.T) {
	s := sharedScene()
	r := s.receipt(s.open, s.second)
	policy := torchwood.ThresholdPolicy(2, torchwood.OriginPolicy(testOrigin), torchwood.SingleVerifierPolicy(s.signer(s.second).(ed25519Signer).Verifier))
	for _, p := range []receipt.Pair{r.Pair, r.Claim, r.Epoch, r.Signer} {
		if err := torchwood.VerifyProof(policy, tlog.RecordHash(p.Leaf), []byte(p.Log)); err != nil {
			t.Error(err)
		}
	}
}

func TestHandover(t *testing.T) {
	w := newWorld(t)
	open := w.register(claim.Open)
	first := w.openEpoch(nil, 0)
	a := w.accept(first, open, openJob)
	next := w.openEpoch(first, 0)  // over the tree right before its leaf
	later := w.openEpoch(first, 1) // over an older checkpoint
	cold := w.openEpoch(nil, 0)
	// odd is an epoch after the first, with a hand-over that sign makes.
	odd := func(change func(*protocol.EpochOpen)) *epochKey {
		key := newKey(t)
		e := &epochKey{key: key, open: protocol.EpochOpen{Number: 9, Previous: first.open.ID, PreviousIndex: first.index}}
		copy(e.open.CheckpointKey[:], key.Public().(ed25519.PublicKey))
		e.open.ID = protocol.DeriveEpochID(e.open.PublicKey[:], e.open.CheckpointKey)
		change(&e.open)
		e.index = w.append(&e.open)
		return e
	}
	sign := func(key ed25519.PrivateKey, size uint64, root tlog.Hash) func(*protocol.EpochOpen) {
		return func(open *protocol.EpochOpen) { w.handOver(open, key, size, root) }
	}
	for name, tt := range map[string]struct {
		by *epochKey
		ok bool
		in string
	}{
		"itself":                  {first, true, "signed by the key of the epoch itself"},
		"shown":                   {next, true, "handed over by the key of the payload's epoch"},
		"tree not shown":          {later, true, "over a tree that the receipt does not show"},
		"not linked":              {cold, true, "the hand-overs between the two are not shown here"},
		"no hand-over":            {odd(func(*protocol.EpochOpen) {}), true, "did not hand over to it"},
		"over the empty tree":     {odd(sign(first.key, 0, w.root(0))), true, "handed over by"},
		"over a false empty tree": {odd(sign(first.key, 0, tlog.Hash{1})), false, "over another tree"},
		"over a false tree":       {odd(func(o *protocol.EpochOpen) { w.handOver(o, first.key, w.size(), tlog.Hash{1}) }), false, "over another tree"},
		"over the future":         {odd(func(o *protocol.EpochOpen) { w.handOver(o, first.key, w.size()+1, tlog.Hash{1}) }), false, "beyond its leaf"},
		"by another key":          {odd(sign(newKey(t), 1, w.root(1))), false, "not signed by the previous"},
		"another leaf": {odd(func(o *protocol.EpochOpen) {
			o.PreviousIndex++
			w.handOver(o, first.key, 1, w.root(1))
		}), false, "names another leaf"},
	} {
		t.Run(name, func(t *testing.T) {
			r := w.receipt(a, tt.by)
			o := recorded(t, w.at(w.size(), tt.by))
			p := verify(t, r, o)
			if !tt.ok {
				wantFailed(t, p, "checkpoint", tt.in)
				return
			}
			wantValid(t, p)
			if !strings.Contains(step(p, "checkpoint").Detail, tt.in) {
				t.Errorf("checkpoint says %q, want %q", step(p, "checkpoint").Detail, tt.in)
			}
		})
	}
	t.Run("every size of tree", func(t *testing.T) {
		for range 9 {
			w.append(&protocol.Incident{})
			r := w.receipt(a, next)
			p := verify(t, r, pinned(t, r))
			if !strings.Contains(step(p, "checkpoint").Detail, "handed over by the key of the payload's epoch") || strings.Contains(step(p, "checkpoint").Detail, "does not show") {
				t.Errorf("size %d: %q", w.size(), step(p, "checkpoint").Detail)
			}
		}
	})
	t.Run("an epoch opened again with another key", func(t *testing.T) {
		twin := &epochKey{key: newKey(t), open: first.open}
		copy(twin.open.CheckpointKey[:], twin.key.Public().(ed25519.PublicKey))
		twin.index = w.append(&twin.open)
		for name, r := range map[string]*receipt.Receipt{
			"as the epoch":  w.receipt(w.accept(twin, open, openJob), next),
			"as the signer": w.receipt(a, twin),
		} {
			p := verify(t, r, receipt.Options{AllowSelfAsserted: true})
			if p.OK || !strings.Contains(step(p, "inclusion").Detail, "not that of its keys") {
				t.Errorf("%s: %+v", name, step(p, "inclusion"))
			}
		}
	})
	t.Run("an epoch does not sign for a later one", func(t *testing.T) {
		b := w.accept(next, open, openJob)
		for number := range uint64(4) { // of an epoch opened before it, or after it
			older := *first
			older.open.PublicKey[0], older.open.Number = byte(number), number
			older.open.ID = protocol.DeriveEpochID(older.open.PublicKey[:], older.open.CheckpointKey)
			older.index = w.append(&older.open)
			p := verify(t, w.receipt(b, &older), receipt.Options{AllowSelfAsserted: true})
			if want := number > next.open.Number; p.OK != want {
				t.Errorf("epoch 2, signed by an epoch %d opened later: ok is %t, want %t", number, p.OK, want)
			}
		}
		wantFailed(t, verify(t, w.receipt(b, first), receipt.Options{}), "checkpoint", "nor a later one")
	})
	t.Run("an epoch opened before does not sign, whatever its number", func(t *testing.T) {
		w := newWorld(t)
		open := w.register(claim.Open)
		older := &epochKey{key: newKey(t), open: protocol.EpochOpen{Number: 2}}
		copy(older.open.CheckpointKey[:], older.key.Public().(ed25519.PublicKey))
		older.open.ID = protocol.DeriveEpochID(older.open.PublicKey[:], older.open.CheckpointKey)
		older.index = w.append(&older.open)
		e := w.openEpoch(nil, 0)
		wantFailed(t, verify(t, w.receipt(w.accept(e, open, openJob), older), receipt.Options{}), "checkpoint", "nor a later one")
	})
}

func TestIdentity(t *testing.T) {
	s := sharedScene()
	r := s.receipt(s.open, s.first)
	t.Run("self-asserted", func(t *testing.T) {
		p := verify(t, r, receipt.Options{})
		wantVerdict(t, p, receipt.Unvouched, "identity", "anybody could have made this log")
		if p.Identity != receipt.SelfAsserted {
			t.Errorf("identity is %q", p.Identity)
		}
	})
	t.Run("self-asserted, allowed", func(t *testing.T) {
		p := verify(t, r, receipt.Options{AllowSelfAsserted: true})
		wantValid(t, p)
		if p.Identity != receipt.SelfAsserted {
			t.Errorf("identity is %q", p.Identity)
		}
	})
	t.Run("a failed receipt is self-asserted", func(t *testing.T) {
		o := pinned(t, r)
		bad := clone(r)
		bad.Version = 2
		if p := verify(t, bad, o); p.Identity != receipt.SelfAsserted {
			t.Errorf("identity is %q", p.Identity)
		}
	})
	t.Run("a log made from nothing", func(t *testing.T) {
		o := pinned(t, r)
		forged := newWorld(t) // same origin, own keys
		open := forged.register(claim.Open)
		e := forged.openEpoch(nil, 0)
		a := forged.accept(e, open, openJob)
		for forged.size() <= s.size() {
			forged.append(&protocol.Incident{})
		}
		fr := forged.receipt(a, e)
		wantVerdict(t, verify(t, fr, o), receipt.Unvouched, "identity", "a log of this name is recorded")
		// Its own key is tied to nothing, so this is no accusation.
		p := verify(t, fr, receipt.Options{Trust: o.Trust, Log: forged, AllowSelfAsserted: true})
		wantVerdict(t, p, receipt.Unvouched, "identity", "under a key that nothing ties to this log")
		if strings.Contains(step(p, "identity").Detail, ".trust") {
			t.Errorf("the report shows a path of this machine: %q", step(p, "identity").Detail)
		}
	})
	t.Run("two histories under one key", func(t *testing.T) {
		o := pinned(t, r)
		fork := s.fork(s.size() - 1)
		fork.grow(1)
		p := verify(t, fork.receipt(s.open, s.first), receipt.Options{Trust: o.Trust, AllowSelfAsserted: true})
		wantVerdict(t, p, receipt.Contradicted, "identity", "possible split view")
		if strings.Contains(step(p, "identity").Detail, ".trust") {
			t.Errorf("the report shows a path of this machine: %q", step(p, "identity").Detail)
		}
		// The evidence takes precedence over other faults of the receipt.
		a := s.open
		a.claim = s.ranges.claim
		p = verify(t, fork.receipt(a, s.first), receipt.Options{Trust: o.Trust})
		wantVerdict(t, p, receipt.Contradicted, "identity", "possible split view")
		if step(p, "statement").OK {
			t.Error("the claim of another receipt passes")
		}
	})
	t.Run("a damaged store", func(t *testing.T) {
		o := pinned(t, r)
		if err := os.WriteFile(o.Trust.Path(testOrigin), nil, 0o600); err != nil {
			t.Fatal(err)
		}
		p := verify(t, r, receipt.Options{Trust: openTrust(t, filepath.Dir(o.Trust.Path(testOrigin))), AllowSelfAsserted: true})
		wantVerdict(t, p, receipt.Unavailable, "identity", "line 1 is not the header")
		if strings.Contains(step(p, "identity").Detail, ".trust") {
			t.Errorf("the report shows a path of this machine: %q", step(p, "identity").Detail)
		}
	})
	t.Run("a log that cannot be read", func(t *testing.T) {
		o := recorded(t, s.at(s.size()-1, s.first))
		o.Log, o.AllowSelfAsserted = failingLog{}, true
		wantVerdict(t, verify(t, r, o), receipt.Unavailable, "identity", errLog.Error())
	})
}

func TestReportJSON(t *testing.T) {
	s := sharedScene()
	r := s.receipt(s.open, s.first, s.withdrawals...)
	bad := clone(r)
	bad.Version = 2
	for name, tt := range map[string]struct {
		r    *receipt.Receipt
		o    receipt.Options
		want map[string]any
	}{
		"flagged": {r, pinned(t, r), map[string]any{
			"ok": true, "verdict": "flagged", "failed_step": "", "claim": "open/1", "params": map[string]any{},
			"request_id": s.open.opening.RequestID.String(), "epoch": 1., "index": float64(s.open.index),
			"log": testOrigin, "size": float64(s.size()), "time": "2027-01-15T08:00:00.004Z", "identity": "pinned",
			"vouched":     map[string]any{"rule": "recorded", "how": "live", "server": testServer},
			"withdrawals": "complete_by_count", "warnings": []any{},
		}},
		"nothing is known": {bad, receipt.Options{}, map[string]any{
			"ok": false, "verdict": "invalid", "failed_step": "leaf", "claim": "",
			"request_id": "",
			"log":        "", "time": "", "identity": "self_asserted",
			"withdrawals": "", "warnings": []any{},
		}},
	} {
		t.Run(name, func(t *testing.T) {
			b, err := json.Marshal(verify(t, tt.r, tt.o))
			if err != nil {
				t.Fatal(err)
			}
			var got map[string]any
			if err := json.Unmarshal(b, &got); err != nil {
				t.Fatal(err)
			}
			lines := got["steps"].([]any)
			delete(got, "steps")
			if diff := cmp.Diff(tt.want, got); diff != "" {
				t.Errorf("report (-want +got):\n%s", diff)
			}
			first := lines[0].(map[string]any)
			if first["step"] != "leaf" || first["ok"] != tt.want["ok"] || first["detail"] == "" || len(first) != 3 {
				t.Errorf("step is %v", first)
			}
		})
	}
}

func TestGroup(t *testing.T) {
	me := claim.NewMemberSecret()
	list, err := claim.NewList("Orchard council", []protocol.Member{me.Member(), claim.NewMemberSecret().Member(), claim.NewMemberSecret().Member()})
	if err != nil {
		t.Fatal(err)
	}
	p, err := prover()
	if err != nil {
		t.Fatal(err)
	}
	if err := p.AddList(list); err != nil {
		t.Fatal(err)
	}
	vk, err := list.VerifyingKey()
	if err != nil {
		t.Fatal(err)
	}
	w := newWorld(t)
	council := w.registerKey(claim.Group, list.ID(), vk.Encode(), claim.SRSDigest())
	e := w.openEpoch(nil, 0)
	params, err := claim.GroupParams(list, "2026/budget", me)
	if err != nil {
		t.Fatal(err)
	}
	a := w.accept(e, council, job{
		mode: protocol.ModePull, params: string(params), event: `{"vote":"yes"}`,
		commit: func(p *claim.Params, event []byte, blind protocol.Element) (protocol.Commitment, *claim.Assignment, error) {
			return claim.CommitMember(p, event, blind, list, me)
		},
	})
	r := w.receipt(a, e)
	o := pinned(t, r)
	t.Run("without the list", func(t *testing.T) {
		o := o
		o.AllowSelfAsserted = true
		p := verify(t, r, o)
		wantVerdict(t, p, receipt.Unvouched, "statement", "verifying key self-asserted")
		if got := p.Steps[3].Detail; !strings.HasPrefix(got, "not checked") {
			t.Errorf("proof says %q, want not checked", got)
		}
	})
	t.Run("with the list", func(t *testing.T) {
		o := o
		o.Lists = receipt.NewLists(list)
		wantValid(t, verify(t, r, o))
		o.Opening = &a.opening
		p := verify(t, r, o)
		wantValid(t, p)
		if !strings.HasPrefix(p.Steps[4].Detail, "opened:") {
			t.Errorf("binding says %q", p.Steps[4].Detail)
		}
	})
	t.Run("with another list", func(t *testing.T) {
		other, err := claim.NewList("Orchard council", []protocol.Member{me.Member()})
		if err != nil {
			t.Fatal(err)
		}
		o := o
		o.Lists = receipt.NewLists(other)
		wantVerdict(t, verify(t, r, o), receipt.Unvouched, "statement", "verifying key self-asserted")
	})
	t.Run("with the name of another electorate", func(t *testing.T) {
		renamed, err := claim.ParseParams(claim.Group, []byte(strings.Replace(string(params), "Orchard", "Harbour", 1)))
		if err != nil {
			t.Fatal(err)
		}
		b := w.again(a, func(body *protocol.Accepted) {
			body.Params = renamed.Bytes()
			onPayload(func(p *protocol.Payload) {
				st, err := claim.NewStatement(renamed, p.Commitment)
				if err != nil {
					t.Fatal(err)
				}
				p.Statement = st.Digest()
			})(body)
		})
		r := w.receipt(b, e)
		o := pinned(t, r)
		o.Lists = receipt.NewLists(list)
		wantFailed(t, verify(t, r, o), "statement", "do not name this member list")
	})
	t.Run("with a key that is not the list's", func(t *testing.T) {
		w := newWorld(t)
		fake, _ := claim.KnownKey(claim.Open)
		council := w.registerKey(claim.Group, list.ID(), fake.Encode(), claim.SRSDigest())
		e := w.openEpoch(nil, 0)
		a := w.accept(e, council, job{
			params: string(params), event: `{"vote":"yes"}`,
			commit: func(p *claim.Params, event []byte, blind protocol.Element) (protocol.Commitment, *claim.Assignment, error) {
				return claim.CommitMember(p, event, blind, list, me)
			},
		})
		r := w.receipt(a, e)
		o := pinned(t, r)
		o.Lists = receipt.NewLists(list)
		wantFailed(t, verify(t, r, o), "statement", "another verifying key")
	})
}

// An operator may log a claim leaf with any key; only the verifier's own key
// counts.
func TestForeignKeys(t *testing.T) {
	open, _ := claim.KnownKey(claim.Open)
	ranges, _ := claim.KnownKey(claim.Range)
	w := newWorld(t)
	honest := w.register(claim.Open)
	e := w.openEpoch(nil, 0)
	base := w.accept(e, honest, openJob)
	for name, tt := range map[string]struct {
		id     claim.ID
		list   protocol.ListID
		vk     []byte
		srs    protocol.Digest
		detail string
	}{
		"key of another claim": {claim.Open, protocol.ListID{}, ranges.Encode(), claim.SRSDigest(), "another verifying key"},
		"other SRS":            {claim.Open, protocol.ListID{}, open.Encode(), protocol.Digest{1}, "reference string"},
		"unknown claim":        {"open/2", protocol.ListID{}, open.Encode(), claim.SRSDigest(), "does not know the claim"},
		"list on open/1":       {claim.Open, protocol.ListID{1}, open.Encode(), claim.SRSDigest(), "another member list"},
	} {
		t.Run(name, func(t *testing.T) {
			a := base
			a.claim = w.registerKey(tt.id, tt.list, tt.vk, tt.srs)
			a = w.again(a, onPayload(func(p *protocol.Payload) { p.VK = a.claim.vk }))
			wantFailed(t, verify(t, w.receipt(a, e), receipt.Options{}), "statement", tt.detail)
		})
	}
}

// Leaves that an operator could log although no honest core would.
func TestDishonestLeaves(t *testing.T) {
	w := newWorld(t)
	c := w.register(claim.Open)
	e := w.openEpoch(nil, 0)
	base := w.accept(e, c, openJob)
	for name, tt := range map[string]struct {
		change       func(*protocol.Accepted)
		step, detail string
	}{
		"statement of other params": {onPayload(func(p *protocol.Payload) { p.Statement[0] ^= 1 }), "statement", "another statement"},
		"commitment exchanged":      {onPayload(func(p *protocol.Payload) { p.Commitment[31] ^= 1 }), "statement", "another statement"},
		"other fingerprint":         {onPayload(func(p *protocol.Payload) { p.VK[0] ^= 1 }), "statement", "another verifying key than the claim leaf"},
		"other nonce":               {onPayload(func(p *protocol.Payload) { p.Nonce[0] ^= 1 }), "proof", "does not verify"},
		"other mode":                {onPayload(func(p *protocol.Payload) { p.Mode = protocol.ModePush }), "proof", "does not verify"},
		"other anchor":              {func(a *protocol.Accepted) { a.Anchor[31] ^= 1 }, "proof", "does not verify"},
		"issued position":           {func(a *protocol.Accepted) { a.Issued.Position, a.Issued.Size = 1, 2 }, "issued", "not at its position"},
		"issued path":               {func(a *protocol.Accepted) { a.Issued.Path = []protocol.Digest{{}} }, "issued", "not at its position"},
		"issued root":               {func(a *protocol.Accepted) { a.Issued.Root[0] ^= 1 }, "issued", "not at its position"},
		"issued signature":          {func(a *protocol.Accepted) { a.Issued.Signature[0] ^= 1 }, "issued", "not signed by the epoch's checkpoint key"},
		"other t":                   {func(a *protocol.Accepted) { a.TagHash[31] ^= 1 }, "proof", "does not verify"},
		"other proof":               {func(a *protocol.Accepted) { a.Proof[600] ^= 1 }, "proof", "does not verify"},
		"params not canonical":      {func(a *protocol.Accepted) { a.Params = []byte(`{ }`) }, "statement", "canonical"},
		"params of another claim":   {func(a *protocol.Accepted) { a.Params = []byte(rangeJob.params) }, "statement", ""},
	} {
		t.Run(name, func(t *testing.T) {
			r := w.receipt(w.again(base, tt.change), e)
			wantFailed(t, verify(t, r, pinned(t, r)), tt.step, tt.detail)
		})
	}
	for name, change := range map[string]func(*protocol.Payload){
		"other epoch id":     func(p *protocol.Payload) { p.EpochID[0] ^= 1 },
		"other epoch number": func(p *protocol.Payload) { p.EpochNumber++ },
		"other instance":     func(p *protocol.Payload) { p.Instance[0] ^= 1 },
	} {
		t.Run(name, func(t *testing.T) {
			j := openJob
			j.change = change
			r := w.receipt(w.accept(e, c, j), e)
			wantFailed(t, verify(t, r, recorded(t, w.at(w.size(), e))), "inclusion", "another epoch")
		})
	}
	t.Run("claim leaf after the acceptance", func(t *testing.T) {
		a := base
		a.claim = w.register(claim.Open)
		wantFailed(t, verify(t, w.receipt(a, e), receipt.Options{}), "inclusion", "after the accepted leaf")
	})
	t.Run("epoch leaf after the acceptance", func(t *testing.T) {
		late, a := *e, base
		late.index = w.append(&late.open)
		a.epoch = &late
		wantFailed(t, verify(t, w.receipt(a, &late), receipt.Options{}), "inclusion", "after the accepted leaf")
	})
	t.Run("the epoch leaf again, as the signer's", func(t *testing.T) {
		again := *e
		again.index = w.append(&again.open)
		wantFailed(t, verify(t, w.receipt(base, &again), receipt.Options{}), "checkpoint", "nor a later one")
	})
	t.Run("two leaves open one epoch", func(t *testing.T) {
		twin := *e
		twin.key = newKey(t)
		copy(twin.open.CheckpointKey[:], twin.key.Public().(ed25519.PublicKey))
		twin.open.ID = protocol.DeriveEpochID(twin.open.PublicKey[:], twin.open.CheckpointKey)
		twin.index = w.append(&twin.open)
		wantFailed(t, verify(t, w.receipt(base, &twin), receipt.Options{}), "checkpoint", "nor a later one")
	})
}

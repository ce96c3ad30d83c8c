package receipt_test

import (
	"context"
	"crypto/ed25519"
	"encoding/json"
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
var steps = []string{"leaf", "statement", "context", "proof", "binding", "inclusion", "checkpoint", "identity"}

// pinned gives options that have recorded the checkpoint of r.
func pinned(tb testing.TB, r *receipt.Receipt) receipt.Options {
	tb.Helper()
	o := receipt.Options{Trust: openTrust(tb, tb.TempDir())}
	pin(tb, o.Trust, r, nil)
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

func pin(tb testing.TB, trust *receipt.TrustStore, r *receipt.Receipt, log receipt.Log) {
	tb.Helper()
	c, err := r.Checkpoint()
	if err != nil {
		tb.Fatalf("Checkpoint: %v", err)
	}
	if err := trust.Pin(context.Background(), c, log, now); err != nil {
		tb.Fatalf("Pin: %v", err)
	}
}

// verify checks what holds of every report: all steps in order, and a verdict
// that follows from them.
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
	if diff := cmp.Diff(steps, names); diff != "" {
		tb.Errorf("steps (-want +got):\n%s", diff)
	}
	if p.FailedStep != firstFailed || (p.Verdict == receipt.Invalid) != (firstFailed != "") {
		tb.Errorf("verdict %q, failed step %q do not follow from the steps; first failed is %q", p.Verdict, p.FailedStep, firstFailed)
	}
	if p.OK && p.Verdict == receipt.Invalid {
		tb.Error("an invalid receipt is ok")
	}
	return p
}

func wantValid(tb testing.TB, p *receipt.Report) {
	tb.Helper()
	if !p.OK || p.Verdict != receipt.Valid {
		tb.Errorf("got verdict %q, want valid; report %+v", p.Verdict, p)
	}
}

func wantFailed(tb testing.TB, p *receipt.Report, step, detail string) {
	tb.Helper()
	if p.OK || p.Verdict != receipt.Invalid || p.FailedStep != step {
		tb.Fatalf("got verdict %q at step %q, want invalid at %q; report %+v", p.Verdict, p.FailedStep, step, p)
	}
	for _, s := range p.Steps {
		if s.Step == step && !strings.Contains(s.Detail, detail) {
			tb.Errorf("step %s says %q, want something about %q", step, s.Detail, detail)
		}
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

// Every tree that holds all the leaves gives a receipt.
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
	for name, tt := range map[string]struct {
		by   *epochKey
		want string
	}{
		"itself":     {first, "signed by the key of the epoch itself"},
		"shown":      {next, "handed over by the key of the payload's epoch"},
		"not shown":  {later, "is not shown here"},
		"not linked": {cold, "the hand-overs between the two are not shown here"},
	} {
		t.Run(name, func(t *testing.T) {
			r := w.receipt(a, tt.by)
			p := verify(t, r, pinned(t, r))
			wantValid(t, p)
			if !strings.Contains(p.Steps[6].Detail, tt.want) {
				t.Errorf("checkpoint says %q, want %q", p.Steps[6].Detail, tt.want)
			}
		})
	}
	t.Run("every size of tree", func(t *testing.T) {
		for range 9 {
			w.append(&protocol.Incident{})
			r := w.receipt(a, next)
			p := verify(t, r, pinned(t, r))
			if !strings.Contains(p.Steps[6].Detail, "handed over by") {
				t.Errorf("size %d: %q", w.size(), p.Steps[6].Detail)
			}
		}
	})
	t.Run("an epoch does not sign for a later one", func(t *testing.T) {
		b := w.accept(next, open, openJob)
		for number := range uint64(4) { // of an epoch opened before it, or after it
			older := *first
			older.open.ID, older.open.Number = protocol.EpochID{1}, number
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
		older := &epochKey{key: newKey(t), open: protocol.EpochOpen{Number: 2, ID: protocol.EpochID{1}}}
		copy(older.open.CheckpointKey[:], older.key.Public().(ed25519.PublicKey))
		older.index = w.append(&older.open)
		e := w.openEpoch(nil, 0)
		wantFailed(t, verify(t, w.receipt(w.accept(e, open, openJob), older), receipt.Options{}), "checkpoint", "nor a later one")
	})
}

func TestFlags(t *testing.T) {
	s := sharedScene()
	r := s.receipt(s.ranges, s.second, s.revoke, s.retire)
	o := pinned(t, r)
	p := verify(t, r, o)
	if p.Verdict != receipt.Flagged || !p.OK {
		t.Errorf("got %q ok=%t, want flagged and ok", p.Verdict, p.OK)
	}
	for _, want := range []string{"withdraws the epoch", "withdraws the claim"} {
		if !strings.Contains(p.Steps[5].Detail, want) {
			t.Errorf("inclusion says %q, want %q", p.Steps[5].Detail, want)
		}
	}
	o.Strict = true
	if p := verify(t, r, o); p.Verdict != receipt.Flagged || p.OK || p.FailedStep != "" {
		t.Errorf("strict: got %q ok=%t failed step %q, want flagged, not ok, no failed step", p.Verdict, p.OK, p.FailedStep)
	}
	for name, flags := range map[string][]uint64{
		"concerns neither":   {s.other},
		"twice":              {s.revoke, s.revoke},
		"not in log order":   {s.retire, s.revoke},
		"not a control leaf": {s.second.index},
	} {
		t.Run(name, func(t *testing.T) {
			r := s.receipt(s.ranges, s.second, flags...)
			wantFailed(t, verify(t, r, o), "leaf", "")
		})
	}
	t.Run("freezes are no withdrawals", func(t *testing.T) {
		w := newWorld(t)
		open := w.register(claim.Open)
		e := w.openEpoch(nil, 0)
		a := w.accept(e, open, openJob)
		var epoch protocol.Digest
		copy(epoch[:], e.open.ID[:])
		for action := protocol.ActionFreezeIssue; action <= protocol.ActionRevokeEpoch; action++ {
			onClaim := w.append(&protocol.Control{Action: action, Target: open.vk})
			onEpoch := w.append(&protocol.Control{Action: action, Target: epoch})
			o := receipt.Options{AllowSelfAsserted: true}
			if got, want := verify(t, w.receipt(a, e, onClaim), o).OK, action == protocol.ActionRetireVK; got != want {
				t.Errorf("action %d on the claim: ok is %t, want %t", action, got, want)
			}
			if got, want := verify(t, w.receipt(a, e, onEpoch), o).OK, action == protocol.ActionRevokeEpoch; got != want {
				t.Errorf("action %d on the epoch: ok is %t, want %t", action, got, want)
			}
		}
	})
	t.Run("claim of another receipt", func(t *testing.T) {
		wantFailed(t, verify(t, s.receipt(s.open, s.second, s.retire), o), "leaf", "flag 0 does not withdraw")
	})
}

func TestIdentity(t *testing.T) {
	s := sharedScene()
	r := s.receipt(s.open, s.first)
	t.Run("self-asserted", func(t *testing.T) {
		p := verify(t, r, receipt.Options{})
		wantFailed(t, p, "identity", "anybody could have made this log")
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
		wantFailed(t, verify(t, fr, o), "identity", "self-asserted")
		wantFailed(t, verify(t, fr, receipt.Options{Trust: o.Trust, Log: forged}), "identity", "possible split view")
		p := verify(t, fr, receipt.Options{Trust: o.Trust, Log: forged, AllowSelfAsserted: true})
		wantFailed(t, p, "identity", "possible split view")
		if last := p.Steps[len(p.Steps)-1].Detail; strings.Contains(last, ".trust") {
			t.Errorf("the report shows a path of this machine: %q", last)
		}
	})
}

func TestReportJSON(t *testing.T) {
	s := sharedScene()
	b, err := json.Marshal(verify(t, s.receipt(s.open, s.first), receipt.Options{}))
	if err != nil {
		t.Fatal(err)
	}
	var got map[string]any
	if err := json.Unmarshal(b, &got); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"ok", "verdict", "failed_step", "identity", "steps"} {
		if _, ok := got[name]; !ok || len(got) != 5 {
			t.Errorf("report has %d members, %s among them: %t", len(got), name, ok)
		}
	}
	step := got["steps"].([]any)[0].(map[string]any)
	if step["step"] != "leaf" || step["ok"] != true || step["detail"] == "" || len(step) != 3 {
		t.Errorf("step is %v", step)
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
		wantFailed(t, p, "statement", "verifying key self-asserted")
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
		wantFailed(t, verify(t, r, o), "statement", "verifying key self-asserted")
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

// A claim leaf may be logged by an operator with any key he likes; only the
// verifier's own counts.
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

// What an operator could log although no honest core would.
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
			wantFailed(t, verify(t, r, pinnedLog(t, w, e)), "inclusion", "another epoch")
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
	t.Run("two leaves open one epoch", func(t *testing.T) {
		twin := *e
		twin.key = newKey(t)
		copy(twin.open.CheckpointKey[:], twin.key.Public().(ed25519.PublicKey))
		twin.index = w.append(&twin.open)
		wantFailed(t, verify(t, w.receipt(base, &twin), receipt.Options{}), "checkpoint", "nor a later one")
	})
}

// pinnedLog records the present checkpoint of a log directly, for receipts whose
// log part is refused.
func pinnedLog(tb testing.TB, w *world, e *epochKey) receipt.Options {
	tb.Helper()
	c, err := receipt.ParseCheckpoint(string(w.checkpoint(w.size(), w.signer(e))), e.open.CheckpointKey)
	if err != nil {
		tb.Fatal(err)
	}
	o := receipt.Options{Trust: openTrust(tb, tb.TempDir())}
	if err := o.Trust.Pin(context.Background(), c, nil, now); err != nil {
		tb.Fatal(err)
	}
	return o
}

package receipt

import (
	"context"
	"slices"
	"time"

	"github.com/terradourada/td/claim"
	"github.com/terradourada/td/protocol"
)

// The verdicts of a [Report].
const (
	Valid   = "valid"
	Flagged = "flagged" // valid, but the epoch or the claim was withdrawn
	Invalid = "invalid" // some step failed: nothing should rest on this receipt
)

// The identities of a [Report].
const (
	Pinned       = "pinned"        // known to the verifier from elsewhere
	SelfAsserted = "self_asserted" // nothing but the receipt speaks for the log
)

// The steps of section 13, in their order.
const (
	StepLeaf       = "leaf"
	StepStatement  = "statement"
	StepContext    = "context"
	StepProof      = "proof"
	StepBinding    = "binding"
	StepInclusion  = "inclusion"
	StepCheckpoint = "checkpoint"
	StepIdentity   = "identity"
)

// Options are what a verifier brings along. The zero value is the strictest
// verifier: it knows no log, so that no receipt passes.
type Options struct {
	// Policy demands signatures of cosigners or an operator key. If it is
	// given it must be satisfied; Trust then serves only to refuse forks.
	Policy *Policy
	// Trust holds the checkpoints this machine has recorded.
	Trust *TrustStore
	// Log shows that a checkpoint is consistent with a recorded one. It is
	// the one thing here that may use a network.
	Log Log
	// Lists are the member lists that the verifier holds, for group/1.
	Lists *Lists

	// Opening, if given, must open the commitment of the receipt.
	Opening *Opening
	// Client is the client id that the opening must show; "" asks for none and
	// tries protocol.LocalClient.
	Client string
	// Field, if given, must open one field of the record behind the
	// commitment.
	Field *FieldOpening

	// AllowSelfAsserted accepts a log that nothing but the receipt speaks for.
	// It does not accept a self-asserted verifying key, nor a fork.
	AllowSelfAsserted bool
	// Strict makes the verdict flagged a negative one.
	Strict bool
}

// Report is the result of [Verify].
type Report struct {
	OK         bool   `json:"ok"` // the verdict is positive
	Verdict    string `json:"verdict"`
	FailedStep string `json:"failed_step"` // the first step that failed, or ""
	Identity   string `json:"identity"`
	Steps      []Step `json:"steps"` // all of them, in the order of section 13
}

// Step is one line of a report.
type Step struct {
	Step   string `json:"step"`
	OK     bool   `json:"ok"`
	Detail string `json:"detail"` // one sentence for people: what was found, and why
}

// Verify checks a receipt by itself: no server, no clock, and no network unless
// Options.Log uses one, under ctx. Every step gives its own line; one that
// rests on a failed step says "not checked" and is not ok.
func Verify(ctx context.Context, r *Receipt, o Options) *Report {
	v := &verification{ctx: ctx, r: r, o: o, identity: SelfAsserted}
	steps := []struct {
		name  string
		needs []string
		run   func() (detail string, err error)
	}{
		{StepLeaf, nil, v.leaf},
		{StepStatement, []string{StepLeaf}, v.statement},
		{StepContext, []string{StepLeaf}, v.contextElement},
		{StepProof, []string{StepStatement, StepContext}, v.proof},
		{StepBinding, []string{StepStatement}, v.binding},
		{StepInclusion, []string{StepLeaf}, v.inclusion},
		{StepCheckpoint, []string{StepInclusion}, v.signature},
		{StepIdentity, []string{StepCheckpoint}, v.identify},
	}
	report := &Report{Verdict: Valid}
	var failed []string
	for _, s := range steps {
		line := Step{Step: s.name}
		if i := slices.IndexFunc(s.needs, func(n string) bool { return slices.Contains(failed, n) }); i >= 0 {
			line.Detail = "not checked: it rests on the step " + s.needs[i]
		} else if detail, err := s.run(); err != nil {
			line.Detail = sentence(err)
		} else {
			line.OK, line.Detail = true, detail
		}
		if !line.OK {
			failed = append(failed, s.name)
		}
		report.Steps = append(report.Steps, line)
	}
	report.conclude(failed, len(r.Flags) > 0, o.Strict)
	report.Identity = v.identity
	return report
}

func (p *Report) conclude(failed []string, flagged, strict bool) {
	switch {
	case len(failed) > 0:
		p.Verdict, p.FailedStep = Invalid, failed[0]
	case flagged:
		p.Verdict, p.OK = Flagged, !strict
	default:
		p.OK = true
	}
}

// sentence is the detail of a failed step.
func sentence(err error) string {
	if detail := protocol.DetailOf(err); detail != "" {
		return detail
	}
	return err.Error()
}

// verification is one run of [Verify]; each step leaves what later ones need.
type verification struct {
	ctx context.Context
	r   *Receipt
	o   Options

	// step leaf
	accepted, claimed, epoch, signer entry
	flags                            []entry
	body                             *protocol.Accepted
	payload                          protocol.Payload

	// step statement
	fact *claim.Statement
	key  *claim.VerifyingKey

	c          protocol.Element // step context
	checkpoint *Checkpoint      // step checkpoint
	identity   string           // step identity
}

// entry is a parsed pair.
type entry struct {
	raw  []byte
	leaf protocol.Leaf
	log  *logText
}

func (e *entry) epochOpen() *protocol.EpochOpen { return e.leaf.Body.(*protocol.EpochOpen) }

// logTime is the time of a leaf, which is the operator's word.
func (e *entry) logTime() string {
	return time.UnixMilli(int64(e.leaf.Time)).UTC().Format("2006-01-02 15:04:05 UTC")
}

// Checkpoint verifies the log part of a receipt, steps leaf, inclusion and
// checkpoint, and gives the checkpoint for [TrustStore.Pin]. Whether its log is
// the right one is not asked.
func (r *Receipt) Checkpoint() (*Checkpoint, error) {
	v := &verification{r: r}
	for _, step := range []func() (string, error){v.leaf, v.inclusion, v.signature} {
		if _, err := step(); err != nil {
			return nil, err
		}
	}
	return v.checkpoint, nil
}

package receipt

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"slices"
	"time"

	"github.com/terradourada/td/claim"
	"github.com/terradourada/td/protocol"
)

// The verdicts of a [Report]. If several apply, it is the first of
// contradicted, invalid, flagged, unvouched, unavailable.
const (
	Valid        = "valid"
	Flagged      = "flagged"      // valid, but the epoch or the claim was withdrawn
	Invalid      = "invalid"      // false, forged or damaged: do not rely on this receipt
	Contradicted = "contradicted" // the log showed two histories: keep the evidence
	Unvouched    = "unvouched"    // nothing shows whose log, or whose verifying key, it is
	Unavailable  = "unavailable"  // something that was requested could not be read
)

// The identities of a [Report].
const (
	Pinned       = "pinned"        // known to the verifier from elsewhere
	SelfAsserted = "self_asserted" // only the receipt itself names the log
)

// How complete the withdrawals up to the checkpoint are in a [Report].
const (
	AsPresented     = "as_presented"      // the presenter of the receipt may have left some out
	CompleteByCount = "complete_by_count" // all that the log itself counts are present
	CompleteByScan  = "complete_by_scan"  // every leaf was read
)

// The steps of section 13, in their order.
const (
	StepLeaf       = "leaf"
	StepStatement  = "statement"
	StepContext    = "context"
	StepProof      = "proof"
	StepBinding    = "binding"
	StepInclusion  = "inclusion"
	StepIssued     = "issued"
	StepCheckpoint = "checkpoint"
	StepIdentity   = "identity"
	StepScan       = "scan" // only with Options.Scan
)

// Options are the inputs of a verifier besides the receipt. The zero value is
// the strictest verifier: it knows no log, so it accepts no receipt.
type Options struct {
	// Policy requires signatures of cosigners or an operator key. If it is given
	// it decides alone; Trust then serves only to refuse contradictions.
	Policy *Policy
	// Cosigned, if given, is a checkpoint that satisfies Policy for every earlier one
	// of its log that Log proves to be a prefix of it.
	Cosigned *Checkpoint
	// Trust holds the checkpoints this machine has recorded.
	Trust *TrustStore
	// Log proves that a checkpoint is consistent with a recorded one. It may use
	// a network.
	Log Log
	// Live returns the newest checkpoint of the log as its own server shows it
	// now, and where it was read. It is called only if nothing recorded pins the
	// receipt's checkpoint, and for Scan; if it is itself pinned it counts as V
	// for this run.
	Live func(context.Context) (*Checkpoint, Source, error)
	// Scan, if given, is read in search of withdrawals that the receipt does not
	// show. It is read from the first leaf to the last of the checkpoint's tree,
	// or of the greatest tree that Trust or Live vouches for: a withdrawal may
	// be younger than the receipt. It adds a step.
	Scan Scanner
	// Lists are the member lists that the verifier holds, for group/1.
	Lists *Lists

	// Opening, if given, must open the commitment of the receipt.
	Opening *Opening
	// Client is the client id that the opening must show; "" requires none and
	// tries protocol.LocalClient.
	Client string
	// Field, if given, must open one field of the record behind the
	// commitment.
	Field *FieldOpening

	// AllowSelfAsserted accepts a log that nothing but the receipt vouches for.
	// It does not accept a self-asserted verifying key, nor a contradiction.
	AllowSelfAsserted bool
	// Strict makes the verdict flagged a negative one. Withdrawals that are known
	// only as presented make the verdict unavailable.
	Strict bool
}

// Report is the result of [Verify]. Members are empty or absent if the step
// that shows them failed.
type Report struct {
	OK          bool            `json:"ok"` // the verdict is positive
	Verdict     string          `json:"verdict"`
	FailedStep  string          `json:"failed_step"`      // the first step that led to the verdict, or ""
	Claim       string          `json:"claim"`            // id, shown by step statement
	Params      json.RawMessage `json:"params,omitempty"` // canonical, shown by step statement
	RequestID   string          `json:"request_id"`       // shown by step leaf
	Epoch       *uint64         `json:"epoch,omitempty"`  // number, shown by step inclusion
	Index       *uint64         `json:"index,omitempty"`  // of the accepted leaf, shown by step inclusion
	Log         string          `json:"log"`              // origin, shown by step checkpoint
	Size        *uint64         `json:"size,omitempty"`   // of the checkpoint's tree, shown by step checkpoint
	Time        string          `json:"time"`             // RFC 3339 UTC, of the accepted leaf, by the operator's clock
	Identity    string          `json:"identity"`
	Vouched     *Standing       `json:"vouched,omitempty"` // absent unless the identity is pinned
	Withdrawals string          `json:"withdrawals"`
	Warnings    []string        `json:"warnings"` // sentences for people
	Steps       []Step          `json:"steps"`    // in the order of section 13; StepScan last if Scan was given
	Reason      error           `json:"-"`        // why FailedStep failed, for programs; it may name files of this machine
}

// Step is one line of a report.
type Step struct {
	Step   string `json:"step"`
	OK     bool   `json:"ok"`
	Detail string `json:"detail"` // one sentence for people: what was found, and why

	Skipped bool `json:"-"` // not checked, because a step that it rests on is not ok
}

// skip says that a step was not checked, and because of which other one.
func (s *Step) skip(rests string) {
	s.Skipped, s.Detail = true, "not checked: it rests on the step "+rests
}

// failure describes why a step failed and the verdict that follows. The
// verdict of any other error is Invalid.
type failure struct {
	verdict, detail string
	err             error // the cause of the detail, nil if there is none
}

func (f *failure) Error() string { return f.detail }

func (f *failure) Unwrap() error { return f.err }

// Verify checks a receipt offline: it uses no server and no clock, and no
// network unless Options.Log, Live or Scan uses one, under ctx. Every step has
// its own line. If a step depends on a failed one, its line says "not checked"
// and is not ok.
func Verify(ctx context.Context, r *Receipt, o Options) *Report {
	v := &verification{ctx: ctx, r: r, o: o, report: Report{
		Verdict: Valid, Identity: SelfAsserted, Warnings: []string{},
	}}
	for _, s := range []struct {
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
		{StepIssued, []string{StepInclusion}, v.issued},
		{StepCheckpoint, []string{StepInclusion}, v.signature},
		{StepIdentity, []string{StepCheckpoint}, v.identify},
	} {
		line := Step{Step: s.name}
		if i := slices.IndexFunc(s.needs, func(n string) bool { return !v.report.step(n).OK }); i >= 0 {
			line.skip(s.needs[i])
		} else if detail, err := s.run(); err != nil {
			line.Detail = sentence(err)
			v.report.judge(err, s.name)
		} else {
			line.OK, line.Detail = true, detail
		}
		v.report.Steps = append(v.report.Steps, line)
	}
	v.scan()
	v.conclude()
	return &v.report
}

func (p *Report) step(name string) *Step {
	return &p.Steps[slices.IndexFunc(p.Steps, func(s Step) bool { return s.Step == name })]
}

// severity orders verdicts; the first one that applies decides.
var severity = []string{Contradicted, Invalid, Flagged, Unvouched, Unavailable, Valid}

// judge records the verdict of a failed step if it is more severe than the one so
// far.
func (p *Report) judge(err error, step string) {
	if verdict := verdictOf(err); slices.Index(severity, verdict) < slices.Index(severity, p.Verdict) {
		p.Verdict, p.FailedStep, p.Reason = verdict, step, err
	}
}

func verdictOf(err error) string {
	if f := (*failure)(nil); errors.As(err, &f) {
		return f.verdict
	}
	return Invalid
}

// conclude adds what no step decides: the withdrawals.
func (v *verification) conclude() {
	p := &v.report
	if p.Verdict == Valid && len(v.withdrawn) > 0 {
		p.Verdict = Flagged
	}
	if p.Verdict == Valid && v.o.Strict && p.Withdrawals == AsPresented {
		p.Verdict = Unavailable
		p.Warnings = append(p.Warnings, "the receipt does not show every withdrawal that the log counts, which strict asks for: have the log scanned, or get the receipt again")
	}
	p.OK = p.Verdict == Valid || p.Verdict == Flagged && !v.o.Strict
}

// sentence is the detail of a failed step.
func sentence(err error) string { return cmp.Or(protocol.DetailOf(err), err.Error()) }

// verification is one run of [Verify]; each step stores what later ones need.
type verification struct {
	ctx context.Context
	r   *Receipt
	o   Options

	// step leaf
	all                                    []entry // in the order of Receipt.pairs
	accepted, claimed, epoch, signer, last entry
	flags                                  []entry
	body                                   *protocol.Accepted
	payload                                protocol.Payload

	// step statement
	fact *claim.Statement
	key  *claim.VerifyingKey

	c          protocol.Element // step context
	checkpoint *Checkpoint      // step checkpoint
	withdrawn  []uint64         // leaves that withdraw this epoch or claim
	report     Report
}

// entry is a parsed pair.
type entry struct {
	raw  []byte
	leaf protocol.Leaf
	log  *logText
}

func (e *entry) epochOpen() *protocol.EpochOpen { return e.leaf.Body.(*protocol.EpochOpen) }

// logTime returns the time of a leaf, which is set by the operator.
func logTime(l *protocol.Leaf) string {
	return time.UnixMilli(int64(l.Time)).UTC().Format("2006-01-02 15:04:05 UTC")
}

// Checkpoint verifies the log part of a receipt, steps leaf, inclusion and
// checkpoint, and returns the checkpoint for a [TrustStore]. It does not check
// whether this is the right log.
func (r *Receipt) Checkpoint() (*Checkpoint, error) {
	v := &verification{r: r}
	for _, step := range []func() (string, error){v.leaf, v.inclusion, v.signature} {
		if _, err := step(); err != nil {
			return nil, err
		}
	}
	return v.checkpoint, nil
}

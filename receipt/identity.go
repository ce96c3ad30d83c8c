package receipt

import (
	"errors"
	"fmt"
	"io/fs"
	"sync"

	"github.com/terradourada/td/claim"
	"github.com/terradourada/td/protocol"
)

// identify is step 9: it decides whose log this is. The records come first,
// since a proved contradiction refuses a receipt even if a policy is
// satisfied.
func (v *verification) identify() (string, error) {
	s, err := v.recorded()
	v.report.Warnings = append(v.report.Warnings, s.Warnings...)
	if v.o.Policy != nil {
		s, err = v.decide(s, err)
	}
	if err == nil {
		v.report.Identity, v.report.Vouched = Pinned, &s
		return s.sentence(), nil
	}
	// The sentence does not name files of this machine, because the report may
	// be sent elsewhere. a report may go to another one.
	detail, verdict := sentence(err), Unvouched
	contradiction, damaged, short := (*ContradictionError)(nil), (*DamagedError)(nil), (*ShortError)(nil)
	switch {
	case errors.As(err, &contradiction) && contradiction.Vouched:
		verdict = Contradicted
		if contradiction.Note != "" {
			break
		}
		detail = fmt.Sprintf("possible split view: log %s contradicts the checkpoint of size %d recorded on this machine; keep the trust store and this receipt as evidence", contradiction.Origin, contradiction.Size)
	case contradiction != nil:
	case errors.As(err, &damaged):
		verdict = Unavailable
		detail = fmt.Sprintf("a file of the trust store cannot be used: line %d %s", damaged.Line, damaged.Reason)
	case !isUnvouched(err):
		verdict = Unavailable
	case v.o.AllowSelfAsserted:
		return "self-asserted, which was allowed: anybody could have made this log", nil
	case errors.As(err, &short):
		verdict = Unavailable
	case !errors.Is(err, ErrNotShown) && !errors.As(err, new(*BindingError)):
		detail = "self-asserted: anybody could have made this log; " + detail
	}
	return "", &failure{verdict, detail, err}
}

var errNoStore = errors.New("this verifier keeps no trust store")

// recorded checks the checkpoint against the records, and with the log's own
// server if they do not suffice.
func (v *verification) recorded() (Standing, error) {
	if v.o.Trust == nil {
		return Standing{}, errNoStore
	}
	s, err := v.o.Trust.Check(v.ctx, v.checkpoint, v.o.Log, Source{})
	again := errors.Is(err, ErrOtherKey) || errors.Is(err, ErrNotShown)
	if !again || v.o.Live == nil || v.o.Policy != nil {
		return s, err
	}
	live, from, failed := v.o.Live(v.ctx)
	switch {
	case failed != nil:
		return s, fmt.Errorf("%s; the log's own server could not be read: %w", sentence(err), failed)
	case live.Origin != v.checkpoint.Origin:
		s.Warnings = append(s.Warnings, "the server that was read keeps another log: "+live.Origin)
		return s, err
	}
	return v.o.Trust.checkBeside(v.ctx, v.checkpoint, v.o.Log, live, from)
}

// decide lets the policy decide alone; of what the records show, only a
// contradiction and damage remain.
func (v *verification) decide(s Standing, recorded error) (Standing, error) {
	err := v.o.Policy.Check(v.checkpoint)
	later := err != nil && v.o.Cosigned != nil
	if later {
		err = v.cosigned()
	}
	if c := (*ContradictionError)(nil); errors.As(recorded, &c) {
		vouched := *c
		vouched.Vouched = c.Vouched || err == nil
		return s, &vouched
	}
	if errors.As(recorded, new(*DamagedError)) {
		return s, recorded
	}
	if recorded != nil && !isUnvouched(recorded) {
		v.report.Warnings = append(v.report.Warnings, "the checkpoint was not compared with the records of this machine: "+sentence(recorded))
	}
	if err != nil {
		return s, err
	}
	return Standing{Rule: RulePolicy, How: VouchPolicy, Server: s.Server, later: later}, nil
}

// cosigned verifies that the checkpoint is a proved prefix of the later one of the
// options, which satisfies the policy.
func (v *verification) cosigned() error {
	c := v.o.Cosigned
	if err := v.o.Policy.Check(c); err != nil {
		return err
	}
	switch {
	case c.Origin != v.checkpoint.Origin:
		return fmt.Errorf("%w: the cosigned checkpoint is of another log", errPolicy)
	case c.Size < v.checkpoint.Size:
		return fmt.Errorf("%w: the cosigned checkpoint is older than the receipt's", errPolicy)
	}
	root, err := PrefixRoot(v.ctx, v.o.Log, v.checkpoint.Size, c)
	if err == nil && root != v.checkpoint.Root {
		err = fmt.Errorf("%w: the cosigned checkpoint is of another history", errPolicy)
	}
	return err
}

// VerdictOf returns the verdict for an error of a [TrustStore] or a [Policy]:
// Contradicted or Unvouched if the checkpoint is refused, Unavailable if a file
// of the store cannot be used, and "" for every other error and for nil. A
// [ShortError] is Unvouched; where nothing else vouches for the checkpoint, the
// missing part is the copy of the log.
func VerdictOf(err error) string {
	var contradiction *ContradictionError
	switch {
	case errors.As(err, &contradiction) && contradiction.Vouched:
		return Contradicted
	case contradiction != nil, isUnvouched(err):
		return Unvouched
	case errors.As(err, new(*DamagedError)), errors.As(err, new(*fs.PathError)):
		return Unavailable
	}
	return ""
}

func isContradiction(err error) bool { return errors.As(err, new(*ContradictionError)) }

// isUnvouched reports whether an error means that nothing shows whose log it
// is, rather than that something could not be read.
func isUnvouched(err error) bool {
	for _, e := range []error{ErrUnknownLog, ErrNotShown, ErrOtherKey, errNoStore, errPolicy} {
		if errors.Is(err, e) {
			return true
		}
	}
	return errors.As(err, new(*BindingError))
}

// sentence is the detail of the step for a pinned checkpoint.
func (s *Standing) sentence() string {
	known := "a recorded checkpoint, vouched for as " + string(s.How)
	recorded := "this machine has recorded this very checkpoint, vouched for as " + string(s.How)
	if s.now {
		known = "the checkpoint that the log's own server shows now"
		recorded = "the log's own server shows this checkpoint now"
	}
	detail := "pinned: " + map[string]string{
		RuleRecorded: recorded,
		RulePrefix:   "it is a proved prefix of " + known,
		RuleSameKey:  "it extends " + known + ", under the same key",
		RuleHandOver: "it extends " + known + ", and hand-overs lead from that key to this one",
		RulePolicy:   "the policy file is satisfied",
	}[s.Rule]
	if s.later {
		detail += " by a later checkpoint, of which it is a proved prefix"
	}
	if s.Server != "" {
		detail += "; the log is bound to server " + s.Server
	}
	return detail
}

// Lists are member lists with their verifying keys. A key is built when it is
// first needed, which takes hundreds of milliseconds, and then kept. Lists may
// be used concurrently; a nil *Lists has none.
type Lists struct {
	keys map[protocol.ListID]func() (*claim.VerifyingKey, error)
	byID map[protocol.ListID]*claim.List
}

// NewLists makes the set of the given lists.
func NewLists(lists ...*claim.List) *Lists {
	s := &Lists{map[protocol.ListID]func() (*claim.VerifyingKey, error){}, map[protocol.ListID]*claim.List{}}
	for _, l := range lists {
		s.byID[l.ID()] = l
		s.keys[l.ID()] = sync.OnceValues(l.VerifyingKey)
	}
	return s
}

// key returns the verifying key of a list, if it is here and is the one the
// parameters name.
func (s *Lists) key(id protocol.ListID, params *claim.Params) (key *claim.VerifyingKey, ok bool, err error) {
	if s == nil || s.byID[id] == nil {
		return nil, false, nil
	}
	if err := params.CheckList(s.byID[id]); err != nil {
		return nil, true, err
	}
	key, err = s.keys[id]()
	return key, true, err
}

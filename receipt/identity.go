package receipt

import (
	"errors"
	"sync"

	"github.com/terradourada/td/claim"
	"github.com/terradourada/td/protocol"
)

// identify is step 9: whose log is it?
func (v *verification) identify() (string, error) {
	standing, err := v.vouch()
	v.report.Warnings = append(v.report.Warnings, standing.Warnings...)
	var f *failure
	switch {
	case err == nil:
		v.report.Identity, v.report.Vouched = Pinned, &standing
		return "pinned: " + standing.sentence(), nil
	case errors.As(err, &f) && f.verdict == Unvouched && v.o.AllowSelfAsserted && !isContradiction(err):
		return "self-asserted, which was allowed: anybody could have made this log", nil
	}
	return "", err
}

// vouch asks the records and the policy. Its errors are failures.
func (v *verification) vouch() (Standing, error) {
	return Standing{}, &failure{Unvouched, errUnfinished.Error()}
}

// Lists are member lists with their verifying keys. A key is built when it is
// first asked for, which takes hundreds of milliseconds, and kept. Lists may be
// used concurrently; a nil *Lists has none.
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

// key gives the verifying key of a list, if it is here and is the one the
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

func isContradiction(err error) bool { return errors.As(err, new(*ContradictionError)) }

func (s *Standing) sentence() string { return s.Rule }

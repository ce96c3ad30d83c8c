package receipt

import (
	"errors"
	"fmt"
	"sync"

	"github.com/terradourada/td/claim"
	"github.com/terradourada/td/protocol"
)

// identify is step 8: whose log is it? A fork of a log recorded here is refused
// whatever else speaks for the receipt.
func (v *verification) identify() (string, error) {
	trust := errors.New("this verifier keeps no trust store")
	if v.o.Trust != nil {
		trust = v.o.Trust.Check(v.ctx, v.checkpoint, v.o.Log)
	}
	if split := (*SplitViewError)(nil); errors.As(trust, &split) {
		// Without the file's path: a report may go to another machine.
		return "", fmt.Errorf("possible split view: log %s contradicts the checkpoint of size %d recorded on this machine; keep the trust store and this receipt as evidence", split.Origin, split.Size)
	}
	reason := trust
	if v.o.Policy != nil {
		reason = v.o.Policy.Check(v.checkpoint)
	}
	switch {
	case reason != nil && v.o.AllowSelfAsserted:
		return "self-asserted, which was allowed: anybody could have made this log", nil
	case reason != nil:
		return "", errors.New("self-asserted: anybody could have made this log; " + sentence(reason))
	}
	v.identity = Pinned
	if v.o.Policy != nil {
		return "pinned: the policy file is satisfied", nil
	}
	return "pinned: recorded on this machine, or shown consistent with what is", nil
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

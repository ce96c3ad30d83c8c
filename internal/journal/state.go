package journal

import (
	"context"
	"database/sql"
	"maps"
	"slices"
	"time"

	"github.com/terradourada/td/protocol"
)

// Operation is what a hold stops.
type Operation uint8

// The two operations that can be held.
const (
	Issue  Operation = 1
	Accept Operation = 2
)

// String returns the word for an operation in an audit row.
func (o Operation) String() string {
	if o == Issue {
		return "issue"
	}
	return "accept"
}

// freeze returns the action that begins a hold on an operation.
func (o Operation) freeze() protocol.ControlAction {
	if o == Issue {
		return protocol.ActionFreezeIssue
	}
	return protocol.ActionFreezeAccept
}

// thaw returns the action that ends a hold on an operation.
func (o Operation) thaw() protocol.ControlAction {
	if o == Issue {
		return protocol.ActionThawIssue
	}
	return protocol.ActionThawAccept
}

// Hold stops one operation, for one claim or for all.
type Hold struct {
	Operation Operation
	VK        protocol.Digest // fingerprint of the claim, zero for all
}

// State is the control state: empty means open.
type State struct {
	Sealed  bool               // everything is stopped permanently
	Sealing bool               // the log is being sealed: nothing is issued any more
	Holds   []Hold             // in order of operation and fingerprint
	By      map[Hold]Entry     // the control leaf that began each hold; do not change it
	Until   map[Hold]time.Time // ends of the holds that end by themselves; do not change it
	Retired []protocol.Digest  // verifying keys withdrawn permanently

	NotDurable int // actions of [Journal.Stop] that are in force and not committed yet
}

// Check refuses an operation: with code frozen if the log is sealed or the claim is held,
// with unknown_claim if its verifying key is retired. The refusals that are permanent are
// [protocol.ErrPermanent].
func (s *State) Check(op Operation, vk protocol.Digest) error {
	switch {
	case s.Sealed || s.Sealing && op == Issue:
		return errSealed()
	case slices.Contains(s.Retired, vk):
		return protocol.Wrap(protocol.CodeUnknownClaim, "the verifying key of this claim was retired", protocol.ErrPermanent)
	case slices.Contains(s.Holds, Hold{op, protocol.Digest{}}):
		return protocol.Fail(protocol.CodeFrozen, "the operator has halted this for all claims")
	case slices.Contains(s.Holds, Hold{op, vk}):
		return protocol.Fail(protocol.CodeFrozen, "the operator has halted this claim")
	}
	return nil
}

func errSealed() error {
	return protocol.Wrap(protocol.CodeFrozen, "the log is sealed for good", protocol.ErrPermanent)
}

// add adds a hold that ends at a time, or never if that is zero. It reports whether the
// hold is new; one that is not ends at the later of both times.
func (s *State) add(h Hold, until time.Time) (isNew bool) {
	isNew = !slices.Contains(s.Holds, h)
	end, ends := s.Until[h]
	if isNew {
		s.Holds = append(s.Holds, h)
	}
	switch {
	case until.IsZero() && ends:
		s.Until = maps.Clone(s.Until)
		delete(s.Until, h)
	case isNew && !until.IsZero(), ends && until.After(end):
		s.Until = maps.Clone(s.Until)
		if s.Until == nil {
			s.Until = make(map[Hold]time.Time)
		}
		s.Until[h] = until
	}
	return isNew
}

// drop ends a hold.
func (s *State) drop(h Hold) {
	s.Holds = slices.DeleteFunc(s.Holds, func(x Hold) bool { return x == h })
	s.By, s.Until = maps.Clone(s.By), maps.Clone(s.Until)
	delete(s.By, h)
	delete(s.Until, h)
}

// Previous returns the state as one byte, the "previous state" of a control
// leaf: bit 0: issue is held for all claims; bit 1: accept is held for all
// claims; bits 2 and 3: the same for at least one claim; bit 4: sealed; bit
// 5: at least one verifying key is retired.
func (s *State) Previous() uint8 {
	var b uint8
	for _, h := range s.Holds {
		bit := uint8(h.Operation)
		if h.VK != (protocol.Digest{}) {
			bit <<= 2
		}
		b |= bit
	}
	if s.Sealed {
		b |= 1 << 4
	}
	if len(s.Retired) > 0 {
		b |= 1 << 5
	}
	return b
}

// Check is [State.Check] of the state that the last committed action left, and of the
// stops that are not committed yet. It costs no query, so the gate calls it for each
// request.
func (j *Journal) Check(op Operation, vk protocol.Digest) error {
	if held := j.stops.state.Load(); held != nil {
		if err := held.Check(op, vk); err != nil {
			return err
		}
	}
	return j.state.Load().Check(op, vk)
}

// State returns the control state that [Journal.Check] decides by.
func (j *Journal) State(context.Context) (State, error) {
	j.stops.mu.Lock()
	defer j.stops.mu.Unlock()
	s := *j.state.Load() // one that was committed is in it, or still held
	s.Holds, s.Retired = slices.Clone(s.Holds), slices.Clone(s.Retired)
	return *merge(s, j.stops.held), nil
}

// The kinds of selectState beside the two operations.
const (
	kindSealed  = 0
	kindRetired = int(protocol.ActionRetireVK)
)

const selectState = `
SELECT 0, zeroblob(32) FROM counter WHERE sealed = 1
UNION ALL SELECT operation, vk FROM holds
UNION ALL SELECT action, target FROM withdrawals WHERE action = 6
ORDER BY 1, 2`

func scanState(rows *sql.Rows) (State, error) {
	defer func() { _ = rows.Close() }() // rows.Err reports it
	var s State
	for rows.Next() {
		var kind int
		var b []byte
		if err := rows.Scan(&kind, &b); err != nil {
			return State{}, err
		}
		vk := protocol.Digest(b)
		switch kind {
		case kindSealed:
			s.Sealed = true
		case kindRetired:
			s.Retired = append(s.Retired, vk)
		default:
			s.Holds = append(s.Holds, Hold{Operation(kind), vk})
		}
	}
	return s, rows.Err()
}

package protocol_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/terradourada/td/protocol"
)

func epochIn(p protocol.EpochPhase, reason protocol.CloseReason) protocol.EpochState {
	return protocol.EpochState{Phase: p, Reason: reason}
}

var epochRows = []struct {
	from    protocol.EpochState
	event   protocol.EpochEvent
	to      protocol.EpochState
	effects string
	code    protocol.Code
}{
	{epochIn(protocol.EpochStarting, 0), protocol.EpochOpened{}, epochIn(protocol.EpochActive, 0), "", 0},
	{epochIn(protocol.EpochStarting, 0), protocol.EpochOpened{OtherActive: true}, epochIn(protocol.EpochStarting, 0), "", protocol.CodeConflict},
	{epochIn(protocol.EpochActive, 0), protocol.EpochOpened{}, epochIn(protocol.EpochActive, 0), "", protocol.CodeInternal},
	{
		epochIn(protocol.EpochActive, 0),
		protocol.EpochDrain{Reason: protocol.CloseRotated},
		epochIn(protocol.EpochDraining, protocol.CloseRotated), "wipe", 0,
	},
	{
		epochIn(protocol.EpochActive, 0),
		protocol.EpochDrain{Reason: protocol.CloseShutdown},
		epochIn(protocol.EpochDraining, protocol.CloseShutdown), "wipe", 0,
	},
	{
		epochIn(protocol.EpochActive, 0),
		protocol.EpochDrain{Reason: protocol.CloseRotated, OtherDraining: true},
		epochIn(protocol.EpochActive, 0), "", protocol.CodeConflict,
	},
	{
		epochIn(protocol.EpochActive, 0),
		protocol.EpochDrain{Reason: protocol.CloseSuspect},
		epochIn(protocol.EpochActive, 0), "", protocol.CodeInternal,
	},
	{
		epochIn(protocol.EpochStarting, 0),
		protocol.EpochDrain{Reason: protocol.CloseRotated},
		epochIn(protocol.EpochStarting, 0), "", protocol.CodeInternal,
	},
	{epochIn(protocol.EpochActive, 0), protocol.EpochIdle{}, epochIn(protocol.EpochActive, 0), "", 0},
	{
		epochIn(protocol.EpochDraining, protocol.CloseRotated),
		protocol.EpochIdle{},
		epochIn(protocol.EpochDestroyed, protocol.CloseRotated), "close stop", 0,
	},
	{
		epochIn(protocol.EpochStarting, 0),
		protocol.EpochFailed{Reason: protocol.CloseDied},
		epochIn(protocol.EpochDestroyed, protocol.CloseDied), "kill invalidate close", 0,
	},
	{
		epochIn(protocol.EpochActive, 0),
		protocol.EpochFailed{Reason: protocol.CloseSuspect},
		epochIn(protocol.EpochDestroyed, protocol.CloseSuspect), "kill invalidate close", 0,
	},
	{
		epochIn(protocol.EpochDraining, protocol.CloseRotated),
		protocol.EpochFailed{Reason: protocol.CloseDied},
		epochIn(protocol.EpochDestroyed, protocol.CloseDied), "kill invalidate close", 0,
	},
	{
		epochIn(protocol.EpochDestroyed, protocol.CloseRotated),
		protocol.EpochFailed{Reason: protocol.CloseDied},
		epochIn(protocol.EpochDestroyed, protocol.CloseRotated), "", 0,
	},
	{epochIn(protocol.EpochDestroyed, protocol.CloseDied), protocol.EpochIdle{}, epochIn(protocol.EpochDestroyed, protocol.CloseDied), "", 0},
	{
		epochIn(protocol.EpochDestroyed, protocol.CloseDied),
		protocol.EpochOpened{},
		epochIn(protocol.EpochDestroyed, protocol.CloseDied), "", protocol.CodeInternal,
	},
	{epochIn(protocol.EpochActive, 0), nil, epochIn(protocol.EpochActive, 0), "", protocol.CodeInternal},
}

func TestStepEpoch(t *testing.T) {
	for _, row := range epochRows {
		name := fmt.Sprintf("%v, %T%+v", row.from.Phase, row.event, row.event)
		to, effects, code := protocol.StepEpoch(row.from, row.event)
		if to != row.to || names(effects) != row.effects || code != row.code {
			t.Errorf("%s: %v %q %v, want %v %q %v", name, to, names(effects), code, row.to, row.effects, row.code)
		}
	}
}

func names[E fmt.Stringer](effects []E) string {
	var s []string
	for _, e := range effects {
		s = append(s, e.String())
	}
	return strings.Join(s, " ")
}

// From every state, whatever happens, the phase never goes back.
func TestEpochNeverComesBack(t *testing.T) {
	events := []protocol.EpochEvent{
		protocol.EpochOpened{},
		protocol.EpochIdle{},
		protocol.EpochFailed{Reason: protocol.CloseDied},
		protocol.EpochDrain{Reason: protocol.CloseRotated},
		protocol.EpochDrain{Reason: protocol.CloseShutdown},
	}
	for p := protocol.EpochStarting; p <= protocol.EpochDestroyed; p++ {
		for _, e := range events {
			to, effects, _ := protocol.StepEpoch(protocol.EpochState{Phase: p}, e)
			if to.Phase < p {
				t.Errorf("%v goes back to %v by %T", p, to.Phase, e)
			}
			if p == protocol.EpochDestroyed && (to != protocol.EpochState{Phase: p} || effects != nil) {
				t.Errorf("a destroyed epoch does something on %T", e)
			}
		}
		if got, want := p.Live(), p == protocol.EpochActive || p == protocol.EpochDraining; got != want {
			t.Errorf("%v is live = %t", p, got)
		}
	}
}

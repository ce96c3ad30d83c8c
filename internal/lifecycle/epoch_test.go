package lifecycle_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/terradourada/td/internal/lifecycle"
	"github.com/terradourada/td/protocol"
)

func epochIn(p lifecycle.EpochPhase, reason protocol.CloseReason) lifecycle.EpochState {
	return lifecycle.EpochState{Phase: p, Reason: reason}
}

var epochRows = []struct {
	from    lifecycle.EpochState
	event   lifecycle.EpochEvent
	to      lifecycle.EpochState
	effects string
	code    protocol.Code
}{
	{epochIn(lifecycle.EpochStarting, 0), lifecycle.EpochOpened{}, epochIn(lifecycle.EpochActive, 0), "", 0},
	{epochIn(lifecycle.EpochStarting, 0), lifecycle.EpochOpened{OtherActive: true}, epochIn(lifecycle.EpochStarting, 0), "", protocol.CodeConflict},
	{epochIn(lifecycle.EpochActive, 0), lifecycle.EpochOpened{}, epochIn(lifecycle.EpochActive, 0), "", protocol.CodeInternal},
	{
		epochIn(lifecycle.EpochActive, 0),
		lifecycle.EpochDrain{Reason: protocol.CloseRotated},
		epochIn(lifecycle.EpochDraining, protocol.CloseRotated), "wipe", 0,
	},
	{
		epochIn(lifecycle.EpochActive, 0),
		lifecycle.EpochDrain{Reason: protocol.CloseShutdown},
		epochIn(lifecycle.EpochDraining, protocol.CloseShutdown), "wipe", 0,
	},
	{
		epochIn(lifecycle.EpochActive, 0),
		lifecycle.EpochDrain{Reason: protocol.CloseRotated, Draining: lifecycle.MaxDraining},
		epochIn(lifecycle.EpochActive, 0), "", protocol.CodeConflict,
	},
	{
		epochIn(lifecycle.EpochActive, 0),
		lifecycle.EpochDrain{Reason: protocol.CloseShutdown, Draining: lifecycle.MaxDraining, Last: true},
		lifecycle.EpochState{Phase: lifecycle.EpochDraining, Reason: protocol.CloseShutdown, Last: true},
		"wipe", 0,
	},
	{
		epochIn(lifecycle.EpochActive, 0),
		lifecycle.EpochDrain{Reason: protocol.CloseRotated, Last: true},
		epochIn(lifecycle.EpochActive, 0), "", protocol.CodeInternal,
	},
	{
		lifecycle.EpochState{Phase: lifecycle.EpochDraining, Reason: protocol.CloseShutdown, Last: true},
		lifecycle.EpochIdle{},
		lifecycle.EpochState{Phase: lifecycle.EpochDestroyed, Reason: protocol.CloseShutdown, Last: true},
		"close seal stop", 0,
	},
	{
		lifecycle.EpochState{Phase: lifecycle.EpochDraining, Reason: protocol.CloseShutdown, Last: true},
		lifecycle.EpochFailed{Reason: protocol.CloseDied},
		epochIn(lifecycle.EpochDestroyed, protocol.CloseDied), "kill invalidate close", 0,
	},
	{
		epochIn(lifecycle.EpochActive, 0),
		lifecycle.EpochDrain{Reason: protocol.CloseSuspect},
		epochIn(lifecycle.EpochActive, 0), "", protocol.CodeInternal,
	},
	{
		epochIn(lifecycle.EpochStarting, 0),
		lifecycle.EpochDrain{Reason: protocol.CloseRotated},
		epochIn(lifecycle.EpochStarting, 0), "", protocol.CodeInternal,
	},
	{epochIn(lifecycle.EpochActive, 0), lifecycle.EpochIdle{}, epochIn(lifecycle.EpochActive, 0), "", 0},
	{
		epochIn(lifecycle.EpochDraining, protocol.CloseRotated),
		lifecycle.EpochIdle{},
		epochIn(lifecycle.EpochDestroyed, protocol.CloseRotated), "close stop", 0,
	},
	{
		epochIn(lifecycle.EpochStarting, 0),
		lifecycle.EpochFailed{Reason: protocol.CloseDied},
		epochIn(lifecycle.EpochDestroyed, protocol.CloseDied), "kill invalidate close", 0,
	},
	{
		epochIn(lifecycle.EpochActive, 0),
		lifecycle.EpochFailed{Reason: protocol.CloseSuspect},
		epochIn(lifecycle.EpochDestroyed, protocol.CloseSuspect), "kill invalidate close", 0,
	},
	{
		epochIn(lifecycle.EpochDraining, protocol.CloseRotated),
		lifecycle.EpochFailed{Reason: protocol.CloseDied},
		epochIn(lifecycle.EpochDestroyed, protocol.CloseDied), "kill invalidate close", 0,
	},
	{
		epochIn(lifecycle.EpochDestroyed, protocol.CloseRotated),
		lifecycle.EpochFailed{Reason: protocol.CloseDied},
		epochIn(lifecycle.EpochDestroyed, protocol.CloseRotated), "", 0,
	},
	{epochIn(lifecycle.EpochDestroyed, protocol.CloseDied), lifecycle.EpochIdle{}, epochIn(lifecycle.EpochDestroyed, protocol.CloseDied), "", 0},
	{
		epochIn(lifecycle.EpochDestroyed, protocol.CloseDied),
		lifecycle.EpochOpened{},
		epochIn(lifecycle.EpochDestroyed, protocol.CloseDied), "", protocol.CodeInternal,
	},
	{epochIn(lifecycle.EpochActive, 0), nil, epochIn(lifecycle.EpochActive, 0), "", protocol.CodeInternal},
}

func TestStepEpoch(t *testing.T) {
	for _, row := range epochRows {
		name := fmt.Sprintf("%v, %T%+v", row.from.Phase, row.event, row.event)
		to, effects, code := lifecycle.StepEpoch(row.from, row.event)
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

// TestEpochNeverComesBack: no event moves an epoch to an earlier phase.
func TestEpochNeverComesBack(t *testing.T) {
	events := []lifecycle.EpochEvent{
		lifecycle.EpochOpened{},
		lifecycle.EpochIdle{},
		lifecycle.EpochFailed{Reason: protocol.CloseDied},
		lifecycle.EpochDrain{Reason: protocol.CloseRotated},
		lifecycle.EpochDrain{Reason: protocol.CloseShutdown},
		lifecycle.EpochDrain{Reason: protocol.CloseShutdown, Last: true},
	}
	for p := lifecycle.EpochStarting; p <= lifecycle.EpochDestroyed; p++ {
		for _, e := range events {
			to, effects, _ := lifecycle.StepEpoch(lifecycle.EpochState{Phase: p}, e)
			if to.Phase < p {
				t.Errorf("%v goes back to %v by %T", p, to.Phase, e)
			}
			if p == lifecycle.EpochDestroyed && (to != lifecycle.EpochState{Phase: p} || effects != nil) {
				t.Errorf("a destroyed epoch does something on %T", e)
			}
		}
		if got, want := p.Live(), p == lifecycle.EpochActive || p == lifecycle.EpochDraining; got != want {
			t.Errorf("%v is live = %t", p, got)
		}
	}
}

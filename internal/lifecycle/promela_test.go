package lifecycle_test

import (
	"fmt"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/terradourada/td/internal/lifecycle"
	"github.com/terradourada/td/protocol"
)

//go:generate go test -count=1 -run "^(TestLifecycleTable|TestPromela)$" -update .

const promelaHead = `/* Generated from lifecycle.Step, StepEpoch and StepOpening by their tests; do not edit.
   A pair of state and event that is not listed leaves the state; only models with planted
   faults may reach one. */

`

// TestPromela compares the transitions of the model with the state machines.
// INVALIDATED and REJECTED are one state each there, whatever the reason.
func TestPromela(t *testing.T) {
	const path = "../../model/step.pml"
	got := promelaHead + promelaStep() + promelaEpoch() + promelaOpening()
	if *update {
		if err := os.WriteFile(path, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if got != string(want) {
		t.Errorf("%s is not what the state machines do; look at the change and run the test with -update", path)
	}
}

// symbol returns a name as a symbol of the preprocessor.
func symbol(prefix, name string) string {
	name = regexp.MustCompile(`[^A-Za-z0-9]+`).ReplaceAllString(name, "_")
	return prefix + strings.ToUpper(strings.Trim(name, "_"))
}

// define numbers symbols in their order.
func define(b *strings.Builder, symbols []string) {
	for i, s := range symbols {
		fmt.Fprintf(b, "#define %s %d\n", s, i)
	}
	b.WriteString("\n")
}

// transitions are the options of one machine: for each state, events by result.
type transitions struct {
	b      strings.Builder
	states []string
}

func (tr *transitions) state(s string, rows []lifecycleRow) {
	tr.states = append(tr.states, s)
	for _, row := range rows {
		events := make([]string, len(row.events))
		for i, e := range row.events {
			events[i] = "e == " + e
		}
		fmt.Fprintf(&tr.b, "\t:: s == %s && (%s) -> %s\n", s, strings.Join(events, " || "), row.result)
	}
}

func (tr *transitions) inline(name string) string {
	return fmt.Sprintf("inline %s(s, e) {\n\tif\n%s\t:: else -> assert(may_misuse); nx = s; fx = 0\n\tfi\n}\n\n", name, tr.b.String())
}

// addResult appends an event to the row with this result.
func addResult(rows []lifecycleRow, result, event string) []lifecycleRow {
	i := slices.IndexFunc(rows, func(r lifecycleRow) bool { return r.result == result })
	if i < 0 {
		i, rows = len(rows), append(rows, lifecycleRow{result: result})
	}
	if !slices.Contains(rows[i].events, event) {
		rows[i].events = append(rows[i].events, event)
	}
	return rows
}

func stateSymbol(s lifecycle.State) string {
	name := s.Phase.String()
	if s.Stage != lifecycle.StageNone {
		name += " " + s.Stage.String()
	}
	return symbol("S_", name)
}

func promelaStep() string {
	var b strings.Builder
	var tr transitions
	var events, effects []string
	for _, e := range stepEvents {
		events = append(events, symbol("E_", e.name))
	}
	for f := lifecycle.EffectNone; f.String() != "invalid"; f++ {
		effects = append(effects, effectSymbol(f))
	}
	for i, s := range stepStates {
		if i > 0 && stateSymbol(stepStates[i-1]) == stateSymbol(s) {
			continue // it differs in the reason alone
		}
		var rows []lifecycleRow
		for _, e := range stepEvents {
			if to, effect, code := lifecycle.Step(s, e.event); code != protocol.CodeInternal {
				rows = addResult(rows, fmt.Sprintf("nx = %s; fx = %s", stateSymbol(to), effectSymbol(effect)), symbol("E_", e.name))
			}
		}
		tr.state(stateSymbol(s), rows)
	}
	define(&b, tr.states)
	define(&b, events)
	define(&b, effects)
	return b.String() + tr.inline("step")
}

func effectSymbol(f lifecycle.Effect) string {
	if f == lifecycle.EffectNone {
		return "F_NONE"
	}
	return symbol("F_", f.String())
}

var promelaEpochEvents = []struct {
	name  string
	event lifecycle.EpochEvent
}{
	{"V_OPENED", lifecycle.EpochOpened{}},
	{"V_OPENED_OTHER_ACTIVE", lifecycle.EpochOpened{OtherActive: true}},
	{"V_DRAIN", lifecycle.EpochDrain{Reason: protocol.CloseRotated}},
	{"V_IDLE", lifecycle.EpochIdle{}},
	{"V_FAILED", lifecycle.EpochFailed{Reason: protocol.CloseDied}},
}

// promelaEpoch sets nx to the next phase and fx to the set of effects.
func promelaEpoch() string {
	var b strings.Builder
	var tr transitions
	var events []string
	for i, f := range []lifecycle.EpochEffect{
		lifecycle.EpochEffectWipe, lifecycle.EpochEffectInvalidate, lifecycle.EpochEffectStop,
		lifecycle.EpochEffectKill, lifecycle.EpochEffectClose,
	} {
		fmt.Fprintf(&b, "#define %s %d\n", symbol("D_", f.String()), 1<<i)
	}
	for _, e := range promelaEpochEvents {
		events = append(events, e.name)
	}
	for p := lifecycle.EpochStarting; p.String() != "unknown"; p++ {
		var rows []lifecycleRow
		for _, e := range promelaEpochEvents {
			to, effects, code := lifecycle.StepEpoch(lifecycle.EpochState{Phase: p}, e.event)
			if code == protocol.CodeInternal {
				continue
			}
			does := []string{"0"}
			for _, f := range effects {
				does = append(does, symbol("D_", f.String()))
			}
			rows = addResult(rows, fmt.Sprintf("nx = %s; fx = %s", symbol("P_", to.Phase.String()), strings.Join(does, " | ")), e.name)
		}
		tr.state(symbol("P_", p.String()), rows)
	}
	define(&b, tr.states)
	define(&b, events)
	return b.String() + tr.inline("step_epoch")
}

// promelaOpening sets nx to the next state. The predicates say what a state is about.
func promelaOpening() string {
	var b strings.Builder
	var tr transitions
	var learnt []string
	for _, l := range everythingLearnt() {
		learnt = append(learnt, symbol("L_", l.name))
	}
	states := openingStates()
	for _, o := range states[1:] {
		var rows []lifecycleRow
		for _, l := range everythingLearnt() {
			to := lifecycle.StepOpening(o, l.OpeningLearnt)
			rows = addResult(rows, "nx = "+symbol("O_", openingName(to)), symbol("L_", l.name))
		}
		tr.state(symbol("O_", openingName(o)), rows)
	}
	define(&b, append([]string{"O_IDLE"}, tr.states...))
	define(&b, learnt)
	predicate := func(name string, is func(lifecycle.Opening) bool) {
		all := []string{"false"}
		for _, o := range states {
			if is(o) {
				all = append(all, "(o) == "+symbol("O_", openingName(o)))
			}
		}
		fmt.Fprintf(&b, "#define %s(o) (%s)\n", name, strings.Join(all, " || "))
	}
	for step := lifecycle.OpeningStart; step.String() != "invalid"; step++ {
		predicate(symbol("DOES_", step.String()), func(o lifecycle.Opening) bool { return o.Step == step })
	}
	predicate("HOLDS_ISSUE", func(o lifecycle.Opening) bool { return o.Held })
	predicate("HANDED", func(o lifecycle.Opening) bool { return o.Handed })
	return b.String() + "\n" + tr.inline("step_opening")
}

// openingStates lists the idle state and every one that an opening can reach.
func openingStates() []lifecycle.Opening {
	first, _ := lifecycle.BeginOpening(false, 0)
	rotation, _ := lifecycle.BeginOpening(true, 0)
	states := []lifecycle.Opening{{}, first, rotation}
	for i := 1; i < len(states); i++ {
		for _, l := range everythingLearnt() {
			if to := lifecycle.StepOpening(states[i], l.OpeningLearnt); !slices.Contains(states, to) {
				states = append(states, to)
			}
		}
	}
	return states
}

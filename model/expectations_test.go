package model_test

import (
	"fmt"
	"os"
	"slices"
	"strconv"
	"strings"
	"testing"
)

const expectationsFile = "expectations.txt"

// run is one line of the expectations: a model, what the attacker holds, which guards are
// removed, which properties are watched, three bounds, and what must come out.
type run struct {
	model      string
	holds      []string // by the attacker
	without    []string // guards
	properties []string
	bounds     [3]int
	result     string // holds or attack
	set        string // short, small or full
}

// attackerHas are the bits of caps, in all models.
var attackerHas = map[string]int{"hmac": 1, "mldsa": 2, "checkpoint": 4, "database": 8, "core": 16}

// attackerAlso are bits of one model each.
var attackerAlso = map[string]map[string]int{
	"request":  {"tag": 32, "both": 64},
	"handover": {"cosigned": 32},
	"control":  {},
}

// safety are the bits of watch.
var safety = map[string]map[string]int{
	"request":  {"issued": 1, "redeemed": 2, "once": 4, "hold": 8, "epoch": 16, "one proof": 32, "owner": 64, "true": 128, "epoch stays": 256},
	"handover": {"one history": 1, "prefix": 2, "later": 4, "hands over once": 8, "held": 16, "one active": 32},
	"control":  {"two": 1, "latest": 2, "frozen": 4, "diverged": 8},
}

// liveness are the names of formulas.
var liveness = map[string][]string{
	"request":  {"decided", "published"},
	"handover": {"reopens"},
	"control":  {"ends", "durable"},
}

// expectations reads the file and checks its words.
func expectations(t *testing.T) (all []run) {
	t.Helper()
	file, err := os.ReadFile(expectationsFile)
	if err != nil {
		t.Fatal(err)
	}
	for n, line := range strings.Split(string(file), "\n") {
		if line == "" || strings.HasPrefix(line, "#") {
			continue
		}
		r, err := parseRun(line)
		if err != nil {
			t.Fatalf("%s:%d: %v", expectationsFile, n+1, err)
		}
		all = append(all, r)
	}
	return all
}

func parseRun(line string) (r run, err error) {
	cells := strings.Split(line, "|")
	if len(cells) != 7 {
		return run{}, fmt.Errorf("want 7 cells, got %d", len(cells))
	}
	for i := range cells {
		cells[i] = strings.TrimSpace(cells[i])
	}
	r = run{
		model: cells[0], holds: names(cells[1]), without: names(cells[2]), properties: names(cells[3]),
		result: cells[5], set: cells[6],
	}
	if safety[r.model] == nil {
		return run{}, fmt.Errorf("no model is called %q", r.model)
	}
	if slices.Equal(r.properties, []string{"all"}) {
		r.properties = sorted(safety[r.model])
	}
	for _, h := range r.holds {
		if attackerHas[h] == 0 && attackerAlso[r.model][h] == 0 {
			return run{}, fmt.Errorf("the attacker cannot hold %q", h)
		}
	}
	for _, p := range r.properties {
		if safety[r.model][p] == 0 && !slices.Contains(liveness[r.model], p) {
			return run{}, fmt.Errorf("no property is called %q", p)
		}
	}
	bounds := strings.Fields(cells[4])
	if len(bounds) != len(r.bounds) {
		return run{}, fmt.Errorf("want %d bounds", len(r.bounds))
	}
	for i := range r.bounds {
		if r.bounds[i], err = strconv.Atoi(bounds[i]); err != nil {
			return run{}, err
		}
	}
	if !slices.Contains([]string{"holds", "attack"}, r.result) || !slices.Contains([]string{"short", "small", "full"}, r.set) {
		return run{}, fmt.Errorf("%q and %q are no result and set", r.result, r.set)
	}
	if r.result == "attack" && len(r.properties) != 1 {
		return run{}, fmt.Errorf("an attack is on one property")
	}
	return r, nil
}

// names reads a list with commas; "-" is the empty one.
func names(s string) (all []string) {
	if s == "-" {
		return nil
	}
	for _, n := range strings.Split(s, ",") {
		all = append(all, strings.TrimSpace(n))
	}
	return all
}

// sorted returns names in the order of their bits.
func sorted(bits map[string]int) (all []string) {
	for name := range bits {
		all = append(all, name)
	}
	slices.SortFunc(all, func(a, b string) int { return bits[a] - bits[b] })
	return all
}

func (r run) live() bool { return slices.Contains(liveness[r.model], r.properties[0]) }

// String returns the run as a line of the log.
func (r run) String() string {
	return fmt.Sprintf("%s, attacker holds %v, without %v, %v, bounds %v", r.model, r.holds, r.without, r.properties, r.bounds)
}

// TestExpectations: every guard is removed in some run that must find an attack, and
// every property is attacked in one run and holds in another, so that none is checked in
// vain. The text of every guard occurs once in its model.
func TestExpectations(t *testing.T) {
	attacked, held, removed := map[string]bool{}, map[string]bool{}, map[string]bool{}
	for _, r := range expectations(t) {
		for _, p := range r.properties {
			if r.result == "attack" {
				attacked[r.model+"/"+p] = true
			} else if len(r.without) == 0 {
				held[r.model+"/"+p] = true
			}
		}
		for _, g := range r.without {
			number(t, r.model, g)
			if r.result == "attack" {
				removed[r.model+"/"+g] = true
			}
		}
	}
	for _, g := range guards {
		if !removed[g.model+"/"+g.name] {
			t.Errorf("%s: no attack follows from the removal of %q", g.model, g.name)
		}
	}
	for model := range safety {
		mutated(t, model, source(t, model))
		for _, p := range append(sorted(safety[model]), liveness[model]...) {
			if !attacked[model+"/"+p] || !held[model+"/"+p] {
				t.Errorf("%s: %q is attacked in some run: %v, and holds in one with all guards: %v", model, p, attacked[model+"/"+p], held[model+"/"+p])
			}
		}
	}
}

func source(t *testing.T, model string) string {
	t.Helper()
	text, err := os.ReadFile(model + ".pml")
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

func TestParseRunRefuses(t *testing.T) {
	const good = "control | database | second commander | two | 1 1 1 | attack | short"
	if _, err := parseRun(good); err != nil {
		t.Fatal(err)
	}
	for name, bad := range map[string]string{
		"cells":        strings.Replace(good, " | short", "", 1),
		"model":        strings.Replace(good, "control", "contrl", 1),
		"attacker":     strings.Replace(good, "database", "disk", 1),
		"property":     strings.Replace(good, "| two", "| three", 1),
		"bounds":       strings.Replace(good, "1 1 1", "1 1", 1),
		"result":       strings.Replace(good, "attack", "found", 1),
		"set":          strings.Replace(good, "short", "tiny", 1),
		"wide attacks": strings.Replace(good, "| two", "| all", 1),
	} {
		if r, err := parseRun(bad); err == nil {
			t.Errorf("%s: read as %v", name, r)
		}
	}
}

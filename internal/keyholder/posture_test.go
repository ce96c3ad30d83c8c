package keyholder_test

import (
	"slices"
	"strings"
	"testing"

	"github.com/terradourada/td/internal/keyholder"
)

// Both children say where their keys are; the core gets it.
func TestPostureOfChildren(t *testing.T) {
	t.Parallel()
	tagger, _ := startTagger(t, keyholder.Config{})
	for name, p := range map[string]keyholder.Posture{"signer": startSigner(t, keyholder.Config{}).Posture(), "tagger": tagger.Posture()} {
		for _, measure := range []string{keyholder.MeasureMemory, keyholder.MeasureCompute, keyholder.MeasureBuild} {
			item := p.Find(measure)
			if item.State == "" || item.Detail == "not taken" {
				t.Errorf("%s says nothing of %s", name, measure)
			}
			t.Logf("%s: %s %s: %s", name, item.Measure, item.State, item.Detail)
		}
		if got := p.Find("other"); got.State != "unknown" {
			t.Errorf("a measure that was not taken is %q", got.State)
		}
	}
}

func TestPostureRoundTrip(t *testing.T) {
	for _, p := range []keyholder.Posture{
		nil,
		{{Measure: "a", State: "ok", Detail: "x y  z"}, {Measure: "b_c", State: "unknown", Detail: strings.Repeat("d", 200)}},
	} {
		got, err := keyholder.ParsePosture(keyholder.EncodePosture(p))
		if err != nil || !slices.Equal(got, p) {
			t.Errorf("%v came back as %v, %v", p, got, err)
		}
	}
	odd := keyholder.Posture{{Measure: "a", State: "ok", Detail: "tab\tand\nline " + strings.Repeat("é", 300)}}
	if got, err := keyholder.ParsePosture(keyholder.EncodePosture(odd)); err != nil || len(got) != 1 || len(got[0].Detail) != 200 {
		t.Errorf("%v, %v", got, err)
	}
	var many keyholder.Posture
	for c := range 26 {
		many = append(many, keyholder.PostureItem{Measure: string(rune('a' + c)), State: "ok", Detail: strings.Repeat("d", 150)})
	}
	got, err := keyholder.ParsePosture(keyholder.EncodePosture(many))
	if err != nil || len(got) == 0 || len(got) == len(many) || !slices.Equal(got, many[:len(got)]) {
		t.Errorf("of more than there is room for, %d items came back, %v", len(got), err)
	}
}

func TestPostureRefusals(t *testing.T) {
	wire := func(text string) []byte {
		b := make([]byte, keyholder.PostureSize)
		copy(b, text)
		return b
	}
	if _, err := keyholder.ParsePosture(wire("a ok b\n")); err != nil {
		t.Fatal(err)
	}
	for name, b := range map[string][]byte{
		"short":          wire("")[1:],
		"no line end":    wire("a ok b"),
		"state":          wire("a fine b\n"),
		"no detail":      wire("a ok \n"),
		"no state":       wire("a\n"),
		"measure":        wire("A ok b\n"),
		"no measure":     wire(" ok b\n"),
		"long measure":   wire(strings.Repeat("a", 33) + " ok b\n"),
		"long detail":    wire("a ok " + strings.Repeat("b", 201) + "\n"),
		"twice":          wire("a ok b\na weak c\n"),
		"control":        wire("a ok b\x01\n"),
		"zero in text":   wire("a ok b\x00c\n"),
		"behind padding": append(wire("a ok b\n")[:keyholder.PostureSize-1], 'x'),
		"empty line":     wire("\n"),
	} {
		if p, err := keyholder.ParsePosture(b); err == nil {
			t.Errorf("%s: parsed as %v", name, p)
		}
	}
}

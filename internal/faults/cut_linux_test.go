package faults_test

import (
	"bytes"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/terradourada/td/client"
	"github.com/terradourada/td/protocol"
)

// TestCut: a cut keeps what a flush covers, and the rest by mode.
func TestCut(t *testing.T) {
	sector := func(b byte) []byte { return bytes.Repeat([]byte{b}, sectorSize) }
	log := []op{
		{at: 0, data: sector('a')},
		{at: 2 * sectorSize, data: sector('b')}, // complete when the flush ended, not when it began
		{upto: 1},
		{at: 0, data: append(sector('c'), sector('d')...)},
	}
	base := bytes.Repeat(sector('.'), 3)
	rng := rand.New(rand.NewPCG(1, 1))
	seen := map[string]bool{}
	for range 1000 {
		image := cut(base, log, keepSome, rng)
		seen[string([]byte{image[0], image[sectorSize], image[2*sectorSize]})] = true
	}
	want := []string{"a..", "a.b", "ad.", "adb", "c..", "c.b", "cd.", "cdb"}
	if got := slices.Sorted(keysOf(seen)); !slices.Equal(got, want) {
		t.Errorf("cuts leave %q, want %q", got, want)
	}
	for mode, want := range map[int]string{keepNothing: "a..", keepEverything: "cdb"} {
		image := cut(base, log, mode, nil)
		if got := string([]byte{image[0], image[sectorSize], image[2*sectorSize]}); got != want {
			t.Errorf("mode %d leaves %q, want %q", mode, got, want)
		}
	}
	if string(base) != string(bytes.Repeat(sector('.'), 3)) {
		t.Error("the cut has changed the disk that it began with")
	}
}

func keysOf(m map[string]bool) func(func(string) bool) {
	return func(yield func(string) bool) {
		for k := range m {
			if !yield(k) {
				return
			}
		}
	}
}

// TestJudge: every way to lose or to double an answer is detected.
func TestJudge(t *testing.T) {
	id := func(b byte) protocol.RequestID { return protocol.RequestID{b} }
	for name, c := range map[string]struct {
		told          []client.Accepted
		found         leaves
		lost, doubled int
	}{
		"sound":              {[]client.Accepted{{RequestID: id(1), Index: 4}, {RequestID: id(1), Index: 4}}, leaves{id(1): {4}, id(2): {5}}, 0, 0},
		"missing":            {[]client.Accepted{{RequestID: id(1), Index: 4}}, leaves{id(2): {4}}, 1, 0},
		"at another index":   {[]client.Accepted{{RequestID: id(1), Index: 4}}, leaves{id(1): {5}}, 1, 0},
		"twice in the log":   {[]client.Accepted{{RequestID: id(1), Index: 4}}, leaves{id(1): {4, 6}}, 0, 1},
		"twice, not told":    {nil, leaves{id(1): {4, 6}}, 0, 1},
		"told with two":      {[]client.Accepted{{RequestID: id(1), Index: 4}, {RequestID: id(1), Index: 6}}, leaves{id(1): {4}}, 0, 1},
		"told with two, has": {[]client.Accepted{{RequestID: id(1), Index: 4}, {RequestID: id(1), Index: 6}}, leaves{id(1): {4, 6}}, 0, 1},
	} {
		h, err := newHistory(t.TempDir())
		if err != nil {
			t.Fatal(err)
		}
		for _, a := range c.told {
			h.note(&a, 0)
		}
		if lost, doubled := h.judge(c.found); len(lost) != c.lost || len(doubled) != c.doubled {
			t.Errorf("%s: lost %v, doubled %v", name, lost, doubled)
		}
	}
}

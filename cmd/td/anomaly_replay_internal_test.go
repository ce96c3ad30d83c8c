package main

import (
	"strings"
	"testing"

	"github.com/terradourada/td/internal/anomaly"
)

// TestPrintFindingEscapes: a record of others cannot control the terminal.
func TestPrintFindingEscapes(t *testing.T) {
	t.Parallel()
	var out strings.Builder
	f := &anomaly.Finding{Verdict: anomaly.Verdict{Detector: anomaly.Rate, Scope: "client:\x1b[2J", Sentence: "one\ntwo \u202e"}}
	if err := printFinding(&out, f, false); err != nil {
		t.Fatal(err)
	}
	if s := out.String(); strings.ContainsAny(s, "\x1b\u202e") || strings.Count(s, "\n") != 1 {
		t.Errorf("%q", s)
	}
}

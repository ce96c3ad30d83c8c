package main

import (
	"bytes"
	"compress/gzip"
	"fmt"
	"strings"
	"testing"
	"time"

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

// TestReplayReports: replay says how many events and verdicts there were, that a file has its
// newest event first, and why one cannot be replayed.
func TestReplayReports(t *testing.T) {
	t.Parallel()
	line := func(second int) string {
		at := time.Date(2026, 11, 24, 12, 0, second, 0, time.UTC)
		return fmt.Sprintf("192.0.2.1 - - [%s] \"GET /page HTTP/1.1\" 200 10\n", at.Format("02/Jan/2006:15:04:05 -0700"))
	}
	var packed bytes.Buffer
	z := gzip.NewWriter(&packed)
	if _, err := z.Write([]byte(strings.Repeat(line(1), 50))); err != nil {
		t.Fatal(err)
	}
	if err := z.Close(); err != nil {
		t.Fatal(err)
	}
	damaged := bytes.Clone(packed.Bytes())
	damaged[20] ^= 0xff
	newest := "newest is first"
	for name, tt := range map[string]struct {
		file, says, fails string
	}{
		"in order":     {file: line(1) + line(1) + line(2) + line(1) + line(3), says: "5 events, 0 verdicts"},
		"newest first": {file: line(9) + line(9) + line(9) + line(8) + line(8) + line(7), says: newest},
		"packed":       {file: packed.String(), says: "50 events, 0 verdicts"},
		"cut off":      {file: packed.String()[:packed.Len()-9], fails: "log cannot be replayed: its compressed data is damaged or cut off"},
		"damaged":      {file: string(damaged), fails: "log cannot be replayed: its compressed data is damaged or cut off"},
		"empty":        {fails: "log cannot be replayed: it has no event"},
		"other":        {file: "a,b\n", fails: "log cannot be replayed: not an access log: 1 of 1 lines are not in the common format"},
		"long line":    {file: strings.Repeat("x", 1<<17), fails: "log cannot be replayed: it has a line that is too long"},
		"bad record":   {file: "{\"record\":\"other\"}\n", fails: "log cannot be replayed: not a record of events"},
	} {
		var stdout, stderr strings.Builder
		a := &app{stdout: &stdout, stderr: &stderr}
		err := a.replay("log", strings.NewReader(tt.file), false)
		if got := fmt.Sprint(err); (err != nil) != (tt.fails != "") || !strings.Contains(got, tt.fails) {
			t.Errorf("%s: %v", name, err)
		}
		if s := stderr.String(); !strings.Contains(s, tt.says) || strings.Contains(s, newest) != (tt.says == newest) {
			t.Errorf("%s: %q", name, s)
		}
	}
}

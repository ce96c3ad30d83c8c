package main

import (
	"bufio"
	"bytes"
	"compress/flate"
	"compress/gzip"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/spf13/cobra"

	"github.com/terradourada/td/internal/accesslog"
	"github.com/terradourada/td/internal/anomaly"
	"github.com/terradourada/td/internal/fault"
	"github.com/terradourada/td/internal/fsutil"
	"github.com/terradourada/td/internal/telemetry"
	"github.com/terradourada/td/internal/termui"
	"github.com/terradourada/td/protocol"
)

func anomalyReplayCommand(a *app) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "replay FILE",
		Short: "Run recorded events, or an access log, through all detectors",
		Long: `Reads events that td serve --record has written, or an access log in the common or
combined format, and runs them through the detectors in their own time. Each verdict is
a line: its time, detector, scope and sentence; with -o json a JSON object.

A file that is compressed with gzip is read as it is, and - is standard input. Of an
access log, pages stand for challenges, files for tiles and POST for proofs; detectors
of proofs and provers see nothing in it. Detectors learn for hours before they find
much, so a short file leads to few verdicts. The oldest event is first; a file with the
newest first leads to a warning.

The exit code is 0 with and without verdicts.`,
		Example: "  td anomaly replay events.jsonl\n  td anomaly replay access.log.gz -o json",
		Args:    oneArg("FILE"),
	}
	output := outputFlag(cmd)
	cmd.RunE = func(_ *cobra.Command, args []string) error {
		in := a.stdin
		if args[0] != "-" {
			f, err := fsutil.Open(args[0])
			if err != nil {
				return err
			}
			defer f.Close()
			in = f
		}
		return a.replay(args[0], in, output.value == "json")
	}
	return cmd
}

// replayed is a verdict as a line of JSON.
type replayed struct {
	At       time.Time      `json:"at"`
	Since    time.Time      `json:"since"`
	Severity string         `json:"severity"` // ticket or page
	Detector string         `json:"detector"`
	Kind     string         `json:"kind"`
	Scope    string         `json:"scope"`
	Cause    string         `json:"cause"`
	Observed float64        `json:"observed"`
	Expected float64        `json:"expected"`
	Score    float64        `json:"score"`
	Sentence string         `json:"sentence"`
	Agrees   string         `json:"agrees,omitempty"`
	Runbook  string         `json:"runbook"`
	Evidence []anomaly.Fact `json:"evidence,omitempty"`
}

// replay runs a file through the detectors, and prints their verdicts.
func (a *app) replay(name string, from io.Reader, asJSON bool) error {
	out := bufio.NewWriter(a.stdout)
	var failed error
	var verdicts int
	player := &anomaly.Player{Set: anomaly.NewSet(), Found: func(_ time.Time, found []anomaly.Finding) {
		for i := range found {
			verdicts++
			if err := printFinding(out, &found[i], asJSON); err != nil && failed == nil {
				failed = err
			}
		}
	}}
	in, err := unpacked(from)
	if err != nil {
		return unreplayable(name, err)
	}
	counted := &countedEvents{Player: player}
	if isRecord(in) {
		var lost uint64
		if lost, err = telemetry.Replay(in, counted); lost > 0 {
			a.warn([]string{fmt.Sprintf("%d events were dropped when the record was written", lost)})
		}
	} else {
		var bad int
		if bad, err = accesslog.Read(in, counted.Request); bad > 0 && err == nil {
			a.warn([]string{fmt.Sprintf("%d lines could not be read", bad)})
		}
	}
	if err != nil {
		return errors.Join(unreplayable(name, err), out.Flush())
	}
	if counted.n == 0 {
		return unreplayable(name, errors.New("it has no event"))
	}
	player.End()
	if counted.back > counted.forth {
		a.warn([]string{fmt.Sprintf("%s older than the one before: the newest is first, and in this order little is found; reverse the lines, for example with tac", termui.Count(counted.back, "event"))})
	}
	fmt.Fprintf(a.stderr, "%s, %s\n", termui.Count(counted.n, "event"), termui.Count(verdicts, "verdict"))
	return errors.Join(failed, out.Flush())
}

func unreplayable(name string, err error) error {
	what, corrupt := err.Error(), flate.CorruptInputError(0)
	switch {
	case errors.Is(err, bufio.ErrTooLong):
		what = "it has a line that is too long"
	case errors.Is(err, gzip.ErrHeader), errors.Is(err, gzip.ErrChecksum), errors.Is(err, io.ErrUnexpectedEOF), errors.As(err, &corrupt):
		what = "its compressed data is damaged or cut off"
	}
	return fault.New(fault.Usage, fmt.Sprintf("%s cannot be replayed: %s", name, what), "give a record of td serve --record, or an access log in the common or combined format")
}

// countedEvents counts the events that a player is fed with.
type countedEvents struct {
	*anomaly.Player
	n           int
	back, forth int // that are older than the one before, and later
	last        time.Time
}

// Request feeds a request.
func (c *countedEvents) Request(r telemetry.Request) {
	c.count(r.At)
	c.Player.Request(r)
}

// Change feeds a change.
func (c *countedEvents) Change(e telemetry.Change) {
	c.count(e.At)
	c.Player.Change(e)
}

func (c *countedEvents) count(at time.Time) {
	if c.n++; at.Before(c.last) {
		c.back++
	} else if at.After(c.last) {
		c.forth++
	}
	c.last = at
}

// unpacked returns what a reader has, without its compression.
func unpacked(from io.Reader) (*bufio.Reader, error) {
	in := bufio.NewReaderSize(from, 1<<16)
	if magic, _ := in.Peek(2); string(magic) != "\x1f\x8b" {
		return in, nil
	}
	z, err := gzip.NewReader(in)
	if err != nil {
		return nil, err
	}
	return bufio.NewReaderSize(z, 1<<16), nil
}

// isRecord reports whether what follows begins like a record of events.
func isRecord(in *bufio.Reader) bool {
	begin, _ := in.Peek(10)
	return bytes.HasPrefix(begin, []byte(`{"record"`))
}

func printFinding(w io.Writer, f *anomaly.Finding, asJSON bool) error {
	severity := "ticket"
	if f.Pages() {
		severity = "page"
	}
	if !asJSON {
		agrees := ""
		if f.Agrees != "" {
			agrees = " (another detector agrees)"
		}
		_, err := fmt.Fprintf(w, "%s  %-6s  %-10s  %s  %s%s\n", f.At.UTC().Format(time.RFC3339), severity, f.Detector, protocol.Escaped(f.Scope), protocol.Escaped(f.Sentence), agrees)
		return err
	}
	return json.NewEncoder(w).Encode(replayed{
		At: f.At.UTC(), Since: f.Since.UTC(), Severity: severity, Detector: f.Detector.String(), Kind: f.Kind, Scope: f.Scope, Cause: f.Cause.String(),
		Observed: f.Observed, Expected: f.Expected, Score: f.Score, Sentence: f.Sentence, Agrees: f.Agrees, Runbook: "docs/runbooks/" + f.Runbook, Evidence: f.Evidence,
	})
}

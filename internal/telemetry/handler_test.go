package telemetry_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/terradourada/td/internal/telemetry"
)

// run returns a log whose lines are in a buffer once end was called.
func run(inJSON bool) (log *telemetry.Log, end func() string) {
	var b bytes.Buffer
	log = telemetry.NewLog(&b, inJSON, slog.LevelInfo)
	go log.Run()
	return log, func() string {
		log.Close(time.Second)
		return b.String()
	}
}

// objects parses lines of JSON.
func objects(t *testing.T, text string) (all []map[string]any) {
	t.Helper()
	for line := range strings.Lines(text) {
		var o map[string]any
		if err := json.Unmarshal([]byte(line), &o); err != nil {
			t.Fatalf("%q: %v", line, err)
		}
		all = append(all, o)
	}
	return all
}

// TestHostileText: what a client has chosen is bounded and cannot end a line, colour a
// terminal or turn the direction of text; a struct is not written.
func TestHostileText(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		for _, inJSON := range []bool{true, false} {
			log, end := run(inJSON)
			hostile := "a\n\x1b[2Jb\u202egnp\xff\u2028\x00\x7f\u009b" + strings.Repeat("é", 1000)
			type inner struct{ Text string }
			log.Info("request refused", "client", hostile, "err", errors.New(hostile+strings.Repeat("x", 9000)), "panic", inner{"secret"})
			log.With("client", hostile).WithGroup("g").Info("stopping", slog.Group("h", "claim", hostile)) //nolint:sloglint // groups are what is tested
			log.Info(hostile)                                                                              //nolint:sloglint // the same
			text := end()
			if strings.Count(text, "\n") != 3 || strings.ContainsAny(text, "\x1b\u202e\x00\x7f\u009b\u2028") || len(text) > 6000 {
				t.Errorf("%d bytes: %.500q", len(text), text)
			}
			if strings.Contains(text, "secret") || !strings.Contains(text, "redacted telemetry_test.inner") {
				t.Errorf("a struct is written: %.500q", text)
			}
		}
	})
}

// TestEventField: each line names its event; lines of libraries are "other".
func TestEventField(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		log, end := run(true)
		log.Info("keyholder died", "deaths", 1)
		log.With("component", "library").Warn("whatever")
		got := objects(t, end())
		if len(got) != 2 || got[0]["event"] != "keyholder_died" || got[1]["event"] != "other" || got[0]["deaths"] != 1.0 {
			t.Error(got)
		}
	})
}

// TestRepeats: ten lines of one event and reason are written in a second; one line with
// the number of the others follows, at longer and longer intervals while they go on. Other
// events and reasons are written meanwhile.
func TestRepeats(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		log, end := run(true)
		for range 600 {
			for range 50 {
				log.Info("request refused", "cause", "wrong_tag")
			}
			time.Sleep(200 * time.Millisecond)
		}
		log.Info("request refused", "cause", "false_proof")
		time.Sleep(3 * time.Minute)
		lines, summaries, suppressed, others := 0, 0, 0.0, 0
		for _, o := range objects(t, end()) {
			switch {
			case o["event"] == "lines_summarised" && o["of"] == "request_refused" && o["reason"] == "wrong_tag":
				summaries++
				suppressed += o["suppressed"].(float64)
			case o["cause"] == "wrong_tag":
				lines++
			default:
				others++
			}
		}
		if lines+int(suppressed) != 600*50 || summaries < 5 || summaries > 10 || lines > 10*(summaries+1) || others != 1 {
			t.Errorf("%d lines, %d summaries for %v, %d others", lines, summaries, suppressed, others)
		}
	})
}

// TestReasonsAreBounded: reasons that never repeat do not fill the memory.
func TestReasonsAreBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		log, end := run(true)
		for i := range 20_000 {
			log.Info("request refused", "cause", fmt.Sprint(i))
		}
		time.Sleep(2 * time.Second)
		text := end()
		if n := strings.Count(text, "\n"); n > 1100 || !strings.Contains(text, `"suppressed":`) {
			t.Errorf("%d lines", n)
		}
	})
}

// TestLevels: the level can be changed; lines of level debug are all written.
func TestLevels(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		log, end := run(true)
		log.Level.Set(slog.LevelError)
		for range 100 {
			log.Warn("keyholder died")
		}
		if log.Enabled(context.Background(), slog.LevelWarn) {
			t.Error("warnings are enabled")
		}
		log.Error("keyholder ended")
		log.Level.Set(slog.LevelDebug)
		for range 100 {
			log.Debug("job done")
		}
		time.Sleep(2 * time.Second)
		if got := objects(t, end()); len(got) != 101 {
			t.Errorf("%d lines", len(got))
		}
	})
}

package node

import (
	"errors"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/terradourada/td/api"
	"github.com/terradourada/td/internal/anomaly"
	"github.com/terradourada/td/internal/config"
	"github.com/terradourada/td/internal/telemetry"
)

// TestFoundNetworksArePrivate: with pseudonyms, the line of a verdict names no network, in
// its scope or in its sentence.
func TestFoundNetworksArePrivate(t *testing.T) {
	t.Parallel()
	var log strings.Builder
	a := &anomalies{log: slog.New(slog.NewTextHandler(&log, nil)), private: telemetry.NewPseudonyms()}
	a.announce(&anomaly.Finding{Verdict: anomaly.Verdict{
		Detector: anomaly.Correlate, Scope: "network:192.0.2.0/24", Sentence: "9 wrong tags; 98 % on network 192.0.2.0/24, 2 % on network:2001:db8:7::/48; 60 % on claim range/1",
	}})
	text := log.String()
	if strings.Contains(text, "192.0.2") || strings.Contains(text, "2001:db8") || !strings.Contains(text, "claim range/1") {
		t.Error(text)
	}
	if one := a.private.Scope("network:192.0.2.0/24"); strings.Count(text, strings.TrimPrefix(one, "network:")) != 2 {
		t.Errorf("%s\nwant %s in scope and sentence", text, one)
	}
}

// TestOldVerdictsAreDeleted: verdicts older than anomaly_keep are deleted without a new one,
// and with the detectors off.
func TestOldVerdictsAreDeleted(t *testing.T) {
	t.Parallel()
	j, stop := aJournal(t, t.TempDir())
	defer stop()
	a := &anomalies{cfg: &config.Config{AnomalyKeep: time.Hour}, journal: j}
	for _, age := range []time.Duration{2 * time.Hour, time.Minute} {
		one := []anomaly.Finding{{Verdict: anomaly.Verdict{At: now().Add(-age), Detector: anomaly.Rate}}}
		if err := j.SaveAnomalies(t.Context(), one, time.Time{}); err != nil {
			t.Fatal(err)
		}
	}
	if err := a.write(t.Context(), nil); err != nil {
		t.Fatal(err)
	}
	if rows, err := j.Anomalies(t.Context(), 0, 10); err != nil || len(rows) != 1 || rows[0].ID != 2 {
		t.Errorf("%+v, %v", rows, err)
	}
}

// TestUsualHasAnAgeLimit: what was usual more than 30 days ago is not read.
func TestUsualHasAnAgeLimit(t *testing.T) {
	t.Parallel()
	name := filepath.Join(t.TempDir(), usualFile)
	if err := os.WriteFile(name, []byte("state"), 0o600); err != nil {
		t.Fatal(err)
	}
	for age, wanted := range map[time.Duration]error{oldestUsual - time.Hour: nil, oldestUsual + time.Hour: errUsualTooOld} {
		saved := now().Add(-age)
		if err := os.Chtimes(name, saved, saved); err != nil {
			t.Fatal(err)
		}
		if _, err := readUsual(name); !errors.Is(err, wanted) {
			t.Errorf("of %v: %v, want %v", age, err, wanted)
		}
	}
}

// TestLedgerSubject: a log that has stopped in order is not reported as one that differs from
// the journal.
func TestLedgerSubject(t *testing.T) {
	t.Parallel()
	for want, c := range map[string]api.Condition{
		"diverged":   {State: stateStopped, Why: whyDiverged},
		stateFailing: {State: stateFailing, Why: "the file system is full"},
		"":           {State: stateStopped, Why: "the log has stopped"},
	} {
		if got := ledgerSubject(c); got != want {
			t.Errorf("%+v: %q, want %q", c, got, want)
		}
	}
}

// TestMarksOnlyWhereRead: requests are marked only for detectors or a record.
func TestMarksOnlyWhereRead(t *testing.T) {
	t.Parallel()
	off := (&reporting{}).marker()
	if off != nil || off.Of('p', []byte("proof")) != (telemetry.Mark{}) {
		t.Error("requests are marked, and nothing reads the marks")
	}
	if (&reporting{anomalies: anomaly.NewSet()}).marker() == nil || (&reporting{record: os.Stdout}).marker() == nil {
		t.Error("requests are not marked for detectors or a record")
	}
}

package main_test

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/terradourada/td/internal/admin"
	"github.com/terradourada/td/internal/watch"
	"github.com/terradourada/td/protocol"
)

// TestAnomalies: on a server a proof that is answered under another request pages within
// seconds, with its sentence. The verdict is stored with its evidence, takes feedback, is in
// the bundle of an incident and survives a restart, as does what is usual. The record of the
// server leads to the same verdict, and nothing is found without the setting.
func TestAnomalies(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	data, record := filepath.Join(dir, "data"), filepath.Join(dir, "record")
	b := startBackend(t, data, "--alert-every", "1s", "--record", record)
	td := func(args ...string) string {
		t.Helper()
		code, stdout, stderr := runTD(append(args, "--data", data)...)
		if code != 0 {
			t.Fatalf("%q: exit %d\n%s%s", args, code, stdout, stderr)
		}
		return stdout
	}
	if s := td("admin", "anomalies"); !strings.Contains(s, "paused (start)") {
		t.Error(s)
	}
	first := b.mustAnswer(t.Context())
	if _, err := b.send(t.Context(), first, time.Minute); err != nil {
		t.Fatal(err)
	}
	if _, err := b.send(t.Context(), first, time.Minute); err != nil { // an answer may be sent again
		t.Fatal(err)
	}
	second := b.mustAnswer(t.Context())
	second.proof = first.proof
	b.wantCode(t.Context(), second, protocol.CodeProofRejected)

	const says = "came again under another request: once since"
	eventually(t, 20*time.Second, "no alert with its sentence", func() bool {
		var list admin.AlertList
		if err := json.Unmarshal([]byte(td("admin", "alerts", "-o", "json")), &list); err != nil {
			t.Fatal(err)
		}
		for _, a := range list.Alerts {
			if a.Rule == "ImpossibleEvent" && a.State == watch.Firing && a.Severity == watch.Page && strings.Contains(a.Sentence, says) {
				return true
			}
		}
		return false
	})
	list := anomalyList(t, td)
	if len(list.Anomalies) != 1 || list.Anomalies[0].Kind != "repeated_proof" || list.Detectors.Mode != "on" || list.Detectors.InForce != 1 {
		t.Fatalf("%+v", list)
	}
	id := "1"
	if s := td("admin", "anomalies", "show", id); !strings.Contains(s, says) || !strings.Contains(s, "first request") {
		t.Error(s)
	}
	if s := td("admin", "anomalies", "feedback", id, "expected", "--reason", "our test"); !strings.Contains(s, "an impossible event has no threshold") {
		t.Error(s)
	}
	if code, _, stderr := runTD("admin", "anomalies", "feedback", "77", "true", "--reason", "test", "--data", data); code == 0 || !strings.Contains(stderr, "no verdict has this id") {
		t.Errorf("feedback on nothing: exit %d, %s", code, stderr)
	}
	td("admin", "incident", "open", "--kind", "abnormal-traffic", "--reason", "test")
	bundles, err := filepath.Glob(filepath.Join(data, "evidence", "*", "anomalies.json"))
	if err != nil || len(bundles) != 1 {
		t.Fatal(bundles, err)
	}
	if text, err := os.ReadFile(bundles[0]); err != nil || !strings.Contains(string(text), says) {
		t.Errorf("%s, %v", text, err)
	}
	b.stop(20 * time.Second)

	code, stdout, stderr := runTD("anomaly", "replay", record, "-o", "json")
	if code != 0 || strings.Count(stdout, "\n") != 1 || !strings.Contains(stdout, says) {
		t.Errorf("replay: exit %d\n%s%s", code, stdout, stderr)
	}
	usual := filepath.Join(data, "anomaly", "usual")
	if info, err := os.Stat(usual); err != nil || info.Mode().Perm() != 0o600 {
		t.Error(info, err)
	}
	b = startBackend(t, data)
	if list := anomalyList(t, td); len(list.Anomalies) != 1 || list.Anomalies[0].Feedback != "expected" || list.Detectors.Restored == nil {
		t.Errorf("after a restart: %+v", list)
	}
	b.stop(20 * time.Second)
	if err := os.WriteFile(usual, []byte("not a state"), 0o600); err != nil {
		t.Fatal(err)
	}
	b = startBackend(t, data)
	if list := anomalyList(t, td); list.Detectors.Restored != nil || !strings.Contains(b.stderr(), "begin anew") {
		t.Errorf("with a damaged state: %+v\n%s", list, b.stderr())
	}
	b.stop(20 * time.Second)
	b = startBackend(t, data, "--anomaly", "off")
	if s := td("admin", "anomalies"); !strings.Contains(s, "off (the setting anomaly)") || !strings.Contains(s, says) {
		t.Error(s)
	}
	b.stop(20 * time.Second)
}

func anomalyList(t *testing.T, td func(...string) string) (list admin.AnomalyList) {
	t.Helper()
	if err := json.Unmarshal([]byte(td("admin", "anomalies", "-o", "json")), &list); err != nil {
		t.Fatal(err)
	}
	return list
}

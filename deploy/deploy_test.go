package deploy_test

import (
	"bytes"
	"flag"
	"os"
	"os/exec"
	"testing"
)

//go:generate go test -count=1 -run ^TestGenerated$ -update .

var update = flag.Bool("update", false, "write the files that are generated")

// files are all generated files.
func files() map[string]string {
	return map[string]string{
		"prometheus/terradourada.rules.yml": rulesFile(),
		"prometheus/terradourada_test.yml":  rulesTests(),
		"prometheus/objectives.rules.yml":   objectivesFile(),
		"prometheus/objectives_test.yml":    objectivesTests(),
	}
}

// TestGenerated: the files are what the tables say.
func TestGenerated(t *testing.T) {
	for name, text := range files() {
		if *update {
			if err := os.WriteFile(name, []byte(text), 0o644); err != nil {
				t.Fatal(err)
			}
		}
		if got, err := os.ReadFile(name); err != nil || !bytes.Equal(got, []byte(text)) {
			t.Errorf("%s is not what the tables say: make docs (%v)", name, err)
		}
	}
}

// promtool runs promtool, and skips the test where that is not installed.
func promtool(t *testing.T, args ...string) {
	t.Helper()
	tool, err := exec.LookPath("promtool")
	if err != nil {
		t.Skip("NOT CHECKED: promtool is not installed (Debian: prometheus)")
	}
	if out, err := exec.Command(tool, args...).CombinedOutput(); err != nil {
		t.Errorf("promtool %q: %v\n%s", args, err, out)
	}
}

// TestRules: promtool accepts the rules, and every case comes out as it should.
func TestRules(t *testing.T) {
	for _, name := range []string{"terradourada", "objectives"} {
		promtool(t, "check", "rules", "--lint=all", "--lint-fatal", "prometheus/"+name+".rules.yml")
		promtool(t, "test", "rules", "prometheus/"+name+"_test.yml")
	}
}

package attack_test

import (
	"bytes"
	"encoding/json"
	"os"
	"os/exec"
	"strings"
)

// limiter runs the gate of the limiter, which is a test beside it. It logs its figures as JSON.
func (p *part) limiter() {
	binary := os.Getenv(envLimit)
	args := []string{"-test.v", "-test.count=1", "-test.run", "^TestLimiterGate$"}
	if p.short {
		args = append(args, "-test.short")
	}
	cmd := exec.CommandContext(p.Context(), binary, args...)
	if !p.short {
		cmd.Env = append(os.Environ(), "TD_LIMIT_SWEEP=1")
	}
	out, err := cmd.CombinedOutput()
	if err != nil || !bytes.Contains(out, []byte("--- PASS: TestLimiterGate ")) {
		p.fail("TestLimiterGate did not pass: %v\n%s", err, out)
	}
	for line := range strings.Lines(string(out)) {
		if _, object, ok := strings.Cut(line, "limiter gate: "); ok {
			var figures struct{ Gate string }
			p.must(json.Unmarshal([]byte(object), &figures))
			p.figures[figures.Gate] = json.RawMessage(strings.TrimSpace(object))
		}
	}
}

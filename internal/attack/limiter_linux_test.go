package attack_test

import (
	"os"
	"os/exec"
	"strings"
)

// limiter runs the gate of the limiter, which is a test beside it. What it logs are its
// figures.
func (p *part) limiter() {
	binary := os.Getenv(envLimit)
	if binary == "" {
		p.skip("limiter", "there is no internal/limit")
		p.Skip("there is no internal/limit")
	}
	out, err := exec.CommandContext(p.Context(), binary, "-test.v", "-test.count=1", "-test.run", "^TestLimiterGate$").CombinedOutput()
	text := string(out)
	if err != nil || !strings.Contains(text, "--- PASS: TestLimiterGate") {
		p.fail("TestLimiterGate did not pass: %v\n%s", err, text)
	}
	var said []string
	for line := range strings.Lines(text) {
		if _, logged, ok := strings.Cut(line, "_test.go:"); ok {
			_, logged, _ = strings.Cut(logged, ": ")
			said = append(said, strings.TrimSpace(logged))
		}
	}
	p.figures["said"] = said
}

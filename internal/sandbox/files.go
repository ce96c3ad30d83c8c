package sandbox

import (
	"os"
	"path/filepath"
	"strings"
)

// swap tells whether the machine has swap in use as memory. root is "/" but in
// tests.
func swap(root string) Probe {
	text, err := os.ReadFile(filepath.Join(root, "proc/swaps"))
	if err != nil {
		return Measure(Swap, StateUnknown, "/proc/swaps cannot be read")
	}
	n := strings.Count(strings.TrimSpace(string(text)), "\n")
	if n > 0 {
		return Measure(Swap, StateWeak, plural(n, "swap area"))
	}
	return Measure(Swap, StateOK, "none")
}

package proctest

import (
	"os"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

// AllowCoreFiles lets this process and its children write core files into their
// directories until the test ends. It skips the test where that is impossible.
func AllowCoreFiles(t *testing.T) {
	t.Helper()
	pattern, err := os.ReadFile("/proc/sys/kernel/core_pattern")
	if err != nil || strings.HasPrefix(string(pattern), "|") || strings.HasPrefix(string(pattern), "/") {
		t.Skipf("core dumps of this machine do not go to the working directory: %q", pattern)
	}
	var before unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_CORE, &before); err != nil {
		t.Fatal(err)
	}
	if err := unix.Setrlimit(unix.RLIMIT_CORE, &unix.Rlimit{Cur: before.Max, Max: before.Max}); err != nil || before.Max == 0 {
		t.Skipf("core dumps cannot be allowed: limit %d, %v", before.Max, err)
	}
	t.Cleanup(func() { _ = unix.Setrlimit(unix.RLIMIT_CORE, &before) })
}

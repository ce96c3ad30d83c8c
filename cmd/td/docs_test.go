package main_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// TestDocs runs the shell blocks of pages as a reader would, one after the
// other in one shell, against a real server.
func TestDocs(t *testing.T) {
	t.Parallel()
	for _, page := range []string{"how-to/curl.md"} {
		t.Run(page, func(t *testing.T) {
			if _, err := exec.LookPath("curl"); err != nil {
				t.Skip("curl is not installed: the page was not tried")
			}
			b := startBackend(t, t.TempDir())
			script := shellBlocks(t, filepath.Join("../../docs", page))
			cmd := exec.Command("sh", "-eu", "-c", script)
			cmd.Dir = t.TempDir()
			cmd.Env = append(os.Environ(),
				"PATH="+binDir(t)+string(os.PathListSeparator)+os.Getenv("PATH"),
				asProgram+"=1", "TD_SERVER="+b.url, "XDG_STATE_HOME="+t.TempDir())
			out, err := cmd.CombinedOutput()
			if err != nil {
				t.Fatalf("%v\n%s", err, out)
			}
			if !strings.Contains(string(out), "\n  valid, in the log of ") || !strings.Contains(string(out), "opened: the opening matches this commitment") {
				t.Errorf("the page does not end with a valid receipt\n%s", out)
			}
		})
	}
}

// shellBlocks joins the blocks fenced as sh.
func shellBlocks(t *testing.T, name string) string {
	t.Helper()
	page, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	var script strings.Builder
	parts := strings.Split("\n"+string(page), "\n```")
	for i, part := range parts {
		if block, ok := strings.CutPrefix(part, "sh\n"); ok && i%2 == 1 {
			script.WriteString(block + "\n")
		}
	}
	if script.Len() == 0 {
		t.Fatalf("%s has no shell block", name)
	}
	return script.String()
}

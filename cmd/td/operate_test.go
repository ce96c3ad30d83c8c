package main_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/spf13/cobra"

	td "github.com/terradourada/td/cmd/td"
)

// operated are the pages for operators, in an order in which they can be followed: each
// ends with a server that accepts.
var operated = []string{
	"how-to/operate-freeze", "how-to/operate-rotate", "how-to/operate-clients", "how-to/operate-incidents",
	"runbooks/key-compromise", "runbooks/prover-compromise", "runbooks/abnormal-traffic", "runbooks/ledger-inconsistency",
	"runbooks/operator-error", "runbooks/disk-full", "runbooks/rotation-drill", "runbooks/machine", "runbooks/anomalies",
	"security/advisories",
}

// TestOperatorPages runs the shell blocks of the pages for operators, each page in one
// shell, all against one real server.
func TestOperatorPages(t *testing.T) {
	t.Parallel()
	b := startBackend(t, t.TempDir())
	env := append(os.Environ(), "PATH="+binDir(t)+string(os.PathListSeparator)+os.Getenv("PATH"),
		asProgram+"=1", "TD_SERVER="+b.url, "TD_DATA="+b.data, "XDG_STATE_HOME="+t.TempDir())
	for _, page := range operated {
		cmd := exec.Command("sh", "-eu", "-c", shellBlocks(t, filepath.Join("../../docs", page+".md")))
		cmd.Dir, cmd.Env = t.TempDir(), env
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Fatalf("%s: %v\n%s", page, err, out)
		}
		if code, stdout, stderr := runTD("admin", "status", "--data", b.data); code != 0 || !strings.HasPrefix(stdout, "accepting\n") || !strings.Contains(stdout, "none open") {
			t.Fatalf("%s leaves a server behind that says: exit %d\n%s%s", page, code, stdout, stderr)
		}
	}
	if code, stdout, stderr := runTD("admin", "audit", "verify", "--data", b.data); code != 0 {
		t.Errorf("exit %d: %s%s", code, stdout, stderr)
	}
	b.stop(20 * time.Second)
}

// TestRunbooks: each page in docs/runbooks is run, and each kind of incident has one.
func TestRunbooks(t *testing.T) {
	files, err := filepath.Glob("../../docs/runbooks/*.md")
	if err != nil || len(files) < 8 {
		t.Fatalf("%q, %v", files, err)
	}
	for _, file := range files {
		name := strings.TrimSuffix(filepath.Base(file), ".md")
		if name != "README" && !slices.Contains(operated, "runbooks/"+name) {
			t.Errorf("%s is not run", file)
		}
	}
	var kinds []string
	eachCommand(td.NewRoot(), func(cmd *cobra.Command) {
		if cmd.CommandPath() == "td admin incident open" {
			kinds = strings.Split(cmd.Flag("kind").Value.Type(), "|")
		}
	})
	for _, kind := range kinds {
		if !slices.Contains(operated, "runbooks/"+kind) {
			t.Errorf("incidents of kind %s have no page", kind)
		}
	}
	if len(kinds) != 5 {
		t.Errorf("the kinds are %q", kinds)
	}
}

package main_test

import (
	"bytes"
	"regexp"
	"strings"
	"testing"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	td "github.com/terradourada/td/cmd/td"
)

// leaks is what a user must never see: types of Go, stack traces, a usage dump.
var leaks = regexp.MustCompile(`goroutine |\*?\b(main|api|claim|client|protocol|receipt|pflag|strconv|json)\.[A-Z(]|0x[0-9a-f]{8}|Usage:|Available Commands`)

// TestUsageErrors misuses every command in every way that its flags and
// arguments allow: exit code 2 and at most six lines, among them what to do.
func TestUsageErrors(t *testing.T) {
	t.Setenv("XDG_STATE_HOME", t.TempDir())
	eachCommand(td.NewRoot(), func(cmd *cobra.Command) {
		path := strings.Fields(cmd.CommandPath())[1:]
		misuses := [][]string{
			append(path, "--no-such-flag"),
			append(path, "-Z"),
			append(path, "--output", "yaml"),
			append(path, "surely", "too", "many", "arguments"),
		}
		cmd.LocalFlags().VisitAll(func(f *pflag.Flag) {
			if kind := f.Value.Type(); kind != "bool" && kind != "string" && !strings.HasPrefix(kind, "string") {
				misuses = append(misuses, append(path, "--"+f.Name, "~"))
			}
			if f.NoOptDefVal == "" {
				misuses = append(misuses, append(path, "--"+f.Name))
			}
		})
		for _, args := range misuses {
			if cmd.Args != nil && args[len(args)-1] == "arguments" && takesMany(cmd) {
				continue
			}
			misuse(t, args)
		}
	})
}

func takesMany(cmd *cobra.Command) bool {
	return cmd.Args(cmd, []string{"surely", "too", "many", "arguments"}) == nil
}

func misuse(t *testing.T, args []string) {
	t.Helper()
	var stdout, stderr bytes.Buffer
	code := td.Run(args, strings.NewReader(""), &stdout, &stderr)
	text := stderr.String()
	switch {
	case code != 2:
		t.Errorf("td %q: exit code %d, want 2\n%s", args, code, text)
	case stdout.Len() > 0:
		t.Errorf("td %q: it wrote to standard output\n%s", args, &stdout)
	case strings.Count(text, "\n") > 6 || len(text) > 1000:
		t.Errorf("td %q: too much to say\n%s", args, text)
	case !strings.HasPrefix(text, "error: ") || !strings.Contains(text, "\nhint: "):
		t.Errorf("td %q: it does not say what happened and what to do\n%s", args, text)
	case leaks.MatchString(text):
		t.Errorf("td %q: it shows its inside\n%s", args, text)
	}
}

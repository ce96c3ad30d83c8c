package main_test

import (
	"bytes"
	"flag"
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	td "github.com/terradourada/td/cmd/td"
)

var update = flag.Bool("update", false, "write docs/reference/cli.md")

//go:generate go test -count=1 -run ^TestReference$ -update .

const referenceFile = "../../docs/reference/cli.md"

// TestCommandsAreDocumented walks the tree: every command and every flag has its text.
func TestCommandsAreDocumented(t *testing.T) {
	eachCommand(td.NewRoot(), func(cmd *cobra.Command) {
		if cmd.Short == "" || strings.HasSuffix(cmd.Short, ".") {
			t.Errorf("%s: its short text is empty, or ends with a full stop", cmd.CommandPath())
		}
		if cmd.Example == "" {
			t.Errorf("%s has no example", cmd.CommandPath())
		}
		for line := range strings.Lines(cmd.Example + "\n" + cmd.Long) {
			if len(strings.TrimRight(line, "\n")) > 100 {
				t.Errorf("%s has a line of more than 100 characters: %s", cmd.CommandPath(), line)
			}
		}
		if cmd.Args == nil {
			t.Errorf("%s does not say what arguments it takes", cmd.CommandPath())
		}
		cmd.LocalFlags().VisitAll(func(f *pflag.Flag) {
			if f.Usage == "" {
				t.Errorf("%s: --%s has no description", cmd.CommandPath(), f.Name)
			}
		})
	})
}

// TestExamplesParse runs the flags of every example through its command.
func TestExamplesParse(t *testing.T) {
	eachCommand(td.NewRoot(), func(cmd *cobra.Command) {
		for line := range strings.Lines(cmd.Example) {
			line, _, _ = strings.Cut(line, " | ")
			line, _, _ = strings.Cut(line, " > ")
			args := strings.Fields(line)
			if len(args) == 0 || args[0] != "td" || cmd.Parent() == nil {
				continue
			}
			found, rest, err := td.NewRoot().Find(args[1:])
			if err != nil || !strings.HasPrefix(found.CommandPath(), cmd.CommandPath()) {
				t.Errorf("%s: its example is another command's: %s", cmd.CommandPath(), line)
				continue
			}
			if err := found.ParseFlags(rest); err != nil {
				t.Errorf("%s: %s: %v", cmd.CommandPath(), line, err)
			}
		}
	})
}

// TestReference compares docs/reference/cli.md with the commands.
func TestReference(t *testing.T) {
	var b bytes.Buffer
	writeReference(&b, td.NewRoot())
	if *update {
		if err := os.MkdirAll("../../docs/reference", 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(referenceFile, b.Bytes(), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	committed, err := os.ReadFile(referenceFile)
	if err != nil {
		t.Fatal(err)
	}
	if !slices.Equal(committed, b.Bytes()) {
		t.Error("docs/reference/cli.md is not what the commands say: go generate ./cmd/td")
	}
}

func eachCommand(cmd *cobra.Command, visit func(*cobra.Command)) {
	if cmd.Hidden {
		return
	}
	visit(cmd)
	for _, c := range cmd.Commands() {
		if c.Name() != "completion" && c.Name() != "help" {
			eachCommand(c, visit)
		}
	}
}

// writeReference writes every command: what it is for, how it is called, its
// flags and examples.
func writeReference(b *bytes.Buffer, root *cobra.Command) {
	b.WriteString("# Command line\n\nGenerated from the program by `go generate ./cmd/td`; do not edit.\n\n")
	b.WriteString("Data goes to standard output; progress, logs and errors go to standard error.\n\n")
	b.WriteString("| exit code | meaning |\n|---|---|\n")
	for _, line := range exitCodes {
		b.WriteString(line)
	}
	eachCommand(root, func(cmd *cobra.Command) {
		fmt.Fprintf(b, "\n## %s\n\n%s\n", cmd.CommandPath(), orShort(cmd))
		if cmd.Runnable() && cmd.Parent() != nil {
			fmt.Fprintf(b, "\n    %s\n", cmd.UseLine())
		}
		fmt.Fprintf(b, "\n```sh\n%s\n```\n", undent(cmd.Example))
		writeFlags(b, cmd)
	})
	b.WriteString("\n## td completion\n\n`td completion bash|zsh|fish|powershell` prints a script for the shell, and how to load it.\n")
}

var exitCodes = []string{
	"| 0 | ok |\n", "| 1 | unexpected |\n", "| 2 | usage |\n", "| 3 | invalid: a receipt or a log is false, forged or damaged, or an event does not satisfy its claim |\n",
	"| 4 | not found |\n", "| 5 | denied |\n", "| 6 | frozen |\n", "| 7 | unavailable: what was asked for could not be read, or the server asks to come back later |\n",
	"| 8 | configuration |\n", "| 9 | rate limited |\n",
	"| 10 | contradicted: the log showed two histories; keep the evidence |\n", "| 11 | unvouched: nothing shows whose log it is |\n",
	"| 12 | flagged, with `--strict`: the epoch or the claim was withdrawn |\n", "| 130 | interrupted |\n",
}

func orShort(cmd *cobra.Command) string {
	if cmd.Long != "" {
		return cmd.Short + ".\n\n" + cmd.Long
	}
	return cmd.Short + "."
}

func undent(s string) string {
	var lines []string
	for line := range strings.Lines(s) {
		lines = append(lines, strings.TrimSpace(line))
	}
	return strings.Join(lines, "\n")
}

func writeFlags(b *bytes.Buffer, cmd *cobra.Command) {
	var rows []string
	cmd.LocalFlags().VisitAll(func(f *pflag.Flag) {
		if f.Name == "help" || f.Hidden {
			return
		}
		name := "`--" + f.Name + "`"
		if f.Shorthand != "" {
			name = "`-" + f.Shorthand + "`, " + name
		}
		if f.Value.Type() != "bool" {
			name += " " + strings.ReplaceAll(f.Value.Type(), "|", " \\| ")
		}
		usage := strings.ReplaceAll(f.Usage, "|", "\\|")
		if f.DefValue != "" && f.DefValue != "false" && f.DefValue != "[]" && f.DefValue != "0" && f.DefValue != "0s" {
			usage += fmt.Sprintf(" (default %s)", f.DefValue)
		}
		rows = append(rows, fmt.Sprintf("| %s | %s |\n", name, usage))
	})
	if len(rows) > 0 {
		b.WriteString("\n| flag | meaning |\n|---|---|\n" + strings.Join(rows, ""))
	}
}

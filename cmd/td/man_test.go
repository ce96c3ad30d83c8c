package main_test

import (
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	td "github.com/terradourada/td/cmd/td"
)

var manDir = flag.String("man", "", "directory to write the manual pages to")

// TestManPages writes a manual page for each command and renders it: with mandoc and with
// man, each without a warning.
func TestManPages(t *testing.T) {
	dir := *manDir
	if dir == "" {
		dir = t.TempDir()
	}
	if err := os.MkdirAll(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	var pages []string
	eachCommand(td.NewRoot(), func(cmd *cobra.Command) {
		page := filepath.Join(dir, manName(cmd)+".1")
		if err := os.WriteFile(page, []byte(manPage(cmd)), 0o644); err != nil {
			t.Fatal(err)
		}
		pages = append(pages, page)
	})
	render(t, pages, "mandoc", "-Tlint", "-Wwarning")
	render(t, pages, "man", "--warnings", "-E", "UTF-8", "-l", "-Tutf8", "-Z")
}

// render runs a program on each page, which must print no complaint.
func render(t *testing.T, pages []string, program string, args ...string) {
	t.Helper()
	if _, err := exec.LookPath(program); err != nil {
		t.Logf("%s is not installed: the pages were not rendered with it", program)
		return
	}
	for _, page := range pages {
		cmd := exec.Command(program, append(args, page)...)
		cmd.Env = append(os.Environ(), "MANWIDTH=80", "LC_ALL=C.UTF-8")
		out := &strings.Builder{}
		cmd.Stderr = out
		if program == "mandoc" {
			cmd.Stdout = out // where it complains
		}
		if err := cmd.Run(); err != nil || out.Len() > 0 {
			t.Errorf("%s %s: %v\n%s", program, filepath.Base(page), err, out)
		}
	}
}

func manName(cmd *cobra.Command) string { return strings.ReplaceAll(cmd.CommandPath(), " ", "-") }

// manDate is the day of the build, or that of SOURCE_DATE_EPOCH.
func manDate() string {
	at := time.Now()
	if n, err := strconv.ParseInt(os.Getenv("SOURCE_DATE_EPOCH"), 10, 64); err == nil {
		at = time.Unix(n, 0)
	}
	return at.UTC().Format(time.DateOnly)
}

// manPage returns the manual page of a command, in the macros of man(7).
func manPage(cmd *cobra.Command) string {
	var b strings.Builder
	name := manName(cmd)
	fmt.Fprintf(&b, ".TH %s 1 %s \"Terra Dourada\" \"User Commands\"\n", strings.ToUpper(roff(name)), manDate())
	fmt.Fprintf(&b, ".SH NAME\n%s \\- %s\n", roff(name), roff(cmd.Short))
	fmt.Fprintf(&b, ".SH SYNOPSIS\n.nf\n%s\n.fi\n", roff(cmd.UseLine()))
	b.WriteString(".SH DESCRIPTION\n")
	for i, part := range strings.Split(orShort(cmd), "\n\n") {
		if i > 0 {
			b.WriteString(".PP\n")
		}
		b.WriteString(roff(part) + "\n")
	}
	manFlags(&b, cmd)
	fmt.Fprintf(&b, ".SH EXAMPLES\n.nf\n%s\n.fi\n", roff(undent(cmd.Example)))
	b.WriteString(".SH EXIT STATUS\n")
	for _, line := range exitCodes {
		cells := strings.Split(line, "|")
		fmt.Fprintf(&b, ".TP\n.B %s\n%s\n", roff(strings.TrimSpace(cells[1])), roff(strings.ReplaceAll(strings.TrimSpace(cells[2]), "`", "")))
	}
	manSeeAlso(&b, cmd)
	return b.String()
}

func manFlags(b *strings.Builder, cmd *cobra.Command) {
	var options strings.Builder
	cmd.LocalFlags().VisitAll(func(f *pflag.Flag) {
		if f.Hidden {
			return
		}
		name := `\fB` + roff("--"+f.Name) + `\fR`
		if f.Shorthand != "" {
			name = `\fB` + roff("-"+f.Shorthand) + `\fR, ` + name
		}
		if f.Value.Type() != "bool" {
			name += ` \fI` + roff(f.Value.Type()) + `\fR`
		}
		fmt.Fprintf(&options, ".TP\n%s\n%s\n", name, roff(f.Usage))
	})
	if options.Len() > 0 {
		b.WriteString(".SH OPTIONS\n" + options.String())
	}
}

func manSeeAlso(b *strings.Builder, cmd *cobra.Command) {
	var others []string
	if cmd.HasParent() {
		others = append(others, manName(cmd.Parent()))
	}
	for _, c := range cmd.Commands() {
		if !c.Hidden && c.Name() != "completion" {
			others = append(others, manName(c))
		}
	}
	if len(others) == 0 {
		return
	}
	b.WriteString(".SH SEE ALSO\n")
	for i, name := range others {
		fmt.Fprintf(b, ".BR %s (1)%s\n", roff(name), map[bool]string{true: ","}[i < len(others)-1])
	}
}

// roff escapes text. A line that begins with a space stands as it is; other lines fill.
func roff(s string) string {
	s = strings.NewReplacer(`\`, `\e`, "-", `\-`).Replace(s)
	var lines []string
	for line := range strings.SplitSeq(s, "\n") {
		if strings.HasPrefix(line, ".") || strings.HasPrefix(line, "'") {
			line = `\&` + line
		}
		lines = append(lines, line)
	}
	return strings.Join(lines, "\n")
}

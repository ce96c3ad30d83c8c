package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/terradourada/td/internal/fault"
	"github.com/terradourada/td/internal/termui"
	"github.com/terradourada/td/protocol"
)

// worst orders the exit codes of negative verdicts: of several files the first
// one that occurred counts.
var worst = []int{fault.Contradicted, fault.Negative, fault.Flagged, fault.Unvouched, fault.Unavailable}

// report prints an error and gives the exit code.
func (a *app) report(ctx context.Context, cmd *cobra.Command, err error) int {
	f := asFailure(ctx, cmd, err)
	written := make(chan struct{})
	go func() {
		defer close(written)
		a.writeFault(cmd, f)
	}()
	select {
	case <-written:
	case <-ctx.Done(): // interrupted: a stream that is not read holds up the end for a moment only
		select {
		case <-written:
		case <-time.After(flushTimeout):
		}
	}
	return f.Exit
}

func asFailure(ctx context.Context, cmd *cobra.Command, err error) *fault.Fault {
	var f *fault.Fault
	if errors.As(err, &f) {
		return f
	}
	if ctx.Err() != nil && errors.Is(err, context.Canceled) {
		return &fault.Fault{Exit: fault.Interrupted, What: "interrupted"}
	}
	var p *protocol.Error
	if errors.As(err, &p) {
		return &fault.Fault{Exit: fault.ExitOf(p.Code), What: cmp.Or(p.Detail, p.Code.String()), Code: p.Code}
	}
	if unknown, ok := strings.CutPrefix(err.Error(), "unknown command "); ok {
		return unknownCommand(cmd, strings.Split(unknown, `"`)[1])
	}
	if missing, ok := strings.CutPrefix(err.Error(), "required flag(s) "); ok {
		return missingFlags(cmd, missing)
	}
	if isArgumentError(err) {
		return &fault.Fault{Exit: fault.Usage, What: err.Error(), Hint: fmt.Sprintf("%s --help shows how it is used", cmd.CommandPath())}
	}
	return &fault.Fault{Exit: fault.Unexpected, What: err.Error()}
}

// isArgumentError recognises cobra's complaints about the number of arguments,
// which have no type of their own.
func isArgumentError(err error) bool {
	s := err.Error()
	return strings.Contains(s, "arg(s)") || strings.Contains(s, "if any flags in the group")
}

// missingFlags puts cobra's list of required flags, "a", "b" not set, into our
// words.
func missingFlags(cmd *cobra.Command, list string) *fault.Fault {
	var names []string
	for i, s := range strings.Split(list, `"`) {
		if i%2 == 1 {
			names = append(names, "--"+s)
		}
	}
	return &fault.Fault{Exit: fault.Usage, What: fmt.Sprintf("%s needs %s", cmd.CommandPath(), strings.Join(names, " and ")), Hint: "usage: " + cmd.UseLine()}
}

func unknownCommand(cmd *cobra.Command, name string) *fault.Fault {
	f := &fault.Fault{Exit: fault.Usage, What: fmt.Sprintf("there is no command %q", name), Hint: fmt.Sprintf("%s --help lists the commands", cmd.CommandPath())}
	var names []string
	for _, c := range cmd.Commands() {
		if !c.Hidden {
			names = append(names, c.Name())
		}
	}
	if s := nearest(name, names); s != "" {
		f.Hint = fmt.Sprintf("did you mean %q?", cmd.CommandPath()+" "+s)
	}
	return f
}

// flagError turns a complaint about a flag into a failure with a suggestion.
func flagError(cmd *cobra.Command, err error) error {
	f := &fault.Fault{Exit: fault.Usage, What: err.Error(), Hint: fmt.Sprintf("%s --help lists the flags", cmd.CommandPath())}
	var unknown *pflag.NotExistError
	if errors.As(err, &unknown) {
		f.What = fmt.Sprintf("%s has no flag --%s", cmd.CommandPath(), unknown.GetSpecifiedName())
		if unknown.GetSpecifiedShortnames() != "" {
			f.What = fmt.Sprintf("%s has no flag -%s", cmd.CommandPath(), unknown.GetSpecifiedName())
			return f
		}
		var names []string
		cmd.Flags().VisitAll(func(fl *pflag.Flag) { names = append(names, fl.Name) })
		if s := nearest(unknown.GetSpecifiedName(), names); s != "" {
			f.Hint = fmt.Sprintf("did you mean --%s?", s)
		}
		if unknown.GetSpecifiedName() == "version" {
			f.Hint = `did you mean "td version"?`
		}
	}
	return f
}

// nearest is the name within two edits of s, or "".
func nearest(s string, names []string) string {
	best, found := 3, ""
	for _, n := range names {
		if d := distance(s, n); d < best {
			best, found = d, n
		}
	}
	return found
}

// distance is the Levenshtein distance.
func distance(a, b string) int {
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		diagonal := row[0]
		row[0] = i + 1
		for j := range len(b) {
			cost := diagonal
			if a[i] != b[j] {
				cost = 1 + min(diagonal, row[j], row[j+1])
			}
			diagonal, row[j+1] = row[j+1], cost
		}
	}
	return row[len(b)]
}

// choice is a flag value out of a closed list; anything else is refused with
// the list and a suggestion.
type choice struct {
	value   string
	options []string
}

// String is the value.
func (c *choice) String() string { return c.value }

// Type names the value in the help.
func (c *choice) Type() string { return strings.Join(c.options, "|") }

// Set takes one of the options.
func (c *choice) Set(s string) error {
	for _, o := range c.options {
		if s == o {
			c.value = s
			return nil
		}
	}
	if n := nearest(s, c.options); n != "" {
		return fmt.Errorf("it is one of %s; did you mean %q?", strings.Join(c.options, ", "), n)
	}
	return fmt.Errorf("it is one of %s", strings.Join(c.options, ", "))
}

// outputFlag adds -o table|json to a command.
func outputFlag(cmd *cobra.Command) *choice {
	c := &choice{value: "table", options: []string{"table", "json"}}
	cmd.Flags().VarP(c, "output", "o", "how to print data")
	_ = cmd.RegisterFlagCompletionFunc("output", cobra.FixedCompletions(c.options, cobra.ShellCompDirectiveNoFileComp))
	return c
}

// progressFlag adds --progress to a command.
func progressFlag(cmd *cobra.Command) *choice {
	c := &choice{value: termui.Modes()[0], options: termui.Modes()}
	cmd.Flags().Var(c, "progress", "how progress is shown on standard error; auto redraws one line on a terminal and is plain elsewhere")
	_ = cmd.RegisterFlagCompletionFunc("progress", cobra.FixedCompletions(c.options, cobra.ShellCompDirectiveNoFileComp))
	return c
}

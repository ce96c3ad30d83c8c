package main

import (
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/terradourada/td/internal/fault"
	"github.com/terradourada/td/internal/remote"
	"github.com/terradourada/td/internal/termui"
)

// choice is a flag value out of a closed list.
type choice struct {
	value   string
	options []string
}

// String returns the value.
func (c *choice) String() string { return c.value }

// Type names the value in the help.
func (c *choice) Type() string { return strings.Join(c.options, "|") }

// Set sets one of the options. [flagError] adds a suggestion to the error.
func (c *choice) Set(s string) error {
	if !slices.Contains(c.options, s) {
		return errors.New("it is one of " + strings.Join(c.options, ", "))
	}
	c.value = s
	return nil
}

// count is a flag value from 0 to 1024.
type count int

// String returns the number.
func (c *count) String() string { return strconv.Itoa(int(*c)) }

// Type names the value in the help.
func (c *count) Type() string { return "number" }

// Set parses a number.
func (c *count) Set(s string) error {
	n, err := strconv.Atoi(s)
	if err != nil || n < 0 || n > 1024 {
		return errors.New("it is a number from 0 to 1024")
	}
	*c = count(n)
	return nil
}

// choiceFlag adds a flag with a closed list of values, the first of which is the
// default.
func choiceFlag(cmd *cobra.Command, name, short, usage string, options ...string) *choice {
	c := &choice{value: options[0], options: options}
	cmd.Flags().VarP(c, name, short, usage)
	_ = cmd.RegisterFlagCompletionFunc(name, cobra.FixedCompletions(options, cobra.ShellCompDirectiveNoFileComp))
	return c
}

// outputFlag adds -o table|json to a command.
func outputFlag(cmd *cobra.Command) *choice {
	return choiceFlag(cmd, "output", "o", "how to print data", "table", "json")
}

// progressFlag adds --progress to a command.
func progressFlag(cmd *cobra.Command) *choice {
	return choiceFlag(cmd, "progress", "", "how progress is shown on standard error; auto redraws one line on a terminal and is plain elsewhere; with json every line is an object, and the last one has the exit code", termui.Modes()...)
}

// serverFlag adds --server to a command.
func serverFlag(cmd *cobra.Command, value *string) {
	cmd.Flags().StringVar(value, "server", "", "URL of the server (default $TD_SERVER, or "+remote.DefaultServer+")")
}

// tokenFlag adds --token-file to a command.
func tokenFlag(cmd *cobra.Command, value *string) {
	cmd.Flags().StringVar(value, "token-file", "", "file with your client id and API key, for a server that asks for one (default $TD_TOKEN_FILE)")
}

// serverUserFlag adds --server-user to a command.
func serverUserFlag(cmd *cobra.Command, value *string) {
	cmd.Flags().StringVar(value, "server-user", "", "user who runs the server on this machine, by name or number (default $TD_SERVER_USER); root and your own user are always accepted")
}

// selfAssertedFlag adds --allow-self-asserted to a command that talks to a server.
func selfAssertedFlag(cmd *cobra.Command, value *bool) {
	cmd.Flags().BoolVar(value, "allow-self-asserted", false, "also use a server that nothing shows to be the right one; its receipts are unvouched")
}

// retryFlag adds --retry to a command that calls a server.
func retryFlag(cmd *cobra.Command, value *time.Duration) {
	cmd.Flags().DurationVar(value, "retry", 0, "how long to wait for a server that is restarted, busy or frozen, for example 10m (default a few seconds)")
}

// patience returns that of --retry, which says on standard error what it waits for.
func (a *app) patience(retry time.Duration) remote.Patience {
	return remote.Patience{For: retry, Say: func(line string) { fmt.Fprintln(a.stderr, line) }}
}

// trustFlag adds --trust to a command.
func trustFlag(cmd *cobra.Command, value *string) {
	cmd.Flags().StringVar(value, "trust", "", "trust store: where this user's checkpoints of logs are kept (default terradourada/trust in the state directory)")
}

// oneArg requires exactly one argument, under its name in the usage line.
func oneArg(name string) cobra.PositionalArgs {
	return func(cmd *cobra.Command, args []string) error {
		if len(args) > 1 {
			return fault.New(fault.Usage, fmt.Sprintf("%s takes one %s, and %d were given", cmd.CommandPath(), name, len(args)), "usage: "+cmd.UseLine())
		}
		return someArgs(name)(cmd, args)
	}
}

// optionalArg accepts at most one argument.
func optionalArg(name string) cobra.PositionalArgs {
	return func(cmd *cobra.Command, args []string) error {
		if len(args) > 1 {
			return oneArg(name)(cmd, args)
		}
		return nil
	}
}

// someArgs requires at least one argument.
func someArgs(name string) cobra.PositionalArgs {
	return func(cmd *cobra.Command, args []string) error {
		if len(args) == 0 {
			return fault.New(fault.Usage, fmt.Sprintf("%s needs %s", cmd.CommandPath(), name), "usage: "+cmd.UseLine())
		}
		return nil
	}
}

// noArgs accepts no argument.
func noArgs(cmd *cobra.Command, args []string) error {
	if len(args) > 0 {
		return fault.New(fault.Usage, fmt.Sprintf("%s takes no argument, and %q was given", cmd.CommandPath(), args[0]), "usage: "+cmd.UseLine())
	}
	return nil
}

package main

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/terradourada/td/internal/fault"
)

// report prints an error and returns the exit code.
func (a *app) report(ctx context.Context, cmd *cobra.Command, err error) int {
	f := fault.Of(err)
	if f.Exit == fault.Unexpected && ctx.Err() != nil && errors.Is(err, context.Canceled) {
		f = &fault.Fault{Exit: fault.Interrupted, What: "interrupted"}
	}
	written := make(chan struct{})
	go func() {
		defer close(written)
		a.writeFault(cmd, f)
	}()
	select {
	case <-written:
	case <-ctx.Done(): // interrupted: a reader that does not read delays the end by flushTimeout at most
		select {
		case <-written:
		case <-time.After(flushTimeout):
		}
	}
	return f.Exit
}

// typedErrors replaces the errors of cobra's own checks, which have no type, by faults:
// for a command and all commands below it.
func typedErrors(cmd *cobra.Command) {
	check := cmd.Args
	cmd.Args = func(cmd *cobra.Command, args []string) error {
		if len(args) > 0 && cmd.HasSubCommands() {
			return unknownCommand(cmd, args[0])
		}
		return wrongUse(cmd, check(cmd, args))
	}
	if !cmd.Runnable() { // td completion; otherwise its arguments are not checked
		cmd.RunE = func(cmd *cobra.Command, _ []string) error { return cmd.Help() }
	}
	for _, c := range cmd.Commands() {
		typedErrors(c)
	}
}

// wrongUse returns an error about the arguments or flags of a command as a fault.
func wrongUse(cmd *cobra.Command, err error) error {
	if err == nil || errors.As(err, new(*fault.Fault)) {
		return err
	}
	return fault.New(fault.Usage, err.Error(), cmd.CommandPath()+" --help shows how it is used")
}

// checkFlags checks what cobra would check after it, required flags and groups of flags,
// so that the errors are faults.
func checkFlags(cmd *cobra.Command, _ []string) error {
	var missing []string
	cmd.Flags().VisitAll(func(f *pflag.Flag) {
		if f.Annotations[cobra.BashCompOneRequiredFlag] != nil && !f.Changed {
			missing = append(missing, "--"+f.Name)
		}
	})
	if len(missing) > 0 {
		return fault.New(fault.Usage, fmt.Sprintf("%s needs %s", cmd.CommandPath(), strings.Join(missing, " and ")), "usage: "+cmd.UseLine())
	}
	return wrongUse(cmd, cmd.ValidateFlagGroups())
}

func unknownCommand(cmd *cobra.Command, name string) error {
	var names []string
	for _, c := range cmd.Commands() {
		if !c.Hidden || c.Name() == "help" {
			names = append(names, cmd.CommandPath()+" "+c.Name())
		}
	}
	hint := fault.DidYouMean(cmd.CommandPath()+" "+name, names, cmd.CommandPath()+" --help lists the commands")
	return fault.New(fault.Usage, fmt.Sprintf("there is no command %q", name), hint)
}

// flagError returns an error about a flag as a fault with a suggestion.
func flagError(cmd *cobra.Command, err error) error {
	if args := cmd.Flags().Args(); cmd.HasSubCommands() && len(args) > 0 { // the flag may be that of a mistyped command
		return unknownCommand(cmd, args[0])
	}
	hint := cmd.CommandPath() + " --help lists the flags"
	var unknown *pflag.NotExistError
	var invalid *pflag.InvalidValueError
	switch {
	case errors.As(err, &unknown) && unknown.GetSpecifiedShortnames() != "":
		return fault.New(fault.Usage, fmt.Sprintf("%s has no flag -%s", cmd.CommandPath(), unknown.GetSpecifiedName()), hint)
	case errors.As(err, &unknown):
		name := unknown.GetSpecifiedName()
		if name == "version" {
			hint = `did you mean "td version"?`
		}
		return fault.New(fault.Usage, fmt.Sprintf("%s has no flag --%s", cmd.CommandPath(), name), nearFlag(cmd, name, hint))
	case errors.As(err, &invalid):
		return invalidValue(cmd, invalid, hint)
	}
	return fault.New(fault.Usage, err.Error(), hint)
}

// nearFlag returns a hint with the flag that the user may have meant.
func nearFlag(cmd *cobra.Command, name, otherwise string) string {
	var names []string
	cmd.Flags().VisitAll(func(f *pflag.Flag) { names = append(names, f.Name) })
	if near := fault.Nearest(name, names); near != "" {
		return fmt.Sprintf("did you mean --%s?", near)
	}
	return otherwise
}

// invalidValue refuses the value of a flag. A long name after one dash is read as a short
// name and its value.
func invalidValue(cmd *cobra.Command, err *pflag.InvalidValueError, hint string) error {
	f, value := err.GetFlag(), err.GetValue()
	if long := cmd.Flags().Lookup(f.Shorthand + value); f.Shorthand != "" && long != nil {
		hint = fmt.Sprintf("did you mean --%s?", long.Name)
	}
	what := errors.Unwrap(err).Error()
	switch v := f.Value.(type) {
	case *choice:
		hint = fault.DidYouMean(value, v.options, hint)
	default:
		if v.Type() == "duration" {
			what = "it is a duration such as 30s, 5m or 1h30m"
		}
	}
	return fault.New(fault.Usage, fmt.Sprintf("--%s does not take %q: %s", f.Name, value, what), hint)
}

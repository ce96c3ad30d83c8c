package main

import (
	"fmt"

	"github.com/spf13/cobra"

	"github.com/terradourada/td/internal/fault"
)

// oneArg wants exactly one argument, by the name it has in the usage line.
func oneArg(name string) cobra.PositionalArgs {
	return func(cmd *cobra.Command, args []string) error {
		if len(args) > 1 {
			return fault.New(fault.Usage, fmt.Sprintf("%s takes one %s, and %d were given", cmd.CommandPath(), name, len(args)), "usage: "+cmd.UseLine())
		}
		return someArgs(name)(cmd, args)
	}
}

// someArgs wants at least one argument.
func someArgs(name string) cobra.PositionalArgs {
	return func(cmd *cobra.Command, args []string) error {
		if len(args) == 0 {
			return fault.New(fault.Usage, fmt.Sprintf("%s needs %s", cmd.CommandPath(), name), "usage: "+cmd.UseLine())
		}
		return nil
	}
}

// noArgs wants no argument, of a command without commands below it.
func noArgs(cmd *cobra.Command, args []string) error {
	if len(args) > 0 {
		return fault.New(fault.Usage, fmt.Sprintf("%s takes no argument, and %q was given", cmd.CommandPath(), args[0]), "usage: "+cmd.UseLine())
	}
	return nil
}

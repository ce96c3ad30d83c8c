package main

import (
	"github.com/spf13/cobra"

	"github.com/terradourada/td/internal/doctor"
	"github.com/terradourada/td/internal/fault"
)

func doctorCommand(a *app) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "doctor",
		Short: "Check whether a server would run well here, and how well its keys would be protected",
		Long: `Checks what td serve needs under the same flags: data directory, journal, log,
port, trust store, clock; proves and verifies; starts a signer and a tagger and
takes a request through them; and lists what the machine offers to protect keys.

It changes nothing, and takes no lock of a running server. A probe is ok, weak,
missing or unknown; exit code 1 if something is missing or unknown that a server
needs.`,
		Example: "  td doctor\n  td doctor --data /srv/td\n  td doctor -o json",
		Args:    noArgs,
	}
	configFlags(cmd)
	output := outputFlag(cmd)
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		cfg, err := loadConfig(cmd)
		if err != nil {
			return err
		}
		report, err := doctor.Run(cmd.Context(), doctor.Options{Config: cfg})
		if err != nil {
			return err
		}
		err = a.show(output, report, report.Table)
		if err == nil && !report.OK {
			err = fault.New(fault.Unexpected, "a server would not run well here", "the remedies stand under what is missing or unknown")
		}
		return err
	}
	return cmd
}

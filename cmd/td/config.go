package main

import (
	"fmt"
	"os"
	"strings"

	"github.com/spf13/cobra"

	"github.com/terradourada/td/internal/config"
	"github.com/terradourada/td/internal/node"
)

func configCommand(a *app) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "config",
		Short: "Print, explain and check the configuration of the server",
		Long: `Nothing has to be configured. A flag overrides an environment variable, which
overrides the file, which overrides the default. The file is config.toml in
the data directory, if there is one, or what --config or $TD_CONFIG names.`,
		Example: "  td config print --origins\n  td config explain ttl_ms\n  td config validate",
		Args:    cobra.NoArgs,
		RunE:    func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	cmd.AddCommand(configPrintCommand(a), configExplainCommand(a), configValidateCommand(a))
	return cmd
}

func configPrintCommand(a *app) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "print",
		Short: "Print the settings in force, as a configuration file",
		Long: `Prints what td serve would run with under the same flags, in the same
environment. The output is a configuration file.`,
		Example: "  td config print\n  td config print --origins\n  td config print --listen 127.0.0.1:9000 > config.toml",
		Args:    noArgs,
	}
	configFlags(cmd)
	origins := cmd.Flags().Bool("origins", false, "say where each value comes from, in a comment")
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		cfg, err := loadConfig(cmd)
		if err != nil {
			return err
		}
		a.printNotes(cfg)
		return cfg.Print(a.stdout, *origins)
	}
	return cmd
}

// printNotes prints what the operator should know about the configuration.
func (a *app) printNotes(cfg *config.Config) {
	for _, note := range cfg.Notes() {
		fmt.Fprintf(a.stderr, "note: %s\n", note)
	}
}

func configExplainCommand(a *app) *cobra.Command {
	cmd := &cobra.Command{
		Use:               "explain [KEY]",
		Short:             "Explain a setting: its meaning, its values and how to set it",
		Long:              "Explains one setting, or lists all of them.",
		Example:           "  td config explain\n  td config explain max_sessions",
		Args:              cobra.MaximumNArgs(1),
		ValidArgsFunction: cobra.FixedCompletions(config.Keys(), cobra.ShellCompDirectiveNoFileComp),
	}
	cmd.RunE = func(_ *cobra.Command, args []string) error {
		if len(args) == 0 {
			return a.listSettings()
		}
		text, err := config.Explain(args[0])
		if err != nil {
			return err
		}
		_, err = fmt.Fprint(a.stdout, text)
		return err
	}
	return cmd
}

// listSettings prints one line for each setting.
func (a *app) listSettings() error {
	for _, f := range config.Flags() {
		if _, err := fmt.Fprintf(a.stdout, "%-24s %s\n", strings.ReplaceAll(f.Name, "-", "_"), f.Usage); err != nil {
			return err
		}
	}
	return nil
}

func configValidateCommand(a *app) *cobra.Command {
	return &cobra.Command{
		Use:   "validate [FILE]",
		Short: "Check a configuration file",
		Long: `Checks the file, or the one that td serve would read, together with the
environment, and the policy file that the setting cosigners names. A fault is shown
with its place; exit code 8.`,
		Example: "  td config validate\n  td config validate ./config.toml",
		Args:    cobra.MaximumNArgs(1),
		RunE: func(_ *cobra.Command, args []string) error {
			flags := map[string]string{}
			if len(args) == 1 {
				flags["config"] = args[0]
			}
			cfg, err := config.Load(os.Environ(), flags)
			if err != nil {
				return err
			}
			a.printNotes(cfg)
			if err := node.CheckCosigners(cfg); err != nil {
				return err
			}
			what := "no configuration file; defaults and environment are valid"
			if cfg.File() != "" {
				what = cfg.File() + " is valid"
			}
			_, err = fmt.Fprintln(a.stdout, what)
			return err
		},
	}
}

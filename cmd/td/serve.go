package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/terradourada/td/internal/config"
	"github.com/terradourada/td/internal/localserver"
	"github.com/terradourada/td/internal/node"
	"github.com/terradourada/td/internal/sandbox"
	"github.com/terradourada/td/internal/systemd"
	"github.com/terradourada/td/internal/telemetry"
)

func serveCommand(a *app) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "serve",
		Short: "Run the server",
		Long: `Runs the core with its signer, tagger and prover. Nothing has to be configured:
it listens on loopback and keeps journal and ledger in the data directory. No
key, tag, signature or event content is ever in there.

Ctrl-C or SIGTERM stops it in order: requests in work end, the epoch is closed,
the last checkpoint is published, and the keys are gone. SIGHUP reads settings
and certificate again, and never ends it. A service manager that sets
NOTIFY_SOCKET learns when it is ready, alive and stopping.`,
		Example: "  td serve\n  td serve --listen 127.0.0.1:9000 --data ./data\n  td serve --group members.json\n  td serve --read-only --data ./copy",
		Args:    noArgs,
	}
	configFlags(cmd)
	breakGlass := cmd.Flags().String("break-glass", "", "thaw everything at this start, alone, for this reason; it is an incident that has to be closed")
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		if err := sandbox.CloseInherited(); err != nil && !errors.Is(err, fs.ErrNotExist) { // a missing /proc is reported by preflight
			return fmt.Errorf("inherited descriptors cannot be closed: %w", err)
		}
		load := func() (*config.Config, error) {
			cfg, err := loadConfig(cmd)
			if err != nil {
				return nil, err
			}
			return cfg, node.CheckOwner(cfg.File())
		}
		cfg, err := load()
		if err != nil {
			return err
		}
		if err := node.CheckOwner(cfg.File()); err != nil {
			return err
		}
		return a.serve(cmd.Context(), cfg, load, *breakGlass)
	}
	return cmd
}

// configFlags adds one flag for each setting to a command, and --config.
func configFlags(cmd *cobra.Command) {
	cmd.Flags().String("config", "", "configuration file; default config.toml in the data directory, if it is there")
	for _, f := range config.Flags() {
		usage := f.Usage
		if f.Default != "" && !f.Bool {
			usage += fmt.Sprintf(" (default %s)", f.Default)
		}
		switch {
		case f.List:
			cmd.Flags().StringArray(f.Name, nil, usage+"; may be given several times")
		case f.Bool:
			cmd.Flags().Bool(f.Name, false, usage)
		default:
			cmd.Flags().String(f.Name, "", usage)
		}
	}
}

// loadConfig reads the settings of the command line, the environment and the file.
func loadConfig(cmd *cobra.Command) (*config.Config, error) {
	flags := map[string]string{}
	cmd.Flags().Visit(func(f *pflag.Flag) {
		if list, ok := f.Value.(pflag.SliceValue); ok {
			flags[f.Name] = strings.Join(list.GetSlice(), ",")
			return
		}
		flags[f.Name] = f.Value.String()
	})
	delete(flags, "output")
	delete(flags, "origins")
	delete(flags, "break-glass")
	return config.Load(os.Environ(), flags)
}

// serve runs the server until ctx ends. load reads the settings again.
func (a *app) serve(ctx context.Context, cfg *config.Config, load func() (*config.Config, error), breakGlass string) error {
	a.openLog(cfg)
	for _, note := range cfg.Notes() {
		a.log.Warn("configuration", "note", note)
	}
	stop := func() {}
	defer func() { stop() }()
	manager, err := systemd.Open(os.Getenv)
	if err != nil {
		a.log.Warn("service manager not notified", "err", err)
	}
	defer func() { _ = manager.Close() }() // it was only written to
	return node.Run(ctx, node.Config{
		Settings: cfg, Version: version, Log: a.log.Logger, Notify: manager, BreakGlass: breakGlass,
		Reread: func() error { return a.reread(cfg, load) },

		LinesLost: a.log.Lost,
		Ready: func(r node.Ready) {
			stop = a.onHangup(r.Reload)
			a.announce(cfg, r)
		},
	})
}

// announce says where the server is and what to do next. Scripts wait for the
// line that begins with "td: ready", or for the object whose msg is "ready".
func (a *app) announce(cfg *config.Config, r node.Ready) {
	if a.log.JSON {
		attrs := []any{"url", r.URL, "origin", r.Origin, "data", cfg.Data, "checkpoint_size", r.Published}
		if r.Ops != "" {
			attrs = append(attrs, "ops", r.Ops)
		}
		telemetry.WriteObject(a.stderr, slog.LevelInfo, "ready", attrs...)
		return
	}
	fmt.Fprintf(a.stderr, "td: log %s, data in %s\n", r.Origin, cfg.Data)
	fmt.Fprintf(a.stderr, "td: checkpoint of size %d, at %s/checkpoint; td submit and td trust add record it\n", r.Published, r.URL)
	if r.Ops != "" {
		fmt.Fprintf(a.stderr, "td: health at %s/healthz and %s/readyz\n", r.Ops, r.Ops)
	}
	switch {
	case cfg.ReadOnly:
		fmt.Fprintf(a.stderr, "td: read-only: receipts, the log, verification and the status; nothing is issued or accepted\n")
	case r.Sealed:
		fmt.Fprintf(a.stderr, "td: sealed: receipts, the log, verification and the status; nothing is issued or accepted\n")
	default:
		fmt.Fprintf(a.stderr, "td: next, in another terminal: echo '{\"lot\": 1}' | td submit --server %s --claim open/1 --out receipts -\n", r.URL)
	}
	fmt.Fprintf(a.stderr, "%s%s\n", localserver.ReadyLine, r.URL)
}

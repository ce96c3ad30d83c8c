package main

import (
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/signal"
	"strings"
	"syscall"
	"time"

	"github.com/spf13/cobra"

	"github.com/terradourada/td/internal/config"
	"github.com/terradourada/td/internal/fault"
	"github.com/terradourada/td/internal/telemetry"
	"github.com/terradourada/td/internal/termui"
	"github.com/terradourada/td/protocol"
)

// logJSON is the name of the format in which every line is an object.
const logJSON = "json"

// flushTimeout bounds how long a server that ends waits for its last lines to be read.
const flushTimeout = time.Second

// openLog opens the log of the server. From then on the process ignores SIGPIPE and
// SIGHUP, so that neither a reader that exits nor a closed terminal ends it.
func (a *app) openLog(cfg *config.Config) {
	signal.Ignore(syscall.SIGPIPE, syscall.SIGHUP)
	a.log = telemetry.NewLog(a.stderr, cfg.LogFormat == logJSON, levelOf(cfg))
	go a.log.Run()
	a.stderr = a.log
	slog.SetDefault(a.log.With("component", "library")) // for packages that use the default logger
}

// levelOf returns the least level of what is logged.
func levelOf(cfg *config.Config) (level slog.Level) {
	_ = level.UnmarshalText([]byte(cfg.LogLevel)) // config has checked it
	return level
}

// reread applies the settings that a running server applies, and logs which ones changed.
func (a *app) reread(cfg *config.Config, load func() (*config.Config, error)) error {
	now, err := load()
	if err != nil {
		return fmt.Errorf("settings: %w", err)
	}
	hot, cold := cfg.Apply(now)
	a.log.Level.Set(levelOf(cfg))
	a.log.Info("settings read again", "applied", strings.Join(hot, ","), "at_next_start", strings.Join(cold, ","))
	return nil
}

// onHangup reloads at each SIGHUP from now on. Call it when the children have been started:
// a program that is started inherits that a signal is ignored, and not that it is handled.
func (a *app) onHangup(reload func() error) (stop func()) {
	hangups, quit, ended := make(chan os.Signal, 1), make(chan struct{}), make(chan struct{})
	signal.Notify(hangups, syscall.SIGHUP)
	go func() {
		defer close(ended)
		for {
			select {
			case <-hangups:
				if err := reload(); err != nil {
					a.log.Warn("SIGHUP: not everything was reloaded", "err", err)
				} else {
					a.log.Info("SIGHUP: reloaded")
				}
			case <-quit:
				return
			}
		}
	}()
	return func() {
		signal.Ignore(syscall.SIGHUP)
		close(quit)
		<-ended
	}
}

// endLog writes the last lines.
func (a *app) endLog() {
	if a.log != nil {
		a.log.Close(flushTimeout)
	}
}

// jsonWanted reports whether standard error has JSON. Before the configuration is
// read, the flag and the environment decide.
func (a *app) jsonWanted(cmd *cobra.Command) bool {
	if a.log != nil {
		return a.log.JSON
	}
	if cmd == nil || cmd.Name() != "serve" {
		return false
	}
	if f := cmd.Flags().Lookup("log-format"); f != nil && f.Changed {
		return f.Value.String() == logJSON
	}
	return os.Getenv("TD_LOG_FORMAT") == logJSON
}

// writeFault writes the error that ended the command.
func (a *app) writeFault(cmd *cobra.Command, f *fault.Fault) {
	if progressAsJSON(cmd) {
		a.writeEnd(f)
		return
	}
	if a.jsonWanted(cmd) {
		attrs := []any{"exit_code", f.Exit, "err", f.What}
		if f.Hint != "" {
			attrs = append(attrs, "hint", f.Hint)
		}
		if f.Code != protocol.CodeNone {
			attrs = append(attrs, "code", f.Code.String())
		}
		telemetry.WriteObject(a.stderr, slog.LevelError, "ended", attrs...)
		return
	}
	var text strings.Builder
	if f.What != "" {
		fmt.Fprintf(&text, "error: %s\n", termui.Lines(f.What))
	}
	if f.Hint != "" {
		fmt.Fprintf(&text, "hint: %s\n", termui.Lines(f.Hint))
	}
	if f.Code != protocol.CodeNone {
		fmt.Fprintf(&text, "code: %s\n", f.Code)
	}
	_, _ = io.WriteString(a.stderr, text.String())
}

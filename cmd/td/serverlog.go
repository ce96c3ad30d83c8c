package main

import (
	"bytes"
	"context"
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
	"github.com/terradourada/td/protocol"
)

// serverLog is what a server writes to standard error: its log, and a few lines for
// the terminal. With the format json every line is an object.
type serverLog struct {
	*slog.Logger
	stream *telemetry.Stream
	json   bool
}

// flushTimeout is how long a server that ends waits for its last lines to be read.
const flushTimeout = time.Second

// openLog opens the log of the server. From then on the process ignores SIGPIPE and
// SIGHUP, so that neither a reader that exits nor a closed terminal ends it.
func (a *app) openLog(cfg *config.Config) *serverLog {
	signal.Ignore(syscall.SIGPIPE, syscall.SIGHUP)
	inJSON := cfg.LogFormat == logJSON
	s := telemetry.NewStream(a.stderr, func(lost int) []byte {
		var line bytes.Buffer
		slog.New(logHandler(&line, inJSON, slog.LevelInfo)).Warn("log lines were lost", "lines", lost)
		return line.Bytes()
	})
	go s.Run()
	var level slog.Level
	if level.UnmarshalText([]byte(cfg.LogLevel)) != nil {
		level = slog.LevelInfo // config has checked it
	}
	a.log = &serverLog{Logger: slog.New(logHandler(s, inJSON, level)), stream: s, json: inJSON}
	a.stderr = s
	slog.SetDefault(a.log.With("component", "library")) // for packages that use the default logger
	return a.log
}

const logJSON = "json"

func logHandler(w io.Writer, inJSON bool, level slog.Level) slog.Handler {
	options := &slog.HandlerOptions{Level: level}
	if inJSON {
		return slog.NewJSONHandler(w, options)
	}
	return slog.NewTextHandler(w, options)
}

// endLog writes the last lines.
func (a *app) endLog() {
	if a.log != nil {
		a.log.stream.Close(flushTimeout)
	}
}

// writeObject writes one JSON object, whatever the level of the log.
func writeObject(w io.Writer, level slog.Level, message string, attrs ...any) {
	slog.New(logHandler(w, true, level)).Log(context.Background(), level, message, attrs...) //nolint:sloglint // its callers pass literals
}

// jsonWanted reports whether standard error has JSON. Before the configuration is
// read, the flag and the environment decide.
func (a *app) jsonWanted(cmd *cobra.Command) bool {
	if a.log != nil {
		return a.log.json
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
	if a.jsonWanted(cmd) {
		attrs := []any{"exit_code", f.Exit, "err", f.What}
		if f.Hint != "" {
			attrs = append(attrs, "hint", f.Hint)
		}
		if f.Code != protocol.CodeNone {
			attrs = append(attrs, "code", f.Code.String())
		}
		writeObject(a.stderr, slog.LevelError, "ended", attrs...)
		return
	}
	var text strings.Builder
	if f.What != "" {
		fmt.Fprintf(&text, "error: %s\n", f.What)
	}
	if f.Hint != "" {
		fmt.Fprintf(&text, "hint: %s\n", f.Hint)
	}
	if f.Code != protocol.CodeNone {
		fmt.Fprintf(&text, "code: %s\n", f.Code)
	}
	_, _ = io.WriteString(a.stderr, text.String())
}

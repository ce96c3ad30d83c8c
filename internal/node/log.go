package node

import (
	"bytes"
	"context"
	"io"
	"log/slog"
	"time"

	"github.com/terradourada/td/internal/config"
)

// Log is what a server writes to standard error: the lines of its log, and lines for
// the terminal, which [Log.Write] takes. With the format json every line is an object.
// No line is ever waited for, see [Log.Write].
type Log struct {
	*slog.Logger
	*stream
	JSON bool // every line is an object
}

// LogJSON is the name of the format in which every line is an object.
const LogJSON = "json"

// FlushTimeout bounds how long a server that ends waits for its last lines to be read.
const FlushTimeout = time.Second

// NewLog returns a log as it is configured. Nothing is written before Run is called.
func NewLog(w io.Writer, cfg *config.Config) *Log {
	inJSON := cfg.LogFormat == LogJSON
	var level slog.Level
	if level.UnmarshalText([]byte(cfg.LogLevel)) != nil {
		level = slog.LevelInfo // config has checked it
	}
	s := newStream(w, func(lost int) []byte {
		var line bytes.Buffer
		slog.New(logHandler(&line, inJSON, slog.LevelInfo)).Warn("log lines were lost", "lines", lost)
		return line.Bytes()
	})
	return &Log{Logger: slog.New(logHandler(s, inJSON, level)), stream: s, JSON: inJSON}
}

func logHandler(w io.Writer, inJSON bool, level slog.Level) slog.Handler {
	options := &slog.HandlerOptions{Level: level}
	if inJSON {
		return slog.NewJSONHandler(w, options)
	}
	return slog.NewTextHandler(w, options)
}

// WriteObject writes one JSON object, at any level of the log.
func WriteObject(w io.Writer, level slog.Level, message string, attrs ...any) {
	slog.New(logHandler(w, true, level)).Log(context.Background(), level, message, attrs...) //nolint:sloglint // its callers pass literals
}

package telemetry

import (
	"bytes"
	"context"
	"io"
	"log/slog"
)

// Log is what a server writes to standard error: the lines of its log, and whole lines
// for the terminal, which its Write takes.
type Log struct {
	*slog.Logger
	*Stream
	JSON  bool           // every line is an object
	Level *slog.LevelVar // from which lines are written
}

// NewLog returns a log of lines in JSON or text, from a level on. Nothing is written
// before [Stream.Run] is called.
func NewLog(w io.Writer, inJSON bool, level slog.Level) *Log {
	s := NewStream(w, func(lost int) []byte {
		var line bytes.Buffer
		slog.New(NewHandler(&line, inJSON, slog.LevelInfo)).Warn("log lines were lost", "lines", lost)
		return line.Bytes()
	})
	from := new(slog.LevelVar)
	from.Set(level)
	return &Log{Logger: slog.New(NewHandler(s, inJSON, from)), Stream: s, JSON: inJSON, Level: from}
}

// NewHandler returns a handler that writes lines in JSON or text, from a level on.
func NewHandler(w io.Writer, inJSON bool, level slog.Leveler) slog.Handler {
	options := &slog.HandlerOptions{Level: level}
	if inJSON {
		return slog.NewJSONHandler(w, options)
	}
	return slog.NewTextHandler(w, options)
}

// WriteObject writes one JSON object, at any level of the log.
func WriteObject(w io.Writer, level slog.Level, message string, attrs ...any) {
	slog.New(NewHandler(w, true, level)).Log(context.Background(), level, message, attrs...) //nolint:sloglint // its callers pass literals
}

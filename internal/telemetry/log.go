package telemetry

import (
	"bytes"
	"context"
	"io"
	"log/slog"
	"time"
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
//
// See [LogEvents] and [Fields] for what lines hold. Ten lines of one event and reason are
// written in a second; a line with the number of the others follows.
func NewLog(w io.Writer, inJSON bool, level slog.Level) *Log {
	s := NewStream(w, func(lost int) []byte {
		var line bytes.Buffer
		slog.New(newHandler(NewHandler(&line, inJSON, slog.LevelInfo))).Warn("log lines were lost", "lines", lost)
		return line.Bytes()
	})
	from := new(slog.LevelVar)
	from.Set(level)
	h := newHandler(NewHandler(s, inJSON, from))
	s.each = func(now time.Time) { h.summarise(context.Background(), h.repeats.sweep(now)) }
	return &Log{Logger: slog.New(h), Stream: s, JSON: inJSON, Level: from}
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
	slog.New(newHandler(NewHandler(w, true, level))).Log(context.Background(), level, message, attrs...) //nolint:sloglint // its callers pass literals
}

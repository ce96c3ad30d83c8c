package telemetry

import (
	"context"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"time"
	"unicode"
	"unicode/utf8"
)

// eventOf holds the name of each event by its message.
var eventOf = func() map[string]string {
	names := make(map[string]string, len(LogEvents))
	for _, e := range LogEvents {
		names[e.Message] = e.Name
	}
	return names
}()

// otherEvent is the name of lines whose message is not in the table: those of libraries.
const otherEvent = "other"

// handler is the last step before a line of the log is written. It adds the field event,
// bounds and escapes every value, writes no value of a type that it does not know, and
// summarises lines that repeat.
type handler struct {
	next    slog.Handler
	reason  string // of the attributes that were added before
	repeats *repeats
}

func newHandler(next slog.Handler) *handler { return &handler{next: next, repeats: newRepeats()} }

// Enabled reports whether lines of the level are written.
func (h *handler) Enabled(ctx context.Context, level slog.Level) bool {
	return h.next.Enabled(ctx, level)
}

// WithAttrs returns a handler whose lines begin with these values.
func (h *handler) WithAttrs(attrs []slog.Attr) slog.Handler {
	clean, reason := make([]slog.Attr, len(attrs)), h.reason
	for i, a := range attrs {
		clean[i] = cleaned(a)
		reason = reasonOf(a, reason)
	}
	return &handler{next: h.next.WithAttrs(clean), reason: reason, repeats: h.repeats}
}

// WithGroup returns a handler whose values are in a group.
func (h *handler) WithGroup(name string) slog.Handler {
	return &handler{next: h.next.WithGroup(name), reason: h.reason, repeats: h.repeats}
}

// Handle writes one line, unless lines of its event and reason were too many.
func (h *handler) Handle(ctx context.Context, r slog.Record) error {
	event, known := eventOf[r.Message]
	if !known {
		event = otherEvent
	}
	reason := h.reason
	r.Attrs(func(a slog.Attr) bool {
		reason = reasonOf(a, reason)
		return true
	})
	if r.Level > slog.LevelDebug { // an operator who asks for more wants each line
		write, ended := h.repeats.admit(r.Time, event, reason, r.Level)
		h.summarise(ctx, ended)
		if !write {
			return nil
		}
	}
	line := slog.NewRecord(r.Time, r.Level, clean(r.Message), r.PC)
	r.Attrs(func(a slog.Attr) bool {
		line.AddAttrs(cleaned(a))
		return true
	})
	line.AddAttrs(slog.String("event", event))
	return h.next.Handle(ctx, line)
}

// summarise writes one line for the lines of each window that were not written.
func (h *handler) summarise(ctx context.Context, ended []summary) {
	for _, s := range ended {
		if !h.next.Enabled(ctx, s.level) {
			continue
		}
		line := slog.NewRecord(s.at, s.level, "lines like this were not written", 0)
		line.AddAttrs(slog.String("of", s.event), slog.String("reason", s.reason), slog.Int("suppressed", s.count), slog.String("event", eventOf[line.Message]))
		_ = h.next.Handle(ctx, line) // the stream counts what it loses
	}
}

// reasonOf returns the reason that distinguishes lines of one event: the value of
// cause, code, reason, rule or id, as it is written.
func reasonOf(a slog.Attr, otherwise string) string {
	switch a.Key {
	case "cause", "code", "reason", "rule", "id":
		return cleaned(a).Value.String()
	}
	return otherwise
}

// redacted stands for values that are not written.
const redacted = "redacted"

// cleaned returns an attribute whose value is safe to write. Of the values with fields of
// their own only errors and panics are written, by their texts: what a struct holds, and
// whether any of it is secret, is not known here.
func cleaned(a slog.Attr) slog.Attr {
	a.Value = a.Value.Resolve()
	switch a.Value.Kind() {
	case slog.KindString:
		a.Value = slog.StringValue(cleanText(a.Key, a.Value.String()))
	case slog.KindGroup:
		group := a.Value.Group()
		all := make([]slog.Attr, len(group))
		for i := range group {
			all[i] = cleaned(group[i])
		}
		a.Value = slog.GroupValue(all...)
	case slog.KindAny:
		a.Value = slog.StringValue(cleanText(a.Key, textOf(a.Value.Any())))
	default: // numbers, durations, times, truth
	}
	return a
}

// textOf returns the text of an error or of the value of a panic.
func textOf(v any) string {
	switch v := v.(type) {
	case nil:
		return "none"
	case error:
		return v.Error()
	case string:
		return v
	}
	return redacted + " " + fmt.Sprintf("%T", v)
}

// maxStack bounds the text of a stack, and maxDetail that of an error or another sentence.
const (
	maxStack  = 16 << 10
	maxDetail = 2048
)

// cleanText bounds a value. Sentences of this program may be long; everything else, and so
// every value that a client has chosen, is bounded by 256 bytes.
func cleanText(key, text string) string {
	most := maxText
	switch key {
	case "stack":
		most = maxStack
	case "err", "why", "panic", "note", "found", "first", "verdict", "how", "backup":
		most = maxDetail
	}
	if len(text) > most {
		text = cut(text, most) + "…"
	}
	if key == "stack" {
		return text
	}
	return clean(text)
}

// clean replaces what a terminal would act on, and what is not UTF-8, by its escape.
func clean(text string) string {
	if strings.IndexFunc(text, hostile) < 0 && utf8.ValidString(text) {
		return text
	}
	var b strings.Builder
	for i, r := range text {
		switch _, size := utf8.DecodeRuneInString(text[i:]); {
		case r == utf8.RuneError && size == 1:
			fmt.Fprintf(&b, `\x%02x`, text[i])
		case hostile(r):
			fmt.Fprintf(&b, `\u%04x`, r)
		default:
			b.WriteRune(r)
		}
	}
	return b.String()
}

// hostile reports whether a character could change how a line is shown: controls but line
// feed and tab, which both formats escape, and marks of direction.
func hostile(r rune) bool {
	return r != '\n' && r != '\t' && (unicode.Is(unicode.Cc, r) || unicode.Is(unicode.Cf, r) || r == '\u2028' || r == '\u2029')
}

// repeats counts lines by event and reason.
type repeats struct {
	mu      sync.Mutex
	windows map[repeat]*window
	sweeps  time.Time
}

// repeat is what lines that repeat have in common.
type repeat struct{ event, reason string }

// window is a time in which lines are counted.
type window struct {
	began   time.Time
	lasts   time.Duration
	written int
	dropped int
	level   slog.Level
}

// summary is the end of a window in which lines were dropped.
type summary struct {
	at            time.Time
	level         slog.Level
	event, reason string
	count         int
}

// Ten lines of one event and reason are written in a second. After a window in which more
// came, the next window lasts twice as long, up to a minute, so that a flood writes eleven
// lines a minute.
const (
	maxRepeats    = 10
	shortest      = time.Second
	longest       = time.Minute
	maxWindows    = 1024
	windowIsStale = 2 * longest
)

func newRepeats() *repeats { return &repeats{windows: make(map[repeat]*window)} }

// admit reports whether a line is written, and returns the windows that have ended.
func (q *repeats) admit(now time.Time, event, reason string, level slog.Level) (write bool, ended []summary) {
	q.mu.Lock()
	defer q.mu.Unlock()
	ended = q.end(now)
	of := repeat{event, reason}
	w := q.windows[of]
	if w == nil && len(q.windows) >= maxWindows {
		of.reason = redacted // reasons are of a closed set; this bounds what else there may be
		w = q.windows[of]
	}
	if w == nil {
		w = &window{began: now, lasts: shortest}
		q.windows[of] = w
	}
	if w.written < maxRepeats {
		w.written++
		return true, ended
	}
	w.dropped++
	w.level = max(w.level, level)
	return false, ended
}

// sweep returns the windows that have ended.
func (q *repeats) sweep(now time.Time) []summary {
	q.mu.Lock()
	defer q.mu.Unlock()
	return q.end(now)
}

// end begins new windows in place of those that have ended, and forgets the idle ones. It
// looks once a second.
func (q *repeats) end(now time.Time) (ended []summary) {
	if now.Sub(q.sweeps) < shortest {
		return nil
	}
	q.sweeps = now
	for of, w := range q.windows {
		switch over := now.Sub(w.began); {
		case over < w.lasts:
		case w.dropped > 0:
			ended = append(ended, summary{now, w.level, of.event, of.reason, w.dropped})
			*w = window{began: now, lasts: min(2*w.lasts, longest)}
		case w.written > 0 && w.lasts > shortest:
			*w = window{began: now, lasts: w.lasts / 2}
		case over > windowIsStale || w.lasts == shortest:
			delete(q.windows, of)
		}
	}
	return ended
}

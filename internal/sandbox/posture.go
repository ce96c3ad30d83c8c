package sandbox

import (
	"cmp"
	"errors"
	"log/slog"
	"strings"

	"github.com/terradourada/td/protocol"
)

// Bounds of a posture as text.
const (
	maxProbes = 32
	maxID     = 32
	maxValue  = 200

	// MaxPosture bounds the text of a posture, in bytes.
	MaxPosture = 4096
)

// ErrPosture is text that is no posture.
var ErrPosture = errors.New("sandbox: not a posture")

// Text is the posture as the package comment describes it; it is what a digest
// of a posture is taken of.
func (p Posture) Text() string {
	var b strings.Builder
	for _, probe := range p.Probes {
		b.WriteString(probe.ID + " " + probe.State.String() + " " + printable(probe.Value) + "\n")
	}
	return b.String()
}

// Log writes one line for each measure, in the order of the text. of names the
// process whose posture it is; attrs come first in each line.
func (p Posture) Log(log *slog.Logger, of string, attrs ...any) {
	log = log.With(attrs...).With("of", of)
	for _, probe := range p.Probes {
		log.Info("measure", "id", probe.ID, "state", probe.State.String(), "found", printable(probe.Value))
	}
}

// ParsePosture reads the text of a child's posture, strictly.
func ParsePosture(profile Profile, text string) (Posture, error) {
	p := Posture{Profile: profile}
	if len(text) > MaxPosture || text != "" && !strings.HasSuffix(text, "\n") {
		return Posture{}, ErrPosture
	}
	seen := map[string]bool{}
	for line := range strings.Lines(text) {
		id, rest, _ := strings.Cut(strings.TrimSuffix(line, "\n"), " ")
		word, value, _ := strings.Cut(rest, " ")
		state, ok := parseState(word)
		if !ok || !name(id) || seen[id] || value == "" || value != printable(value) || len(seen) == maxProbes {
			return Posture{}, ErrPosture
		}
		seen[id] = true
		p.Probes = append(p.Probes, Measure(id, state, value))
	}
	return p, nil
}

func name(id string) bool {
	return id != "" && len(id) <= maxID && strings.Trim(id, "abcdefghijklmnopqrstuvwxyz_") == ""
}

// printable makes a value fit for a line.
func printable(value string) string {
	value = cmp.Or(protocol.Printable(value), "-")
	return value[:min(len(value), maxValue)]
}

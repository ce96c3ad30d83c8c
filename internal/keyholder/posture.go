package keyholder

import (
	"runtime"
	"runtime/debug"
	"strings"

	"github.com/terradourada/td/internal/secret"
)

// postureSize is the room for a posture in a ready record, in bytes. With it
// the record of a signer is still smaller than an ML-DSA signature.
const postureSize = 1280

// Bounds of one item of a posture.
const (
	maxMeasure = 32
	maxDetail  = 200
)

// The measures that a child of this package takes itself; others follow them.
const (
	MeasureMemory  = "key_memory"  // where its keys are
	MeasureCompute = "key_compute" // how it cleans up behind them
	MeasureBuild   = "build"       // what it was built from
)

// PostureItem is what a child found out about one measure.
type PostureItem struct {
	Measure string // a-z and _, at most 32
	State   string // ok, weak, missing or unknown; unknown is never ok
	Detail  string // for people: printable ASCII, 1 to 200
}

// Posture is what a child says of its own protection when it is ready. It is a
// statement of the child, not proof: whoever took over the child can change it.
type Posture []PostureItem

// Find gives the item of a measure; one that was not taken is unknown.
func (p Posture) Find(measure string) PostureItem {
	for _, item := range p {
		if item.Measure == measure {
			return item
		}
	}
	return PostureItem{Measure: measure, State: "unknown", Detail: "not taken"}
}

// Text is the posture with one line for each item: measure, state and detail
// with one space between them.
func (p Posture) Text() string {
	var b strings.Builder
	for _, item := range p {
		b.WriteString(item.Measure + " " + item.State + " " + printable(item.Detail) + "\n")
	}
	return b.String()
}

// encode is the text, zero-padded. What does not fit is left out, whole items
// from the end: it counts as unknown then.
func (p Posture) encode() []byte {
	for len(p.Text()) > postureSize {
		p = p[:len(p)-1]
	}
	return append([]byte(p.Text()), make([]byte, postureSize-len(p.Text()))...)
}

func parsePosture(b []byte) (Posture, error) {
	text := strings.TrimRight(string(b), "\x00")
	if len(b) != postureSize || text != "" && !strings.HasSuffix(text, "\n") {
		return nil, errMalformed
	}
	var p Posture
	seen := map[string]bool{}
	for line := range strings.Lines(text) {
		measure, rest, _ := strings.Cut(strings.TrimSuffix(line, "\n"), " ")
		state, detail, _ := strings.Cut(rest, " ")
		item := PostureItem{Measure: measure, State: state, Detail: detail}
		if !item.valid() || seen[measure] {
			return nil, errMalformed
		}
		seen[measure] = true
		p = append(p, item)
	}
	return p, nil
}

func (i PostureItem) valid() bool {
	switch i.State {
	case "ok", "weak", "missing", "unknown":
	default:
		return false
	}
	return i.Measure != "" && len(i.Measure) <= maxMeasure && strings.Trim(i.Measure, "abcdefghijklmnopqrstuvwxyz_") == "" &&
		i.Detail != "" && i.Detail == printable(i.Detail)
}

// printable makes a detail fit for a line.
func printable(detail string) string {
	detail = strings.Map(func(r rune) rune {
		if r < ' ' || r > '~' {
			return '?'
		}
		return r
	}, detail)
	return detail[:min(len(detail), maxDetail)]
}

// ownPosture is what this package can say of a child.
func ownPosture(memory secret.Report) Posture {
	return Posture{memoryItem(memory), computeItem(), buildItem()}
}

func memoryItem(r secret.Report) PostureItem {
	item := PostureItem{Measure: MeasureMemory, State: "missing", Detail: r.String()}
	switch r.Level {
	case secret.SecretMem:
		item.State = "ok"
	case secret.Locked:
		item.State = "weak"
	case secret.Plain:
	}
	return item
}

func computeItem() PostureItem {
	if secret.Enabled {
		return PostureItem{Measure: MeasureCompute, State: "ok", Detail: "runtime/secret"}
	}
	return PostureItem{Measure: MeasureCompute, State: "weak", Detail: "the stack is overwritten; built without runtimesecret"}
}

// buildItem is ok for a build without cgo, whose code would not be covered by
// what the others say.
func buildItem() PostureItem {
	item := PostureItem{Measure: MeasureBuild, State: "unknown", Detail: runtime.Version()}
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return item
	}
	for _, s := range info.Settings {
		switch s.Key {
		case "CGO_ENABLED":
			item.State = "weak"
			if s.Value == "0" {
				item.State = "ok"
			}
			item.Detail += " cgo=" + s.Value
		case "vcs.revision":
			item.Detail += " revision=" + s.Value
		case "vcs.modified":
			item.Detail += " modified=" + s.Value
		}
	}
	return item
}

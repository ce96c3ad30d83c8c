package config

import (
	"errors"
	"fmt"
	"strings"
	"time"

	toml "github.com/pelletier/go-toml/v2/unstable"

	"github.com/terradourada/td/internal/fault"
)

// reader takes the values of one file.
type reader struct {
	toml.Parser
	cfg  *Config
	path string
	seen map[string]bool
}

// takeFile sets every value of the file. It uses the parser directly, which knows the
// place of each value.
func (c *Config) takeFile(path string, b []byte) error {
	r := &reader{cfg: c, path: path, seen: make(map[string]bool)}
	r.Reset(b)
	for r.NextExpression() {
		if err := r.expression(r.Expression()); err != nil {
			return err
		}
	}
	var syntax *toml.ParserError
	if errors.As(r.Error(), &syntax) {
		return r.at(r.Range(syntax.Highlight), "this is not TOML: "+syntax.Message, "")
	}
	if err := r.Error(); err != nil {
		return refuse(path, "this is not TOML", "")
	}
	return nil
}

func (r *reader) expression(e *toml.Node) error {
	key := e.Key()
	if !key.Next() {
		return nil
	}
	name, where := string(key.Node().Data), key.Node().Raw
	if e.Kind != toml.KeyValue || !key.IsLast() {
		return r.at(where, "the file has no sections", "write each setting as key = value, for example max_sessions = 1000")
	}
	for _, f := range r.cfg.fields() {
		if f.key == name {
			return r.take(f, e.Value(), where)
		}
	}
	return r.unknown(name, where)
}

func (r *reader) unknown(name string, where toml.Range) error {
	return r.at(where, fmt.Sprintf("unknown key %q", clip(name)), fault.DidYouMean(name, Keys(), "td config explain lists all keys"))
}

// take sets one field. The kind of the value has to be the field's: a number in
// quotes is not a number.
func (r *reader) take(f field, v *toml.Node, where toml.Range) error {
	if r.seen[f.key] {
		return r.at(where, f.key+" is given twice", "")
	}
	r.seen[f.key] = true
	text, ok := r.text(f, v)
	if !ok {
		return r.at(where, fmt.Sprintf("%s is %s, not %s", f.key, f.kind(), called(v.Kind)), "")
	}
	if list, ok := f.value.Addr().Interface().(*[]string); ok {
		*list = text
	} else if err := f.parse(text[0]); err != nil {
		return r.at(where, err.Error(), fault.DidYouMean(text[0], f.oneOf(), ""))
	}
	r.cfg.sources[f.key] = fmt.Sprintf("file %s:%d", r.path, r.line(where))
	return nil
}

// text returns the value as one text, or the texts of a list. It reports whether the value
// is of the field's kind.
func (r *reader) text(f field, v *toml.Node) ([]string, bool) {
	want := toml.String
	switch f.value.Interface().(type) {
	case bool:
		want = toml.Bool
	case int, uint64:
		want = toml.Integer
	case []string:
		return list(v)
	case time.Duration:
	}
	if v.Kind != want {
		return nil, false
	}
	text := string(v.Data)
	if want == toml.Integer {
		text = strings.ReplaceAll(strings.TrimPrefix(text, "+"), "_", "")
	}
	return []string{text}, true
}

func list(v *toml.Node) ([]string, bool) {
	if v.Kind != toml.Array {
		return nil, false
	}
	var all []string
	for it := v.Children(); it.Next(); {
		if it.Node().Kind != toml.String {
			return nil, false
		}
		all = append(all, string(it.Node().Data))
	}
	return all, true
}

func called(k toml.Kind) string {
	switch k {
	case toml.String:
		return "a text in quotes"
	case toml.Bool:
		return "true or false"
	case toml.Integer, toml.Float:
		return "a number"
	case toml.Array:
		return "this list"
	case toml.InlineTable:
		return "a table"
	default:
		return "a date or time"
	}
}

func (r *reader) line(where toml.Range) int { return r.Shape(where).Start.Line }

// at returns a fault with the line and a caret below it.
func (r *reader) at(where toml.Range, message, hint string) error {
	start := r.Shape(where).Start
	line := strings.Split(string(r.Data()), "\n")[start.Line-1]
	line = strings.TrimRight(line, "\r")
	column := min(start.Column-1, len(line))
	width := max(1, min(int(where.Length), len(line)-column))
	pad := strings.Map(func(c rune) rune {
		if c == '\t' {
			return c
		}
		return ' '
	}, line[:column])
	excerpt := "\n    " + line + "\n    " + pad + strings.Repeat("^", width)
	return refuse(fmt.Sprintf("%s:%d:%d", r.path, start.Line, start.Column), message+excerpt, hint)
}

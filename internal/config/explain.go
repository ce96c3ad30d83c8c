package config

import (
	"cmp"
	_ "embed"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"io"
	"strings"
	"time"

	"github.com/terradourada/td/internal/fault"
)

// settingsSource is where the doc comments are.
//
//go:embed settings.go
var settingsSource string

// Explain returns the reference of one setting: its meaning, its default, the allowed
// values, and how to set it. An unknown key is refused with a suggestion.
func Explain(key string) (string, error) {
	key = strings.ReplaceAll(key, "-", "_")
	for _, f := range new(Config).fields() {
		if f.key == key {
			return f.explain(), nil
		}
	}
	hint := fault.DidYouMean(key, Keys(), "the keys are "+strings.Join(Keys(), ", "))
	return "", fault.New(fault.Usage, fmt.Sprintf("unknown key %q", clip(key)), hint)
}

func (f field) explain() string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s\n\n", f.key)
	for line := range strings.Lines(docs()[f.name]) {
		fmt.Fprintf(&b, "  %s", line)
	}
	fmt.Fprintf(&b, "\n  value    %s", f.kind())
	if low, high, ok := strings.Cut(f.tag.Get("range"), ".."); ok {
		fmt.Fprintf(&b, ", from %s to %s", low, high)
	}
	fmt.Fprintf(&b, "\n  default  %s\n  flag     --%s\n  env      %s\n", cmp.Or(f.tag.Get("default"), "(empty)"), f.flag(), f.env())
	if f.tag.Get("hot") != "" {
		fmt.Fprintf(&b, "  applies  at SIGHUP or td admin reload\n")
	}
	return b.String()
}

// docs reads the doc comments of the fields of Config from its source.
func docs() map[string]string {
	file, err := parser.ParseFile(token.NewFileSet(), "settings.go", settingsSource, parser.ParseComments)
	if err != nil {
		panic("config: internal error: " + err.Error())
	}
	all := make(map[string]string)
	ast.Inspect(file, func(n ast.Node) bool {
		if f, ok := n.(*ast.Field); ok && f.Doc != nil {
			all[f.Names[0].Name] = f.Doc.Text()
		}
		return true
	})
	return all
}

// Print writes the settings in force as a file that [Load] reads; with origin
// set, each with where it came from in a comment.
func (c *Config) Print(w io.Writer, origin bool) error {
	for _, f := range c.fields() {
		line := f.key + " = " + f.toml()
		if origin {
			line += "  # " + c.sources[f.key]
		}
		if _, err := fmt.Fprintln(w, line); err != nil {
			return err
		}
	}
	return nil
}

func (f field) toml() string {
	switch v := f.value.Interface().(type) {
	case string:
		return quote(v)
	case time.Duration:
		return quote(v.String())
	case []string:
		quoted := make([]string, len(v))
		for i, s := range v {
			quoted[i] = quote(s)
		}
		return "[" + strings.Join(quoted, ", ") + "]"
	default:
		return fmt.Sprint(v)
	}
}

// quote writes a TOML basic string.
func quote(s string) string {
	var b strings.Builder
	b.WriteByte('"')
	for _, c := range s {
		switch {
		case c == '"' || c == '\\':
			b.WriteByte('\\')
			b.WriteRune(c)
		case c < ' ' || c == 0x7f:
			fmt.Fprintf(&b, `\u%04X`, c)
		default:
			b.WriteRune(c)
		}
	}
	b.WriteByte('"')
	return b.String()
}

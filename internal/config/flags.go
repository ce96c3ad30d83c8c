package config

import "strings"

// Flag describes the command-line flag of one setting.
type Flag struct {
	Name    string // without hyphens in front
	Usage   string // one line
	Default string // "" if there is none
	Bool    bool   // may stand without a value
	List    bool   // may be given several times
}

// Flags lists the flags of all settings, in the order of the reference.
func Flags() []Flag {
	text := docs()
	var flags []Flag
	for _, f := range new(Config).fields() {
		_, isBool := f.value.Interface().(bool)
		_, isList := f.value.Interface().([]string)
		flags = append(flags, Flag{
			Name:    f.flag(),
			Usage:   usage(text[f.name]),
			Default: f.tag.Get("default"),
			Bool:    isBool,
			List:    isList,
		})
	}
	return flags
}

// usage returns the first sentence of a doc comment in the form of a flag's help.
func usage(doc string) string {
	line := strings.Join(strings.Fields(doc), " ")
	if first, _, more := strings.Cut(line, ". "); more {
		line = first
	}
	line = strings.TrimSuffix(line, ".")
	if len(line) > 1 && line[1] >= 'a' && line[1] <= 'z' {
		line = strings.ToLower(line[:1]) + line[1:]
	}
	return line
}

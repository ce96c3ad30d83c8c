package config

import (
	"fmt"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/terradourada/td/internal/limit"
)

// field is one setting: its key, its tags and its place in a Config.
type field struct {
	key   string
	name  string // of the struct field
	tag   reflect.StructTag
	value reflect.Value
}

func (f field) flag() string { return strings.ReplaceAll(f.key, "_", "-") }
func (f field) env() string  { return "TD_" + strings.ToUpper(f.key) }

// fields lists the settings in the order of the struct.
func (c *Config) fields() (all []field) {
	v := reflect.ValueOf(c).Elem()
	for i := range v.NumField() {
		t := v.Type().Field(i)
		if key := t.Tag.Get("key"); key != "" {
			all = append(all, field{key, t.Name, t.Tag, v.Field(i)})
		}
	}
	return all
}

// Keys lists the keys of all settings, in the order of the reference.
func Keys() (keys []string) {
	for _, f := range new(Config).fields() {
		keys = append(keys, f.key)
	}
	return keys
}

// kind returns the name of the kind of a value, for messages.
func (f field) kind() string {
	switch f.value.Interface().(type) {
	case bool:
		return "true or false"
	case int, uint64:
		return "a whole number"
	case time.Duration:
		return `a duration such as "10s"`
	case []string:
		return "a list of texts"
	}
	if words := f.oneOf(); len(words) > 0 {
		return "one of " + strings.Join(words, ", ")
	}
	if f.isQuota() {
		return `a limit such as "5/s burst 20" or "1/30s burst 5", or off`
	}
	return "a text"
}

func (f field) oneOf() []string { return strings.Fields(f.tag.Get("oneof")) }

func (f field) isQuota() bool { return f.tag.Get("kind") == "quota" }

// parse sets the field from text. Errors name what was expected, and no types
// of the program.
func (f field) parse(text string) error {
	expected := fmt.Errorf("%s is %s, not %q", f.key, f.kind(), clip(text))
	switch p := f.value.Addr().Interface().(type) {
	case *string:
		if words := f.oneOf(); len(words) > 0 && !slices.Contains(words, text) {
			return expected
		}
		if _, err := limit.ParseQuota(text); err != nil && f.isQuota() {
			return expected
		}
		*p = text
	case *bool:
		if text != "true" && text != "false" {
			return expected
		}
		*p = text == "true"
	case *int:
		n, err := strconv.Atoi(text)
		if err != nil {
			return expected
		}
		*p = n
		return f.inRange(int64(n))
	case *uint64:
		n, err := strconv.ParseUint(text, 10, 63)
		if err != nil {
			return expected
		}
		*p = n
		return f.inRange(int64(n))
	case *time.Duration:
		d, err := time.ParseDuration(text)
		if err != nil {
			return expected
		}
		*p = d
		return f.inRange(int64(d))
	case *[]string:
		*p = nil
		for s := range strings.SplitSeq(text, ",") {
			if s != "" {
				*p = append(*p, s)
			}
		}
	default:
		panic("config: internal error: setting " + f.key + " is of an unknown kind")
	}
	return nil
}

func (f field) inRange(n int64) error {
	low, high, _ := strings.Cut(f.tag.Get("range"), "..")
	if n < bound(low) || n > bound(high) {
		return fmt.Errorf("%s must lie between %s and %s", f.key, low, high)
	}
	return nil
}

// bound reads one end of a range tag: a number or a duration.
func bound(s string) int64 {
	if n, err := strconv.ParseInt(s, 10, 64); err == nil {
		return n
	}
	d, err := time.ParseDuration(s)
	if err != nil {
		panic("config: internal error: a setting has no range")
	}
	return int64(d)
}

// clip shortens a value for a message.
func clip(s string) string {
	if len(s) > 40 {
		return s[:40] + "…"
	}
	return s
}

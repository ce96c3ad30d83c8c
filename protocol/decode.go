package protocol

import (
	"bytes"
	stdjson "encoding/json"
	"errors"
	"reflect"
	"strings"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
)

// DecodeStrict reads one JSON text into v, a pointer to a struct with json
// tags. The text must pass [CheckJSON]. Member names must then equal the
// struct's letter for letter; unknown members and values of another type are
// refused. A refusal has code malformed_request or too_large; its detail names
// the place by the struct's own member names and never repeats input. An absent
// member and null leave the zero value; the caller checks which members are
// required. On a refusal v may be partly filled.
func DecodeStrict(raw []byte, lim JSONLimits, v any) error {
	clean, err := cleanJSON(raw, lim)
	if err != nil {
		return err
	}
	err = json.Unmarshal(clean, v, json.RejectUnknownMembers(true))
	if err == nil {
		return nil
	}
	return Wrap(CodeMalformedRequest, decodeDetail(err, reflect.TypeOf(v)), errDecode)
}

// errDecode replaces the decoder's own message in the log, because that message
// holds input.
var errDecode = errors.New("value does not fit")

func decodeDetail(err error, t reflect.Type) string {
	var semantic *json.SemanticError
	if !errors.As(err, &semantic) {
		return "the JSON text does not have the expected form"
	}
	place := ownPlace(semantic.JSONPointer, t)
	if errors.Is(err, json.ErrUnknownName) {
		return "unknown member in " + place
	}
	if detail := DetailOf(err); detail != "" {
		return place + ": " + detail
	}
	return place + " has the wrong type or range"
}

// ownPlace returns the longest prefix of a JSON pointer that consists of
// names and positions of this program. It stops at the first name that the
// client chose.
func ownPlace(p jsontext.Pointer, t reflect.Type) string {
	var b strings.Builder
	for token := range p.Tokens() {
		for t.Kind() == reflect.Pointer {
			t = t.Elem()
		}
		next, ok := ownMember(t, token)
		if !ok {
			break
		}
		b.WriteString("/" + token)
		t = next
	}
	if b.Len() == 0 {
		return "the JSON text"
	}
	return b.String()
}

// ownMember returns the type that one step of a pointer leads to, if the step
// is a member of a struct or a position in a list.
func ownMember(t reflect.Type, token string) (reflect.Type, bool) {
	switch t.Kind() {
	case reflect.Slice, reflect.Array:
		return t.Elem(), true
	case reflect.Struct:
		return ownField(t, token)
	default:
		return nil, false
	}
}

func ownField(t reflect.Type, name string) (reflect.Type, bool) {
	for i := range t.NumField() {
		f := t.Field(i)
		tag, _, _ := strings.Cut(f.Tag.Get("json"), ",")
		if f.Anonymous && tag == "" {
			if inner, ok := embedded(f.Type, name); ok {
				return inner, true
			}
		}
		if tag == name && name != "" && name != "-" {
			return f.Type, true
		}
	}
	return nil, false
}

func embedded(t reflect.Type, name string) (reflect.Type, bool) {
	if t.Kind() == reflect.Pointer {
		t = t.Elem()
	}
	if t.Kind() != reflect.Struct {
		return nil, false
	}
	return ownField(t, name)
}

// EncodeJSON writes a value compactly, and leaves "<", ">" and "&" as they are.
func EncodeJSON(v any) ([]byte, error) {
	var b bytes.Buffer
	e := stdjson.NewEncoder(&b)
	e.SetEscapeHTML(false)
	if err := e.Encode(v); err != nil {
		return nil, Wrap(CodeInternal, "value has no JSON form", err)
	}
	return bytes.TrimSuffix(b.Bytes(), []byte("\n")), nil
}

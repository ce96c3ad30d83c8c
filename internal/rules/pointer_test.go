package rules_test

import (
	"encoding/json"
	"slices"
	"strconv"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/terradourada/td/internal/rules"
	"github.com/terradourada/td/protocol"
)

func TestParsePointer(t *testing.T) {
	for _, test := range []struct {
		pointer string
		want    []string // nil: refused
	}{
		{"/", []string{""}},
		{"//", []string{"", ""}},
		{"/a", []string{"a"}},
		{"/a/b/0", []string{"a", "b", "0"}},
		{"/10", []string{"10"}},
		{"/~0~1", []string{"~/"}},
		{"/~01", []string{"~1"}},
		{"/~00", []string{"~0"}},
		{"/a b", []string{"a b"}},
		{"/é\x00\"\\", []string{"é\x00\"\\"}},
		{"/-1", []string{"-1"}},
		{"/0a", []string{"0a"}},
		{"/--", []string{"--"}},
		{"/+0", []string{"+0"}},
		{"", nil},
		{"a", nil},
		{"a/b", nil},
		{"#/a", nil},
		{" /a", nil},
		{"/~", nil},
		{"/~2", nil},
		{"/a~", nil},
		{"/~/a", nil},
		{"/~~0", nil},
		{"/-", nil},
		{"/a/-", nil},
		{"/-/a", nil},
		{"/00", nil},
		{"/01", nil},
		{"/a/007", nil},
		{"/00/a", nil},
	} {
		got, ok := rules.ParsePointer(test.pointer)
		if want := test.want != nil; ok != want || ok && !slices.Equal(got, test.want) {
			t.Errorf("%q: got %q, %v; want %q", test.pointer, got, ok, test.want)
		}
	}
}

// TestResolve uses the document of RFC 6901 section 5, and what the section
// leaves to the reader.
func TestResolve(t *testing.T) {
	doc, err := protocol.Canonicalize([]byte(`{"foo":["bar","baz"],"":0,"a/b":1,"c%d":2,"e^f":3,"g|h":4,
		"i\\j":5,"k\"l":6," ":7,"m~n":8,"+0":9,"esc\n\u0001":10,"nest":{"list":[[],{"deep":[1,[2,"}]",{"x":null}]]}]},"é":true}`))
	if err != nil {
		t.Fatal(err)
	}
	for pointer, want := range map[string]string{
		"/foo":                      `["bar","baz"]`,
		"/foo/0":                    `"bar"`,
		"/foo/1":                    `"baz"`,
		"/":                         "0",
		"/a~1b":                     "1",
		"/c%d":                      "2",
		"/e^f":                      "3",
		"/g|h":                      "4",
		"/i\\j":                     "5",
		"/k\"l":                     "6",
		"/ ":                        "7", //nolint:gocritic // the pointer to a member named by one space
		"/m~0n":                     "8",
		"/+0":                       "9",
		"/esc\n\x01":                "10",
		"/é":                        "true",
		"/nest/list/0":              "[]",
		"/nest/list/1/deep/1/1":     `"}]"`,
		"/nest/list/1/deep/1/2":     `{"x":null}`,
		"/nest/list/1/deep/1/2/x":   "null",
		"/foo/2":                    "",
		"/foo/+0":                   "",
		"/foo/-1":                   "",
		"/foo/0x0":                  "",
		"/foo/":                     "",
		"/foo/0/0":                  "",
		"/foo/18446744073709551616": "",
		"/nest/list/0/0":            "",
		"/missing":                  "",
		"/Foo":                      "",
		"/nest/list/1/deep/1/2/x/y": "",
		"/é/0":                      "",
	} {
		tokens, ok := rules.ParsePointer(pointer)
		if !ok {
			t.Errorf("%q: refused", pointer)
			continue
		}
		got, ok := rules.Resolve(tokens, doc)
		if ok != (want != "") || string(got) != want {
			t.Errorf("%q: got %q, %v; want %q", pointer, got, ok, want)
		}
	}
}

// drawValue draws a JSON document of bounded depth.
func drawValue(t *rapid.T, depth int) any {
	names := []string{"", "a", "a/b", "~", "~1", "0", "1", "-x", "é", "\"", "\\", "\n", "{", "]", ",:"}
	kinds := 6
	if depth == 0 {
		kinds = 4
	}
	switch rapid.IntRange(0, kinds-1).Draw(t, "kind") {
	case 0:
		return nil
	case 1:
		return rapid.Bool().Draw(t, "bool")
	case 2:
		return float64(rapid.IntRange(-1000, 1000).Draw(t, "number")) / 4
	case 3:
		return rapid.SampledFrom(names).Draw(t, "text")
	case 4:
		list := make([]any, rapid.IntRange(0, 4).Draw(t, "length"))
		for i := range list {
			list[i] = drawValue(t, depth-1)
		}
		return list
	default:
		return drawObject(t, names, depth)
	}
}

func drawObject(t *rapid.T, names []string, depth int) map[string]any {
	object := make(map[string]any)
	for range rapid.IntRange(0, 4).Draw(t, "size") {
		object[rapid.SampledFrom(names).Draw(t, "name")] = drawValue(t, depth-1)
	}
	return object
}

// walk visits every value below v with the tokens that lead to it.
func walk(v any, at []string, visit func(at []string, v any)) {
	switch v := v.(type) {
	case map[string]any:
		for name, m := range v {
			visit(append(at[:len(at):len(at)], name), m)
			walk(m, append(at[:len(at):len(at)], name), visit)
		}
	case []any:
		for i, item := range v {
			visit(append(at[:len(at):len(at)], strconv.Itoa(i)), item)
			walk(item, append(at[:len(at):len(at)], strconv.Itoa(i)), visit)
		}
	}
}

// TestResolveFindsEveryPlace compares with the standard decoder's tree: every
// value is found, as its canonical text.
func TestResolveFindsEveryPlace(t *testing.T) {
	escape := strings.NewReplacer("~", "~0", "/", "~1")
	rapid.Check(t, func(t *rapid.T) {
		tree := map[string]any{"root": drawValue(t, 4), "x": drawValue(t, 2)}
		doc := canonicalOf(t, tree)
		walk(tree, nil, func(at []string, v any) {
			pointer := ""
			for _, token := range at {
				pointer += "/" + escape.Replace(token)
			}
			tokens, ok := rules.ParsePointer(pointer)
			if !ok || !slices.Equal(tokens, at) {
				t.Fatalf("%q: got %q, %v; want %q", pointer, tokens, ok, at)
			}
			got, ok := rules.Resolve(tokens, doc)
			// The canonical form of a part, taken by way of an object.
			want := strings.TrimSuffix(strings.TrimPrefix(string(canonicalOf(t, map[string]any{"v": v})), `{"v":`), "}")
			if !ok || string(got) != want {
				t.Fatalf("%q in %s: got %s, %v; want %s", pointer, doc, got, ok, want)
			}
			if _, ok := rules.Resolve(append(tokens, "nowhere"), doc); ok {
				t.Fatalf("%q in %s: found something below", pointer, doc)
			}
		})
	})
}

func canonicalOf(t interface{ Fatal(...any) }, v any) []byte {
	raw, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	doc, err := protocol.Canonicalize(raw)
	if err != nil {
		t.Fatal(err)
	}
	return doc
}

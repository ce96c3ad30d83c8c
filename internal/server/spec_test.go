package server_test

import (
	"bytes"
	"encoding/json"
	"flag"
	"net/http"
	"os"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/terradourada/td/protocol"
)

var update = flag.Bool("update", false, "write docs/openapi.json and docs/reference/errors.md")

const specFile = "../../docs/openapi.json"

func TestSpecIsCommitted(t *testing.T) {
	got := start(t, nil).do(http.MethodGet, "/openapi.json", nil).body
	if *update {
		if err := os.WriteFile(specFile, got, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(specFile)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(got, want) {
		t.Error("docs/openapi.json is not what the code says; run go generate ./internal/server")
	}
	for range 3 {
		if again := start(t, nil).do(http.MethodGet, "/openapi.json", nil).body; !bytes.Equal(again, got) {
			t.Fatal("the description is not deterministic")
		}
	}
}

// specification reads the served document as plain JSON.
func specification(t *testing.T) map[string]any {
	t.Helper()
	var doc map[string]any
	if err := json.Unmarshal(start(t, nil).do(http.MethodGet, "/openapi.json", nil).body, &doc); err != nil {
		t.Fatal(err)
	}
	return doc
}

// walk calls visit for every object inside v with its place.
func walk(v any, place string, visit func(place string, m map[string]any)) {
	switch v := v.(type) {
	case map[string]any:
		visit(place, v)
		for name, inner := range v {
			walk(inner, place+"/"+name, visit)
		}
	case []any:
		for _, inner := range v {
			walk(inner, place, visit)
		}
	}
}

func TestSpecIsWhole(t *testing.T) {
	doc := specification(t)
	if doc["openapi"] != "3.1.0" {
		t.Errorf("openapi %v", doc["openapi"])
	}
	schemas := doc["components"].(map[string]any)["schemas"].(map[string]any)
	used := map[string]bool{}
	walk(doc, "", func(place string, m map[string]any) {
		if ref, ok := m["$ref"].(string); ok {
			name, local := strings.CutPrefix(ref, "#/components/schemas/")
			if _, there := schemas[name]; !local || !there {
				t.Errorf("%s refers to %s", place, ref)
			}
			used[name] = true
		}
		if _, ok := m["$schema"]; ok {
			t.Errorf("%s has $schema", place)
		}
		if types, ok := m["type"].([]any); ok {
			t.Errorf("%s may be %v", place, types)
		}
	})
	for name, s := range schemas {
		s := s.(map[string]any)
		if s["type"] != "object" || s["additionalProperties"] != false {
			t.Errorf("schema %s is open", name)
		}
		for member, m := range s["properties"].(map[string]any) {
			m := m.(map[string]any)
			if m["type"] == nil && m["$ref"] == nil {
				t.Errorf("%s.%s says nothing", name, member)
			}
		}
		if !used[name] {
			t.Errorf("schema %s is not used", name)
		}
	}
	for _, s := range []string{"http://", "https://", canary} {
		if b, _ := json.Marshal(doc); strings.Contains(string(b), s) {
			t.Errorf("the description holds %q", s)
		}
	}
}

// TestSpecNamesEveryCode: each code is in the enumeration, and is an answer
// of some operation under its status.
func TestSpecNamesEveryCode(t *testing.T) {
	doc := specification(t)
	statuses := specCodes(t)
	var enum []string
	problem := doc["components"].(map[string]any)["schemas"].(map[string]any)["Problem"].(map[string]any)
	for _, c := range problem["properties"].(map[string]any)["code"].(map[string]any)["enum"].([]any) {
		enum = append(enum, c.(string))
	}
	answered := map[string]bool{"method_not_allowed": true} // an answer of paths, not of operations
	operations := 0
	for path, methods := range doc["paths"].(map[string]any) {
		for method, op := range methods.(map[string]any) {
			operations++
			for status, response := range op.(map[string]any)["responses"].(map[string]any) {
				if status[0] < '4' {
					continue
				}
				for code := range strings.SplitSeq(response.(map[string]any)["description"].(string), ", ") {
					answered[code] = true
					if got := statuses[code]; status != strconv.Itoa(got) {
						t.Errorf("%s %s: %s under %s", method, path, code, status)
					}
				}
			}
		}
	}
	for _, c := range protocol.Codes() {
		if !slices.Contains(enum, c.String()) || !answered[c.String()] {
			t.Errorf("%s: in the enumeration %v, answered %v", c, slices.Contains(enum, c.String()), answered[c.String()])
		}
	}
	if operations != 15 {
		t.Errorf("%d operations are described", operations)
	}
}

// TestAnswersFitTheSpec checks names and required members of real answers
// against their schemas.
func TestAnswersFitTheSpec(t *testing.T) {
	schemas := specification(t)["components"].(map[string]any)["schemas"].(map[string]any)
	s := start(t, nil)
	for _, tt := range []struct {
		schema string
		r      reply
	}{
		{"Challenge", s.post("/v1/challenges", challengeBody)},
		{"Accepted", s.post("/v1/challenges/"+knownID.String()+"/proof", proofBody(), "Prefer", "wait=2")},
		{"EventAccepted", s.post("/v1/events", `{"claim":"open/1","params":{},"event":{}}`, "Prefer", "wait=2")},
		{"EventQueued", s.post("/v1/events", `{"claim":"open/1","params":{},"event":{}}`, "Prefer", "respond-async")},
		{"Receipt", s.do(http.MethodGet, "/v1/receipts/"+knownID.String(), nil)},
		{"Report", s.do(http.MethodPost, "/v1/verify", []byte(encodedReceipt(t)), "Content-Type", "application/json")},
		{"Claims", s.do(http.MethodGet, "/v1/claims", nil)},
		{"Epochs", s.do(http.MethodGet, "/v1/epochs", nil)},
		{"Epoch", s.do(http.MethodGet, "/v1/epochs/1", nil)},
		{"Status", s.do(http.MethodGet, "/v1/status", nil)},
		{"Problem", s.do(http.MethodGet, "/nowhere", nil)},
	} {
		var v any
		if err := json.Unmarshal(tt.r.body, &v); err != nil {
			t.Fatalf("%s: %v", tt.schema, err)
		}
		fits(t, schemas, map[string]any{"$ref": "#/components/schemas/" + tt.schema}, v, tt.schema)
	}
}

// fits is the part of JSON Schema that the document uses.
func fits(t *testing.T, schemas, schema map[string]any, v any, place string) {
	t.Helper()
	if ref, ok := schema["$ref"].(string); ok {
		schema = schemas[strings.TrimPrefix(ref, "#/components/schemas/")].(map[string]any)
	}
	switch v := v.(type) {
	case map[string]any:
		if schema["type"] != "object" {
			t.Errorf("%s is an object", place)
		}
		members, _ := schema["properties"].(map[string]any)
		for name, inner := range v {
			m, ok := members[name].(map[string]any)
			if !ok {
				t.Errorf("%s has the member %q", place, name)
				continue
			}
			fits(t, schemas, m, inner, place+"/"+name)
		}
		required, _ := schema["required"].([]any)
		for _, name := range required {
			if _, ok := v[name.(string)]; !ok {
				t.Errorf("%s lacks %q", place, name)
			}
		}
	case []any:
		if schema["type"] != "array" {
			t.Errorf("%s is an array", place)
			return
		}
		for _, inner := range v {
			fits(t, schemas, schema["items"].(map[string]any), inner, place)
		}
	case string:
		pattern, _ := schema["pattern"].(string)
		if schema["type"] != "string" || !regexp.MustCompile(pattern).MatchString(v) {
			t.Errorf("%s is %q", place, v)
		}
		for word, bad := range map[string]func(float64) bool{
			"minLength": func(n float64) bool { return len(v) < int(n) },
			"maxLength": func(n float64) bool { return len(v) > int(n) },
		} {
			if n, ok := schema[word].(float64); ok && bad(n) {
				t.Errorf("%s has %d bytes, %s %v", place, len(v), word, n)
			}
		}
	case float64:
		if schema["type"] != "integer" {
			t.Errorf("%s is a number", place)
		}
	case bool:
		if schema["type"] != "boolean" {
			t.Errorf("%s is a boolean", place)
		}
	default:
		t.Errorf("%s is %v", place, v)
	}
}

func TestDocsPageStandsAlone(t *testing.T) {
	r := start(t, nil).do(http.MethodGet, "/docs", nil)
	body := string(r.body)
	if r.StatusCode != http.StatusOK || r.Header.Get("Content-Type") != "text/html; charset=utf-8" {
		t.Fatalf("%d %v", r.StatusCode, r.Header)
	}
	policy := r.Header.Get("Content-Security-Policy")
	if !strings.Contains(policy, "default-src 'none'") || strings.Contains(policy, "unsafe") || strings.Contains(policy, "http") {
		t.Errorf("policy %q", policy)
	}
	for _, word := range []string{"<script", "://", "onload", "@import", "url(", "ZgotmplZ"} {
		if strings.Contains(body, word) {
			t.Errorf("the page holds %q", word)
		}
	}
	for _, c := range protocol.Codes() {
		if !strings.Contains(body, `id="code-`+c.String()+`"`) {
			t.Errorf("the page lacks %s", c)
		}
	}
	if n := strings.Count(body, "<section id="); n != 15 {
		t.Errorf("the page has %d operations", n)
	}
}

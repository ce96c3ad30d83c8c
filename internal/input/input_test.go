package input_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/iotest"
	"unicode/utf16"

	"github.com/google/go-cmp/cmp"

	"github.com/terradourada/td/internal/fault"
	"github.com/terradourada/td/internal/input"
	"github.com/terradourada/td/protocol"
)

// mark is the byte-order mark in UTF-8.
const mark = "\ufeff"

// shown returns the events of a reader as texts, and the error that ended it.
func shown(r *input.Reader) (got []string, err error) {
	for {
		e, err := r.Next()
		if errors.Is(err, io.EOF) {
			return got, nil
		}
		if err != nil {
			return got, err
		}
		text := string(e.Text)
		if e.Err != nil {
			text = "refused: " + protocol.DetailOf(e.Err)
		}
		if len(text) > 120 {
			text = fmt.Sprintf("%d bytes", len(text))
		}
		got = append(got, fmt.Sprintf("%d:%s", e.Line, text))
	}
}

// readFile reads a file of a name twice, as a run does.
func readFile(t *testing.T, name, content string, f input.Flags, numbers ...string) ([]string, error) {
	t.Helper()
	path := filepath.Join(t.TempDir(), name)
	if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
	t.Chdir(filepath.Dir(path))
	r, err := input.Open(input.Options{Name: name, Flags: f, Numbers: numbers, Command: "td submit ... -"})
	if err != nil {
		return nil, err
	}
	defer r.Close()
	first, err := shown(r)
	if !r.Rewindable() {
		t.Error("a file is not rewindable")
	}
	if err := r.Rewind(); err != nil {
		t.Fatal(err)
	}
	if again, errAgain := shown(r); !cmp.Equal(first, again) || fmt.Sprint(err) != fmt.Sprint(errAgain) {
		t.Errorf("read again it is %q, %v; want %q, %v", again, errAgain, first, err)
	}
	return first, err
}

// readStreams reads a stream that comes in different pieces, which must not matter.
func readStreams(t *testing.T, content string, f input.Flags, numbers ...string) ([]string, error) {
	t.Helper()
	var got []string
	var err error
	for i, r := range []io.Reader{
		strings.NewReader(content), iotest.OneByteReader(strings.NewReader(content)), iotest.DataErrReader(strings.NewReader(content)),
	} {
		var next []string
		in, nextErr := input.Open(input.Options{Name: "-", Stdin: r, Flags: f, Numbers: numbers, Command: "td submit ... -"})
		if nextErr == nil {
			next, nextErr = shown(in)
		}
		if i > 0 && (!cmp.Equal(got, next) || fmt.Sprint(err) != fmt.Sprint(nextErr)) {
			t.Errorf("in pieces it is %q, %v; want %q, %v", next, nextErr, got, err)
		}
		got, err = next, nextErr
	}
	return got, err
}

func TestEvents(t *testing.T) {
	const most = protocol.MaxJSONSize + 1
	long := `{"a":"` + strings.Repeat("x", 2*protocol.MaxJSONSize) + `"}`
	for _, test := range []struct {
		name, input string
		byLine      bool
		want        []string
	}{
		{"one object", `{"a":1}`, false, []string{`1:{"a":1}`}},
		{"one object and a line end", "{\"a\":1}\n", false, []string{`1:{"a":1}`}},
		{"one object on lines", "{\n\"a\":\n{\"b\":1}\n}\n", false, []string{"1:{\n\"a\":\n{\"b\":1}\n}\n"}},
		{"two objects", "{\"a\":1}\n{\"a\":2}\n", false, []string{`1:{"a":1}`, `2:{"a":2}`}},
		{"a byte-order mark", mark + "{\"a\":1}\n{\"a\":2}\n", false, []string{`1:{"a":1}`, `2:{"a":2}`}},
		{"a mark and one object", mark + "{\n\"a\":1}", false, []string{"1:{\n\"a\":1}"}},
		{"two marks", mark + mark + "{}\n{}\n", true, []string{"1:" + mark + "{}", "2:{}"}},
		{"no last line end", "{\"a\":1}\n{\"a\":2}", false, []string{`1:{"a":1}`, `2:{"a":2}`}},
		{"blank lines count", "\n\n{\"a\":1}\n \t\n{\"a\":2}\n\n", false, []string{`3:{"a":1}`, `5:{"a":2}`}},
		{"a bad line", "{\"a\":1}\n{bad\n{\"a\":2}\n", false, []string{`1:{"a":1}`, `2:{bad`, `3:{"a":2}`}},
		{"carriage returns", "{\"a\":1}\r\n{\"a\":2}\r\n", false, []string{"1:{\"a\":1}\r", "2:{\"a\":2}\r"}},
		{"bad first line, by name", "{bad\n{\"a\":2}\n", true, []string{`1:{bad`, `2:{"a":2}`}},
		{"one line, by name", "{\"a\":1}\n", true, []string{`1:{"a":1}`}},
		{"one line without an end, by name", "{\"a\":1}", true, []string{`1:{"a":1}`}},
		{"too long a line", "{\"a\":1}\n" + long + "\n{\"a\":2}\n", false, []string{`1:{"a":1}`, fmt.Sprintf("2:%d bytes", most), `3:{"a":2}`}},
		{"too long an object", long, false, []string{fmt.Sprintf("1:%d bytes", most)}},
		{"a line of just the size", strings.Repeat("x", most) + "\n{}\n", true, []string{fmt.Sprintf("1:%d bytes", most), "2:{}"}},
	} {
		t.Run(test.name, func(t *testing.T) {
			name := "events.json"
			if test.byLine {
				name = "events.jsonl"
			} else if got, err := readStreams(t, test.input, input.Flags{}); err != nil || !cmp.Equal(got, test.want) {
				t.Errorf("as a stream: %q, %v; want %q", got, err, test.want)
			}
			if got, err := readFile(t, name, test.input, input.Flags{}); err != nil || !cmp.Equal(got, test.want) {
				t.Errorf("%q, %v; want %q", got, err, test.want)
			}
		})
	}
}

func utf16Of(s string, big, marked bool) string {
	var b bytes.Buffer
	if marked {
		s = mark + s
	}
	for _, u := range utf16.Encode([]rune(s)) {
		if big {
			b.Write([]byte{byte(u >> 8), byte(u)})
		} else {
			b.Write([]byte{byte(u), byte(u >> 8)})
		}
	}
	return b.String()
}

// TestOtherFormats wants one sentence for an input that is none, and the command that
// converts it.
func TestOtherFormats(t *testing.T) {
	const object = "{\"a\":1}\n"
	for _, tt := range []struct{ name, content, what, hint string }{
		{"e.jsonl", "", " is empty", "JSON object"},
		{"e.json", mark, " is empty", "JSON object"},
		{"e.json", " \n\t\n", " is empty", "JSON object"},
		{"e.gz", "\x1f\x8b\x08\x00", "gzip", "gunzip -c e.gz | td submit ... -"},
		{"e.zst", "\x28\xb5\x2f\xfd\x00", "zstd", "zstd -dc e.zst | "},
		{"e.json", utf16Of(object, false, true), "UTF-16", "iconv -f UTF-16 -t UTF-8 e.json | "},
		{"e.json", utf16Of(object, true, true), "UTF-16", "iconv -f UTF-16 -t UTF-8 e.json | "},
		{"e.json", utf16Of(object, false, false), "UTF-16", "iconv -f UTF-16LE "},
		{"e.json", utf16Of(object, true, false), "UTF-16", "iconv -f UTF-16BE "},
		{"e.json", "[{}]", "JSON array", "jq -c '.[]' e.json | "},
		{"e.jsonl", "\n [\n{}]", "JSON array", "as it stands"},
		{"pack.json", `[{"bn":"urn:dev:1:","n":"t","v":1},{"n":"u","v":2}]`, "SenML pack", "bn"},
		{"e.json", "\x1e{\"a\":1}\n\x1e{\"a\":2}\n", "sequence of JSON texts", `tr -d '\036' < e.json | jq -c . | `},
		{"e.json", "{\n\"a\":1}\n{\n\"a\":2}\n", "not stand one on each line", "jq -c . e.json | "},
		{"e.json", `{"a":1}{"a":2}`, "not stand one on each line", "jq -c . e.json | "},
		{"e.json", "{\n\"a\":1}\n" + strings.Repeat("{\n}\n", 1<<15), "not stand one on each line", "jq -c . e.json | "},
		{"e.jsonl", "{\n\"a\":1}\n", "not stand one on each line", "jq -c . e.jsonl | "},
		{"e.txt", "t,v\n1,2\n", "looks like CSV", "--csv"},
		{"e.txt", "\"t\";\"v\"\n1;2\n", "looks like CSV", "--csv"},
		{"e.csv", "v\n1\n", "looks like CSV", "--csv"},
		{"e.json", "7\n8\n", "no object", "JSON object"},
		{"e.json", "\"text, text\"", "no object", "JSON object"},
		{"e.json", "<a/>", "XML", "JSON object"},
		{"it's.json", "[]", "JSON array", "jq -c '.[]' FILE | "},
	} {
		_, err := readFile(t, tt.name, tt.content, input.Flags{})
		f := new(fault.Fault)
		if !errors.As(err, &f) || f.Exit != fault.Usage || !strings.Contains(f.What, tt.what) || !strings.Contains(f.Hint, tt.hint) || !strings.HasPrefix(f.What, tt.name) {
			t.Errorf("%q: %v, %+v; want %q and %q", tt.content[:min(20, len(tt.content))], err, f, tt.what, tt.hint)
		}
		if len(f.What) > 200 || len(f.Hint) > 600 {
			t.Errorf("%d and %d bytes: %s %s", len(f.What), len(f.Hint), f.What, f.Hint)
		}
		if tt.name == "e.jsonl" || tt.name == "e.csv" {
			continue // the name decides
		}
		if _, err := readStreams(t, tt.content, input.Flags{}); !errors.As(err, &f) || !strings.HasPrefix(f.What, "the input ") || !strings.Contains(f.What, tt.what) {
			t.Errorf("as a stream: %v, want %q", err, tt.what)
		}
	}
	if _, err := input.Open(input.Options{Name: "-", Stdin: iotest.ErrReader(errors.New("broken"))}); err == nil || !strings.Contains(err.Error(), "broken") {
		t.Errorf("a broken input: %v", err)
	}
}

// TestStreams wants the first event before the second one comes.
func TestStreams(t *testing.T) {
	for first, f := range map[string]input.Flags{"{\"a\":1}\n": {}, "\n\n{\"a\":1}\n": {}, mark + "a\n1\n": {CSV: true}} {
		r, w := io.Pipe()
		go func() { _, _ = io.WriteString(w, first) }()
		in, err := input.Open(input.Options{Name: "-", Stdin: r, Flags: f, Numbers: []string{"/a"}})
		if err != nil {
			t.Fatal(err)
		}
		if e, err := in.Next(); err != nil || string(e.Text) != `{"a":1}` || in.Rewindable() {
			t.Errorf("%s, %v", e.Text, err)
		}
		w.Close()
	}
}

func TestCSV(t *testing.T) {
	comma := input.Flags{CSV: true, DecimalComma: true}
	for _, tt := range []struct {
		content string
		flags   input.Flags
		numbers []string
		want    []string
	}{
		{"a,b\n1,2\nx,\n", input.Flags{}, nil, []string{`2:{"a":"1","b":"2"}`, `3:{"a":"x","b":""}`}},
		{mark + "a,b\r\n1,2\r\n\r\n3,4", input.Flags{}, []string{"/b"}, []string{`2:{"a":"1","b":2}`, `4:{"a":"3","b":4}`}},
		{" a/b ; c~\t\n -1.50;+2e3\n", input.Flags{}, []string{"/a~1b", "/c~0"}, []string{`2:{"a/b":-1.50,"c~":2e3}`}},
		{"t;v\n\"a;b\nc\";-3,25\n2;1.5\n3;1,2,3\n4;\n5;03\n", comma, []string{"/v"}, []string{
			`2:{"t":"a;b\nc","v":-3.25}`,
			`4:refused: column "v": "1.5" is no number with a decimal comma`,
			`5:refused: column "v": "1,2,3" is no number with a decimal comma`,
			`6:refused: column "v": "" is no number with a decimal comma`,
			`7:refused: column "v": "03" is no number with a decimal comma`,
		}},
		{"t,v\n\"2026,5\",\"21,5\"\n", comma, []string{"/v"}, []string{`2:{"t":"2026,5","v":21.5}`}},
		{"t,v\n1,\"21,5\"\n1,x\n", input.Flags{}, []string{"/v"}, []string{
			`2:refused: column "v": "21,5" is no number; --decimal-comma reads 21,5`, `3:refused: column "v": "x" is no number; --decimal-comma reads 21,5`,
		}},
		{"a\tb\n1\t2\n1\n1\t2\t3\n\"1\tx\n", input.Flags{NumbersFromText: []string{"/a"}}, nil, []string{
			`2:{"a":1,"b":"2"}`, `3:refused: the row has 1 fields, and the first row has 2`,
			`4:refused: the row has 3 fields, and the first row has 2`, `5:refused: a quote is not closed, or not doubled inside of a field, at byte 6`,
		}},
		{"\"a\n;b\",c\nx,\"y\"\n", input.Flags{}, nil, []string{`3:{"a\n;b":"x","c":"y"}`}},
		{"a\n1\n\xb0\n<&>\u2028\n", input.Flags{}, nil, []string{
			`2:{"a":"1"}`, `3:refused: column "a": this is not UTF-8; iconv -f WINDOWS-1252 -t UTF-8 converts what older programs write`, `4:{"a":"\u003c\u0026\u003e\u2028"}`,
		}},
	} {
		tt.flags.CSV = true
		got, err := readFile(t, "e.csv", tt.content, tt.flags, tt.numbers...)
		if err != nil || !cmp.Equal(got, tt.want) {
			t.Errorf("%q, %v\nwant %q", got, err, tt.want)
		}
		if got, err = readStreams(t, tt.content, tt.flags, tt.numbers...); err != nil || !cmp.Equal(got, tt.want) {
			t.Errorf("as a stream: %q, %v\nwant %q", got, err, tt.want)
		}
	}
}

func TestCSVRefused(t *testing.T) {
	for content, want := range map[string]string{
		"":               "e.csv is empty",
		"a,b\n":          "e.csv holds no event",
		"a,,b\n1,2,3\n":  "column 2: it has no name",
		"a,b, a \n1,2,3": `column 3: the name "a" stands twice`,
		"\xb0C,v\n1,2\n": "column 1: this is not UTF-8",
		"a\"b,v\n1,2\n":  `a field without quotes around it has a quote in it`,
		"\x1f\x8b\x08":   "compressed with gzip",
		"a,b\n1,2":       `e.csv has no column for the pointer "/v"`,
		"v\n\"1\n" + strings.Repeat("x\n", 1<<16): "longer than 65536 bytes, or a quote is not closed",
		"v\n" + strings.Repeat("1", 1<<20):        "longer than 65536 bytes, or a quote is not closed",
		"\"v" + strings.Repeat("1,", 1<<20):       "longer than 65536 bytes, or a quote is not closed",
	} {
		numbers := []string{"/v"}
		if !strings.Contains(content, "v") && content != "a,b\n1,2" {
			numbers = nil
		}
		_, err := readFile(t, "e.csv", content, input.Flags{CSV: true}, numbers...)
		if f := new(fault.Fault); !errors.As(err, &f) || f.Exit != fault.Usage || !strings.Contains(f.What, want) || len(f.What) > 200 {
			t.Errorf("%.20q: %v, want %q", content, err, want)
		}
	}
	if _, err := readStreams(t, "{}", input.Flags{DecimalComma: true}); err == nil {
		t.Error("--decimal-comma without --csv is not refused")
	}
}

func TestNumbersFromText(t *testing.T) {
	const event = `{"a":"12","b":[{"c/d":"-0"},{"c/d":["1","18446744073709551615",3]}],"e":"1.5","f":true}`
	for pointers, want := range map[string]string{
		"/a":                     `1:{"a":12,"b":[{"c/d":"-0"},{"c/d":["1","18446744073709551615",3]}],"e":"1.5","f":true}`,
		"/a /b/0/c~1d /b/1/c~1d": `1:{"a":12,"b":[{"c/d":-0},{"c/d":[1,18446744073709551615,3]}],"e":"1.5","f":true}`,
		"/x":                     `1:refused: --numbers-from-text: there is nothing at "/x"`,
		"/b/2":                   `1:refused: --numbers-from-text: there is nothing at "/b/2"`,
		"/b/00":                  `1:refused: --numbers-from-text: there is nothing at "/b/00"`,
		"/a/b":                   `1:refused: --numbers-from-text: there is nothing at "/a/b"`,
		"/e":                     `1:refused: --numbers-from-text: "/e" is "1.5", and no integer written as text`,
		"/f":                     `1:refused: --numbers-from-text: "/f" is no text`,
		"/b":                     `1:refused: --numbers-from-text: "/b" is no text`,
	} {
		got, err := readStreams(t, event, input.Flags{NumbersFromText: strings.Fields(pointers)})
		if err != nil || !cmp.Equal(got, []string{want}) {
			t.Errorf("%s: %q, %v\nwant %q", pointers, got, err, want)
		}
	}
	if got, err := readStreams(t, "{bad", input.Flags{NumbersFromText: []string{"/a"}}); err != nil || !cmp.Equal(got, []string{"1:{bad"}) {
		t.Errorf("%q, %v", got, err)
	}
	if _, err := readStreams(t, "{}", input.Flags{NumbersFromText: []string{"a"}}); err == nil {
		t.Error("a pointer without / is not refused")
	}
	e, err := input.One(input.Options{Name: "-", Stdin: strings.NewReader(event), Flags: input.Flags{NumbersFromText: []string{"/a", "/b/1/c~1d"}}})
	if err != nil || e.Numbers != 3 {
		t.Errorf("%d numbers, %v", e.Numbers, err)
	}
	for _, more := range []string{"{}\n{}\n", "[]", ""} {
		if _, err := input.One(input.Options{Name: "-", Stdin: strings.NewReader(more)}); err == nil {
			t.Errorf("%q is one event", more)
		}
	}
}

// FuzzReader wants the same events however a stream comes, none longer than it may be, and
// rows that are JSON.
func FuzzReader(f *testing.F) {
	for _, seed := range []string{"{}\n{}", "{\n}\n{}", "a;b\n1,5;\"x\n", mark + "a\tb\r\n1\t2\r\n\r\n", "[{\"bn\":1}]", "\x1f\x8b", "{\x00", "\"a\n", "a\n+1\n,\n", "\n \n"} {
		f.Add(seed, false)
		f.Add(seed, true)
	}
	f.Fuzz(func(t *testing.T, content string, csv bool) {
		flags := input.Flags{CSV: csv, DecimalComma: csv}
		var numbers []string
		if csv {
			numbers = []string{"/a"}
		}
		got, err := readStreams(t, content, flags, numbers...)
		if err != nil && len(err.Error()) > 300 {
			t.Errorf("%d bytes of error", len(err.Error()))
		}
		for _, line := range got {
			_, text, _ := strings.Cut(line, ":")
			if csv && !strings.HasPrefix(text, "refused: ") && !strings.HasSuffix(text, " bytes") && !json.Valid([]byte(text)) {
				t.Errorf("%q is not JSON", text)
			}
		}
	})
}

package verify

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"testing/iotest"

	"github.com/google/go-cmp/cmp"

	"github.com/terradourada/td/internal/fault"
	"github.com/terradourada/td/receipt"
)

func TestNames(t *testing.T) {
	long := strings.Repeat("x", maxPath)
	for _, tt := range []struct {
		name, list string
		null       bool
		args, want []string
		exit       int
	}{
		{"lines", "a\nb c\n", false, nil, []string{"a", "b c"}, 0},
		{"no last line end", "a\nb", false, nil, []string{"a", "b"}, 0},
		{"empty lines", "\n\na\n\n", false, nil, []string{"a"}, 0},
		{"after arguments", "c\n", false, []string{"a", "b"}, []string{"a", "b", "c"}, 0},
		{"nothing after arguments", "", false, []string{"a"}, []string{"a"}, 0},
		{"NUL", "a\nb\x00c\x00", true, nil, []string{"a\nb", "c"}, 0},
		{"a dash is a file", "-\n", false, nil, []string{"-"}, 0},
		{"nothing", "\n", false, nil, nil, fault.Usage},
		{"too long", "a\n" + long + "\n", false, nil, []string{"a"}, fault.Usage},
		{"just short enough", long[1:] + "\n", false, nil, []string{long[1:]}, 0},
	} {
		n, _, err := openNames(tt.args, iotest.OneByteReader(strings.NewReader(tt.list)), &Options{FilesFrom: "-", Null: tt.null})
		if err != nil {
			t.Fatal(err)
		}
		var got []string
		f, err := n.next()
		for ; err == nil; f, err = n.next() {
			if f.stdin {
				t.Errorf("%s: %q is standard input", tt.name, f.name)
			}
			got = append(got, f.name)
		}
		if errors.Is(err, io.EOF) != (tt.exit == 0) || tt.exit != 0 && fault.Of(err).Exit != tt.exit || !cmp.Equal(got, tt.want) {
			t.Errorf("%s: %q, %v; want %q", tt.name, got, err, tt.want)
		}
	}
	n, _, err := openNames(nil, iotest.ErrReader(errors.New("broken")), &Options{FilesFrom: "-"})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := n.next(); fault.Of(err).Exit != fault.Unexpected {
		t.Errorf("a broken list: %v", err)
	}
}

// verdictOf returns a verdict about a file.
func verdictOf(verdict string, ok bool) *Verdict {
	return &Verdict{Report: &receipt.Report{OK: ok, Verdict: verdict}}
}

func TestSummary(t *testing.T) {
	missing := unreadable("x", fault.New(fault.NotFound, "x does not exist", ""))
	for _, tt := range []struct {
		files []*Verdict
		want  string
		exit  int
	}{
		{[]*Verdict{verdictOf("valid", true), verdictOf("flagged", true)}, "2 files: valid 1, flagged 1, unvouched 0, invalid 0, contradicted 0, unavailable 0, unreadable 0", fault.OK},
		{[]*Verdict{missing, verdictOf("valid", true)}, "2 files: valid 1, flagged 0, unvouched 0, invalid 0, contradicted 0, unavailable 0, unreadable 1", fault.NotFound},
		{[]*Verdict{missing}, "1 file: valid 0, flagged 0, unvouched 0, invalid 0, contradicted 0, unavailable 0, unreadable 1", fault.NotFound},
		{[]*Verdict{missing, verdictOf("unavailable", false), missing}, "3 files: valid 0, flagged 0, unvouched 0, invalid 0, contradicted 0, unavailable 1, unreadable 2", fault.Unavailable},
		{[]*Verdict{verdictOf("unvouched", false), verdictOf("contradicted", false), verdictOf("invalid", false)}, "3 files: valid 0, flagged 0, unvouched 1, invalid 1, contradicted 1, unavailable 0, unreadable 0", fault.Contradicted},
		{[]*Verdict{verdictOf("valid", false)}, "1 file: valid 0, flagged 0, unvouched 0, invalid 1, contradicted 0, unavailable 0, unreadable 0", fault.Negative}, // not attested
	} {
		s := Summary{Complete: true}
		for _, v := range tt.files {
			s.add(v)
		}
		err := s.err(nil)
		if s.String() != tt.want || (err == nil) != (tt.exit == fault.OK) || err != nil && fault.Of(err).Exit != tt.exit {
			t.Errorf("%s, %v\nwant %s, exit %d", &s, err, tt.want, tt.exit)
		}
	}
}

// TestManyNames verifies as many files as a night makes, one of them there.
func TestManyNames(t *testing.T) {
	dir := t.TempDir()
	there := filepath.Join(dir, "there")
	if err := os.WriteFile(there, []byte("{}"), 0o600); err != nil {
		t.Fatal(err)
	}
	var list bytes.Buffer
	const files = 20_000
	for i := range files - 1 {
		fmt.Fprintln(&list, filepath.Join(dir, fmt.Sprint(i)))
	}
	v, err := New(t.Context(), nil, io.MultiReader(&list, strings.NewReader(there)), &Options{FilesFrom: "-", Trust: filepath.Join(dir, "trust")})
	if err != nil {
		t.Fatal(err)
	}
	seen := 0
	s, err := v.Run(t.Context(), func(*Verdict) error { seen++; return nil })
	if seen != files || s.Files != files || s.Unreadable != files-1 || s.Invalid != 1 || !s.Complete || fault.Of(err).Exit != fault.Negative {
		t.Errorf("%d verdicts, %s, %v", seen, &s, err)
	}
	// An error of the one who prints ends it, and the summary says so.
	if v, err = New(t.Context(), []string{there, there, there}, nil, &Options{Trust: filepath.Join(dir, "trust")}); err != nil {
		t.Fatal(err)
	}
	broken := errors.New("broken")
	if s, err = v.Run(t.Context(), func(*Verdict) error { return broken }); !errors.Is(err, broken) || s.Files != 1 || s.Complete {
		t.Errorf("%s, %v", &s, err)
	}
}

// TestMembersAreDocumented: each member of the JSON output stands in the page about it.
func TestMembersAreDocumented(t *testing.T) {
	page, err := os.ReadFile("../../docs/reference/verify.md")
	if err != nil {
		t.Fatal(err)
	}
	for _, of := range []reflect.Type{reflect.TypeFor[Verdict](), reflect.TypeFor[receipt.Report](), reflect.TypeFor[Summary]()} {
		for f := range of.Fields() {
			name, _, _ := strings.Cut(f.Tag.Get("json"), ",")
			if name != "" && name != "-" && !strings.Contains(string(page), "`"+name+"`") && !strings.Contains(string(page), `"`+name+`":`) {
				t.Errorf("%s does not stand there", name)
			}
		}
	}
}

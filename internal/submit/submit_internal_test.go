package submit

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/iotest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/terradourada/td/internal/fsutil"
	"github.com/terradourada/td/protocol"
)

// readAll returns the lines and texts of an input.
func readAll(t *testing.T, r io.Reader, byLine bool) ([]string, error) {
	t.Helper()
	e, err := newEvents(r, byLine, func() error { return nil })
	if err != nil {
		return nil, err
	}
	var got []string
	for {
		n, err := e.next()
		if errors.Is(err, io.EOF) {
			return got, nil
		}
		if err != nil {
			return got, err
		}
		text := string(n.text)
		if len(text) > 40 {
			text = fmt.Sprintf("%d bytes", len(text))
		}
		got = append(got, fmt.Sprintf("%d:%s", n.line, text))
	}
}

func TestEvents(t *testing.T) {
	long := `{"a":"` + strings.Repeat("x", 2*protocol.MaxJSONSize) + `"}`
	tests := []struct {
		name, input string
		byLine      bool
		want        []string
	}{
		{"one object", `{"a":1}`, false, []string{`1:{"a":1}`}},
		{"one object and a line end", "{\"a\":1}\n", false, []string{"1:{\"a\":1}\n"}},
		{"one object on lines", "{\n\"a\":\n{\"b\":1}\n}\n", false, []string{"1:{\n\"a\":\n{\"b\":1}\n}\n"}},
		{"two objects", "{\"a\":1}\n{\"a\":2}\n", false, []string{`1:{"a":1}`, `2:{"a":2}`}},
		{"no last line end", "{\"a\":1}\n{\"a\":2}", false, []string{`1:{"a":1}`, `2:{"a":2}`}},
		{"blank lines count", "\n\n{\"a\":1}\n \t\n{\"a\":2}\n\n", false, []string{`3:{"a":1}`, `5:{"a":2}`}},
		{"a bad line", "{\"a\":1}\n{bad\n{\"a\":2}\n", false, []string{`1:{"a":1}`, `2:{bad`, `3:{"a":2}`}},
		{"carriage returns", "{\"a\":1}\r\n{\"a\":2}\r\n", false, []string{"1:{\"a\":1}\r", "2:{\"a\":2}\r"}},
		{"bad first line, by name", "{bad\n{\"a\":2}\n", true, []string{`1:{bad`, `2:{"a":2}`}},
		{"one line, by name", "{\"a\":1}\n", true, []string{`1:{"a":1}`}},
		{"nothing, by name", "", true, nil},
		{"too long a line", "{\"a\":1}\n" + long + "\n{\"a\":2}\n", false, []string{`1:{"a":1}`, fmt.Sprintf("2:%d bytes", maxEvent), `3:{"a":2}`}},
		{"too long an object", long, false, []string{fmt.Sprintf("1:%d bytes", maxEvent)}},
		{"a line of just the size", strings.Repeat("x", maxEvent) + "\n{}\n", true, []string{fmt.Sprintf("1:%d bytes", maxEvent), "2:{}"}},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			for name, r := range map[string]io.Reader{
				"at once":      strings.NewReader(test.input),
				"byte by byte": iotest.OneByteReader(strings.NewReader(test.input)),
				"with the end": iotest.DataErrReader(strings.NewReader(test.input)),
			} {
				got, err := readAll(t, r, test.byLine)
				if err != nil || !cmp.Equal(got, test.want) {
					t.Errorf("%s: %q, %v; want %q", name, got, err, test.want)
				}
			}
		})
	}
}

func TestEventsRefused(t *testing.T) {
	for name, input := range map[string]string{"empty": "", "blank": " \n\t\n", "array": "[{}]"} {
		if _, err := readAll(t, strings.NewReader(input), false); err == nil {
			t.Errorf("%s: not refused", name)
		}
	}
	if _, err := readAll(t, iotest.ErrReader(errors.New("broken")), true); err == nil {
		t.Error("a broken input is taken for an empty one")
	}
}

// TestEventsOfAStream wants the first events before the stream ends.
func TestEventsOfAStream(t *testing.T) {
	r, w := io.Pipe()
	defer w.Close()
	go func() { _, _ = io.WriteString(w, "{\"a\":1}\n{\"a\":2}\n") }()
	e, err := newEvents(r, false, r.Close)
	if err != nil {
		t.Fatal(err)
	}
	for line := 1; line <= 2; line++ {
		if n, err := e.next(); err != nil || n.line != line {
			t.Fatalf("line %d, %v; want %d", n.line, err, line)
		}
	}
}

func TestCountLines(t *testing.T) {
	path := filepath.Join(t.TempDir(), "e.jsonl")
	for content, want := range map[string]int{"": 0, "\n \n": 0, "a": 1, "a\n": 1, "a\n\nb\r\n  c": 3} {
		if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
		if got, err := countLines(path); got != want || err != nil {
			t.Errorf("%q: %d, %v; want %d", content, got, err, want)
		}
	}
}

func requestID(b byte) protocol.RequestID { return protocol.RequestID{15: b} }

func TestState(t *testing.T) {
	dir := t.TempDir()
	s, err := openState(dir, "in")
	if err != nil {
		t.Fatal(err)
	}
	a, b := protocol.D("a"), protocol.D("b")
	until := time.UnixMilli(1_800_000_000_000)
	all := []*request{
		{stage: sent, id: requestID(1), digest: a, line: 1, until: until},
		{stage: sent, id: requestID(2), digest: a, line: 2, until: until, push: true},
		{stage: sent, id: requestID(3), digest: b, line: 3, until: until},
		{stage: sent, id: requestID(4), digest: a, line: 4, until: until},
	}
	for _, e := range all {
		if err := s.sending(e); err != nil {
			t.Fatal(err)
		}
	}
	if err := errors.Join(s.lost(all[0].id), s.receipted(all[1], 77)); err != nil {
		t.Fatal(err)
	}
	if _, err := openState(dir, "in"); err == nil {
		t.Error("two processes have the directory")
	}
	// An interrupted write, and what has no business here.
	if _, err := s.lines.file.WriteString("nonsense\nsent x y z\ndone " + requestID(9).String() + " 1\nlost " + requestID(3).String()); err != nil {
		t.Fatal(err)
	}
	if err := s.close(); err != nil {
		t.Fatal(err)
	}
	s, err = openState(dir, "in")
	if err != nil {
		t.Fatal(err)
	}
	defer s.close()
	same := cmp.AllowUnexported(request{})
	for i, want := range []request{*all[1], *all[3], {line: 9}} {
		if got, _ := s.take(a, want.line); !cmp.Equal(got, want, same) {
			t.Errorf("event %d: %+v, want %+v", i, got, want)
		}
	}
	if got, _ := s.take(b, 3); !cmp.Equal(got, *all[2], same) {
		t.Errorf("a line without its end counted: %+v", got)
	}
	if err := s.lost(all[2].id); err != nil {
		t.Fatal(err)
	}
	content, err := os.ReadFile(filepath.Join(dir, stateName))
	if err != nil || !bytes.HasSuffix(content, []byte("\nlost "+requestID(3).String()+"\n")) {
		t.Errorf("the line after an interrupted one is not a line: %q, %v", content, err)
	}
}

func TestStateOfSomethingElse(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, stateName)
	if err := os.WriteFile(path, []byte("something else\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := openState(dir, "in"); err == nil {
		t.Error("a foreign file is taken for a state")
	}
	// A state whose very first write was cut short is a new one.
	if err := os.WriteFile(path, []byte(stateHeader[:7]), 0o600); err != nil {
		t.Fatal(err)
	}
	s, err := openState(dir, "in")
	if err != nil {
		t.Fatal(err)
	}
	defer s.close()
	if got, err := os.ReadFile(path); string(got) != stateHeader || err != nil {
		t.Errorf("the state is %q, %v", got, err)
	}
}

func TestStateSweeps(t *testing.T) {
	dir := t.TempDir()
	id := requestID(1).String()
	keep := []string{id + ".receipt.json", id + ".opening", "." + id + ".answer", "mine"}
	half := []string{"." + id + ".receipt.json.123", "." + id + ".opening.9", ".." + id + ".answer.77"}
	for _, name := range append(keep, half...) {
		if err := os.WriteFile(filepath.Join(dir, name), nil, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	s, err := openState(dir, "in")
	if err != nil {
		t.Fatal(err)
	}
	defer s.close()
	for _, name := range keep {
		if !fsutil.Exists(filepath.Join(dir, name)) {
			t.Errorf("%s is gone", name)
		}
	}
	for _, name := range half {
		if fsutil.Exists(filepath.Join(dir, name)) {
			t.Errorf("%s is still there", name)
		}
	}
}

func TestAnswerFile(t *testing.T) {
	s, err := openState(t.TempDir(), "in")
	if err != nil {
		t.Fatal(err)
	}
	defer s.close()
	id, tag, proof := requestID(1), protocol.Tag{1, 2, 3}, bytes.Repeat([]byte{7}, protocol.ProofSize)
	if _, _, ok := s.answer(id); ok {
		t.Error("there is an answer before it was saved")
	}
	if err := s.saveAnswer(id, tag, proof); err != nil {
		t.Fatal(err)
	}
	gotTag, gotProof, ok := s.answer(id)
	if !ok || !gotTag.Equal(tag) || !cmp.Equal(gotProof, proof) {
		t.Errorf("the answer comes back as %v %v", gotTag, ok)
	}
	if info, err := os.Stat(s.answerPath(id)); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("mode %v, %v", info.Mode(), err)
	}
	if err := os.Truncate(s.answerPath(id), 100); err != nil {
		t.Fatal(err)
	}
	if _, _, ok := s.answer(id); ok {
		t.Error("half an answer is taken for one")
	}
}

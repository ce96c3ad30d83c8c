package submit

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/terradourada/td/internal/fault"
	"github.com/terradourada/td/protocol"
)

// indexWriter is the environment variable that makes this test binary write an index
// until it is killed.
const indexWriter = "TD_TEST_INDEX_DIR"

func TestMain(m *testing.M) {
	if dir := os.Getenv(indexWriter); dir != "" {
		panic(writeIndex(dir))
	}
	os.Exit(m.Run())
}

// writeIndex continues the receipts of a directory for ever.
func writeIndex(dir string) error {
	s, err := openState(dir, "in")
	if err != nil {
		return err
	}
	for n := len(s.index.has) + len(s.free) + 1; ; n++ {
		q := &request{stage: sent, id: numberedID(n), digest: protocol.D(fmt.Sprint(n)), input: "in", line: n, until: time.UnixMilli(1)}
		if err := errors.Join(s.sending(q), s.receipted(q, uint64(n))); err != nil {
			return err
		}
	}
}

func numberedID(n int) (id protocol.RequestID) {
	copy(id[:], fmt.Sprintf("%016d", n))
	return id
}

// lines returns the lines of a file, which all have their ends.
func lines(t *testing.T, path string) []string {
	t.Helper()
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	all := strings.SplitAfter(string(b), "\n")
	if all[len(all)-1] != "" {
		t.Errorf("the last line of %s has no end: %q", path, all[len(all)-1])
	}
	return all[:len(all)-1]
}

// reopen opens and closes the state, and wants an index line for each receipt.
func reopen(t *testing.T, dir string) []string {
	t.Helper()
	s, err := openState(dir, "in")
	if err != nil {
		t.Fatal(err)
	}
	if err := s.close(); err != nil {
		t.Fatal(err)
	}
	finished := 0
	for _, line := range lines(t, filepath.Join(dir, stateName)) {
		if strings.HasPrefix(line, "done ") {
			finished++
		}
	}
	index := lines(t, filepath.Join(dir, IndexName))
	seen := slices.Clone(index)
	slices.Sort(seen)
	if len(slices.Compact(seen)) != len(index) || len(index) != finished {
		t.Errorf("%d lines for %d receipts, %d of them different", len(index), finished, len(slices.Compact(seen)))
	}
	return index
}

// TestIndexSurvivesKills kills a process that writes receipts, again and again.
func TestIndexSurvivesKills(t *testing.T) {
	dir := t.TempDir()
	wrote := 0
	for range 8 {
		cmd := exec.Command("/proc/self/exe")
		cmd.Env = append(os.Environ(), indexWriter+"="+dir)
		if err := cmd.Start(); err != nil {
			t.Skip("this system starts no copy of the test")
		}
		for until := time.Now().Add(30 * time.Second); ; time.Sleep(time.Millisecond) {
			if b, _ := os.ReadFile(filepath.Join(dir, IndexName)); strings.Count(string(b), "\n") > wrote+5 {
				break
			}
			if time.Now().After(until) {
				t.Error("the index does not grow")
				break
			}
		}
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
		wrote = len(reopen(t, dir))
	}
}

// threeReceipts writes the state of three receipts and returns the index.
func threeReceipts(t *testing.T, dir string) []string {
	t.Helper()
	s, err := openState(dir, "../día 1.jsonl")
	if err != nil {
		t.Fatal(err)
	}
	for n := 1; n <= 3; n++ {
		q := &request{stage: sent, id: requestID(byte(n)), digest: protocol.D("secret"), input: s.input, line: n, until: time.UnixMilli(1)}
		if err := errors.Join(s.sending(q), s.named(q, fmt.Sprintf("%03d.receipt.json", n)), s.receipted(q, uint64(n+7))); err != nil {
			t.Fatal(err)
		}
	}
	if err := s.close(); err != nil {
		t.Fatal(err)
	}
	return lines(t, filepath.Join(dir, IndexName))
}

// TestIndexLine wants the format of the package comment.
func TestIndexLine(t *testing.T) {
	dir := t.TempDir()
	want := `{"input":"../día 1.jsonl","line":2,"request_id":"00000000000000000000000000000002","index":9,"receipt":"002.receipt.json","opening":"00000000000000000000000000000002.opening"}` + "\n"
	if index := threeReceipts(t, dir); len(index) != 3 || index[1] != want {
		t.Errorf("the index is %q, want %s", index, want)
	}
	if info, err := os.Stat(filepath.Join(dir, IndexName)); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("mode %v, %v", info.Mode(), err)
	}
}

// TestIndexIsCompleted cuts the index at every byte, as a crash may; the next run
// restores it to the byte.
func TestIndexIsCompleted(t *testing.T) {
	dir := t.TempDir()
	want := strings.Join(threeReceipts(t, dir), "")
	path := filepath.Join(dir, IndexName)
	for n := range len(want) {
		if err := os.WriteFile(path, []byte(want[:n]), 0o600); err != nil {
			t.Fatal(err)
		}
		if got := strings.Join(reopen(t, dir), ""); got != want {
			t.Fatalf("cut after %d bytes it is restored as\n%s", n, got)
		}
	}
}

func TestIndexOfSomethingElse(t *testing.T) {
	for _, content := range []string{"something else\n", "{}\n", "\n"} {
		dir := t.TempDir()
		path := filepath.Join(dir, IndexName)
		if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
		_, err := openState(dir, "in")
		if f := new(fault.Fault); !errors.As(err, &f) || !strings.Contains(f.What, "is not an index of receipts") {
			t.Errorf("%q: %v", content, err)
		}
		if b, err := os.ReadFile(path); string(b) != content || err != nil {
			t.Errorf("%q became %q, %v", content, b, err)
		}
	}
}

// TestLineFileStops: after a failed write no line is appended to the rest of another.
func TestLineFileStops(t *testing.T) {
	f, err := os.Open(os.DevNull) // for reading
	if err != nil {
		t.Fatal(err)
	}
	l := &lineFile{file: f}
	first := l.append("a\n")
	if err := f.Close(); err != nil || first == nil {
		t.Fatalf("%v, %v", first, err)
	}
	if second := l.append("b\n"); !errors.Is(second, first) {
		t.Errorf("then %v", second)
	}
}

// stateOfVersion1 is a state as the earlier version wrote it: two receipts of equal
// events, and a request that may have been accepted.
func stateOfVersion1() string {
	d := protocol.D("TD-CLI-event", []byte("open/1"), []byte("{}"), []byte(`{"a":1}`))
	return stateHeader1 +
		fmt.Sprintf("sent 1 %s %s pull 1800000000000\ndone %s 7\n", d, requestID(1), requestID(1)) +
		fmt.Sprintf("sent 3 %s %s push 1800000000000\nsent 4 %s %s pull 1800000000000\nlost %s\ndone %s 9\n", d, requestID(2), d, requestID(3), requestID(3), requestID(2)) +
		fmt.Sprintf("sent 5 %s %s pull 1800000000000\n", d, requestID(4))
}

// TestStateOfVersion1: the state of the earlier version is continued by whatever input
// comes first, its receipts get into the index, and the earlier version refuses it then.
func TestStateOfVersion1(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, stateName)
	old := stateOfVersion1()
	if err := os.WriteFile(path, []byte(old), 0o600); err != nil {
		t.Fatal(err)
	}
	s, err := openState(dir, "in.jsonl")
	if err != nil {
		t.Fatal(err)
	}
	d := eventDigest("open/1", []byte("{}"), []byte(`{"a":1}`))
	for i, want := range []request{{stage: done, id: requestID(1), line: 1, index: 7}, {stage: done, id: requestID(2), line: 3, index: 9}, {stage: sent, id: requestID(4), line: 5}, {line: 9}} {
		if got, other := s.take(d, d, want.line); got.stage != want.stage || got.id != want.id || got.line != want.line || got.index != want.index || other != nil {
			t.Errorf("event %d: %+v and %v, want %+v", i, got, other, want)
		}
	}
	if err := s.close(); err != nil {
		t.Fatal(err)
	}
	if b, err := os.ReadFile(path); err != nil || string(b) != stateHeader+strings.TrimPrefix(old, stateHeader1) {
		t.Errorf("it became %q, %v", b, err)
	}
	if index := reopen(t, dir); len(index) != 2 || !strings.HasPrefix(index[1], `{"input":"","line":3,"request_id":"00000000000000000000000000000002","index":9,`) {
		t.Errorf("the index is %q", index)
	}
}

// TestEqualEvents: equal events of one input are counted, those of another are reported.
func TestEqualEvents(t *testing.T) {
	dir := t.TempDir()
	d := protocol.D("secret")
	threeReceipts(t, dir)
	s, err := openState(dir, "../día 1.jsonl")
	if err != nil {
		t.Fatal(err)
	}
	for n := 1; n <= 4; n++ {
		if q, other := s.take(d, d, n); (q.stage == done) != (n <= 3) || other != nil {
			t.Errorf("event %d of the same input: %+v, %v", n, q, other)
		}
	}
	if err := s.close(); err != nil {
		t.Fatal(err)
	}
	if s, err = openState(dir, "../day2.jsonl"); err != nil {
		t.Fatal(err)
	}
	defer s.close()
	if q, other := s.take(d, d, 2); q.stage != unsent || other == nil || other.line != 1 || other.input != "../día 1.jsonl" {
		t.Errorf("an event of another input: %+v, %v", q, other)
	}
}

// TestEqualEventsOutOfOrder: requests of equal events that were sent out of order before a
// crash leave each line with one receipt.
func TestEqualEventsOutOfOrder(t *testing.T) {
	d := protocol.D("a")
	for _, tt := range []struct{ sent, want []int }{
		{nil, []int{3, 4, 5}},
		{[]int{4}, []int{4, 3, 5}},
		{[]int{5, 4}, []int{5, 4, 3}},
		{[]int{4, 5}, []int{4, 5, 3}},
		{[]int{4, 3}, []int{4, 3, 5}},
		{[]int{5}, []int{5, 4, 3}},
		{[]int{1}, []int{1, 4, 5}}, // the input has more lines before than then
	} {
		s, err := openState(t.TempDir(), "in")
		if err != nil {
			t.Fatal(err)
		}
		for _, line := range tt.sent {
			s.add(&request{stage: sent, digest: d, input: "in", line: line})
		}
		var got []int
		for line := 3; line <= 5; line++ {
			q, _ := s.take(d, d, line)
			got = append(got, q.line)
		}
		if !slices.Equal(got, tt.want) {
			t.Errorf("after %v the lines 3, 4, 5 are recorded as %v, want %v", tt.sent, got, tt.want)
		}
		if err := s.close(); err != nil {
			t.Fatal(err)
		}
	}
}

func TestInputName(t *testing.T) {
	dir := t.TempDir()
	t.Chdir(dir)
	for _, tt := range []struct{ dir, input, given, want string }{
		{"r", "e.jsonl", "", "../e.jsonl"},
		{"r", filepath.Join(dir, "e.jsonl"), "", "../e.jsonl"},
		{filepath.Join(dir, "r"), "./x/../e.jsonl", "", "../e.jsonl"},
		{".", "e.jsonl", "", "e.jsonl"},
		{"r", "-", "", "-"},
		{"r", "-", "sensor 7", "sensor 7"},
		{"r", "e.jsonl", "old.jsonl", "old.jsonl"},
	} {
		if got := inputName(tt.dir, tt.input, tt.given); got != tt.want {
			t.Errorf("%q in %q is %q, want %q", tt.input, tt.dir, got, tt.want)
		}
	}
}

func TestPattern(t *testing.T) {
	q := &request{id: requestID(1), line: 7, index: 19, input: "../day 1.v2.jsonl"}
	for text, want := range map[string]string{
		"":                      ".receipt.json",
		"{line}":                "7.receipt.json",
		"{line}.receipt.json":   "7.receipt.json",
		"{input}-{line:06}":     "day_1.v2-000007.receipt.json",
		"{index:01}_{index:04}": "19_0019.receipt.json",
		"lot.{request}":         "lot.00000000000000000000000000000001.receipt.json",
		"ñ{line}":               "ñ7.receipt.json",
	} {
		p, err := parsePattern(text, q.input)
		if got := p.expand(q); err != nil || got != want {
			t.Errorf("%q: %q, %v; want %q", text, got, err, want)
		}
	}
	for _, text := range []string{
		"x", "{input}", "../{line}", "a/{line}", `a\{line}`, ".{line}", "-{line}", "{lines}{line}", "{line:6}", "{line", "{}", "{line}\n",
		"{request:03}", "{line:020}", strings.Repeat("x", maxName) + "{line}", "{input}{line}{{line}}", " {line}", "{line}:x",
	} {
		_, err := parsePattern(text, q.input)
		if f := new(fault.Fault); !errors.As(err, &f) || f.Exit != fault.Usage || !strings.Contains(f.Hint, "allowed are letters") {
			t.Errorf("%q: %v", text, err)
		}
	}
	for input, want := range map[string]string{"-": "stdin", "../.hidden": "input", "a/b.csv": "b", "..": "input", "x/a b\n.jsonl": "a_b_", "--x.json": "x"} {
		if got := stem(input); got != want {
			t.Errorf("%q: %q, want %q", input, got, want)
		}
	}
}

// TestReserve: a name is used once, also over runs, and no file is replaced.
func TestReserve(t *testing.T) {
	dir := t.TempDir()
	threeReceipts(t, dir)
	if err := os.WriteFile(filepath.Join(dir, "mine.receipt.json"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	s, err := openState(dir, "in")
	if err != nil {
		t.Fatal(err)
	}
	defer s.close()
	for name, free := range map[string]bool{"001.receipt.json": false, "mine.receipt.json": false, "004.receipt.json": true} {
		if err := s.reserve(name); (err == nil) != free {
			t.Errorf("%s: %v", name, err)
		}
	}
	if err := s.reserve("004.receipt.json"); err == nil {
		t.Error("a name was reserved twice")
	}
}

package ledger_test

import (
	"bytes"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/terradourada/td/internal/ledger"
)

// with returns a checkpoint with one more signature line.
func with(cp ledger.Checkpoint, line string) ledger.Checkpoint {
	cp.Note = append(bytes.Clone(cp.Note), line...)
	return cp
}

const line = "— cosigner.example AAAAAAAA\n"

// TestCosigned: cosignatures are added to the newest checkpoint, also in its file, and
// survive a restart. One that was replaced meanwhile is what Await prefers for what it
// covers, and nothing else.
func TestCosigned(t *testing.T) {
	r, dir := &rows{}, t.TempDir()
	l := start(t, dir, r, nil)
	s := newSigner(t)
	index := l.newEpoch(s)
	first := l.await(index)
	published := func() string {
		t.Helper()
		file, err := os.ReadFile(dir + "/checkpoint")
		served, rerr := l.Read(t.Context(), "checkpoint")
		if latest, _ := l.Latest(); err != nil || rerr != nil || !bytes.Equal(file, served) || !bytes.Equal(file, latest.Note) {
			t.Fatalf("the file is %q, %v; served is %q, %v", file, err, served, rerr)
		}
		return string(file)
	}
	if err := l.Cosigned(with(first, line), false, time.Now()); err != nil {
		t.Fatal(err)
	}
	if got := published(); got != string(first.Note)+line {
		t.Errorf("published is %q", got)
	}

	second := l.await(r.commit(someLeaves("x", 5)...))
	if err := l.Cosigned(with(first, line+line), true, time.Now()); err != nil {
		t.Fatal(err)
	}
	if got := published(); got != string(second.Note) {
		t.Errorf("an older checkpoint has replaced the newest one: %q", got)
	}
	if cp := l.await(index); cp.Size != first.Size || !strings.HasSuffix(string(cp.Note), line+line) {
		t.Errorf("what it covers is shown under size %d", cp.Size)
	}
	if cp := l.await(second.Size - 1); !bytes.Equal(cp.Note, second.Note) {
		t.Errorf("what it does not cover is shown under size %d", cp.Size)
	}
	check(t, dir, r, l.await(index))

	if err := l.Cosigned(with(second, line), true, time.Now()); err != nil {
		t.Fatal(err)
	}
	if err := l.Cosigned(with(first, line), true, time.Now()); err != nil {
		t.Fatal(err)
	}
	if cp := l.await(index); cp.Size != second.Size {
		t.Errorf("the newest cosigned checkpoint is of size %d", cp.Size)
	}
	if err := l.halt(); err != nil {
		t.Fatal(err)
	}

	again, err := open(t, dir, r, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer again.Close()
	if !again.Resume(s.Key(), index) {
		t.Fatal("it was not resumed")
	}
	cp, _ := again.Latest()
	if string(cp.Note) != string(second.Note)+line || !bytes.Equal(cp.Plain().Note, second.Note) {
		t.Errorf("after a restart %q", cp.Note)
	}
}

// TestCosignedLate: Await does not prefer a checkpoint whose cosignatures came late to a
// newer one.
func TestCosignedLate(t *testing.T) {
	r := &rows{}
	l := start(t, t.TempDir(), r, nil)
	index := l.newEpoch(newSigner(t))
	first, seen := l.await(index), time.Now().Add(-time.Minute)
	second := l.await(r.commit(someLeaves("x", 5)...))
	if err := l.Cosigned(with(first, line), true, seen); err != nil {
		t.Fatal(err)
	}
	if cp := l.await(index); cp.Size != second.Size {
		t.Errorf("a receipt is under size %d, which was the newest a minute ago", cp.Size)
	}
}

// TestPlain: only the line of the log itself stays.
func TestPlain(t *testing.T) {
	for note, want := range map[string]string{
		"a\n1\nr\n\n— a x\n" + line + line: "a\n1\nr\n\n— a x\n",
		"a\n1\nr\n\n— a x\n":               "a\n1\nr\n\n— a x\n",
		"":                                 "",
	} {
		if got := (ledger.Checkpoint{Note: []byte(note)}).Plain(); string(got.Note) != want {
			t.Errorf("%q: %q", note, got.Note)
		}
	}
}

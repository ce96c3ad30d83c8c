package submit

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/terradourada/td/internal/fsutil"
	"github.com/terradourada/td/protocol"
)

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
		if got, _ := s.take(a, a, want.line); !cmp.Equal(got, want, same) {
			t.Errorf("event %d: %+v, want %+v", i, got, want)
		}
	}
	if got, _ := s.take(b, b, 3); !cmp.Equal(got, *all[2], same) {
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

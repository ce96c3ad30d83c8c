package submit

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/terradourada/td/internal/fault"
	"github.com/terradourada/td/internal/fsutil"
	"github.com/terradourada/td/protocol"
)

// The state of "td submit" in its output directory is the file
// .td-submit.state, mode 0600, to which lines are appended; each is on disk
// before the next thing happens:
//
//	terradourada-submit/1
//	sent LINE DIGEST REQUEST pull|push UNTIL    about to be answered, or pushed
//	done REQUEST INDEX                          its receipt is written
//	lost REQUEST                                it ended without acceptance
//
// DIGEST is the base64url of D("TD-CLI-event", claim, parameters, event), all
// canonical; REQUEST a request id, UNTIL when the request ends, in Unix
// milliseconds. A line of another form, as an interrupted write leaves behind, is
// ignored.
//
// Before a proof is sent, the opening and the file .REQUEST.answer (mode 0600,
// the 32 bytes of the tag and the 664 of the proof) are written too. So after
// any interruption the next run knows every request that may have been accepted,
// and can send the same answer again. That is safe, because the server accepts it
// once. The answer is removed when the receipt is written.
//
// Equal events are distinguished by counting: the n-th event of a run with some
// digest belongs to the n-th request with that digest that was not lost.
const (
	stateName   = ".td-submit.state"
	stateHeader = "terradourada-submit/1\n"
)

// eventDigest recognises an event that was submitted before.
func eventDigest(claim string, params, event []byte) protocol.Digest {
	return protocol.D("TD-CLI-event", []byte(claim), params, event)
}

// stage is how far the request about an event has come.
type stage int

const (
	// unsent: no request can be accepted. None was made, or the last one ended.
	unsent stage = iota
	// sent: the request may have been accepted, or may be from now on.
	sent
	// done: the request was accepted, and its receipt was written.
	done
)

// request is the request about an event. The zero value is unsent and has nothing else.
type request struct {
	stage  stage
	id     protocol.RequestID
	digest protocol.Digest
	line   int // in the input of the run that sent it
	push   bool
	until  time.Time
	index  uint64 // of the leaf, once done
}

// state is the state file. One process at a time has it open. Its methods
// may be called concurrently.
type state struct {
	dir  string
	file *os.File

	mu   sync.Mutex
	free map[protocol.Digest][]*request // not yet taken by an event of this run
}

// openState makes or continues the state in a directory.
func openState(dir string) (*state, error) {
	if err := os.MkdirAll(dir, 0o750); err != nil {
		return nil, fault.New(fault.Unexpected, fmt.Sprintf("%s cannot be made: %v", dir, err), "--out names another directory")
	}
	path := filepath.Join(dir, stateName)
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE|os.O_APPEND, 0o600)
	if err != nil {
		return nil, fault.New(fault.Unexpected, fmt.Sprintf("%s cannot be opened: %v", path, err), "--out names another directory")
	}
	s := &state{dir: dir, file: f, free: map[protocol.Digest][]*request{}}
	if err := s.load(); err != nil {
		return nil, errors.Join(err, f.Close())
	}
	return s, nil
}

func (s *state) load() error {
	if !fsutil.Lock(s.file) {
		return fault.New(fault.Unexpected, fmt.Sprintf("another td submit is at work in %s", s.dir), "wait for it, or name another directory with --out")
	}
	content, err := io.ReadAll(s.file)
	if err = errors.Join(err, s.sweep()); err != nil {
		return err
	}
	switch text := string(content); {
	case text == "" || strings.HasPrefix(stateHeader, text):
		return errors.Join(s.file.Truncate(0), s.append(stateHeader), fsutil.SyncDir(s.dir))
	case !strings.HasPrefix(text, stateHeader):
		return fault.New(fault.Unexpected, fmt.Sprintf("%s is not the state of td submit", s.file.Name()), "name another directory with --out")
	case !strings.HasSuffix(text, "\n"):
		err = s.append("\n")
	}
	s.free = parseState(string(content))
	return err
}

// sweep removes half-written files of an interrupted run.
func (s *state) sweep() error {
	files, err := os.ReadDir(s.dir)
	if err != nil {
		return err
	}
	for _, f := range files {
		for _, pattern := range []string{".*.receipt.json.*", ".*.opening.*", "..*.answer.*"} {
			if half, _ := filepath.Match(pattern, f.Name()); half {
				err = errors.Join(err, fsutil.Remove(filepath.Join(s.dir, f.Name())))
			}
		}
	}
	return err
}

// parseState returns the requests that were not lost, in order, by digest.
func parseState(content string) map[protocol.Digest][]*request {
	byID, order := map[protocol.RequestID]*request{}, []*request{}
	for line := range strings.Lines(content) {
		f := strings.Fields(line)
		switch {
		case !strings.HasSuffix(line, "\n"):
		case len(f) == 6 && f[0] == "sent":
			if e, ok := parseSent(f); ok {
				byID[e.id] = e
				order = append(order, e)
			}
		case len(f) == 3 && f[0] == "done":
			if e := known(byID, f[1]); e != nil {
				n, err := strconv.ParseUint(f[2], 10, 64)
				if err == nil {
					e.stage, e.index = done, n
				}
			}
		case len(f) == 2 && f[0] == "lost":
			if e := known(byID, f[1]); e != nil {
				delete(byID, e.id)
			}
		}
	}
	left := map[protocol.Digest][]*request{}
	for _, e := range order {
		if byID[e.id] == e {
			left[e.digest] = append(left[e.digest], e)
		}
	}
	return left
}

func known(byID map[protocol.RequestID]*request, text string) *request {
	id, err := protocol.Parse[protocol.RequestID](text)
	if err != nil {
		return nil
	}
	return byID[id]
}

func parseSent(f []string) (*request, bool) {
	e := &request{stage: sent, push: f[4] == "push"}
	line, err1 := strconv.Atoi(f[1])
	digest, err2 := protocol.Parse[protocol.Digest](f[2])
	id, err3 := protocol.Parse[protocol.RequestID](f[3])
	until, err4 := strconv.ParseInt(f[5], 10, 64)
	e.line, e.digest, e.id, e.until = line, digest, id, time.UnixMilli(until)
	return e, errors.Join(err1, err2, err3, err4) == nil
}

// take returns the request of the next event with this digest, which is unsent if
// there is none.
func (s *state) take(d protocol.Digest) request {
	s.mu.Lock()
	defer s.mu.Unlock()
	list := s.free[d]
	if len(list) == 0 {
		return request{}
	}
	s.free[d] = list[1:]
	return *list[0]
}

// sending records a request that is about to be answered.
func (s *state) sending(e *request) error {
	mode := "pull"
	if e.push {
		mode = "push"
	}
	return s.append(fmt.Sprintf("sent %d %s %s %s %d\n", e.line, e.digest, e.id, mode, e.until.UnixMilli()))
}

// receipted records that the receipt of a request is written.
func (s *state) receipted(e *request, index uint64) error {
	e.stage, e.index = done, index
	return s.append(fmt.Sprintf("done %s %d\n", e.id, index))
}

// lost records that a request ended without acceptance; its event will be sent
// anew.
func (s *state) lost(id protocol.RequestID) error { return s.append(fmt.Sprintf("lost %s\n", id)) }

// append writes a line and makes it durable.
func (s *state) append(line string) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if _, err := s.file.WriteString(line); err != nil {
		return fmt.Errorf("state of the run: %w", err)
	}
	if err := s.file.Sync(); err != nil {
		return fmt.Errorf("state of the run: %w", err)
	}
	return nil
}

// close releases the directory.
func (s *state) close() error { return s.file.Close() }

// answerPath returns the file of an answer, which is kept until the receipt is written.
func (s *state) answerPath(id protocol.RequestID) string {
	return filepath.Join(s.dir, "."+id.String()+".answer")
}

// saveAnswer writes the answer before it is sent.
func (s *state) saveAnswer(id protocol.RequestID, tag protocol.Tag, proof []byte) error {
	return fsutil.WriteFile(s.answerPath(id), append(tag[:len(tag):len(tag)], proof...), 0o600)
}

// answer reads a saved answer; ok is false if there is none.
func (s *state) answer(id protocol.RequestID) (tag protocol.Tag, proof []byte, ok bool) {
	b, err := os.ReadFile(s.answerPath(id))
	if err != nil || len(b) != len(tag)+protocol.ProofSize {
		return tag, nil, false
	}
	return protocol.Tag(b[:len(tag)]), b[len(tag):], true
}

// forget removes what was kept for a request besides its receipt.
func (s *state) forget(id protocol.RequestID, openingToo bool) error {
	err := fsutil.Remove(s.answerPath(id))
	if openingToo {
		err = errors.Join(err, fsutil.Remove(openingPath(s.dir, id)))
	}
	return err
}

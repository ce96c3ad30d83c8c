package submit

import (
	"errors"
	"fmt"
	"io"
	"net/url"
	"os"
	"path/filepath"
	"slices"
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
//	terradourada-submit/2
//	sent LINE DIGEST REQUEST pull|push UNTIL INPUT    about to be answered, or pushed
//	name REQUEST FILE                                 its receipt gets this name
//	done REQUEST INDEX                                its receipt is written
//	lost REQUEST                                      it ended without acceptance
//
// DIGEST is the base64url of D("TD-CLI-event", claim, parameters, event), all
// canonical; REQUEST a request id, UNTIL when the request ends, in Unix
// milliseconds. INPUT is the name of the input and FILE that of the receipt, both with
// the escapes of a URL's path. Without a line "name" the receipt is
// REQUEST.receipt.json. A line of another form, as an interrupted write leaves behind,
// is ignored.
//
// A state that begins with terradourada-submit/1 is continued. Its lines "sent" have no
// INPUT. The first digit that differs is overwritten when it is opened, so that an
// earlier program refuses the file instead of submitting its events again.
//
// Before a proof is sent, the opening and the file .REQUEST.answer (mode 0600,
// the 32 bytes of the tag and the 664 of the proof) are written too. So after
// any interruption the next run knows every request that may have been accepted,
// and can send the same answer again. That is safe, because the server accepts it
// once. The answer is removed when the receipt is written.
//
// Equal events are distinguished by input and by counting: the n-th event of an input
// with some digest belongs to the n-th request of that input and digest that was not
// lost. A request without INPUT belongs to the first input that asks for it.
const (
	stateName    = ".td-submit.state"
	stateHeader  = "terradourada-submit/2\n"
	stateHeader1 = "terradourada-submit/1\n"
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
	input  string // of the run that sent it; "" if an earlier program did
	line   int    // in that input
	push   bool
	until  time.Time
	name   string // of the receipt's file; "" if it is that of the id
	index  uint64 // of the leaf, once done
}

// event is what distinguishes events from one another, except those that are counted.
type event struct {
	input  string
	digest protocol.Digest
}

// state is the state file with the index beside it. One process at a time has it open.
// Its methods may be called concurrently.
type state struct {
	dir   string
	input string // of this run
	lines *lineFile
	index *index

	mu     sync.Mutex
	free   map[event][]*request         // not yet taken by an event of this run
	others map[protocol.Digest]*request // the first one of another input
	names  map[string]bool              // names of receipts that are taken
	moved  map[event][]move             // of this run
}

// openState makes or continues the state in a directory, for an input of this name.
func openState(dir, input string) (*state, error) {
	if err := os.MkdirAll(dir, 0o750); err != nil {
		return nil, fault.New(fault.Unexpected, fmt.Sprintf("%s cannot be made: %v", dir, err), "--out names another directory")
	}
	path := filepath.Join(dir, stateName)
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE|os.O_APPEND, 0o600)
	if err != nil {
		return nil, fault.New(fault.Unexpected, fmt.Sprintf("%s cannot be opened: %v", path, err), "--out names another directory")
	}
	s := &state{
		dir: dir, input: input, lines: &lineFile{file: f},
		free: map[event][]*request{}, others: map[protocol.Digest]*request{}, names: map[string]bool{},
		moved: map[event][]move{},
	}
	if err := s.load(); err != nil {
		return nil, errors.Join(err, f.Close())
	}
	return s, nil
}

func (s *state) load() error {
	if !fsutil.Lock(s.lines.file) {
		return fault.New(fault.Unexpected, fmt.Sprintf("another td submit is at work in %s", s.dir), "wait for it, or name another directory with --out")
	}
	content, err := io.ReadAll(s.lines.file)
	if err = errors.Join(err, s.sweep()); err != nil {
		return err
	}
	requests := parseState(string(content))
	if err := s.ready(string(content)); err != nil {
		return err
	}
	for _, q := range requests {
		s.add(q)
	}
	s.index, err = openIndex(s.dir, requests)
	return err
}

// ready prepares the file for further lines.
func (s *state) ready(text string) error {
	switch {
	case text == "" || strings.HasPrefix(stateHeader, text):
		return errors.Join(s.lines.file.Truncate(0), s.lines.append(stateHeader), fsutil.SyncDir(s.dir))
	case strings.HasPrefix(text, stateHeader1):
		if err := overwrite(s.lines.file.Name(), stateHeader); err != nil {
			return err
		}
	case !strings.HasPrefix(text, stateHeader):
		return fault.New(fault.Unexpected, fmt.Sprintf("%s is not the state of this td submit", s.lines.file.Name()), "name another directory with --out")
	}
	if !strings.HasSuffix(text, "\n") {
		return s.lines.append("\n")
	}
	return nil
}

// overwrite replaces the beginning of a file.
func overwrite(path, beginning string) error {
	f, err := os.OpenFile(path, os.O_WRONLY, 0)
	if err != nil {
		return err
	}
	_, err = f.WriteAt([]byte(beginning), 0)
	return errors.Join(err, f.Sync(), f.Close())
}

// add files a request of an earlier run.
func (s *state) add(q *request) {
	of := event{q.input, q.digest}
	s.free[of] = append(s.free[of], q)
	if q.input != s.input && q.input != "" {
		if first := s.others[q.digest]; first == nil || first.input == q.input && first.line > q.line {
			s.others[q.digest] = q
		}
	}
	if q.name != "" {
		s.names[q.name] = true
	}
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

// parseState returns the requests that were not lost, in order.
func parseState(content string) []*request {
	byID, order := map[protocol.RequestID]*request{}, []*request{}
	for line := range strings.Lines(content) {
		f := strings.Fields(line)
		if !strings.HasSuffix(line, "\n") || len(f) < 2 {
			continue
		}
		if f[0] == "sent" {
			if q, ok := parseSent(f); ok {
				byID[q.id] = q
				order = append(order, q)
			}
			continue
		}
		if q := known(byID, f[1]); q != nil && !q.change(f) {
			delete(byID, q.id)
		}
	}
	return slices.DeleteFunc(order, func(q *request) bool { return byID[q.id] != q })
}

func known(byID map[protocol.RequestID]*request, text string) *request {
	id, err := protocol.Parse[protocol.RequestID](text)
	if err != nil {
		return nil
	}
	return byID[id]
}

func parseSent(f []string) (*request, bool) {
	if len(f) != 6 && len(f) != 7 {
		return nil, false
	}
	q := &request{stage: sent, push: f[4] == "push"}
	line, err1 := strconv.Atoi(f[1])
	digest, err2 := protocol.Parse[protocol.Digest](f[2])
	id, err3 := protocol.Parse[protocol.RequestID](f[3])
	until, err4 := strconv.ParseInt(f[5], 10, 64)
	input, err5 := url.PathUnescape(strings.Join(f[6:], ""))
	q.line, q.digest, q.id, q.until, q.input = line, digest, id, time.UnixMilli(until), input
	return q, errors.Join(err1, err2, err3, err4, err5) == nil
}

// change applies a line about the request, and reports false if it was lost.
func (q *request) change(f []string) (kept bool) {
	switch {
	case len(f) == 3 && f[0] == "name":
		if name, err := url.PathUnescape(f[2]); err == nil {
			q.name = name
		}
	case len(f) == 3 && f[0] == "done":
		if n, err := strconv.ParseUint(f[2], 10, 64); err == nil {
			q.stage, q.index = done, n
		}
	case len(f) == 2 && f[0] == "lost":
		return false
	}
	return true
}

// take returns the request of the event with this digest on this line, which is unsent if
// there is none. Then its line is that under which a request is to be recorded, and other
// is a request about an equal event of another input, or nil.
func (s *state) take(d, earlier protocol.Digest, line int) (q request, other *request) {
	s.mu.Lock()
	defer s.mu.Unlock()
	own := event{s.input, d}
	for _, of := range []event{own, {"", d}, {"", earlier}} {
		list := s.free[of]
		if len(list) == 0 {
			continue
		}
		s.free[of] = list[1:]
		if of == own && list[0].line != line {
			s.moved[own] = append(s.moved[own], move{line, list[0].line})
		}
		return *list[0], nil
	}
	return request{line: s.vacant(own, line)}, s.others[d]
}

// move is an event on one line that took the request of an equal event on another one.
// Events are sent at the same time, so that the order of requests is not that of lines.
type move struct{ to, from int }

// vacant returns the line under which an event is recorded. That is its own, unless the
// request of that line went to an equal event: then it is a line of one of those.
func (s *state) vacant(of event, line int) int {
	moves := s.moved[of]
	taken := func(line int) bool { return slices.ContainsFunc(moves, func(m move) bool { return m.from == line }) }
	if !taken(line) {
		return line
	}
	for _, m := range moves {
		if !taken(m.to) {
			s.moved[of] = append(moves, move{line, m.to})
			return m.to
		}
	}
	return line
}

// reserve takes a name for a receipt. A name that is taken, also by a file that has
// nothing to do with the state, is an error.
func (s *state) reserve(name string) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if path := filepath.Join(s.dir, name); s.names[name] || fsutil.Exists(path) {
		return fault.New(fault.Usage, fmt.Sprintf("%s is taken already and is not replaced", path), "add {input} or {request} to --name, or name another directory with --out")
	}
	s.names[name] = true
	return nil
}

// sending records a request that is about to be answered.
func (s *state) sending(q *request) error {
	mode := "pull"
	if q.push {
		mode = "push"
	}
	return s.lines.append(fmt.Sprintf("sent %d %s %s %s %d %s\n", q.line, q.digest, q.id, mode, q.until.UnixMilli(), url.PathEscape(q.input)))
}

// named records the name of a receipt that is about to be written.
func (s *state) named(q *request, name string) error {
	q.name = name
	return s.lines.append(fmt.Sprintf("name %s %s\n", q.id, url.PathEscape(name)))
}

// receipted records that the receipt of a request is written, here and in the index.
func (s *state) receipted(q *request, index uint64) error {
	q.stage, q.index = done, index
	if err := s.lines.append(fmt.Sprintf("done %s %d\n", q.id, index)); err != nil {
		return err
	}
	return s.index.add(q)
}

// lost records that a request ended without acceptance; its event will be sent
// anew.
func (s *state) lost(id protocol.RequestID) error {
	return s.lines.append(fmt.Sprintf("lost %s\n", id))
}

// close releases the directory.
func (s *state) close() error { return errors.Join(s.index.lines.file.Close(), s.lines.file.Close()) }

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

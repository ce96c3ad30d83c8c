package submit

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/terradourada/td/internal/fault"
	"github.com/terradourada/td/internal/fsutil"
	"github.com/terradourada/td/protocol"
)

// maxEvent is how much of one event is read: a byte more than the protocol
// allows, so that a longer one is refused as too large.
const maxEvent = protocol.MaxJSONSize + 1

// numbered is one event of the input and the line it begins on.
type numbered struct {
	line int
	text []byte
}

// form is how an input is read.
type form int

const (
	byLine   form = iota // an event on each line
	oneEvent             // one event over all lines, which was not returned yet
	ended                // nothing is left
)

// events reads the input of "td submit": one JSON object, or one on each line.
// It is the latter if the file's name ends in .jsonl or .ndjson, or if the first
// line that is not blank is a whole JSON object and not the only one.
type events struct {
	r     *bufio.Reader
	line  int    // lines read so far
	form  form   // how the input is read
	whole []byte // the event, of an input of form oneEvent
	total int    // events in it, 0 if not known
	close func() error
}

// openEvents opens a file, or standard input for "-".
func openEvents(name string, stdin io.Reader) (*events, error) {
	if name == "-" {
		return newEvents(stdin, false, func() error { return nil })
	}
	f, err := fsutil.Open(name)
	if err != nil {
		return nil, err
	}
	e, err := newEvents(f, hasSuffix(name, ".jsonl", ".ndjson"), f.Close)
	if err != nil {
		return nil, errors.Join(err, f.Close())
	}
	if e.form == byLine {
		e.total, err = countLines(name)
	}
	return e, err
}

func hasSuffix(name string, suffixes ...string) bool {
	for _, s := range suffixes {
		if strings.HasSuffix(strings.ToLower(name), s) {
			return true
		}
	}
	return false
}

func newEvents(r io.Reader, lines bool, closeInput func() error) (*events, error) {
	e := &events{r: bufio.NewReaderSize(r, maxEvent), close: closeInput}
	if lines {
		return e, nil
	}
	head, err := e.head()
	if err != nil {
		return nil, fault.New(fault.Unexpected, fmt.Sprintf("the input cannot be read: %v", err), "")
	}
	switch trimmed := bytes.TrimLeft(head, " \t\r\n"); {
	case len(trimmed) == 0:
		return nil, fault.New(fault.Usage, "the input is empty", "an event is a JSON object")
	case trimmed[0] == '[':
		return nil, fault.New(fault.Usage, "the input is a JSON array, and an event is an object", "write one event a line: jq -c '.[]'")
	}
	if isLines(head) {
		return e, nil
	}
	e.form, e.total = oneEvent, 1
	e.whole, err = e.read(true)
	return e, err
}

// head returns enough of the input to decide how it is read. It does not wait for more of
// a stream than that takes.
func (e *events) head() ([]byte, error) {
	for n := 1; ; n = e.r.Buffered() + 1 {
		_, err := e.r.Peek(min(n, maxEvent))
		head, _ := e.r.Peek(e.r.Buffered()) // what is buffered is there
		switch {
		case err != nil && !errors.Is(err, io.EOF):
			return nil, err
		case err != nil || n > maxEvent || isLines(head):
			return head, nil
		}
	}
}

// isLines reports whether the first line that is not blank is a whole object and
// something follows it.
func isLines(head []byte) bool {
	first, rest, ok := bytes.Cut(bytes.TrimLeft(head, " \t\r\n"), []byte("\n"))
	return ok && json.Valid(first) && len(bytes.TrimSpace(rest)) > 0
}

// countLines counts the lines that are not blank.
func countLines(name string) (n int, err error) {
	f, err := os.Open(name)
	if err != nil {
		return 0, err
	}
	defer f.Close()
	if info, err := f.Stat(); err != nil || !info.Mode().IsRegular() {
		return 0, err
	}
	blank := true
	for r := bufio.NewReaderSize(f, 1<<16); ; {
		c, err := r.ReadByte()
		switch {
		case errors.Is(err, io.EOF):
			if !blank {
				n++
			}
			return n, nil
		case err != nil:
			return 0, err
		case c == '\n':
			if !blank {
				n++
			}
			blank = true
		case c != ' ' && c != '\t' && c != '\r':
			blank = false
		}
	}
}

// next returns the next event, and io.EOF after the last one.
func (e *events) next() (numbered, error) {
	switch e.form {
	case oneEvent:
		e.form = ended
		return numbered{1, e.whole}, nil
	case ended:
		return numbered{}, io.EOF
	case byLine:
	}
	for {
		e.line++
		text, err := e.read(false)
		if err != nil {
			return numbered{}, err
		}
		if len(bytes.TrimSpace(text)) > 0 {
			return numbered{e.line, text}, nil
		}
	}
}

// read returns a line without its end, or all that is left, but not more than
// maxEvent bytes of it; the rest is skipped.
func (e *events) read(all bool) ([]byte, error) {
	var text []byte
	for n := 0; ; n++ {
		part, err := e.r.ReadSlice('\n')
		ended := err == nil && !all
		if ended {
			part = part[:len(part)-1]
		}
		text = append(text, part[:min(len(part), maxEvent-len(text))]...)
		switch {
		case ended:
			return text, nil
		case errors.Is(err, io.EOF):
			if n == 0 && len(part) == 0 && !all {
				return nil, io.EOF
			}
			return text, nil
		case err != nil && !errors.Is(err, bufio.ErrBufferFull):
			return nil, fault.New(fault.Unexpected, fmt.Sprintf("the input cannot be read: %v", err), "")
		}
	}
}
